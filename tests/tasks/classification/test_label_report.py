"""Scores of each label and the confusion matrix: as text, as JSON, as a picture."""

import json
import logging
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from bert_tf2.metrics.classification import Score
from bert_tf2.tasks.classification.label_report import LabelReport
from bert_tf2.tasks.classification.outputs import Probabilities
from bert_tf2.tasks.classification.task_description import TaskDescription

THREE = TaskDescription("a", "single_label", ("bad", "fair", "very good"))
LABELS = np.array([0, 0, 1, 2, 2, 2])
PREDICTED = np.array([0, 1, 1, 2, 2, 0])


def report(task: TaskDescription, labels: np.ndarray, predicted: np.ndarray) -> LabelReport:
    label_report = LabelReport.of(task, labels, np.eye(len(task.labels), dtype=np.float32)[predicted])
    assert label_report is not None
    return label_report


def test_text_report() -> None:
    assert report(THREE, LABELS, PREDICTED).text() == (
        "label      precision  recall      F1  rows\n"
        "bad           0.5000  0.5000  0.5000     2\n"
        "fair          0.5000  1.0000  0.6667     1\n"
        "very good     1.0000  0.6667  0.8000     3\n"
        "\n"
        "true \\ predicted  bad  fair  very good\n"
        "bad                 1     1          0\n"
        "fair                0     1          0\n"
        "very good           1     0          2"
    )


def test_json_report(tmp_path: Path) -> None:
    paths = report(THREE, LABELS, PREDICTED).save(str(tmp_path))
    assert [Path(path).name for path in paths] == ["label_report.json", "label_report.png"]
    label_report = json.loads(Path(paths[0]).read_text())
    assert label_report["labels"] == ["bad", "fair", "very good"]
    assert label_report["confusion_matrix"] == [[1, 1, 0], [0, 1, 0], [1, 0, 2]]
    assert label_report["per_label"]["very good"] == {
        "precision": 1.0,
        "recall": pytest.approx(2 / 3),
        "f1": pytest.approx(0.8),
        "support": 3,
    }


@pytest.mark.parametrize("count", [2, 22])
def test_picture(tmp_path: Path, count: int) -> None:
    """The picture has a sensible size and several colours, whatever the names are."""
    from matplotlib import image

    names = ("$x^$", "好", "a_b" * 20, *map(str, range(count)))[:count]
    task = TaskDescription("a", "single_label", names)
    labels = np.arange(5 * count) % count
    paths = report(task, labels, (labels * 3) % count).save(str(tmp_path))
    pixels = image.imread(paths[1])
    assert 400 < pixels.shape[0] < 4000
    assert 400 < pixels.shape[1] < 6000
    colours = {tuple(pixel) for pixel in pixels[::9, ::9].reshape(-1, pixels.shape[2]).tolist()}
    assert len(colours) > 10


def test_most_frequent_confusions_of_many_labels() -> None:
    task = TaskDescription("a", "single_label", tuple(f"n{index}" for index in range(30)))
    labels = np.array([*range(30), 4, 4, 5])
    predicted = np.array([*range(30), 7, 7, 6])
    text = report(task, labels, predicted).text()
    assert text.split("\n\n")[1] == (
        "most often confused: true  predicted  rows\n"
        "n4                                n7     2\n"
        "n5                                n6     1"
    )


def test_long_names_are_truncated_and_numbered() -> None:
    task = TaskDescription("a", "single_label", tuple(f"{index}{'x' * 50}" for index in range(8)))
    lines = report(task, np.arange(8), np.arange(8)).text().splitlines()
    assert max(map(len, lines)) < 100
    header, first = lines[-9:-7]
    assert header.split()[-8:] == [f"({index})" for index in range(8)]
    assert first.startswith(f"(0) 0{'x' * 20}... ")


def test_several_labels_per_row(tmp_path: Path) -> None:
    task = TaskDescription("a", "multi_label", ("rude", "angry"), threshold=0.4)
    label_report = LabelReport.of(task, np.array([[1, 0], [1, 1]]), np.float32([[0.4, 0.9], [0.1, 0.6]]))
    assert label_report is not None
    assert label_report.matrix is None
    assert label_report.confusions is None
    assert label_report.scores == [Score(1.0, 0.5, pytest.approx(2 / 3), 2), Score(0.5, 1.0, pytest.approx(2 / 3), 1)]
    assert label_report.text() == (
        "label  precision  recall      F1  rows\n"
        "rude      1.0000  0.5000  0.6667     2\n"
        "angry     0.5000  1.0000  0.6667     1"
    )
    paths = label_report.save(str(tmp_path))
    assert len(paths) == 2
    assert json.loads(Path(paths[0]).read_text())["confusion_matrix"] is None


def test_very_many_labels_have_no_square_matrix(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A matrix of ten thousand labels would have a hundred million numbers."""
    count = 10_000
    task = TaskDescription("a", "single_label", tuple(map(str, range(count))))
    logits = np.zeros((4, count), np.float32)
    logits[range(4), [7, 7, 9, 9999]] = 9
    report(THREE, LABELS, PREDICTED)  # imports scikit-learn
    tracemalloc.start()
    label_report = LabelReport.of(task, np.array([8, 8, 9, 0]), Probabilities(logits, "single_label"))
    assert label_report is not None
    with caplog.at_level(logging.INFO):
        paths = label_report.save(str(tmp_path))
    text = label_report.text()
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    assert [Path(path).name for path in paths] == ["label_report.json"]
    assert caplog.messages == [f"{tmp_path}/label_report.png was not drawn, as there are more than 200 labels."]
    content = json.loads(Path(paths[0]).read_text())
    assert content["confusion_matrix"] is None
    assert content["confusions"] == {"true": [0, 8, 9], "predicted": [9999, 7, 9], "rows": [1, 2, 1]}
    assert len(content["per_label"]) == count
    scores, confused = text.split("\n\n")
    assert scores.splitlines()[1].split() == ["0", "0.0000", "0.0000", "0.0000", "1"]
    assert scores.endswith("\n(200 of 10,000 labels, the most frequent ones; label_report.json has all)")
    assert len(scores.splitlines()) == 202
    assert [line.split() for line in confused.splitlines()[1:]] == [["8", "7", "2"], ["0", "9999", "1"]]


def test_regression_has_no_labels() -> None:
    task = TaskDescription("a", "regression", ())
    assert LabelReport.of(task, np.float32([1, 2]), np.float32([[1], [2]])) is None


def test_missing_matplotlib_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with caplog.at_level(logging.INFO):
        paths = report(THREE, LABELS, PREDICTED).save(str(tmp_path))
    assert [Path(path).name for path in paths] == ["label_report.json"]
    assert caplog.messages == [
        f"{tmp_path}/label_report.png was not drawn, as matplotlib is not installed (pip install matplotlib)."
    ]
