"""Scores: hand-made numbers, the definitions, and changes that must not affect them."""

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from helpers.repository import REPOSITORY
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from bert_tf2 import metrics
from bert_tf2.io import spilled
from bert_tf2.io.sparse_rows import SparseRows
from bert_tf2.metrics.classification import Score

LOGITS = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [0.0, 3.0, 1.0], [5.0, 1.0, 2.0]], np.float32)
LABELS = np.array([0, 1, 2, 0])
BINARY = (np.array([1, 1, 1, 0, 0, 0, 0, 1]), np.array([1, 1, 0, 0, 0, 0, 1, 0]))  # TP 2, FP 1, FN 2, TN 3


def one_hot(predicted: Any, count: int) -> np.ndarray:
    return np.eye(count, dtype=np.float32)[np.asarray(predicted)]


# --- Predictions -----------------------------------------------------------------------------------------------------


def test_probabilities() -> None:
    result = metrics.probabilities(LOGITS, "single_label")
    assert result.dtype == np.float32
    np.testing.assert_allclose(result[0], [0.66524096, 0.24472848, 0.09003057], rtol=1e-6)
    result = metrics.probabilities(np.array([[0.0, 2.0], [-200.0, 200.0]]), "multi_label")
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, [[0.5, 0.88079708], [0.0, 1.0]], atol=1e-7)
    np.testing.assert_array_equal(metrics.probabilities(np.array([[3.5]]), "regression"), np.float32([[3.5]]))


def test_probabilities_of_large_logits_are_finite() -> None:
    np.testing.assert_allclose(metrics.probabilities(np.array([[1e4, -1e4]]), "single_label"), [[1.0, 0.0]])


def test_predictions() -> None:
    assert metrics.predictions(np.array([[0.4, 0.4, 0.2], [0.1, 0.2, 0.7]]), "single_label").tolist() == [0, 2]
    result = metrics.predictions(np.float32([[0.5, 0.49], [0.7, 0.9]]), "multi_label", 0.5)
    assert result.tolist() == [[True, False], [True, True]]
    assert metrics.predictions(np.float32([[0.5, 0.49]]), "multi_label", 0.6).tolist() == [[False, False]]
    assert metrics.predictions(np.array([[1.5], [2.5]]), "regression").tolist() == [1.5, 2.5]


# --- Metrics ---------------------------------------------------------------------------------------------------------


def test_one_label_per_row() -> None:
    result = metrics.evaluate("single_label", LOGITS, LABELS)
    # F1: label 0 is 1, label 1 is 2/3 (one of two predictions is right), label 2 is 0.
    assert result == pytest.approx({"accuracy": 0.75, "macro_f1": (1 + 2 / 3 + 0) / 3})


def test_two_labels() -> None:
    labels, predicted = BINARY
    result = metrics.evaluate("single_label", one_hot(predicted, 2), labels, ("accuracy", "f1", "matthews"))
    matthews = (2 * 3 - 1 * 2) / math.sqrt(3 * 4 * 4 * 5)
    assert result == pytest.approx({"accuracy": 5 / 8, "f1": 4 / 7, "matthews": matthews})


def test_no_labels_at_all_score_0_without_a_warning() -> None:
    zeros = np.zeros(4, int)
    result = metrics.evaluate("single_label", one_hot(zeros, 2), zeros, ("accuracy", "f1", "matthews"))
    assert result == {"accuracy": 1.0, "f1": 0.0, "matthews": 0.0}


def test_several_labels_per_row() -> None:
    labels = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]])
    logits = np.array([[3.0, -1.0, -1.0], [-1.0, 2.0, 1.0], [-1.0, -1.0, -1.0]])
    result = metrics.evaluate("multi_label", logits, labels)
    # All three labels: TP 2, FP 1, FN 1. Of each: 1, 1 and 0.
    assert result == pytest.approx({"exact_match": 1 / 3, "micro_f1": 2 / 3, "macro_f1": 2 / 3})
    result = metrics.evaluate("multi_label", logits, labels, ("exact_match", "micro_f1"), threshold=0.8)
    assert result == pytest.approx({"exact_match": 2 / 3, "micro_f1": 4 / 5})


