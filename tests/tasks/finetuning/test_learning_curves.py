"""Learning curves: the text about the best evaluation, and the numbers in each picture."""

import json
from pathlib import Path
from typing import Any

import pytest

from bert_tf2.reports import pictures
from bert_tf2.reports.page import Picture, Text
from bert_tf2.tasks.finetuning import learning_curves
from bert_tf2.tasks.finetuning.evaluation_hook import BestMetric
from bert_tf2.tasks.finetuning.report import display_name

HISTORY = [
    {"step": 5, "epoch": 1, "eval_accuracy": 0.5, "eval_macro_f1": 0.25, "eval_loss": 0.75, "loss": 0.7},
    {"step": 10, "epoch": 2, "eval_accuracy": 0.75, "eval_macro_f1": None, "eval_loss": 0.5, "loss": 0.5},
    {"step": 15, "epoch": 3, "eval_accuracy": 0.625, "eval_macro_f1": 0.5, "eval_loss": 1.5, "loss": 1.4},
]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The lines of each picture."""
    drawings: list[dict[str, Any]] = []
    monkeypatch.setattr(pictures, "lines", lambda series, *_: drawings.append(dict(series)) or "<svg></svg>")
    return drawings


def write(directory: Path, history: list[dict[str, Any]]) -> str:
    (directory / "eval_history.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in history))
    return str(directory)


def test_losses_and_scores(tmp_path: Path, drawn: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    scalars = {"loss": {5: 0.9, 10: 0.6, 15: 0.3}, "learning_rate": {5: 1e-5, 10: 2e-5, 15: 0.0}}
    monkeypatch.setattr(learning_curves, "read_scalars", lambda directory: scalars)
    section = learning_curves.section(write(tmp_path, HISTORY), BestMetric("eval_accuracy"), display_name)
    assert section is not None
    text = section.blocks[0]
    assert isinstance(text, Text)
    assert text.text == (
        "The best evaluation was at step 10, with accuracy 0.75; its weights are in best/. The last one, at step 15, "
        "reached 0.625."
    )
    losses, scores, rate = drawn
    assert losses == {"training": ([5, 10, 15], [0.9, 0.6, 0.3]), "evaluation": ([5, 10, 15], [0.75, 0.5, 1.5])}
    assert list(scores) == ["accuracy", "macro F1"]
    assert scores["accuracy"] == ([5, 10, 15], [0.5, 0.75, 0.625])
    assert list(rate) == ["learning rate"]
    assert [block.caption for block in section.blocks if isinstance(block, Picture)] == [
        *("Loss", "Scores on the evaluation data", "Learning rate"),
    ]


def test_percentages_are_drawn_without_counts(tmp_path: Path, drawn: list[dict[str, Any]]) -> None:
    history = [{"step": 5, "epoch": 1, "exact": 70.0, "f1": 80.5, "total": 90, "best_f1_thresh": -3.0}]
    section = learning_curves.section(write(tmp_path, history), BestMetric("f1"), display_name)
    assert section is not None
    assert [list(lines) for lines in drawn] == [["exact match", "F1"]]
    assert section.blocks[0] == Text("The best evaluation was the last one, at step 5, with F1 80.5.")


def test_no_learning_curves_without_a_training(tmp_path: Path) -> None:
    assert learning_curves.section(str(tmp_path), BestMetric("f1"), display_name) is None
