"""Evaluation during training: its steps, the history after a kill, the best evaluation, early stopping."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_tf2.errors import InputError
from bert_tf2.tasks.finetuning.evaluation_hook import BestMetric, EvaluationHook, EvaluationSteps, read_history

NAMES = ["eval_accuracy", "eval_loss", "loss"]


def due(steps: EvaluationSteps) -> list[int]:
    due_steps, step = [], 0
    while step < steps.num_train_steps:
        step = steps.next_after(step)
        due_steps.append(step)
    return due_steps


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (EvaluationSteps(12, 20, 5), [4, 8, 12]),
        (EvaluationSteps(7, 10, 4), [2, 5, 7]),
        (EvaluationSteps(3, 3, 4), [1, 2, 3]),
        (EvaluationSteps(10, 20, 5, every=4), [4, 8, 10]),
        (EvaluationSteps(2, 100, 5), [2]),
    ],
)
def test_evaluation_steps(steps: EvaluationSteps, expected: list[int]) -> None:
    assert due(steps) == expected
    assert [step for step in range(steps.num_train_steps + 1) if steps.has(step)] == expected


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20))
def test_each_epoch_is_evaluated_at_its_end(count: int, examples: int, batch: int) -> None:
    ends = {epoch * examples // batch for epoch in range(1, count * batch + batch + 1)} - {0}
    assert {step for step in due(EvaluationSteps(count, examples, batch)) if step < count} == {
        step for step in ends if step < count
    }


@pytest.mark.parametrize(
    ("name", "value", "than", "better"),
    [
        ("eval_accuracy", 0.5, None, True),
        ("eval_accuracy", 0.6, 0.5, True),
        ("eval_accuracy", 0.5, 0.5, False),
        ("eval_accuracy", math.nan, None, False),
        ("eval_accuracy", 0.1, math.nan, True),
        ("eval_loss", 0.4, 0.5, True),
        ("loss", 0.6, 0.5, False),
        ("eval_mean_squared_error", 0.4, 0.5, True),
    ],
)
def test_is_better(name: str, value: float, than: float | None, better: bool) -> None:
    assert BestMetric(name).is_better(value, than) == better


def test_finding_the_best_metric() -> None:
    assert BestMetric.find("accuracy", NAMES).name == BestMetric.find("eval_accuracy", NAMES).name == "eval_accuracy"
    assert BestMetric.find("loss", NAMES).name == "eval_loss"
    with pytest.raises(InputError, match="--metric_for_best=f1: this task is evaluated by accuracy, loss; choose"):
        BestMetric.find("f1", NAMES)


class Training:
    """Runs a hook as the training loop does, with given accuracies.

    Args:
      directory: the run directory.
      accuracies: the accuracy of each evaluation.
      patience: see `EvaluationHook`.
      first_step: see `EvaluationHook`.
      every: steps between evaluations.
    """

    def __init__(self, directory, accuracies, patience=0, first_step=0, every=10):
        self.accuracies, self.evaluated, self.saved = accuracies, [], []
        self.hook = EvaluationHook(
            str(directory),
            EvaluationSteps(every * len(accuracies), 1000, 1, every),
            BestMetric("eval_accuracy"),
            patience,
            self.evaluate,
            lambda step, value: self.saved.append(step),
            first_step,
            is_chief=True,
        )
        self.step, self.every = first_step, every

    def evaluate(self, step):
        self.evaluated.append(step)
        return {"eval_accuracy": self.accuracies[step // self.every - 1]}

    def run(self):
        """Runs to the end, or until the hook stops it; returns the reason."""
        reason = self.hook.run(self.step)
        while reason is None and self.step < self.every * len(self.accuracies):
            self.step = self.hook.next_after(self.step)
            reason = self.hook.run(self.step)
        return reason


def history(directory):
    return [json.loads(line) for line in (directory / "eval_history.jsonl").read_text().splitlines()]


def test_history_and_best(tmp_path) -> None:
    training = Training(tmp_path, [0.5, 0.7, math.nan, 0.7, 0.8])
    assert training.run() is None
    assert training.evaluated == [10, 20, 30, 40, 50]
    assert training.saved == [10, 20, 50]
    assert history(tmp_path)[1:3] == [
        {"step": 20, "epoch": 0.02, "eval_accuracy": 0.7},
        {"step": 30, "epoch": 0.03, "eval_accuracy": None},
    ]
    assert training.hook.best == {"step": 50, "epoch": 0.05, "eval_accuracy": 0.8}
    assert len(list((tmp_path / "eval").glob("events.out.tfevents.*"))) == 1


@pytest.mark.parametrize("first_step", [0, 15, 20, 30, 50])
def test_resumed_training_ends_with_the_same_history(tmp_path, first_step: int) -> None:
    Training(tmp_path, [0.5, 0.7, 0.6, 0.7, 0.8]).run()
    expected = history(tmp_path)
    resumed = Training(tmp_path, [0.5, 0.7, 0.6, 0.7, 0.8], first_step=first_step)
    assert history(tmp_path) == [entry for entry in expected if entry["step"] <= first_step]
    assert resumed.run() is None
    assert history(tmp_path) == expected
    assert resumed.evaluated == [step for step in (10, 20, 30, 40, 50) if step > first_step]


def test_resuming_between_checkpoint_and_evaluation(tmp_path) -> None:
    Training(tmp_path, [0.5, 0.7]).run()
    lines = (tmp_path / "eval_history.jsonl").read_text().splitlines()
    (tmp_path / "eval_history.jsonl").write_text(lines[0] + "\n")
    resumed = Training(tmp_path, [0.5, 0.7], first_step=20)
    assert resumed.run() is None
    assert resumed.evaluated == resumed.saved == [20]


def test_early_stopping(tmp_path) -> None:
    training = Training(tmp_path, [0.5, 0.7, 0.6, 0.7, 0.8], patience=2)
    assert training.run() == (
        "eval_accuracy has not improved since step 20 (0.7), --early_stopping_patience is 2 evaluations"
    )
    assert training.step == 40
    resumed = Training(tmp_path, [0.5, 0.7, 0.6, 0.7, 0.8], patience=2, first_step=40)
    assert resumed.run()
    assert resumed.evaluated == []


def test_early_stopping_without_any_finite_score(tmp_path) -> None:
    assert "at all" in Training(tmp_path, [math.nan] * 3, patience=2).run()


@pytest.mark.parametrize("content", ["{", "[]", '{"epoch": 1}'])
def test_corrupt_history(tmp_path, content: str) -> None:
    (tmp_path / "h.jsonl").write_text('{"step": 1}\n' + content + "\n")
    with pytest.raises(InputError, match=r"h\.jsonl, line 2 is not an evaluation result; remove the file"):
        read_history(str(tmp_path / "h.jsonl"))