def test_a_single_label_that_may_or_may_not_apply() -> None:
    labels, predicted = BINARY
    logits = np.where(predicted, 2.0, -2.0)[:, None]
    result = metrics.evaluate("multi_label", logits, labels[:, None])
    assert result == pytest.approx({"exact_match": 5 / 8, "micro_f1": 4 / 7, "macro_f1": 4 / 7})
    assert metrics.per_label(labels[:, None], logits > 0, 1) == [
        Score(pytest.approx(2 / 3), pytest.approx(1 / 2), pytest.approx(4 / 7), 4)
    ]


def test_regression() -> None:
    labels, values = np.array([1.0, 2.0, 3.0, 4.0], np.float32), np.array([[1.0], [3.0], [2.0], [10.0]])
    result = metrics.evaluate("regression", values, labels)
    assert result == pytest.approx({"pearson": 13 / math.sqrt(5 * 50), "spearman": 0.8, "mean_squared_error": 9.5})


@pytest.mark.parametrize("values", [[[1.0], [1.0]], [[2.0], [2.0]]])
def test_correlations_with_a_constant_are_not_a_number(values: list[list[float]]) -> None:
    result = metrics.evaluate("regression", np.array(values), np.array([1.0, 2.0]), ("pearson", "spearman"))
    assert all(map(math.isnan, result.values()))
    result = metrics.evaluate("regression", np.array([[2.0]]), np.array([1.0]))
    assert math.isnan(result["pearson"])
    assert math.isnan(result["spearman"])
    assert result["mean_squared_error"] == 1


def test_correlations_with_a_nearly_constant_side_do_not_warn() -> None:
    values = np.array([[1.0], [1.0 + 1e-7], [1.0]])
    assert metrics.evaluate("regression", values, np.array([1.0, 2.0, 3.0])).keys() == {
        *("pearson", "spearman", "mean_squared_error")
    }


@pytest.mark.parametrize(
    ("logits", "labels", "names", "sentence"),
    [
        (LOGITS, LABELS, ["acuracy"], "Unknown metric 'acuracy' for single_label; choose from accuracy, f1"),
        (LOGITS, LABELS[:3], None, r"shape \(4,\) cannot be scored by labels of \(3,\)"),
        (LOGITS[:0], LABELS[:0], None, "cannot be scored"),
    ],
)
def test_invalid_arguments(logits: Any, labels: Any, names: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        metrics.evaluate("single_label", logits, labels, names)


@given(st.integers(2, 5), st.data())
@settings(max_examples=80)
def test_scores_of_labels_by_their_definition(count: int, data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 30))
    index = st.integers(0, count - 1)
    labels, predicted = (np.array(data.draw(st.lists(index, min_size=rows, max_size=rows))) for _ in range(2))
    matrix = metrics.confusion_matrix(labels, predicted, count)
    assert matrix.shape == (count, count)
    for a in range(count):
        for b in range(count):
            assert matrix[a, b] == ((labels == a) & (predicted == b)).sum()
    scores = metrics.per_label(labels, predicted, count)
    for label, score in enumerate(scores):
        right, positive, true = matrix[label, label], matrix[:, label].sum(), matrix[label].sum()
        assert score.precision == pytest.approx(right / positive if positive else 0)
        assert score.recall == pytest.approx(right / true if true else 0)
        assert score.f1 == pytest.approx(2 * right / (positive + true) if positive + true else 0)
        assert score.support == true
    result = metrics.evaluate("single_label", one_hot(predicted, count), labels, ("accuracy", "macro_f1", "matthews"))
    seen = [score.f1 for label, score in enumerate(scores) if label in labels or label in predicted]
    assert result["accuracy"] == pytest.approx(np.trace(matrix) / rows)
    assert result["macro_f1"] == pytest.approx(np.mean(seen))
    # A new order of rows and other numbers for the labels change nothing.
    order, numbers = np.random.default_rng(0).permutation(rows), np.random.default_rng(1).permutation(count)
    again = metrics.evaluate(
        "single_label", one_hot(numbers[predicted[order]], count), numbers[labels[order]], tuple(result)
    )
    assert again == pytest.approx(result)


