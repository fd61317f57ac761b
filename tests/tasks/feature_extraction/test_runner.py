"""Feature extraction: layers, devices, resuming after an interruption, and input that is rejected."""

import dataclasses
import logging
import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf
from helpers.full_disk import expect_full_disk
from helpers.rounding import assert_close, forward
from helpers.tiny_features import LINES, config, read_json
from helpers.tiny_huggingface import write_directory
from helpers.tiny_teacher import write_teacher

from bert_tf2 import checkpoints
from bert_tf2.configs.model import BertConfig
from bert_tf2.configs.training import DistributionConfig
from bert_tf2.errors import InputError
from bert_tf2.io import resumable_output
from bert_tf2.modeling.encoder import BertModel
from bert_tf2.tasks.feature_extraction import encoder, runner
from bert_tf2.tasks.feature_extraction import outputs as feature_outputs
from bert_tf2.tasks.feature_extraction.config import FeatureConfig
from bert_tf2.tasks.feature_extraction.runner import run

pytestmark = pytest.mark.numeric


def test_the_first_layers(model, text, tmp_path):
    """The lowest layer is the same in a model with fewer layers."""
    run(config(model, text, tmp_path / "one.json", layers="0", num_hidden_layers=1))
    run(config(model, text, tmp_path / "all.json", layers="0"))
    one, both = read_json(tmp_path / "one.json"), read_json(tmp_path / "all.json")
    values = [[line["features"][0]["layers"][0]["values"] for line in lines] for lines in (one, both)]
    np.testing.assert_array_equal(*values)
    with pytest.raises(InputError, match="--layers=1: there is no layer 1; the model has 1"):
        run(config(model, text, tmp_path / "x", layers="1", num_hidden_layers=1))


def test_better_weights_are_mentioned(text, tmp_path, caplog):
    folder = write_teacher(tmp_path / "model")
    checkpoints.save(str(folder / "best"), 3, {"global_step": tf.Variable(3, dtype=tf.int64)}, keep=1)
    with caplog.at_level(logging.INFO):
        run(config(folder, text, tmp_path / "out.json"))
    assert f"had the best score on the dev data: --init_checkpoint={folder}/best takes them." in caplog.text


def test_compiled_by_xla(model, text, tmp_path):
    precision = runner.PrecisionConfig(jit="on")
    for name, options in (("plain", {}), ("xla", {"precision": precision})):
        run(config(model, text, tmp_path / f"{name}.npz", output_format="npz", **options))
    plain, xla = (np.load(tmp_path / f"{name}.npz")["values"] for name in ("plain", "xla"))
    assert_close(xla, plain, forward(2))


@pytest.mark.parametrize("pooling", ["none", "mean"])
def test_two_devices(model, text, tmp_path, pooling, scripts):
    """In a separate process, as TensorFlow does not support several strategies in one."""
    run(config(model, text, tmp_path / "one.npz", output_format="npz", pooling=pooling))
    program = (
        "from bert_tf2 import cli; import tensorflow as tf; "
        "cpu = tf.config.list_physical_devices('CPU')[0]; "
        "tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2); "
        "from bert_tf2.commands import extract_features; extract_features.main()"
    )
    options = {**dataclasses.asdict(config(model, text, tmp_path / "two.npz", output_format="npz", pooling=pooling))}
    names = ("input_file", "output_file", "init_checkpoint", "layers", "max_seq_length", "batch_size")
    flags = [f"--{name}={options[name]}" for name in (*names, "output_format", "pooling")]
    done = scripts.run_program(program, [*flags, "--distribution_strategy=mirrored"])
    assert done.returncode == 0, done.stderr
    assert "2 devices" in done.stderr
    one, two = (np.load(tmp_path / f"{name}.npz") for name in ("one", "two"))
    assert_close(two["values"], one["values"], forward(2))


