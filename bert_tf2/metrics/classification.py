"""Metrics of predictions: classification, several labels per row, regression; no TensorFlow.

scikit-learn and SciPy compute the metrics that they define. They are imported on first use, as that takes a second.

Shapes: `N` rows, `L` labels. Rows that only pad a batch must be removed first.
"""

import operator
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bert_tf2.configs.choices import ProblemType
from bert_tf2.io.sparse_rows import SparseRows
from bert_tf2.io.spilled import row_ranges

Array = NDArray[Any]

DEFAULT_METRICS: Mapping[ProblemType, tuple[str, ...]] = {
    "single_label": ("accuracy", "macro_f1"),
    "multi_label": ("exact_match", "micro_f1", "macro_f1"),
    "regression": ("pearson", "spearman", "mean_squared_error"),
}
"""The metrics that are computed unless others are requested."""


class Score(NamedTuple):
    """Precision, recall and F1, each 0 if undefined, and the support: the number of true occurrences."""

    precision: float
    recall: float
    f1: float
    support: int


# --- Predictions -----------------------------------------------------------------------------------------------------


def probabilities(logits: Array, problem_type: ProblemType) -> NDArray[np.float32]:
    """Converts logits to probabilities or values.

    Args:
      logits: [N, L]; for regression [N, 1].
      problem_type: see `configs.choices.PROBLEM_TYPES`.

    Returns:
      float32 of the same shape: softmax for a single label, the sigmoid of each for several, the value itself for
      regression.

    Examples:
      >>> import numpy as np
      >>> from bert_tf2 import metrics
      >>> metrics.probabilities(np.array([[0.0, 0.0]]), "single_label")
      array([[0.5, 0.5]], dtype=float32)
    """
    from scipy import special

    values = np.asarray(logits, np.float32)
    if problem_type == "single_label":
        return np.asarray(special.softmax(values, axis=-1))
    return values if problem_type == "regression" else np.asarray(special.expit(values))


def predictions(probabilities: Array, problem_type: ProblemType, threshold: float = 0.5) -> Array:
    """The predicted labels or values.

    Args:
      probabilities: [N, L], from the function of this name; for regression [N, 1].
      problem_type: see `configs.choices.PROBLEM_TYPES`.
      threshold: minimum probability of a predicted label, with several labels.

    Returns:
      Single label: int [N], the most probable one, the first of several. Several: bool [N, L]. Regression: float [N].

    Examples:
      >>> import numpy as np
      >>> from bert_tf2 import metrics
      >>> metrics.predictions(np.array([[0.1, 0.9], [0.8, 0.2]]), "single_label")
      array([1, 0])
    """
    if problem_type == "single_label":
        return np.asarray(probabilities.argmax(axis=-1))
    return probabilities[:, 0] if problem_type == "regression" else probabilities >= threshold


# --- Metrics ---------------------------------------------------------------------------------------------------------


class LabelCounts:
    """The counts behind the scores of several labels per row, accumulated block by block.

    Args:
      size: L.

    Attributes:
      right: int64 [L], the number of rows that have a label and for which it is predicted.
      true: int64 [L], the number of rows that have it.
      predicted: int64 [L], the number of rows for which it is predicted.
      rows: the number of rows.
      exact: the number of rows with all labels right.
    """

    def __init__(self, size: int) -> None:
        self.right, self.true, self.predicted = np.zeros((3, size), np.int64)
        self.rows = self.exact = 0

    @classmethod
    def of(cls, labels: "Array | SparseRows", predicted: Callable[[int, int], Array]) -> "LabelCounts":
        """The counts of all rows.

        Args:
          labels: [N, L], 0 or 1.
          predicted: a function that takes the start and end of a range of rows and returns their predictions, bool
            [rows, L].
        """
        counts = cls(labels.shape[1])
        for begin, end in row_ranges(*labels.shape):
            counts.add(labels[begin:end], predicted(begin, end))
        return counts

    def add(self, labels: Array, predicted: Array) -> None:
        """Counts a block of rows, both [rows, L] of 0 and 1."""
        is_true, is_predicted = labels != 0, predicted != 0
        self.right += (is_true & is_predicted).sum(axis=0)
        self.true += is_true.sum(axis=0)
        self.predicted += is_predicted.sum(axis=0)
        self.rows += len(is_true)
        self.exact += int((is_true == is_predicted).all(axis=1).sum())

    def scores(self) -> list[Score]:
        """A score for each label."""
        counts = zip(self.right.tolist(), self.predicted.tolist(), self.true.tolist(), strict=True)
        return [score_of_counts(*label_counts) for label_counts in counts]

    @property
    def micro_f1(self) -> float:
        """F1 over all labels together."""
        return score_of_counts(int(self.right.sum()), int(self.predicted.sum()), int(self.true.sum())).f1

    @property
    def macro_f1(self) -> float:
        """The mean of the labels' F1."""
        return float(np.mean([score.f1 for score in self.scores()]))

    @property
    def exact_match(self) -> float:
        """The fraction of rows with all labels right."""
        return self.exact / self.rows