@given(st.integers(1, 4), st.data())
@settings(max_examples=60)
def test_scores_of_several_labels_by_their_definition(count: int, data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 12))
    row = st.lists(st.booleans(), min_size=count, max_size=count)
    labels, predicted = (np.array(data.draw(st.lists(row, min_size=rows, max_size=rows))) for _ in range(2))
    result = metrics.evaluate("multi_label", np.where(predicted, 1.0, -1.0), labels.astype(int))

    def f1(a: np.ndarray, b: np.ndarray) -> float:
        return 2 * (a & b).sum() / (a.sum() + b.sum()) if a.any() or b.any() else 0.0

    each = [f1(labels[:, label], predicted[:, label]) for label in range(count)]
    assert result["micro_f1"] == pytest.approx(f1(labels, predicted))
    assert result["macro_f1"] == pytest.approx(np.mean(each))
    assert result["exact_match"] == pytest.approx(
        np.mean([(a == b).all() for a, b in zip(labels, predicted, strict=True)])
    )
    assert [score.f1 for score in metrics.per_label(labels.astype(int), predicted, count)] == pytest.approx(each)


@pytest.mark.parametrize("kind", ["single_label", "multi_label", "regression"])
def test_the_same_in_blocks_of_rows(monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    """The number of rows per block does not matter; with several labels, the results equal scikit-learn's."""
    rng = np.random.default_rng(3)
    dense = (rng.random((500, 7)) < 0.3).astype(np.int32)
    splits = np.concatenate([[0], np.cumsum(dense.sum(axis=1))])
    sparse = SparseRows(splits, np.nonzero(dense)[1].astype(np.int32), 7)
    labels: Any = {"single_label": rng.integers(0, 7, 500), "multi_label": sparse, "regression": rng.random(500)}[kind]
    logits = rng.normal(size=(500, 1 if kind == "regression" else 7)).astype(np.float32)
    expected = metrics.evaluate(kind, logits, labels)
    monkeypatch.setattr(spilled, "VALUES_AT_ONCE", 30)
    assert metrics.evaluate(kind, logits, labels) == expected
    if kind == "multi_label":
        predicted = logits >= 0
        of_library = {
            "exact_match": accuracy_score(dense, predicted),
            "micro_f1": f1_score(dense, predicted, average="micro"),
            "macro_f1": f1_score(dense, predicted, average="macro"),
        }
        assert expected == pytest.approx(of_library, rel=1e-12)
        columns = zip(*metrics.per_label(dense, predicted, 7), strict=True)
        for ours, others in zip(columns, precision_recall_fscore_support(dense, predicted), strict=True):
            np.testing.assert_allclose(ours, others, rtol=1e-12)


@given(
    st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=3, max_size=20),
    st.integers(1, 9),
    st.integers(-9, 9),
)
@settings(max_examples=60)
def test_correlations_do_not_depend_on_scale_and_origin(pairs: list[Any], scale: int, origin: int) -> None:
    labels, values = np.array(pairs, float).T
    result = metrics.evaluate("regression", values[:, None], labels, ("pearson", "spearman"))
    moved = metrics.evaluate("regression", scale * values[:, None] + origin, labels, ("pearson", "spearman"))
    flipped = metrics.evaluate("regression", -values[:, None], labels, ("pearson", "spearman"))
    for name, value in result.items():
        assert -1.0001 < value < 1.0001 or math.isnan(value)
        assert moved[name] == pytest.approx(value, abs=1e-6, nan_ok=True)
        assert flipped[name] == pytest.approx(-value, abs=1e-6, nan_ok=True)


# --- Start-up --------------------------------------------------------------------------------------------------------


def test_importing_is_quick() -> None:
    code = "import sys, bert_tf2.metrics; sys.exit(any(name in sys.modules for name in ('sklearn', 'scipy')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0
