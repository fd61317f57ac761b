"""Exported classifiers: the outputs of run_classifier.py for raw text, in a process without this package."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers import tiny_classification as tiny
from helpers.exported import ask
from helpers.rounding import SUM, assert_close, forward
from helpers.tiny_sentencepiece import sentencepiece_model
from reference.sequences import truncate_pair
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from bert_tf2.configs.long_texts import LONG_TEXTS, WINDOW_POOLINGS, LongText, WindowPooling
from bert_tf2.errors import InputError
from bert_tf2.export import classifier, runner
from bert_tf2.export.config import ExportConfig
from bert_tf2.export.sequences import CHARACTERS_PER_PIECE, SpecialPieces, join, part_to_read, windows
from bert_tf2.export.source import open_source
from bert_tf2.tasks.classification.scores import pool_windows
from bert_tf2.tasks.classification.task_description import TaskDescription
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer, Ragged
from bert_tf2.tokenization.row_windows import divide_rows
from bert_tf2.tokenization.sequences import join_rows
from bert_tf2.tokenization.tf_tokenizer import GraphTokenizer

pytestmark = pytest.mark.numeric

TEXTS = [
    "W1 Happy w2",
    "sad",
    "",
    "w3 w4, w5 w6 w7 w8 w9 w10 w11 w12 w13 w14 w15 w16 w17 happy",
    "naïve ﬁ 中",
    "w1\tsad",
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a sentiment classifier, in `model`, and its predictions for TEXTS."""
    directory = tmp_path_factory.mktemp("classifier")
    tiny.write_model_files(directory)
    train = tiny.write_csv(directory / "train.csv", tiny.rows(160, seed=1))
    (directory / "new.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    predict = str(directory / "new.jsonl")
    tiny.run(directory, train_file=train, predict_file=predict, do_train=True, do_predict=True, num_train_epochs=4.0)
    return directory


def export(directory: Path, **flags: object) -> Path:
    values = {"output_dir": str(directory / "model"), "export_dir": str(directory / "export"), **flags}
    return Path(runner.run(ExportConfig(**values)))


@pytest.fixture(scope="module")
def exported(directory: Path) -> Path:
    """The SavedModel of the model in `directory`."""
    return export(directory)


def assert_probabilities(probabilities, expected) -> None:
    assert_close(probabilities, expected, forward(1), scale=1)


def results(directory: Path) -> np.ndarray:
    return np.loadtxt(directory / "model/test_results.tsv", ndmin=2)


def test_the_best_weights(directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    model = shutil.copytree(directory / "model", tmp_path / "model")
    first = min(model.glob("model.ckpt-*.index"), key=lambda path: int(path.stem.split("-")[1])).with_suffix("")
    (model / "best").mkdir()
    for path in [*model.glob(f"{first.name}.*"), *(model / name for name in ("bert_config.json", "vocab.txt"))]:
        shutil.copy(path, model / "best")
    (model / "best/checkpoint").write_text(f'model_checkpoint_path: "{first.name}"\n')
    flags = {"output_dir": str(model), "export_dir": str(tmp_path / "export")}
    assert open_source(ExportConfig(**flags)).checkpoint == str(model)
    assert f"are exported; those in {model}/best (step 0) had the best score" in caplog.text
    open_source(ExportConfig(init_checkpoint=str(model), export_dir=str(tmp_path / "export")))
    assert f"had the best score on the dev data: --init_checkpoint={model}/best takes them." in caplog.text
    assert open_source(ExportConfig(**flags, use_best=True)).checkpoint == str(model / "best")
    shutil.rmtree(model / "best")
    with pytest.raises(InputError, match=r"--use_best: .*model has no best/ with a checkpoint"):
        open_source(ExportConfig(**flags, use_best=True))
    with pytest.raises(InputError, match="--use_best is about the directory of a training; give --output_dir"):
        ExportConfig(init_checkpoint="x", export_dir="y", use_best=True)
    with pytest.raises(InputError, match="--use_best and --use_averages exclude each other"):
        ExportConfig(**flags, use_best=True, use_averages=True)


def test_text_to_probabilities_in_a_fresh_process(directory: Path, exported: Path):
    outputs = ask(exported, {"text": TEXTS})
    expected = results(directory)
    assert_probabilities(outputs["probabilities"], expected)
    assert outputs["labels"] == [["bad", "good"]] * len(TEXTS)
    assert outputs["label"] == [["bad", "good"][row.argmax()] for row in expected]
    assert set(outputs["label"]) == {"good", "bad"}
    assert sorted(path.name for path in (exported / "assets").iterdir()) == ["labels.txt", "settings.json", "vocab.txt"]
    assert (exported / "assets/labels.txt").read_text() == "bad\ngood\n"
    assert (exported / "assets/vocab.txt").read_bytes() == (directory / "vocab.txt").read_bytes()
    settings = json.loads((exported / "assets/settings.json").read_text())
    assert settings["labels"] == ["bad", "good"]
    assert (settings["max_seq_length"], settings["text_pairs"]) == (16, False)


def test_token_ids(directory: Path, exported: Path):
    model = tf.saved_model.load(str(exported))
    ids = [2, *FastTokenizer(directory / "vocab.txt").encode(TEXTS[0]), 3]
    padding = [0] * 4
    inputs = {"input_ids": [ids + padding], "input_mask": [[1] * len(ids) + padding], "segment_ids": [[0] * 9]}
    outputs = model.signatures["token_ids"](**{name: tf.constant(rows) for name, rows in inputs.items()})
    assert_probabilities(outputs["probabilities"], results(directory)[:1])


def test_existing_versions_are_kept(directory: Path):
    (directory / "versions/9").mkdir(parents=True)
    assert export(directory, export_dir=str(directory / "versions")).name == "10"
    # With another flag, which is tested here because an export takes seconds.
    third = export(directory, export_dir=str(directory / "versions"), version=3, text_pairs=True)
    assert third.name == "3"
    assert json.loads((third / "assets/settings.json").read_text())["text_pairs"] is True
    with pytest.raises(InputError, match=r"versions/9 already exists; give another --version"):
        export(directory, export_dir=str(directory / "versions"), version=9)
    assert sorted(path.name for path in (directory / "versions").iterdir()) == ["10", "3", "9"]


def test_no_operation_needs_python(exported: Path):
    """All operations are TensorFlow's, except for that of the tokenizer, which TensorFlow Serving has built in."""
    content = SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    functions = content.meta_graphs[0].graph_def.library.function
    operations = {node.op for function in functions for node in function.node_def}
    assert "FastWordpieceTokenizeWithOffsets" in operations
    assert not [name for name in operations if "Py" in name]


def test_no_texts(exported: Path):
    model = tf.saved_model.load(str(exported))
    assert model.signatures["serving_default"](text=tf.constant([], tf.string))["probabilities"].shape == (0, 2)


def test_only_the_beginning_of_long_texts_is_read(exported: Path):
    """Enough for the maximum number of words of 200 characters."""
    settings = json.loads((exported / "assets/settings.json").read_text())
    most = settings["max_characters"]
    assert most == 256 * settings["max_seq_length"]
    ask_model = tf.saved_model.load(str(exported)).signatures["serving_default"]
    word = "é" * 200
    long = " ".join([word] * settings["max_seq_length"])
    assert len(long) < most
    texts = [long, long + " happy" * 2_000_000, " " * (most - 3) + "sad", " " * most + "sad", ""]
    probabilities = ask_model(tf.constant(texts))["probabilities"].numpy()
    assert_probabilities(probabilities[0], probabilities[1])
    assert_probabilities(probabilities[3], probabilities[4])
    assert np.abs(probabilities[2] - probabilities[3]).max() > 1e-3
    invalid = ask_model(tf.constant([b"happy\xff w1 \xc3", b"\x80\x80happy w1"]))["probabilities"].numpy()
    assert_probabilities(invalid[0], invalid[1])


def test_pairs_need_enough_tokens(directory: Path):
    with pytest.raises(InputError, match=r"--max_seq_length=4 has no room for a token of each text .* at least 5"):
        export(directory, text_pairs=True, max_seq_length=4)


def test_failed_export_leaves_no_files(directory: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    unfinished = directory / "failed/.1.unfinished-99999999999"  # no process can have this id
    unfinished.mkdir(parents=True)
    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(OSError, match="the disk is full"):
        export(directory, export_dir=str(directory / "failed"))
    assert not list((directory / "failed").iterdir())


@pytest.mark.slow
def test_pairs(tmp_path: Path):
    tiny.write_model_files(tmp_path)
    long = " ".join(f"w{number}" for number in range(20))
    pairs = [("happy w1", "w2"), ("sad", ""), (long, "happy w5"), ("w1", long), (long, long), ("", "")]
    rows = [(text, second, "good" if "happy" in text + second else "bad") for text, second in pairs * 8]
    (tmp_path / "train.jsonl").write_text(
        "".join(json.dumps(dict(zip(("text", "second", "label"), row, strict=True))) + "\n" for row in rows)
    )
    (tmp_path / "new.jsonl").write_text("".join(json.dumps({"text": a, "second": b}) + "\n" for a, b in pairs))
    tiny.run(
        tmp_path,
        train_file=str(tmp_path / "train.jsonl"),
        predict_file=str(tmp_path / "new.jsonl"),
        text_pair_column="second",
        do_train=True,
        do_predict=True,
        num_train_epochs=2.0,
    )
    model = tf.saved_model.load(str(export(tmp_path)))
    texts, seconds = map(list, zip(*pairs, strict=True))
    outputs = model.signatures["serving_default"](text=tf.constant(texts), text_pair=tf.constant(seconds))
    assert_probabilities(outputs["probabilities"], results(tmp_path))


def train_and_export(directory: Path, labels: list[str], **flags: object) -> Path:
    tiny.write_model_files(directory)
    texts = [f"{word} w{number}" for number in range(8) for word in ("happy", "sad", "w9", "happy sad")]
    rows = [{"text": text, "label": labels[number % 4]} for number, text in enumerate(texts)]
    (directory / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = dict.fromkeys(("train_file", "predict_file"), str(directory / "train.jsonl"))
    tiny.run(directory, **files, do_train=True, do_predict=True, num_train_epochs=2.0, **flags)
    model = tf.saved_model.load(str(export(directory)))
    return {name: value.numpy() for name, value in model.signatures["serving_default"](tf.constant(texts)).items()}


@pytest.mark.slow
def test_several_labels(tmp_path: Path):
    outputs = train_and_export(tmp_path, ["up", "down", "none", "up|down"], threshold=0.4)
    assert_probabilities(outputs["probabilities"], results(tmp_path))
    assert outputs["labels"][0].tolist() == [b"down", b"none", b"up"]
    np.testing.assert_array_equal(outputs["predicted"], results(tmp_path) >= 0.4)
    assert outputs["predicted"].any()


@pytest.mark.slow
def test_regression(tmp_path: Path):
    outputs = train_and_export(tmp_path, ["1.5", "-1.5", "0.25", "0.75"])
    assert outputs.keys() == {"value"}
    assert_close(outputs["value"], results(tmp_path)[:, 0], forward(1))


def test_pairs_are_truncated_as_in_the_original():
    lengths = [0, 1, 2, 3, 5, 6, 7, 12]
    pairs = [(a, b) for a in lengths for b in lengths]
    first, second = (tf.ragged.range([pair[side] for pair in pairs]) + 10 * (1 + side) for side in (0, 1))
    for limit in range(5, 17):
        batch = join(tf.cast(first, tf.int32), tf.cast(second, tf.int32), limit, SpecialPieces(2, 3))
        rows = zip(*(batch[name].numpy().tolist() for name in ("input_ids", "input_mask", "segment_ids")), strict=True)
        for (a, b), (ids, mask, segments) in zip(pairs, rows, strict=True):
            kept_a, kept_b = truncate_pair(range(10, 10 + a), range(20, 20 + b), limit - 3 if b else limit - 2)
            expected = [2, *kept_a, 3, *([*kept_b, 3] if b else [])]
            assert ids == expected + [0] * (len(ids) - len(expected))
            assert sum(mask) == len(expected)
            assert segments == [0] * (len(kept_a) + 2) + [1] * (len(kept_b) + bool(b)) + [0] * (len(ids) - sum(mask))


@pytest.mark.parametrize("rule", ["identity", pytest.param("nmt_nfkc_cf", marks=pytest.mark.slow)])
def test_sentencepiece(rule: str, tmp_path: Path):
    tiny.write_model_files(tmp_path, vocab_size=60)
    spm = sentencepiece_model(tmp_path, control_symbols="[CLS],[SEP],[MASK]", normalization_rule_name=rule)
    texts = ["the dog", "The  Dog", "", "a fox? 中"]
    (tmp_path / "train.jsonl").write_text(
        "".join(json.dumps({"text": text, "label": text[:1] or "none"}) + "\n" for text in texts * 8)
    )
    files = dict.fromkeys(("train_file", "predict_file"), str(tmp_path / "train.jsonl"))
    flags = {"do_lower_case": rule != "identity", "vocab_file": None, "spm_model_file": spm}
    tiny.run(tmp_path, **files, **flags, do_train=True, do_predict=True, num_train_epochs=2.0)
    exported = export(tmp_path)
    assert (exported / "assets/spm.model").read_bytes() == Path(spm).read_bytes()
    outputs = tf.saved_model.load(str(exported)).signatures["serving_default"](text=tf.constant(texts * 8))
    assert_probabilities(outputs["probabilities"], results(tmp_path))


@pytest.mark.parametrize("long_text", LONG_TEXTS)
def test_long_texts_are_handled_as_in_training(long_text: str):
    """The same ids as those of `join_rows` and `divide_rows`, which training and prediction use."""
    lengths = [0, 1, 2, 3, 5, 6, 7, 12, 40]
    pairs = [(a, b) for a in lengths for b in lengths]
    first, second = (
        tf.cast(tf.ragged.range([pair[side] for pair in pairs]) + 50 * (1 + side), tf.int32) for side in (0, 1)
    )
    texts = [Ragged(rows.values.numpy(), rows.row_splits.numpy()) for rows in (first, second)]
    for limit, stride in ((5, None), (8, 3), (13, 11), (16, 1)):
        joined = join_rows(*texts, limit, 2, 3, long_text)
        expected, first_lengths = joined.input_ids, joined.first_lengths
        if long_text == "windows":
            divided = divide_rows(expected.row_splits, first_lengths, limit, stride)
            expected, first_lengths = (
                Ragged(expected.values[divided.sources], divided.row_splits),
                divided.first_lengths,
            )
            batch, rows = windows(first, second, limit, SpecialPieces(2, 3), stride)
            assert rows.numpy().tolist() == divided.rows.tolist()
        else:
            batch = join(first, second, limit, SpecialPieces(2, 3), long_text)
        mask = batch["input_mask"].numpy() > 0
        np.testing.assert_array_equal(batch["input_ids"].numpy()[mask], expected.values)
        np.testing.assert_array_equal(mask.sum(1), np.diff(expected.row_splits))
        np.testing.assert_array_equal((mask & (batch["segment_ids"].numpy() == 0)).sum(1), first_lengths)


def test_part_to_read():
    most = 2 * CHARACTERS_PER_PIECE
    texts = ["", "é", "é" * most, "a" + "é" * most, "abé" + "x" * 2 * most + "é"]
    for long_text, first, rest in (
        ("truncate_tail", most, 0),
        ("truncate_head", 0, most),
        ("head_tail", most, most),
        ("windows", 3 * most, 0),
    ):
        parts = [text.decode() for text in part_to_read(tf.constant(texts), 2, long_text).numpy()]
        expected = [text if len(text) <= first + rest else text[:first] + text[len(text) - rest :] for text in texts]
        assert parts == expected


@pytest.mark.parametrize("long_text", ["truncate_tail", "truncate_head", "head_tail"])
def test_settings_say_how_much_is_read(long_text: LongText):
    text = tf.constant(["é" * 9999])
    task = TaskDescription("a", "regression", (), 7, long_text=long_text)
    (size,) = tf.strings.length(part_to_read(text, 7, long_text), unit="UTF8_CHAR").numpy()
    assert classifier._length_settings(task)["max_characters"] == size


@pytest.mark.parametrize("pooling", WINDOW_POOLINGS)
def test_logits_of_windows_are_pooled(directory: Path, pooling: WindowPooling):
    class Model:
        def logits(self, batch):
            ids = tf.cast(batch["input_ids"], tf.float32) / 100
            return tf.stack([tf.reduce_sum(ids, 1), tf.reduce_max(ids, 1)], 1)

    settings = {"long_text": "windows", "max_seq_length": 8, "window_stride": 2, "window_pooling": pooling}
    task = TaskDescription("a", "multi_label", ("x", "y"), **settings)
    tokenizer = GraphTokenizer(str(directory / "vocab.txt"))
    texts = [*TEXTS, "happy " * 30]
    probabilities = classifier._Classifier(Model(), task, tokenizer).of_texts(tf.constant(texts))["probabilities"]
    batch, rows = windows(tokenizer.tokenize(tf.constant(texts)), None, 8, SpecialPieces(2, 3), 2)
    splits = np.searchsorted(rows.numpy(), np.arange(len(texts) + 1))
    expected = pool_windows(Model().logits(batch).numpy(), splits, pooling)
    assert_close(probabilities, tf.sigmoid(expected), SUM)


@pytest.mark.slow
def test_windows_in_a_saved_model(directory: Path, tmp_path: Path):
    """The predictions of run_classifier.py for texts of many windows among short ones."""
    texts = [*TEXTS, " ".join(f"w{number % 30}" for number in range(70)) + " happy", "sad " + "w1 " * 33]
    (tmp_path / "new.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    output = tmp_path / "model"
    shutil.copytree(directory / "model", output)
    described = json.loads((output / "task.json").read_text())
    changes = {"long_text": "windows", "window_stride": 5, "window_pooling": "max"}
    (output / "task.json").write_text(json.dumps({**described, **changes}))
    tiny.run(directory, output_dir=str(output), predict_file=str(tmp_path / "new.jsonl"), do_predict=True)
    exported = export(directory, output_dir=str(output), export_dir=str(tmp_path / "export"))
    outputs = tf.saved_model.load(str(exported)).signatures["serving_default"](text=tf.constant(texts))
    expected = np.loadtxt(output / "test_results.tsv", ndmin=2)
    assert len(expected) == len(texts)
    assert_probabilities(outputs["probabilities"], expected)
    settings = json.loads((exported / "assets/settings.json").read_text())
    assert settings.items() >= changes.items()
