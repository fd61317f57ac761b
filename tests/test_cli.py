"""How scripts start and end, and their flags: made from settings, exit status, one sentence, verbosity."""

import importlib
import subprocess
import sys

import pytest
from helpers import command_flags
from helpers.repository import REPOSITORY

import bert_tf2
from bert_tf2.configs.fields import GROUPS, flags_of, is_required, type_of

PROGRAM = """
import logging
from absl import flags
from bert_tf2 import cli
from bert_tf2.errors import InputError
flags.DEFINE_integer("number", 3, "A number.")
def main():
    {body}
cli.run(main)
"""


def run(body, *arguments):
    command = [sys.executable, "-c", PROGRAM.format(body=body), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)


def test_success_and_plain_log_lines():
    done = run("logging.info('read %d', flags.FLAGS.number); logging.warning('odd')", "--number=4")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "read 4\nWARNING: odd\n")


@pytest.mark.parametrize(
    ("body", "stderr"),
    [
        ("raise InputError('a.txt is empty; give text.')", "ERROR: a.txt is empty; give text.\n"),
        ("open('/nonexistent/a.txt')", "ERROR: /nonexistent/a.txt: No such file or directory.\n"),
        ("raise OSError(28, 'No space left on device', 'out')", "ERROR: out: No space left on device.\n"),
        ("raise OSError('Cannot save x: full. Make room.')", "ERROR: Cannot save x: full. Make room.\n"),
    ],
)
def test_mistakes_are_one_sentence(body, stderr):
    done = run(body)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", stderr)


def test_verbosity_adds_the_traceback():
    done = run("raise InputError('bad.')", "--verbosity=1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("ERROR: bad.\n")


def test_defects_keep_their_traceback():
    done = run("raise RuntimeError('a defect')")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_arguments_that_are_no_flags_are_refused():
    done = run("pass", "--number=4", "False")
    assert done.returncode == 1
    assert done.stderr == "ERROR: unexpected argument 'False'; flags are written --name=value.\n"


def test_interrupt():
    done = run("raise KeyboardInterrupt")
    assert (done.returncode, done.stderr) == (130, "\nInterrupted.\n")


def test_tensorflow_starts_in_silence_and_says_why_it_does_not():
    done = run("cli.import_tensorflow(); import tensorflow as tf; print(tf.constant(1).numpy())")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
    body = "import os, sys; sys.modules['tensorflow'] = None; cli.import_tensorflow()"
    done = run(body)
    assert done.returncode == 1
    assert "tensorflow" in done.stderr


def test_being_stopped_has_a_status_of_its_own():
    done = run("from bert_tf2.errors import Stopped; raise Stopped('Saved step 3. Give the same command again.')")
    assert (done.returncode, done.stderr) == (75, "Saved step 3. Give the same command again.\n")


class TestConfigFile:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("a.json", '{"number": 5}'),
            ("a.yaml", "number: 5  # five"),
            ("run.json", '{"command": "x", "config": {"number": 5}, "versions": {}}'),
        ],
    )
    def test_gives_values_for_flags(self, tmp_path, name, text):
        (tmp_path / name).write_text(text)
        for arguments, expected in (((), "5"), (("--number=6",), "6")):
            done = run("print(flags.FLAGS.number)", f"--config={tmp_path / name}", *arguments)
            assert (done.stdout.strip(), done.stderr) == (expected, "")

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("a.json", '{"numbr": 5}', "a.json: there is no flag 'numbr'; did you mean number?"),
            ("a.json", '{"zzz": 5}', "a.json: there is no flag 'zzz'; the flags are number."),
            ("a.json", '{"number": "x"}', "flag --number=x: invalid literal"),
            ("a.json", "{", "a.json is not JSON (Expecting property name enclosed in double quotes at column 2)."),
            ("a.yaml", "a: [", "a.yaml is not YAML: "),
            ("a.json", "[1]", "a.json does not map flags to values; an object like"),
            ("none.json", None, "none.json: No such file"),
        ],
    )
    def test_mistakes(self, tmp_path, name, text, message):
        if text is not None:
            (tmp_path / name).write_text(text)
        done = run("pass", f"--config={tmp_path / name}")
        assert done.returncode == 1
        assert message in done.stderr
        assert "Traceback" not in done.stderr

    def test_print_config_is_what_config_takes(self, tmp_path):
        printed = run("print('ran')", "--number=8", "--print_config")
        assert (printed.stdout, printed.returncode) == ('{\n  "number": 8\n}\n', 0)
        (tmp_path / "a.json").write_text(printed.stdout)
        assert run("print(flags.FLAGS.number)", f"--config={tmp_path / 'a.json'}").stdout == "8\n"


