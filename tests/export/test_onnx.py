"""ONNX: the outputs of TensorFlow in onnxruntime, dynamic dimensions, quantization and its loss of accuracy."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from helpers import tiny_choices, tiny_tagging
from helpers import tiny_classification as tiny
from helpers.rounding import assert_close, forward
from helpers.run_directory import unlisted
from scipy import special

from bert_tf2.errors import InputError
from bert_tf2.export import onnx, runner
from bert_tf2.export.config import ExportConfig
from bert_tf2.io import run_files
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer
from bert_tf2.tokenization.wordpiece import FullTokenizer

pytestmark = pytest.mark.numeric

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (pip install '.[onnx]')")
pytest.importorskip("tf2onnx", reason="tf2onnx is not installed (pip install '.[onnx]')")


@pytest.fixture(scope="module", params=["gelu", "gelu_exact"])
def directory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("onnx")
    tiny.write_model_files(directory, hidden_act=request.param)
    files = {
        name: tiny.write_csv(directory / f"{name}.csv", tiny.rows(count, seed=count))
        for name, count in (("train_file", 160), ("predict_file", 50))
    }
    tiny.run(directory, **files, do_train=True, do_predict=True, num_train_epochs=4.0)
    return directory


def export(directory: Path, name: str, **flags: object) -> Path:
    values = {"output_dir": str(directory / "model"), "export_dir": str(directory / name), "format": "onnx", **flags}
    return Path(runner.run(ExportConfig(**values)))


def test_outputs_equal_those_of_tensorflow(directory: Path):
    exported = export(directory, "float")
    names = {"model.onnx", "labels.txt", "settings.json", "vocab.txt"}
    assert {path.name for path in exported.iterdir()} == names
    assert unlisted(exported, run_files.ONNX_EXPORT) == []
    assert json.loads((exported / "settings.json").read_text())["labels"] == ["bad", "good"]
    session = onnxruntime.InferenceSession(str(exported / "model.onnx"), providers=["CPUExecutionProvider"])
    inputs = {value.name: (value.type, value.shape) for value in session.get_inputs()}
    assert inputs == dict.fromkeys(("input_ids", "input_mask", "segment_ids"), ("tensor(int32)", ["batch", "sequence"]))
    assert [(value.name, value.shape) for value in session.get_outputs()] == [("probabilities", ["batch", 2])]
    expected = np.loadtxt(directory / "model/test_results.tsv")
    tokenizer = FastTokenizer(directory / "vocab.txt")
    for (text, _), row in zip(tiny.rows(50, seed=50), expected, strict=True):
        ids = np.array([[2, *tokenizer.encode(text), 3]], np.int32)
        arrays = {"input_ids": ids, "input_mask": np.ones_like(ids), "segment_ids": np.zeros_like(ids)}
        assert_close(session.run(None, arrays)[0][0], row, forward(1), scale=1)


def test_quantization_and_its_loss_of_accuracy(directory: Path, capsys: pytest.CaptureFixture[str]):
    dev_file = str(directory / "predict_file.csv")
    exported = export(directory, "int8", quantize="int8", dev_file=dev_file, batch_size=7)
    sizes = [(exported / name).stat().st_size for name in ("model.onnx", "model.int8.onnx")]
    assert sizes[0] > 0 < sizes[1]
    lines = capsys.readouterr().out.splitlines()
    header, *rows = lines[lines.index(f"{dev_file}, 50 rows:") + 1 :]
    assert header.split() == ["float32", "int8", "change"]
    name, *numbers = rows[0].split()
    before, after, change = map(float, numbers)
    results = np.loadtxt(directory / "model/test_results.tsv").argmax(1)
    right = [("bad", "good").index(label) for _, label in tiny.rows(50, seed=50)]
    assert name == "accuracy"
    assert before == pytest.approx(np.mean(results == right), abs=1e-4)
    assert change == pytest.approx(after - before, abs=1e-4)


def test_missing_dev_file_is_logged(directory: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        export(directory, "unmeasured", quantize="int8")
    assert "was not measured; give --dev_file" in caplog.text


def test_a_tagger(tmp_path: Path):
    tiny_tagging.write_model_files(tmp_path)
    train = tiny_tagging.write_conll(tmp_path / "train.conll", tiny_tagging.sentences(32, seed=1))
    tiny_tagging.run(tmp_path, train_file=train, do_train=True, num_train_epochs=1.0)
    assert (export(tmp_path, "onnx") / "model.onnx").exists()
    with pytest.raises(InputError, match="measured for classifiers only"):
        export(tmp_path, "other", quantize="int8", dev_file=train)


@pytest.mark.slow
def test_multiple_choice(tmp_path: Path):
    """The scores of pairs, whose softmax is the probabilities of run_multiple_choice.py."""
    tiny_choices.write_model_files(tmp_path)
    questions_asked = tiny_choices.questions(12, seed=2)
    files = {
        name: tiny_choices.write_json_lines(tmp_path / f"{name}.jsonl", questions)
        for name, questions in (("train_file", tiny_choices.questions(80, seed=1)), ("predict_file", questions_asked))
    }
    tiny_choices.run(tmp_path, **files, do_train=True, do_predict=True, num_train_epochs=2.0)
    exported = export(tmp_path, "onnx")
    assert {path.name for path in exported.iterdir()} == {"model.onnx", "settings.json", "vocab.txt"}
    assert unlisted(exported, run_files.ONNX_EXPORT) == []
    assert json.loads((exported / "settings.json").read_text())["problem_type"] == "multiple_choice"
    session = onnxruntime.InferenceSession(str(exported / "model.onnx"), providers=["CPUExecutionProvider"])
    assert [(value.name, value.shape) for value in session.get_outputs()] == [("score", ["batch"])]
    tokenizer = FullTokenizer(tmp_path / "vocab.txt")
    lines = (tmp_path / "model/predictions.jsonl").read_text().splitlines()
    for question, line in zip(questions_asked, map(json.loads, lines), strict=True):
        pairs = [f"{question['question']} {ending}" for ending in question["endings"]]
        arrays = tokenizer([question["context"]] * len(pairs), pairs, max_length=16)
        scores = session.run(None, dict(arrays))[0]
        assert_close(special.softmax(scores), line["probabilities"], forward(1), scale=10)
    small = export(tmp_path, "int8", quantize="int8")
    assert (small / "model.int8.onnx").stat().st_size > 0
    with pytest.raises(InputError, match="measured for classifiers only"):
        export(tmp_path, "other", quantize="int8", dev_file=files["train_file"])


def test_a_label_at_its_threshold_is_no_difference():
    """Rounding may put a probability on the other side."""
    expected = {"probabilities": np.float32([[0.25, 0.5]]), "predicted": np.array([[False, True]])}
    outputs = {"probabilities": np.float32([[0.25, 0.49]]), "predicted": np.array([[False, False]])}
    assert onnx._difference(outputs, expected) == pytest.approx(0.01)


def test_errors(directory: Path, monkeypatch: pytest.MonkeyPatch):
    (directory / "taken").mkdir()
    (directory / "taken/x").touch()
    with pytest.raises(InputError, match="taken already exists and is not an empty directory"):
        export(directory, "taken")
    monkeypatch.setattr(onnx, "_LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(InputError, match="onnxruntime's results differ from TensorFlow's by"):
        export(directory, "differs")
    assert not (directory / "differs").exists()
    monkeypatch.setattr(onnx, "_PACKAGES", ("tf2onnx", "no_such_package"))
    with pytest.raises(InputError, match=r"needs no_such_package: .* 'bert-tf2\[onnx\]'"):
        export(directory, "missing")
