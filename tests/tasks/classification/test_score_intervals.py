"""Confidence intervals contain the scores, and their statistics are those of the metrics."""

import numpy as np
import pytest
from helpers.evaluations import made_up

from bert_tf2 import metrics
from bert_tf2.reports.intervals import wilson
from bert_tf2.tasks.classification import score_intervals
from bert_tf2.tasks.classification.score_intervals import of_metrics

CASES = {
    "single_label": (("a", "b", "c"), ("accuracy", "macro_f1", "matthews")),
    "multi_label": (("a", "b", "c"), ("exact_match", "micro_f1", "macro_f1")),
    "regression": ((), ("pearson", "spearman", "mean_squared_error")),
}


@pytest.mark.parametrize("kind", CASES)
def test_intervals_contain_the_scores(kind) -> None:
    labels, names = CASES[kind]
    evaluated = made_up(kind, 300, labels)
    scores = metrics.evaluate(kind, evaluated.logits, evaluated.labels, names)
    intervals = of_metrics(evaluated, names)
    assert list(intervals) == [f"eval_{name}" for name in names]
    for name, value in scores.items():
        low, high = intervals[f"eval_{name}"]
        assert low < value < high
        assert high - low < 0.5 * value, name


def test_interval_of_accuracy_is_wilsons() -> None:
    evaluated = made_up("single_label", 300, ("a", "b"))
    right = int(evaluated.scores.is_right.sum())
    assert of_metrics(evaluated, ("accuracy",)) == {"eval_accuracy": wilson(right, 300)}


@pytest.mark.parametrize("name", ["macro_f1", "matthews", "f1"])
def test_statistics_of_counts_are_those_of_scikit_learn(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statistics of the original rows, instead of resamples."""
    evaluated = made_up("single_label", 200, ("a", "b") if name == "f1" else ("a", "b", "c"))
    monkeypatch.setattr(score_intervals, "bootstrap", lambda values, statistic: (statistic(values), 0.0))
    (value, _) = of_metrics(evaluated, (name,))[f"eval_{name}"]
    expected = metrics.evaluate("single_label", evaluated.logits, np.asarray(evaluated.labels), (name,))
    assert value == pytest.approx(expected[name])


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in ("multi_label", "regression") for name in CASES[kind][1][-2:]]
)
def test_statistics_of_sums(kind, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated = made_up(kind, 200, () if kind == "regression" else ("a", "b", "c"))
    monkeypatch.setattr(
        score_intervals, "bootstrap_sums", lambda values, statistic: (statistic(values.sum(axis=0)), 0.0)
    )
    (value, _) = of_metrics(evaluated, (name,))[f"eval_{name}"]
    assert value == pytest.approx(metrics.evaluate(kind, evaluated.logits, evaluated.labels, (name,))[name])


def test_macro_f1_of_very_many_decisions_has_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_intervals, "_MAX_DECISIONS", 599)
    intervals = of_metrics(made_up("multi_label", 200, ("a", "b", "c")), ("micro_f1", "macro_f1"))
    assert list(intervals) == ["eval_micro_f1"]
