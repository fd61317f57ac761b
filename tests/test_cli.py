"""How scripts start and end: flags from settings, exit status, error messages, verbosity."""

import importlib
import json
import re
import subprocess
import sys

import pytest
from helpers import command_flags
from helpers.repository import REPOSITORY

import bert_tf2
from bert_tf2.configs import help_text
from bert_tf2.configs.fields import GROUPS, flags_of, is_required, type_of
from bert_tf2.configs.table_form import TABLES
from bert_tf2.io import file_kinds

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


@pytest.fixture
def run(scripts):
    return lambda body, *arguments: scripts.run_program(PROGRAM.format(body=body), list(arguments))


def test_success_and_plain_log_lines(run):
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
def test_mistakes_are_one_sentence(run, body, stderr):
    done = run(body)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", stderr)


def test_verbosity_adds_the_traceback(run):
    done = run("raise InputError('bad.')", "--verbosity=1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("ERROR: bad.\n")


def test_bugs_keep_their_traceback(run):
    done = run("raise RuntimeError('a defect')")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_arguments_that_are_not_flags_are_refused(run):
    done = run("pass", "--number=4", "False")
    assert done.returncode == 1
    assert done.stderr == "ERROR: unexpected argument 'False'; flags are written --name=value.\n"


def test_interrupt(run):
    done = run("raise KeyboardInterrupt")
    assert (done.returncode, done.stderr) == (130, "\nInterrupted.\n")


def test_tensorflow_starts_silently_unless_it_fails():

    def run(body):  # in a process that has not imported it
        command = [sys.executable, "-c", PROGRAM.format(body=body)]
        return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)

    done = run("cli.import_tensorflow(); import tensorflow as tf; print(tf.constant(1).numpy())")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
    done = run("import os, sys; sys.modules['tensorflow'] = None; cli.import_tensorflow()")
    assert done.returncode == 1
    assert "tensorflow" in done.stderr


def test_stopped_processes_have_their_own_status(run):
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
    def test_gives_values_for_flags(self, run, tmp_path, name, text):
        (tmp_path / name).write_text(text)
        for arguments, expected in (((), "5"), (("--number=6",), "6")):
            done = run("print(flags.FLAGS.number)", f"--config={tmp_path / name}", *arguments)
            assert (done.stdout.strip(), done.stderr) == (expected, "")

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("a.json", '{"numbr": 5}', "a.json: there is no flag --numbr; did you mean --number?"),
            ("a.json", '{"zzz": 5}', "a.json: there is no flag --zzz; --help lists the flags."),
            ("a.json", '{"number": "x"}', "ERROR: --number=x; it must be a whole number."),
            ("a.json", "{", "a.json is not JSON (Expecting property name enclosed in double quotes at column 2)."),
            ("a.yaml", "a: [", "a.yaml is not YAML: "),
            ("a.json", "[1]", "a.json does not map flags to values; an object like"),
            ("none.json", None, "none.json: No such file"),
            ("a.yaml", "number: yes", "a.yaml: --number is not a true-or-false flag, so its value cannot be true; put"),
            ("a.yaml", "number: [1, no]", "so its value cannot be [1, false]; put a text such as yes into quotes."),
        ],
    )
    def test_mistakes(self, run, tmp_path, name, text, message):
        if text is not None:
            (tmp_path / name).write_text(text)
        done = run("pass", f"--config={tmp_path / name}")
        assert done.returncode == 1
        assert message in done.stderr
        assert "Traceback" not in done.stderr

    def test_an_empty_path(self, run):
        done = run("pass", "--config=")
        sentence = "ERROR: --config is empty (from an unset variable?); give a path, or omit the flag.\n"
        assert (done.returncode, done.stderr) == (1, sentence)

    def test_print_config_prints_a_file_for_config(self, run, tmp_path):
        printed = run("print('ran')", "--number=8", "--print_config")
        assert (printed.stdout, printed.returncode) == ('{\n  "number": 8\n}\n', 0)
        (tmp_path / "a.json").write_text(printed.stdout)
        assert run("print(flags.FLAGS.number)", f"--config={tmp_path / 'a.json'}").stdout == "8\n"