def evaluate(
    problem_type: ProblemType,
    logits: Array,
    labels: "Array | SparseRows",
    names: Iterable[str] | None = None,
    threshold: float = 0.5,
) -> dict[str, float]:
    """Computes metrics of a model's outputs.

    Args:
      problem_type: see `configs.choices.PROBLEM_TYPES`.
      logits: [N, L]; for regression [N, 1].
      labels: single label: int [N] below `L`. Several: 0 or 1, [N, L], may be sparse. Regression: float [N].
      names: the metrics to compute; None: those in `DEFAULT_METRICS`.

        * single label: accuracy, f1 (of label 1 against the rest), macro_f1 (the mean over labels that occur or are
          predicted), matthews
        * several labels: exact_match (the fraction of rows with all labels right), micro_f1, macro_f1
        * regression: pearson, spearman, mean_squared_error

      threshold: see `predictions`.

    Returns:
      name -> value. Correlations are NaN if labels or predictions are constant; other undefined metrics are 0.

    Raises:
      ValueError: there are no rows, the shapes do not match, or a name is unknown.

    Examples:
      >>> import numpy as np
      >>> from bert_tf2 import metrics
      >>> logits, labels = np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1])
      >>> metrics.evaluate("single_label", logits, labels, names=["accuracy"])
      {'accuracy': 0.5}
    """
    known = _METRICS[problem_type]
    requested = DEFAULT_METRICS[problem_type] if names is None else tuple(names)
    unknown = [name for name in requested if name not in known]
    if unknown:
        raise ValueError(f"Unknown metric {unknown[0]!r} for {problem_type}; choose from {', '.join(known)}.")
    logits = np.asarray(logits)
    labels = labels if isinstance(labels, SparseRows) else np.asarray(labels)
    shape = logits.shape if problem_type == "multi_label" else logits.shape[:1]
    if shape != labels.shape or not len(labels):
        raise ValueError(f"Predictions of shape {shape} cannot be scored by labels of {labels.shape}.")

    def predicted(begin: int, end: int) -> Array:
        return predictions(probabilities(logits[begin:end], problem_type), problem_type, threshold)

    if problem_type == "multi_label":
        counts = LabelCounts.of(labels, predicted)
        return {name: float(known[name](counts)) for name in requested}
    predicted_labels = np.concatenate([predicted(begin, end) for begin, end in row_ranges(*logits.shape)])
    return {name: float(known[name](labels, predicted_labels)) for name in requested}


def per_label(labels: Array, predicted: Array, count: int) -> list[Score]:
    """Precision, recall and F1 of each label.

    Args:
      labels: int [N], or 0 and 1 [N, L].
      predicted: the predictions, of the same shape.
      count: L.

    Returns:
      A score for each of the L labels.

    Examples:
      >>> import numpy as np
      >>> from bert_tf2 import metrics
      >>> metrics.per_label(np.array([0, 1, 1]), np.array([0, 1, 0]), count=2)[1]
      Score(precision=1.0, recall=0.5, f1=0.66..., support=2)
    """
    from sklearn.metrics import precision_recall_fscore_support

    if labels.ndim == 2:
        return LabelCounts.of(labels, lambda begin, end: predicted[begin:end]).scores()
    columns = precision_recall_fscore_support(labels, predicted, labels=range(count), zero_division=0)
    return [Score(float(p), float(r), float(f), int(n)) for p, r, f, n in zip(*columns, strict=True)]