SETTINGS = """
import dataclasses
from absl import flags
from bert_tf2 import cli
from bert_tf2.configs.fields import FILES, TRAINING, setting
@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = setting(0.5, help="Of learning.", group=TRAINING)
@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    extra: str | None = setting(None, help="More.", group=FILES)
    source: str = setting(help="To read.", group=FILES, original=True)
    target: str = setting("", help="To write.", group=FILES, flag_default=None, needed_if=lambda flags: flags["writes"])
    writes: bool = setting(True, help="Whether to write.")
    length: int | None = setting(None, help="Of lines.", flag_default=128)
    kind: str = setting("a", help="Of it.", choices=("a", "b"))
    inner: Inner = dataclasses.field(default_factory=Inner)
cli.define_flags(Config)
def main():
    print(dataclasses.asdict(cli.from_flags(Config)))
cli.run(main)
"""


class TestSettings:
    def call(self, *arguments):
        done = subprocess.run(
            [sys.executable, "-c", SETTINGS, *arguments], capture_output=True, text=True, cwd=REPOSITORY
        )
        return done.returncode, done.stdout, done.stderr

    def test_values(self):
        """What is not given is the field's default, not the one that is shown."""
        status, printed, said = self.call("--source=s", "--nowrites", "--rate=1")
        values = {"extra": None, "source": "s", "target": "", "writes": False, "length": None, "kind": "a"}
        assert (status, printed, said) == (0, f"{ ({**values, 'inner': {'rate': 1.0}}) }\n", "")
        assert "'length': 128" in self.call("--source=s", "--target=t", "--length=128")[1]

    def test_missing_flags_are_named_at_once(self):
        for arguments, sentence in (
            ((), "--source and --target are missing"),
            (("--nowrites",), "--source is missing"),
            (("--source=s", "--kind=b"), "--target is missing"),
        ):
            assert self.call(*arguments) == (1, "", f"ERROR: {sentence}; --help lists the flags.\n")
        assert self.call("--kind=c")[2].startswith("ERROR: flag --kind=c: value should be one of <a|b>; --help")

    def test_all_flags_and_the_version(self):
        for name, expected in (("helpfull", "absl.app:"), ("helpxml", "<name>source</name>")):
            status, printed, messages = self.call(f"--{name}")
            assert (status, messages) == (0, "")
            assert expected in printed
        assert self.call("--version") == (0, f"bert-tf2 {bert_tf2.__version__}\n", "")

    def test_help_has_sections_and_the_originals_flags_first(self):
        status, printed, messages = self.call("--help")
        assert (status, messages) == (0, "")
        for same in ("-h", "-help", "--helpshort", "-?"):
            assert self.call(same) == (0, printed, "")
        sections = ["Files:", "Task:", "Training:", "Files of flags:"]
        assert [line for line in printed.splitlines() if line in sections] == sections
        lines = [line.strip() for line in printed.splitlines()]
        files = lines[lines.index("Files:") + 1 : lines.index("Task:") - 1]
        assert files == ["--source: To read. (needed)", "--extra: More.", "--target: To write."]
        assert "--length: Of lines. (default: 128)" in lines
        assert "--kind: <a|b>: Of it. (default: a)" in lines
        assert "--[no]writes: Whether to write. (default: true)" in lines