SETTINGS = """
'Does nothing.'
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


@pytest.fixture
def call(scripts):
    """Runs `SETTINGS` with arguments at some width; returns the exit status, the output and the messages."""

    def run_settings(*arguments, columns=80):
        done = scripts.run_program(SETTINGS, list(arguments), environment={"COLUMNS": str(columns)})
        return done.returncode, done.stdout, done.stderr

    return run_settings


class TestSettings:
    def test_values(self, call):
        """Omitted flags have the field's default, not the one shown by `--help`."""
        status, printed, messages = call("--source=s", "--nowrites", "--rate=1")
        values = {"extra": None, "source": "s", "target": "", "writes": False, "length": None, "kind": "a"}
        assert (status, printed, messages) == (0, f"{ ({**values, 'inner': {'rate': 1.0}}) }\n", "")
        assert "'length': 128" in call("--source=s", "--target=t", "--length=128")[1]

    def test_missing_flags_are_named_at_once(self, call):
        for arguments, sentence in (
            ((), "--source and --target are missing"),
            (("--nowrites",), "--source is missing"),
            (("--source=s", "--kind=b"), "--target is missing"),
        ):
            assert call(*arguments) == (1, "", f"ERROR: {sentence}; --help lists the flags.\n")

    @pytest.mark.parametrize(
        ("argument", "sentence"),
        [
            ("--kind=c", "--kind=c; it must be one of a, b."),
            ("--length=1e3", "--length=1e3; it must be a whole number."),
            ("--length=", "--length=; it must be a whole number."),
            (f"--length={'1' * 5000}", f"--length={'1' * 51}...; it must be a whole number."),
            ("--rate=fast: yes", "--rate=fast: yes; it must be a number."),
            ("--writes=perhaps", "--writes=perhaps; it must be true or false."),
            ("--nowrites=true", "--nowrites takes no value; write --nowrites, or --writes=false."),
            ("--source", "--source has no value; write --source=VALUE."),
            ("--sorce=s", "there is no flag --sorce; did you mean --source?"),
            ("--nowrite", "there is no flag --nowrite; did you mean --nowrites?"),
            ("-lenght=3", "there is no flag --lenght; did you mean --length?"),
            ("--zzz", "there is no flag --zzz; --help lists the flags."),
        ],
    )
    def test_mistakes_are_one_sentence(self, call, argument, sentence):
        assert call(argument) == (1, "", f"ERROR: {sentence}\n")

    def test_all_flags_and_the_version(self, call):
        for name, expected in (("helpfull", "absl.app:"), ("helpxml", "<name>source</name>")):
            status, printed, messages = call(f"--{name}")
            assert (status, messages) == (0, "")
            assert expected in printed
        assert call("--version") == (0, f"bert-tf2 {bert_tf2.__version__}\n", "")

    def test_help_has_sections_and_the_originals_flags_first(self, call):
        status, printed, messages = call("--help")
        assert (status, messages) == (0, "")
        for same in ("-h", "-help", "--helpshort", "-?"):
            assert call(same) == (0, printed, "")
        sections = ["Common flags:", "Files:", "Task:", "Training:", "Files of flags:", "Help:"]
        assert [line for line in printed.splitlines() if line in sections] == sections
        lines = [" ".join(line.split()) for line in printed.splitlines()]
        assert lines[lines.index("Common flags:") + 1 : lines.index("Files:") - 1] == ["--source To read. (required)"]
        files = lines[lines.index("Files:") + 1 : lines.index("Task:") - 1]
        assert files == ["--extra More.", "--target To write."]
        assert "--length Of lines. (default: 128)" in lines
        assert "--kind Of it. (one of a, b; default: a)" in lines
        assert "--[no]writes Whether to write. (default: true)" in lines

    def test_omitted_flags_stay_undecided(self, call):
        """`--print_config` prints null for an omitted flag whose default differs from the one shown by `--help`."""
        for arguments, value in (((), None), (("--length=128",), 128)):
            assert json.loads(call("--source=s", "--target=t", "--print_config", *arguments)[1])["length"] == value

    def test_printed_numbers_that_json_does_not_have(self, call, tmp_path):
        status, printed, _ = call("--source=s", "--target=t", "--rate=inf", "--print_config")
        assert (status, json.loads(printed, parse_constant=pytest.fail)["rate"]) == (0, "inf")
        (tmp_path / "a.json").write_text(printed)
        assert "'rate': inf" in call(f"--config={tmp_path / 'a.json'}")[1]