class Confusions(NamedTuple):
    """The nonzero entries of a confusion matrix, ordered by true, then by predicted label.

    Attributes:
      true: int64 [P], the true label of each pair.
      predicted: int64 [P], the predicted one.
      rows: int64 [P], the number of rows with both.
    """

    true: NDArray[np.int64]
    predicted: NDArray[np.int64]
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, labels: Array, predicted: Array, count: int) -> "Confusions":
        """The confusions of labels and predictions, both int [N] below `count`."""
        pairs, rows = np.unique(np.asarray(labels, np.int64) * count + predicted, return_counts=True)
        return cls(pairs // count, pairs % count, rows.astype(np.int64))

    def matrix(self, count: int) -> NDArray[np.int64]:
        """The full matrix, int64 [L, L]; see `confusion_matrix`."""
        matrix = np.zeros((count, count), np.int64)
        matrix[self.true, self.predicted] = self.rows
        return matrix


def confusion_matrix(labels: Array, predicted: Array, count: int) -> NDArray[np.int64]:
    """The confusion matrix, [L, L]: a row for each true label, a column for each predicted one.

    Examples:
      >>> import numpy as np
      >>> from bert_tf2 import metrics
      >>> metrics.confusion_matrix(np.array([0, 1, 1]), np.array([0, 1, 0]), count=2)
      array([[1, 0],
             [1, 1]])
    """
    return Confusions.of(labels, predicted, count).matrix(count)


def _f1(average: str) -> Callable[[Array, Array], float]:
    def score(labels: Array, predicted: Array) -> float:
        from sklearn import metrics

        return float(metrics.f1_score(labels, predicted, average=average, zero_division=0))

    return score


def _binary_f1(labels: Array, predicted: Array) -> float:
    return _f1("binary")(labels == 1, predicted == 1)


def _accuracy(labels: Array, predicted: Array) -> float:
    from sklearn import metrics

    return float(metrics.accuracy_score(labels, predicted))


def _matthews(labels: Array, predicted: Array) -> float:
    from sklearn import metrics

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about constant labels, for which it is 0 by definition
        return float(metrics.matthews_corrcoef(labels, predicted))


def _pearson(labels: Array, predicted: Array) -> float:
    from scipy import stats

    return _correlation(stats.pearsonr, labels, predicted)


def _spearman(labels: Array, predicted: Array) -> float:
    from scipy import stats

    return _correlation(stats.spearmanr, labels, predicted)


def _correlation(function: Callable[[Array, Array], Any], labels: Array, predicted: Array) -> float:
    if np.ptp(labels) == 0 or np.ptp(predicted) == 0:
        return float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy warns about nearly constant values
        return float(function(labels.astype(np.float64), predicted.astype(np.float64)).statistic)


def _mean_squared_error(labels: Array, predicted: Array) -> float:
    return float(np.mean((labels.astype(np.float64) - predicted) ** 2))


_METRICS: Mapping[ProblemType, Mapping[str, Callable[..., float]]] = {
    "single_label": {
        "accuracy": _accuracy,
        "f1": _binary_f1,
        "macro_f1": _f1("macro"),
        "matthews": _matthews,
    },
    "multi_label": {  # functions of `LabelCounts`
        "exact_match": operator.attrgetter("exact_match"),
        "micro_f1": operator.attrgetter("micro_f1"),
        "macro_f1": operator.attrgetter("macro_f1"),
    },
    "regression": {"pearson": _pearson, "spearman": _spearman, "mean_squared_error": _mean_squared_error},
}


def score_of_counts(right: int, predicted: int, true: int) -> Score:
    """The score if `right` of the `predicted` items are among the `true` ones."""
    return Score(
        right / predicted if predicted else 0.0,
        right / true if true else 0.0,
        2 * right / (predicted + true) if predicted + true else 0.0,
        true,
    )
