"""Training, evaluation and prediction with windows; tests/e2e/test_run_classifier.py has everything else."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from helpers import tiny_classification as tiny

from bert_tf2.errors import InputError
from bert_tf2.tasks.classification import runner
from bert_tf2.tasks.classification.features import Features
from bert_tf2.tasks.classification.scores import row_losses
from bert_tf2.tokenization.fast_wordpiece import Ragged

pytestmark = pytest.mark.numeric


def write_rows(path: Path, count: int, seed: int) -> str:
    """Writes single texts and pairs; a third exceeds the model's length, and only their end decides the label."""
    lines = []
    for number, (text, label) in enumerate(tiny.rows(count, seed)):
        prefix = "w1 w2 w3 " * (7 if number % 3 == 0 else 0)
        lines.append(json.dumps({"text": prefix + text, "second": "w4" * (number % 2), "label": label}) + "\n")
    path.write_text("".join(lines))
    return str(path)


def test_windows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tiny.write_model_files(tmp_path)
    train, dev = (
        write_rows(tmp_path / f"{name}.jsonl", count, len(name)) for name, count in (("train", 160), ("d", 40))
    )
    files = {"train_file": train, "dev_file": dev, "predict_file": dev, "text_pair_column": "second"}
    flags = {**files, "long_text": "windows", "window_pooling": "max", "num_train_epochs": 6.0}
    caplog.set_level("INFO")
    results = tiny.run(tmp_path, **flags, class_weights="balanced", do_train=True, do_eval=True, do_predict=True)
    assert results is not None
    assert results["eval_accuracy"] > 0.9
    assert "14 of 40 rows (35 %) did not fit into max_seq_length=16 and were split into" in caplog.text
    saved = json.loads((tmp_path / "model/task.json").read_text())
    assert [saved[name] for name in ("long_text", "window_stride", "window_pooling")] == ["windows", None, "max"]
    predicted = [json.loads(line) for line in (tmp_path / "model/predictions.jsonl").read_text().splitlines()]
    assert [line["id"] for line in predicted] == list(range(40))
    labels = [json.loads(line)["label"] for line in Path(dev).read_text().splitlines()]
    right = np.mean([line["label"] == label for line, label in zip(predicted, labels, strict=True)])
    assert results["eval_accuracy"] == pytest.approx(right)
    probabilities = [[line["probabilities"][name] for name in ("bad", "good")] for line in predicted]
    losses = row_losses(np.log(probabilities), np.array([label == "good" for label in labels], int), "single_label")
    assert results["eval_loss"] == pytest.approx(losses.mean(), abs=1e-4)
    assert tiny.run(tmp_path, dev_file=dev, do_eval=True) == pytest.approx(results)  # with its settings


def test_weights_of_the_windows_of_a_text_sum_to_one() -> None:
    splits, ids = np.array([0, 3, 6, 9]), np.full(9, 5, np.int32)
    features = Features(Ragged(ids, splits), np.full(3, 3), np.array([1, 1, 0]), 16, 0, 9, np.array([0, 2, 3]))
    arrays = runner._Rows(None, features.labels, features, None).arrays  # type: ignore[arg-type]
    assert np.asarray(arrays.columns["example_weights"]).tolist() == [0.5, 0.5, 1]
    features = dataclasses.replace(features, window_splits=None)
    arrays = runner._Rows(None, features.labels, features, None).arrays  # type: ignore[arg-type]
    assert list(arrays.columns) == ["label_ids"]


def test_flags_of_windows_need_windows(tmp_path: Path) -> None:
    train = tiny.write_csv(tmp_path / "train.csv", tiny.rows(8, seed=1))
    tiny.write_model_files(tmp_path)
    for flags, sentence in (
        ({"window_pooling": "max"}, "--window_pooling is for --long_text=windows; give both or omit it"),
        ({"window_stride": 3}, "--window_stride is for --long_text=windows, but it is truncate_tail"),
        ({"window_stride": 15, "long_text": "windows"}, "--window_stride=15 must be from 1 to 14"),
        ({"long_text": "middle"}, "Unknown --long_text 'middle'; choose one of truncate_tail"),
    ):
        with pytest.raises(InputError, match=sentence):
            tiny.run(tmp_path, train_file=train, do_train=True, **flags)