def test_case_from_the_directory(model, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    directory = shutil.copytree(model, tmp_path / "model")
    (directory / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    (tmp_path / "text").write_text("CO\n")

    def tokens(**changes):
        run(config(directory, tmp_path / "text", tmp_path / "out", **changes))
        return [feature["token"] for feature in read_json(tmp_path / "out")[0]["features"]]

    assert tokens() == ["[CLS]", "[UNK]", "[SEP]"]
    assert f"Keeping the case of the text (--do_lower_case=false), according to {directory}." in caplog.messages
    assert tokens(do_lower_case=True) == ["[CLS]", "co", "[SEP]"]


# --- Resuming -------------------------------------------------------------------------------------------------------


class Interruption(Exception):
    """Stands for a kill."""


def interrupt_after(monkeypatch, calls):
    """Makes the encoder fail after this number of calls."""
    vectors = encoder.Encoder.vectors
    remaining = iter(range(calls))

    def interrupted_vectors(self, *arguments):
        if next(remaining, None) is None:
            raise Interruption
        return vectors(self, *arguments)

    monkeypatch.setattr(encoder.Encoder, "vectors", interrupted_vectors)


def record_line_counts(monkeypatch):
    """A list that grows by the number of lines in each later call of the encoder."""
    vectors, counts = encoder.Encoder.vectors, []

    def recorded_vectors(self, sequences, report):
        counts.append(len(sequences))
        return vectors(self, sequences, report)

    monkeypatch.setattr(encoder.Encoder, "vectors", recorded_vectors)
    return counts


VARIANTS = [("json", "none", "piece"), ("npy", "mean", "piece"), ("npz", "none", "piece"), ("parquet", "none", "word")]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(("output_format", "pooling", "unit"), VARIANTS)
def test_an_interrupted_run_resumes(model, text, tmp_path, output_format, pooling, unit):
    options = {"output_format": output_format, "pooling": pooling, "unit": unit}
    run(config(model, text, tmp_path / "uninterrupted", **options))
    out = tmp_path / "out"
    out.write_text("of an earlier run")
    for calls in (0, 1, 1):
        with pytest.MonkeyPatch.context() as patch:
            interrupt_after(patch, calls)
            with pytest.raises(Interruption):
                run(config(model, text, out, **options))
        assert out.read_text() == "of an earlier run"
        directory = tmp_path / ".out.unfinished"
        for path in (*directory.glob("*.npy"), *directory.glob("*.jsonl"), *directory.glob("*.txt")):
            path.write_bytes(path.read_bytes() + b"half a block")
    with pytest.MonkeyPatch.context() as patch:
        counts = record_line_counts(patch)
        run(config(model, text, out, **options))
    done = len(LINES) - sum(counts)
    assert done >= 3
    assert not directory.exists()
    if output_format == "npz":
        uninterrupted, resumed = np.load(tmp_path / "uninterrupted"), np.load(out)
        assert resumed.files == uninterrupted.files
        assert all(np.array_equal(uninterrupted[name], resumed[name]) for name in uninterrupted)
    else:
        assert out.read_bytes() == (tmp_path / "uninterrupted").read_bytes()


@pytest.fixture
def interrupted(model, text, tmp_path, small_blocks):
    """The path of an interrupted output whose first block is done."""
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, 1)
        with pytest.raises(Interruption):
            run(config(model, text, tmp_path / "out"))
    return tmp_path / "out"


@pytest.mark.parametrize("change", [{"layers": "-2"}, {"do_lower_case": False}])
def test_other_settings_start_over(model, text, interrupted, monkeypatch, caplog, change):
    caplog.set_level(logging.INFO)
    counts = record_line_counts(monkeypatch)
    run(config(model, text, interrupted, **change))
    assert sum(counts) == len(LINES)
    assert f"{interrupted} was started with other settings; starting over." in caplog.messages


def test_the_batch_size_may_change(model, text, interrupted, monkeypatch):
    counts = record_line_counts(monkeypatch)
    run(config(model, text, interrupted, batch_size=1))
    assert 0 < sum(counts) < len(LINES)


@pytest.mark.parametrize("content", ["other\n" * 8, "co\n"])
def test_changed_lines_are_rejected(model, text, interrupted, content):
    text.write_text(content)
    with pytest.raises(
        InputError, match=r"lines 1 to 2 of .*text\.txt differ\. .* remove the directory .*\.out\.unfinished"
    ):
        run(config(model, text, interrupted))
    shutil.rmtree(interrupted.with_name(".out.unfinished"))
    assert run(config(model, text, interrupted)) == content.count("\n")


def test_resumes_after_an_invalid_line_is_corrected(model, text, interrupted, monkeypatch):
    original = text.read_bytes()
    text.write_bytes(original.replace(b"nothing", b"noth\xefng"))
    with pytest.raises(InputError, match=r"text\.txt, line 8: byte 5 of the line \(0xef\) is not UTF-8"):
        run(config(model, text, interrupted))
    text.write_bytes(original)
    counts = record_line_counts(monkeypatch)
    assert run(config(model, text, interrupted)) == len(LINES)
    assert sum(counts) <= 3


def test_a_corrupt_state_starts_over(model, text, interrupted):
    (interrupted.with_name(".out.unfinished") / "state.json").write_text('{"settings"')
    assert run(config(model, text, interrupted)) == len(LINES)
    assert len(read_json(interrupted)) == len(LINES)


def test_one_process_at_a_time(model, text, tmp_path):
    with (
        resumable_output.UnfinishedOutput(str(tmp_path / "out"), ("a",), {}),
        pytest.raises(InputError, match=r"^Another process \(process \d+ on .*\) writes .*/out; wait for it"),
    ):
        run(config(model, text, tmp_path / "out"))


def test_full_disk(tmp_path):
    def write(before=b""):
        with resumable_output.UnfinishedOutput(str(tmp_path / "out"), ("a",), {}) as output:
            if before:
                output.append("a", before)
                output.commit({"lines": 1}, at_once=True)
            output.append("a", bytes(100_000))
            output.commit({}, at_once=True)

    with pytest.raises(AssertionError, match="unfinished"):  # it stays, so that a later run can resume
        expect_full_disk(tmp_path / "out", 50_000, lambda: write(b"done"))
    shutil.rmtree(tmp_path / ".out.unfinished")
    expect_full_disk(tmp_path / "out", 50_000, write)  # nothing was committed, so nothing stays


# --- Rejected input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": "-1,two"}, r"^--layers=-1,two; expected comma-separated layer numbers"),
        (
            {"layers": "-1,2"},
            r"^--layers=-1,2: there is no layer 2; the model has 2, 0 to 1 from below or -1 to -2 from",
        ),
        ({"layers": "-3"}, "there is no layer -3"),
        ({"layers": ""}, "expected comma-separated layer numbers"),
        ({"max_seq_length": 2}, r"^--max_seq_length=2; it must be at least 3"),
        ({"max_seq_length": 9}, r"^--max_seq_length=9, but the model has only 8 positions"),
        ({"batch_size": 0}, "at least 1"),
        ({"output_format": "csv"}, r"^Unknown --output_format 'csv'; choose one of json, npy, npz, parquet"),
        ({"pooling": "sum"}, r"^Unknown --pooling 'sum'; choose one of none, mean, max, cls, pooler"),
        ({"pooling": "pooler"}, "so --layers has no effect"),
        (
            {"combine": "sum", "layers": "-1"},
            r"^--combine=sum is for several layers, but --layers=-1 is a single layer;",
        ),
        ({"combine": "mean", "layers": None, "pooling": "mean"}, "but --layers=-1 is a single layer; give for example"),
        ({"combine": "sum", "layers": None, "pooling": "pooler"}, "but --pooling=pooler has no layers"),
        ({"combine": "max"}, r"^Unknown --combine 'max'; choose one of concat, sum, mean"),
        ({"unit": "word", "pooling": "mean"}, r"^--unit=word is for vectors of words, but --pooling=mean gives one"),
        ({"unit": "token"}, r"^Unknown --unit 'token'; choose one of piece, word"),
        ({"unit": "word", "output_format": "npy"}, "holds one vector a line: give --pooling"),
        ({"output_format": "npy"}, "holds one vector a line: give --pooling"),
        ({"output_format": "npz", "output_file": "-"}, "cannot be written to standard output"),
        ({"vocab_file": "a", "spm_model_file": "b"}, "exclude each other"),
        ({"input_file": "none.txt"}, r"^--input_file: no file matches 'none\.txt'"),
        ({"output_file": f"{__file__}/out"}, "cannot be written"),
        ({"output_file": "/tmp"}, "is a directory"),
        ({"init_checkpoint": "./none"}, r"^There is no \./none"),
        ({"vocab_file": "none.txt"}, r"^Cannot read none\.txt"),
        ({"distribution": {"distribution_strategy": "multi_worker_mirrored"}}, "one machine writes the output"),
    ],
)
def test_invalid_flags_are_rejected(model, text, tmp_path, change, message):
    if "distribution" in change:
        change = {"distribution": DistributionConfig(**change["distribution"])}
    files = {"input_file": str(text), "output_file": str(tmp_path / "out"), "init_checkpoint": str(model)}
    with pytest.raises(InputError, match=message):
        run(FeatureConfig(**{**files, "max_seq_length": 8, "layers": "-1,0", **change}))
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_also_an_input(model, text):
    with pytest.raises(InputError, match="is an input as well"):
        run(config(model, text, text))