CONFIGS = {
    "build_vocab": ("tokenization.vocab_runner", "VocabularyConfig"),
    "convert_checkpoint": ("conversion.config", "ConversionConfig"),
    "create_pretraining_data": ("pretraining_data.config", "PretrainingDataConfig"),
    "export_model": ("export.config", "ExportConfig"),
    "extract_features": ("tasks.feature_extraction.config", "FeatureConfig"),
    "inspect_model": ("inspection.config", "InspectionConfig"),
    "run_classifier": ("tasks.classification.config", "ClassificationConfig"),
    "run_multiple_choice": ("tasks.multiple_choice.config", "MultipleChoiceConfig"),
    "run_ner": ("tasks.tagging.config", "TaggingConfig"),
    "run_pretraining": ("tasks.pretraining.config", "PretrainingConfig"),
    "run_squad": ("tasks.squad.config", "SquadConfig"),
}


def config_of(script: str) -> type:
    module, name = CONFIGS[script]
    return getattr(importlib.import_module(f"bert_tf2.{module}"), name)


@pytest.mark.parametrize("script", CONFIGS)
def test_every_field_is_a_flag_and_every_flag_a_field(script: str) -> None:
    defined = command_flags.flags_of(script)
    assert {"config", "print_config"} <= defined.keys()
    settings = {field.name: (field, said) for field, said in flags_of(config_of(script))}
    assert defined.keys() - {"config", "print_config"} == settings.keys()
    for name, (field, said) in settings.items():
        default = None if is_required(field) else field.default if said.flag_default is ... else said.flag_default
        assert defined[name] == (default, type_of(field) is bool, list(said.choices)), name
        assert field.metadata, f"{name} is not made by `setting`"
        assert said.help.endswith("."), name
        assert said.group in GROUPS, name


DEVICES = {"use_tpu", "tpu_name", "tpu_zone", "gcp_project", "master", "num_tpu_cores"}
TRAINING = {
    *("bert_config_file", "output_dir", "init_checkpoint", "max_seq_length", "do_train", "train_batch_size"),
    *("learning_rate", "save_checkpoints_steps", "iterations_per_loop"),
    *DEVICES,
}
FINETUNING = {
    *("vocab_file", "do_lower_case", "do_predict", "predict_batch_size", "num_train_epochs", "warmup_proportion"),
    *TRAINING,
}
ORIGINAL = {
    "create_pretraining_data": {
        *("input_file", "output_file", "vocab_file", "do_lower_case", "do_whole_word_mask", "max_seq_length"),
        *("max_predictions_per_seq", "random_seed", "dupe_factor", "masked_lm_prob", "short_seq_prob"),
    },
    "extract_features": {
        *("input_file", "output_file", "layers", "bert_config_file", "max_seq_length", "init_checkpoint", "vocab_file"),
        *("do_lower_case", "batch_size", "use_one_hot_embeddings"),
        *DEVICES - {"tpu_name", "tpu_zone", "gcp_project"},
    },
    "run_classifier": {*FINETUNING, "data_dir", "task_name", "do_eval", "eval_batch_size"},
    "run_pretraining": {
        *("input_file", "max_predictions_per_seq", "do_eval", "eval_batch_size", "num_train_steps", "num_warmup_steps"),
        *("max_eval_steps", *TRAINING),
    },
    "run_squad": {
        *("train_file", "predict_file", "doc_stride", "max_query_length", "n_best_size", "max_answer_length"),
        *("verbose_logging", "version_2_with_negative", "null_score_diff_threshold", *FINETUNING),
    },
}


@pytest.mark.parametrize("script", ORIGINAL)
def test_flags_that_the_original_has_are_marked(script: str) -> None:
    """Those of this script are; none is that no script of the original has."""
    marked = {field.name for field, said in flags_of(config_of(script)) if said.original}
    assert ORIGINAL[script] <= marked <= set().union(*ORIGINAL.values())