def test_only_the_flag_itself_lets_unknown_flags_pass(scripts):
    """With `--runner`, they are for Apache Beam."""
    done = scripts.run("create_pretraining_data.py", ["--input_file", "runner.txt", "--dup_factor=1"])
    assert done.stderr.endswith("ERROR: there is no flag --dup_factor; did you mean --dupe_factor?\n")


def test_an_empty_word_list(scripts):
    """It must not be taken for segmented text."""
    done = scripts.run("create_pretraining_data.py", ["--input_file=a", "--output_file=b", "--word_list="])
    assert done.stderr == "ERROR: --word_list is empty (from an unset variable?); give a path, or omit the flag.\n"


def test_version_of_a_command_with_a_setting_of_this_name(scripts):
    for arguments in (["--version"], ["--version", "--export_dir=x"]):
        done = scripts.run("export_model.py", arguments)
        assert (done.returncode, done.stdout) == (0, f"bert-tf2 {bert_tf2.__version__}\n")
    done = scripts.run("export_model.py", ["--version=3"])
    assert done.stderr.endswith("ERROR: --export_dir is missing; --help lists the flags.\n")


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
    settings = {field.name: (field, setting) for field, setting in flags_of(config_of(script))}
    assert defined.keys() - {"config", "print_config"} == settings.keys()
    for name, (field, setting) in settings.items():
        default = None if is_required(field) else field.default if setting.flag_default is ... else setting.flag_default
        assert defined[name] == (default, type_of(field) is bool, list(setting.choices)), name
        assert field.metadata, f"{name} is not defined by `setting`"
        assert setting.help.endswith("."), name
        assert setting.group in GROUPS, name


@pytest.mark.parametrize("script", CONFIGS)
def test_help_fits_the_terminal_and_begins_with_an_example(scripts, script: str) -> None:
    """All flags of the examples exist, and are among the common flags."""
    for columns in (80, 100):
        done = scripts.run(f"{script}.py", ["--help"], environment={"COLUMNS": str(columns)})
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        assert columns - 10 < max(map(len, lines)) <= columns
    assert f"\n\n    python {script}.py --" in done.stdout[:400]
    about, _, rest = done.stdout.partition("\nCommon flags:\n")
    named = re.findall(r"--([a-z0-9_]+)", "".join(help_text.examples(about)))
    common = re.findall(r"^  --(?:\[no\])?(\w+)", rest.partition("\n\n")[0], re.MULTILINE)
    assert named
    assert set(named) <= set(common)
    assert {name for name in common if name not in named} <= {
        field.name for field, _ in flags_of(config_of(script)) if is_required(field)
    }


@pytest.mark.parametrize("script", ["run_squad", "run_multiple_choice"])
def test_help_names_the_tables(script: str) -> None:
    helps = {field.name: setting.help for field, setting in flags_of(config_of(script))}
    assert TABLES in helps["train_file"]
    for extension in file_kinds.ENDINGS.keys() - {".txt", ".ndjson"}:
        assert extension in TABLES


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
    """All flags of the original's script are marked, and only flags that some script of the original has."""
    marked = {field.name for field, setting in flags_of(config_of(script)) if setting.original}
    assert ORIGINAL[script] <= marked <= set().union(*ORIGINAL.values())
