"""run_pretraining.py as a user calls it, from text to results; its errors; what SIGKILL leaves."""

import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers import bytes_read
from helpers.command_flags import defaults_of
from helpers.repository import GOLDEN, REPOSITORY, TINY_CONFIG
from helpers.run_directory import unlisted

from bert_tf2 import checkpoints
from bert_tf2.configs.model import BertConfig
from bert_tf2.configs.training import OptimizerConfig
from bert_tf2.conversion.convert import ConversionConfig, convert
from bert_tf2.errors import InputError
from bert_tf2.input_pipeline import record_batches
from bert_tf2.io import run_files
from bert_tf2.records import index, shuffled
from bert_tf2.tasks.pretraining import data, runner, whole_run
from bert_tf2.tasks.pretraining.runner import PretrainingConfig
from bert_tf2.training.tensorboard import read_scalars

LENGTH, PREDICTIONS = 16, 3
ORIGINAL_DEFAULTS = {
    "bert_config_file": None,
    "input_file": None,
    "output_dir": None,
    "init_checkpoint": None,
    "max_seq_length": 128,
    "max_predictions_per_seq": 20,
    "do_train": False,
    "do_eval": False,
    "train_batch_size": 32,
    "eval_batch_size": 8,
    "learning_rate": 5e-5,
    "num_train_steps": 100000,
    "num_warmup_steps": 10000,
    "save_checkpoints_steps": 1000,
    "iterations_per_loop": 1000,
    "max_eval_steps": 100,
    "use_tpu": False,
    "tpu_name": None,
    "tpu_zone": None,
    "gcp_project": None,
    "master": None,
    "num_tpu_cores": 8,
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A directory with a vocabulary of 40 pieces, a config and records of a small random text."""
    directory = tmp_path_factory.mktemp("inputs")
    words = [f"w{index}" for index in range(35)]
    rng = random.Random(1)
    (directory / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]) + "\n")
    documents = ["\n".join(" ".join(rng.choices(words, k=6)) for _ in range(5)) for _ in range(20)]
    (directory / "text.txt").write_text("\n\n".join(documents) + "\n")
    (directory / "bert_config.json").write_text(BertConfig(**TINY_CONFIG).to_json_string())
    program = command(
        "create_pretraining_data.py",
        input_file=directory / "text.txt",
        output_file=directory / "a.tfrecord",
        vocab_file=directory / "vocab.txt",
        max_seq_length=LENGTH,
        max_predictions_per_seq=PREDICTIONS,
        dupe_factor=2,
    )
    subprocess.run(program, check=True, capture_output=True)
    return directory


@pytest.fixture(scope="module")
def trained(inputs, tmp_path_factory):
    """The directory of a training of one step, and its evaluation results; tests must not change it."""
    directory = tmp_path_factory.mktemp("trained")
    return directory, run(inputs, directory, do_train=True, do_eval=True, num_train_steps=1, max_eval_steps=0)


def command(script, **values):
    return [sys.executable, str(REPOSITORY / script), *(f"--{name}={value}" for name, value in values.items())]


def options(inputs, output_dir, **changes):
    return {
        "input_file": inputs / "a.tfrecord",
        "bert_config_file": inputs / "bert_config.json",
        "output_dir": output_dir,
        "max_seq_length": LENGTH,
        "max_predictions_per_seq": PREDICTIONS,
        "train_batch_size": 4,
        "num_train_steps": 6,
        "num_warmup_steps": 2,
        **changes,
    }


def run(inputs, output_dir, **changes):
    return whole_run.run(
        PretrainingConfig(
            **{
                name: str(value) if isinstance(value, os.PathLike) else value
                for name, value in options(inputs, output_dir, **changes).items()
            }
        )
    )


def test_flags_and_defaults_match_the_original():
    defaults = defaults_of("run_pretraining")
    assert {name: defaults[name] for name in ORIGINAL_DEFAULTS} == ORIGINAL_DEFAULTS
    config = PretrainingConfig(bert_config_file="c", input_file="i", output_dir="o", do_eval=True)
    for name, default in ORIGINAL_DEFAULTS.items():
        if default is not None and name != "do_eval":
            holder = config if hasattr(config, name) else config.distribution
            assert getattr(holder, name) == default, name


def test_required_flags():
    done = subprocess.run(command("run_pretraining.py"), capture_output=True, text=True)
    assert done.returncode == 1
    for name in ("input_file", "output_dir"):
        assert f"--{name}" in done.stderr


def test_train_and_evaluate(inputs, tmp_path, scripts):
    flags = {"do_eval": True, "max_eval_steps": 3, "learning_rate_schedule": "constant", "log_steps": 2}
    log = scripts.call("run_pretraining.py", **options(inputs, tmp_path, do_train=True, **flags))
    assert "total" in log
    assert "Starting from random weights (seed 12345)." in log
    assert re.search(r"Trained 6 steps in .*, [\d.e+]+ examples/s", log)
    assert f"Wrote {tmp_path}/model.ckpt-6." in log
    lines = (tmp_path / "eval_results.txt").read_text().splitlines()
    assert [line.split(" = ")[0] for line in lines] == [
        "global_step",
        "loss",
        "masked_lm_accuracy",
        "masked_lm_loss",
        "next_sentence_accuracy",
        "next_sentence_loss",
        "perplexity",
    ]
    values = dict(line.split(" = ") for line in lines)
    assert values["global_step"] == "6"
    assert float(values["loss"]) == pytest.approx(
        float(values["masked_lm_loss"]) + float(values["next_sentence_loss"]), abs=0.05
    )
    assert float(values["perplexity"]) == pytest.approx(math.exp(float(values["masked_lm_loss"])), rel=1e-4)
    for line in lines:
        assert line in log
    assert list(tmp_path.glob("eval/events.out.tfevents.*"))
    assert read_scalars(str(tmp_path))["learning_rate"] == pytest.approx({2: 1.25e-5, 4: 5e-5, 6: 5e-5})
    assert unlisted(tmp_path, run_files.PRETRAINING) == []
    assert BertConfig.from_json_file(tmp_path / "bert_config.json") == BertConfig(**TINY_CONFIG)

    again = scripts.call("run_pretraining.py", **options(inputs, tmp_path, do_train=True))
    assert "Nothing left to train: step 6 of 6 is reached." in again


def test_evaluation_alone_uses_the_newest_checkpoint_or_the_given_one(inputs, trained, tmp_path):
    directory, results = trained
    shutil.copytree(directory, tmp_path / "a")
    assert run(inputs, tmp_path / "a", do_eval=True, max_eval_steps=0) == results
    elsewhere = run(inputs, tmp_path / "b", do_eval=True, max_eval_steps=0, init_checkpoint=str(tmp_path / "a"))
    assert elsewhere == {**results, "global_step": 0}


def test_evaluation_of_other_records(inputs, trained, tmp_path, caplog):
    caplog.set_level("INFO")
    directory, on_training_records = trained
    shutil.copytree(directory, tmp_path / "out")
    with tf.io.TFRecordWriter(str(tmp_path / "held_out.tfrecord")) as writer:
        for record in tf.data.TFRecordDataset(str(inputs / "a.tfrecord")).take(7):
            writer.write(record.numpy())
    changes = {"do_eval": True, "max_eval_steps": 0}
    results = run(inputs, tmp_path / "out", **changes, input_file="", eval_input_file=tmp_path / "held_out.tfrecord")
    assert "Evaluation input: 7 records in 1 file." in caplog.messages
    assert results == run(inputs, tmp_path / "out", **changes, input_file=tmp_path / "held_out.tfrecord")
    assert results["masked_lm_loss"] != on_training_records["masked_lm_loss"]
    both = {**changes, "do_train": True, "num_train_steps": 1, "eval_input_file": tmp_path / "held_out.tfrecord"}
    assert run(inputs, tmp_path / "out", **both) == results


@pytest.mark.parametrize(
    ("loss", "expected"), [(0.0, 1.0), (math.log(30.0), 30.0), (88.5, math.inf), (math.nan, math.nan)]
)
def test_perplexity(loss, expected):
    assert runner.perplexity(loss) == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_init_checkpoint_of_the_original(inputs, tmp_path, caplog):
    caplog.set_level("INFO")
    golden = GOLDEN / "tiny"
    changes = {"bert_config_file": str(golden / "bert_config.json"), "init_checkpoint": str(golden / "bert_model.ckpt")}
    run(inputs, tmp_path, do_train=True, num_train_steps=0, **changes)
    assert "Initialized from" in caplog.text
    assert "Nothing missing, nothing unused." in caplog.text
    ours, original = (
        tf.train.load_checkpoint(path) for path in (str(tmp_path / "model.ckpt-0"), changes["init_checkpoint"])
    )
    for name in original.get_variable_to_shape_map():
        np.testing.assert_array_equal(ours.get_tensor(name), original.get_tensor(name))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"do_train": False}, "Nothing to do: give --do_train, --do_eval, --do_predict or several"),
        ({"train_batch_size": 0}, "--train_batch_size=0; it must be at least 1"),
        ({"learning_rate": 0.0}, "--learning_rate=0.0; it must be above 0"),
        ({"max_seq_length": 20}, r"--max_seq_length=16 .* but --max_seq_length is 20"),
        ({"max_predictions_per_seq": 5}, r"--max_predictions_per_seq=3 .* but --max_predictions_per_seq is 5"),
        ({"max_seq_length": 128}, r"--max_seq_length=128 but the model has max_position_embeddings=24"),
        ({"input_file": "none*"}, "--input_file: no file matches 'none"),
        ({"input_file": __file__}, "is not a TFRecord file"),
        ({"do_eval": True, "eval_input_file": "none*"}, "--eval_input_file: no file matches 'none"),
        ({"do_eval": True, "eval_input_file": __file__}, "is not a TFRecord file"),
        ({"eval_input_file": __file__}, "--eval_input_file needs --do_eval; give both or omit it"),
        ({"bert_config_file": "none.json"}, r"Cannot read none\.json"),
        ({"init_checkpoint": "none.ckpt"}, r"There is no (checkpoint )?none\.ckpt"),
        ({"do_train": False, "do_eval": True}, "has no checkpoint; train first, or give --init_checkpoint"),
    ],
)
def test_mistakes(inputs, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        run(inputs, tmp_path / "out", **{"do_train": True, **changes})
    assert not (tmp_path / "out" / "checkpoint").exists()


def test_a_vocabulary_larger_than_that_of_the_config(inputs, tmp_path):
    small = tmp_path / "small.json"
    small.write_text(BertConfig(**{**TINY_CONFIG, "vocab_size": 12}).to_json_string())
    with pytest.raises(InputError, match=r"piece ids must be below vocab_size=12.*another vocabulary"):
        run(inputs, tmp_path / "out", do_train=True, bert_config_file=str(small))


def test_a_truncated_record_is_named(inputs, tmp_path):
    cut = tmp_path / "cut.tfrecord"
    cut.write_bytes((inputs / "a.tfrecord").read_bytes()[:-10])
    with pytest.raises(InputError, match=r"cut\.tfrecord is corrupt or truncated at record \d+"):
        run(inputs, tmp_path / "out", do_train=True, input_file=str(cut))


def test_resuming_another_model_is_refused(inputs, trained, tmp_path):
    shutil.copytree(trained[0], tmp_path / "out")
    wider = tmp_path / "wider.json"
    wider.write_text(BertConfig(**{**TINY_CONFIG, "intermediate_size": 64}).to_json_string())
    with pytest.raises(InputError, match=r"intermediate/dense/kernel is \[16, 32\] in .* but \[16, 64\] in this model"):
        run(inputs, tmp_path / "out", do_train=True, bert_config_file=str(wider))


def contents(directory):
    files = [path for path in directory.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path): path.read_bytes() for path in files}


def test_resuming_with_fewer_layers_is_refused(inputs, trained, tmp_path):
    """The next checkpoint would lack the other layers, and the complete ones would be removed."""
    shutil.copytree(trained[0], tmp_path / "out")
    before = contents(tmp_path / "out")
    smaller = tmp_path / "smaller.json"
    smaller.write_text(BertConfig(**{**TINY_CONFIG, "num_hidden_layers": 1}).to_json_string())
    with pytest.raises(
        InputError, match=r"does not match the BERT config: it has 2 layers, the config 1 \(num_hidden_layers\)"
    ):
        run(inputs, tmp_path / "out", do_train=True, bert_config_file=str(smaller), keep_checkpoints=1)
    with pytest.raises(InputError, match=r"cannot be resumed: it has cls/seq_relationship/output_bias"):
        run(inputs, tmp_path / "out", do_train=True, use_nsp=False)
    assert contents(tmp_path / "out") == before


def test_a_model_is_found_with_its_config(inputs, tmp_path, caplog):
    """In a Hugging Face directory and next to a checkpoint, as with all other scripts."""
    run(inputs, tmp_path / "google", do_train=True, num_train_steps=0)
    prefix = str(tmp_path / "google/model.ckpt-0")
    convert(ConversionConfig(str(tmp_path / "google"), str(tmp_path / "there"), vocab_file=str(inputs / "vocab.txt")))
    for start in (str(tmp_path / "there"), prefix):
        caplog.clear()
        out = tmp_path / f"from {Path(start).name}"
        with caplog.at_level("INFO"):
            run(inputs, out, do_train=True, num_train_steps=0, init_checkpoint=start, bert_config_file="")
        assert "Nothing missing" in caplog.text or "values of the optimizer" in caplog.text
        assert BertConfig.from_json_file(out) == BertConfig(**TINY_CONFIG)
        ours, original = (tf.train.load_checkpoint(path) for path in (str(out / "model.ckpt-0"), prefix))
        names = [name for name in original.get_variable_to_shape_map() if re.match("(bert|cls)/(?!.*adam)", name)]
        assert len(names) == 2 * 16 + 14
        for name in names:
            np.testing.assert_array_equal(ours.get_tensor(name), original.get_tensor(name))
        run(inputs, out, do_train=True, num_train_steps=0, bert_config_file="")  # and of output_dir itself
    with pytest.raises(InputError, match=r"^Give --bert_config_file, the JSON file with the model config"):
        run(inputs, tmp_path / "new", do_train=True, bert_config_file="")


def test_warm_up_longer_than_training_gets_a_warning(caplog):
    PretrainingConfig(bert_config_file="c", input_file="i", output_dir="o", do_train=True, num_train_steps=100)
    assert "--num_warmup_steps=10000 is not below --num_train_steps=100" in caplog.text


def test_a_dry_run_checks_and_writes_nothing(inputs, tmp_path, caplog):
    caplog.set_level("INFO")
    assert run(inputs, tmp_path / "out", do_train=True, do_eval=True, do_predict=True, dry_run=True) is None
    assert caplog.messages[-1] == "Dry run: all checks passed; nothing was written."
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match=r"There is no (checkpoint )?none\.ckpt"):
        run(inputs, tmp_path / "out", do_train=True, dry_run=True, init_checkpoint="none.ckpt")


def test_a_run_is_recorded_and_can_be_repeated(inputs, tmp_path, scripts):
    scripts.call(
        "run_pretraining.py", **options(inputs, tmp_path / "a", do_train=True, weight_decay=0.2, num_train_steps=1)
    )
    (described,) = (tmp_path / "a/runs").iterdir()
    written = json.loads(described.read_text())
    assert written["config"]["weight_decay"] == 0.2
    assert written["config"]["num_train_steps"] == 1
    scripts.call("run_pretraining.py", config=described, output_dir=tmp_path / "b")
    assert checkpoints.latest(tmp_path / "b") == str(tmp_path / "b/model.ckpt-1")


def test_corrupt_records_can_be_skipped(inputs, tmp_path, caplog):
    content = bytearray((inputs / "a.tfrecord").read_bytes())
    content[len(content) // 2] ^= 1
    corrupt = tmp_path / "corrupt.tfrecord"
    corrupt.write_bytes(content)
    with pytest.raises(InputError, match=r"corrupt\.tfrecord is corrupt or truncated at record \d+"):
        run(inputs, tmp_path / "out", do_train=True, input_file=str(corrupt))
    run(inputs, tmp_path / "out", do_train=True, input_file=str(corrupt), skip_bad_records=1)
    assert f"Skipping corrupt records (1): {corrupt}." in caplog.text


@pytest.mark.slow
def test_moving_averages_are_evaluated(inputs, tmp_path, caplog):
    caplog.set_level("INFO")
    averaged = run(
        inputs, tmp_path, do_train=True, do_eval=True, max_eval_steps=2, optimizer=OptimizerConfig(ema_decay=0.9)
    )
    assert "Using the moving averages of" in caplog.text
    plain = run(inputs, tmp_path, do_eval=True, max_eval_steps=2)
    assert plain["loss"] != averaged["loss"]
    assert run(inputs, tmp_path, do_eval=True, max_eval_steps=2, optimizer=OptimizerConfig(ema_decay=0.9)) == averaged


def test_starting_and_resuming_read_only_what_they_need(inputs, tmp_path, monkeypatch):
    """As with gigabytes of data, of which a segment is as small a fraction as here."""
    (tmp_path / "records").mkdir()
    content = (inputs / "a.tfrecord").read_bytes()
    paths = [tmp_path / "records" / f"{number:03}" for number in range(100)]
    for path in paths:
        path.write_bytes(content)
    monkeypatch.setattr(data, "_MAX_BYTES_COUNTED", 0)
    monkeypatch.setattr(record_batches, "_RECORDS_PER_BLOCK", 4)
    monkeypatch.setattr(shuffled, "_MAX_SEGMENT_BYTES", 8000)
    monkeypatch.setattr(shuffled, "_FILES_READ_AT_ONCE", 4)
    monkeypatch.setattr(index, "_RECORDS_BETWEEN_PLACES", 1)
    read = bytes_read.counted(monkeypatch)
    of_first_records = 0
    for steps in (1, 2):
        read.clear()
        run(inputs, tmp_path / "out", do_train=True, input_file=f"{tmp_path}/records/*", num_train_steps=steps)
        assert set(read) >= {path.name for path in paths}  # the first record of each, for its features
        of_first_records = of_first_records or min(read.values())
        assert 0 < of_first_records < len(content) / 10
        # TensorFlow reads ahead as far as it likes.
        assert sum(count > 2 * of_first_records for count in read.values()) < len(paths) / 2


class TestKill:
    """SIGKILL, in the middle of a save and at random, then the same command again."""

    def options(self, inputs, output_dir, steps):
        """With dropout, packed rows, and evaluations during training."""
        return options(
            inputs,
            output_dir,
            do_train=True,
            do_eval=True,
            eval_every_steps=7,
            max_eval_steps=2,
            pack_sequences=True,
            num_train_steps=steps,
            save_checkpoints_steps=1,
        )

    def final_weights(self, directory, steps):
        reader = tf.train.load_checkpoint(str(directory / f"model.ckpt-{steps}"))
        return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}

    def reached_step(self, directory):
        """The step of the newest checkpoint; 0 if there is none."""
        newest = checkpoints.latest(directory)
        return checkpoints.step_of(newest) if newest else 0

    def kill_when(self, process, condition):
        """Kills the process as soon as the condition holds; returns whether it was still running."""
        while process.poll() is None and not condition():
            time.sleep(0.001)
        process.kill()
        return process.wait() == -signal.SIGKILL

    def assert_same_weights(self, found, expected):
        for name, value in found.items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name)

    def check_kills(self, inputs, tmp_path, scripts, steps, kills):
        """After some kills, the first in a save and the others at random, a run ends as one that was never stopped."""
        whole, broken = tmp_path / "whole", tmp_path / "broken"
        run(inputs, **self.options(inputs, whole, steps))
        final = self.final_weights(whole, steps)
        broken.mkdir()
        flags = [f"--{name}={value}" for name, value in self.options(inputs, broken, steps).items()]

        def start():
            return scripts.start("run_pretraining.py", flags)

        def saving():
            """Whether the fifth or a later checkpoint is being written at this moment."""
            steps = [re.match(r"\.model\.ckpt-(\d+)\.", name) for name in os.listdir(broken)]
            return any(int(step[1]) >= 5 for step in steps if step)

        assert self.kill_when(start(), saving)
        reached = self.reached_step(broken)
        assert 4 <= reached < steps
        for _ in range(kills - 1):
            end = time.monotonic() + random.uniform(1, 10)
            self.kill_when(start(), lambda: time.monotonic() > end)  # noqa: B023
            assert self.reached_step(broken) >= reached
            reached = self.reached_step(broken)
            if reached == steps:  # it has finished: once more from the start
                self.assert_same_weights(self.final_weights(broken, steps), final)
                shutil.rmtree(broken)
                broken.mkdir()
                reached = 0
        run(inputs, **self.options(inputs, broken, steps))
        self.assert_same_weights(self.final_weights(broken, steps), final)
        assert not list(broken.glob(".*unfinished*"))

    @pytest.mark.slow
    def test_a_run_killed_in_a_save_ends_with_the_same_bits(self, inputs, tmp_path, scripts):
        self.check_kills(inputs, tmp_path, scripts, steps=16, kills=1)

    @pytest.mark.slow
    def test_fifty_kills(self, inputs, tmp_path, scripts):
        self.check_kills(inputs, tmp_path, scripts, steps=40, kills=50)