def test_parquet_without_pyarrow(model, text, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr(feature_outputs.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs pyarrow, which is not installed: .*'bert-tf2\[features\]'"):
        config(model, text, tmp_path / "out", output_format="parquet")


def test_a_model_without_a_pooler(text, tmp_path):
    directory = write_directory(tmp_path / "model", "BertForMaskedLM")
    with pytest.raises(InputError, match=r"^--pooling=pooler: .* has no pooler; give --pooling=mean"):
        run(config(directory, text, tmp_path / "out", pooling="pooler", layers=None))
    assert run(config(directory, text, tmp_path / "out", pooling="mean")) == len(LINES)


def test_pairs_need_segments(text, tmp_path):
    sizes = {"vocab_size": 12, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1}
    bert_config = BertConfig(**sizes, intermediate_size=4, max_position_embeddings=8, type_vocab_size=1)
    model = BertModel(bert_config)
    checkpoints.save(str(tmp_path / "m"), 0, checkpoints.tf_variables(model.named_variables()))
    (tmp_path / "m/bert_config.json").write_text(bert_config.to_json_string())
    write_directory(tmp_path / "other", "BertModel")
    options = {"vocab_file": str(tmp_path / "other/vocab.txt"), "layers": "-1"}
    with pytest.raises(
        InputError, match=r"text\.txt, line 3: a pair \(a \|\|\| b\), but the model has only one segment"
    ):
        run(config(tmp_path / "m", text, tmp_path / "out", **options))
