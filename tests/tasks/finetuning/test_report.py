"""The report sections that all tasks share, and runs without the packages that reports need."""

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bert_tf2.reports.page import Section, Text
from bert_tf2.tasks.finetuning import report
from bert_tf2.tasks.finetuning.task import Evaluation

RESULTS = {"eval_accuracy": 0.9125, "eval_matthews": 0.5, "eval_loss": 0.25, "loss": 0.2}
ENCODED = SimpleNamespace(arrays=SimpleNamespace(lengths=np.array([3, 5, 8, 8]), max_length=8))


class Task:
    """A stand-in with the attributes and methods that `report` uses."""

    best_metric = "accuracy"
    scores_are_percentages = False

    def __init__(self, directory: Path, **flags: Any) -> None:
        self.config = SimpleNamespace(output_dir=str(directory), metric_for_best=None, report=True, **flags)
        self.description = SimpleNamespace(TASK="classification")
        self.rows: list[dict[str, Any]] | None = None

    def evaluation_rows(self, encoded: Any, gathered: Any) -> Iterator[dict[str, Any]] | None:
        return None if self.rows is None else iter(self.rows)

    def score_intervals(self, encoded: Any, gathered: Any) -> dict[str, tuple[float, float]]:
        return {"eval_accuracy": (0.875, 0.9333), "eval_matthews": (0.25, 0.75)}

    def report_sections(self, encoded: Any, gathered: Any, evaluation: Any) -> list[Section]:
        return [Section("Mine <own>", [Text("a & b")])]

    def length_section(self, encoded: Any, gathered: Any) -> None:
        return None


def write(task: Any) -> list[str]:
    report.write(task, ENCODED, None, Evaluation(RESULTS), 1234)
    return sorted(path.name for path in Path(task.config.output_dir).iterdir())


def test_sections_of_all_tasks(tmp_path: Path) -> None:
    task = Task(tmp_path / "model")
    task.rows = [{"id": 1, "truth": "a"}]
    assert write(task) == ["eval_predictions.csv", "eval_predictions.jsonl", "report.html"]
    page = (tmp_path / "model/report.html").read_text(encoding="utf-8")
    assert "<h1>Evaluation of model</h1>" in page
    assert "<p>Classification, weights of step 1,234, " in page
    for tile in (
        "<dt>accuracy</dt><dd><b>91.2 %</b><small>95 % interval 87.5 to 93.3</small></dd>",
        "<dt>Matthews correlation</dt><dd><b>0.5</b><small>95 % interval 0.25 to 0.75</small></dd>",
        "<dt>loss</dt><dd><b>0.25</b></dd>",
        "<dt>at the limit</dt><dd><b>2</b>",
    ):
        assert tile in page
    assert "<h2>Mine &lt;own&gt;</h2>" in page
    assert '<a href="eval_predictions.csv">' in page
    assert "span_report.json" not in page, "the file does not exist"


def test_best_evaluation_is_that_of_the_best_weights(tmp_path: Path) -> None:
    scores = [(0.9, 0.5), (0.8, 0.2), (0.85, 0.3)]  # accuracy, the default, and loss
    lines = [
        json.dumps({"step": step, "epoch": step, "eval_accuracy": accuracy, "eval_loss": loss})
        for step, (accuracy, loss) in enumerate(scores, 1)
    ]
    (tmp_path / "eval_history.jsonl").write_text("\n".join(lines) + "\n")
    for content, best in (("", "1, with accuracy 0.9"), ('{"metric": "eval_loss", "step": 2}', "2, with loss 0.2")):
        (tmp_path / "best").mkdir(exist_ok=True)
        (tmp_path / "best/score.json").write_text(content)
        write(Task(tmp_path))
        assert f"The best evaluation was at step {best}; its" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_no_examples() -> None:
    section = report._lengths(np.zeros(0, np.int64), 8)
    assert section == Section("Length", [Text("There are no examples.")])


def test_only_one_loss_is_shown() -> None:
    assert report.without_second_loss(RESULTS) == ["eval_accuracy", "eval_matthews", "eval_loss"]
    assert report.without_second_loss(["global_step", "loss"]) == ["global_step", "loss"]


def test_percentages_are_not_converted(tmp_path: Path) -> None:
    task = Task(tmp_path)
    task.scores_are_percentages = True
    assert write(task) == ["report.html"]
    assert "<b>0.9125</b>" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_missing_packages_do_not_stop_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    tmp_path.joinpath("report.html").write_text("old")
    task = Task(tmp_path)
    task.rows = [{"id": 1, "truth": "a"}]
    assert write(task) == ["eval_predictions.csv", "eval_predictions.jsonl", "report.html"]
    assert caplog.messages == [
        f"{tmp_path}/report.html was not written: it needs jinja2 and matplotlib (python -m pip install "
        "'bert-tf2[report]'). The existing file is from an earlier evaluation.",
        f"Wrote {tmp_path}/eval_predictions.jsonl, {tmp_path}/eval_predictions.csv.",
    ]
    assert (tmp_path / "report.html").read_text() == "old"


def test_report_can_be_disabled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    task = Task(tmp_path)
    task.config.report = False
    assert write(task) == []
    assert not caplog.messages
