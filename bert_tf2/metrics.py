"""Scores of predictions: classification, several labels a row, regression, spans; no TensorFlow.

What scikit-learn and SciPy define is theirs. Both are imported where they are used: they take a second.

Shapes: `N` rows, `L` labels. Rows that only fill up a batch must be gone before.
"""

import operator
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bert_tf2.configs.choices import ProblemType
from bert_tf2.sparse_rows import SparseRows
from bert_tf2.spilled import row_ranges

Array = NDArray[Any]

DEFAULT_METRICS: Mapping[ProblemType, tuple[str, ...]] = {
    "single_label": ("accuracy", "macro_f1"),
    "multi_label": ("exact_match", "micro_f1", "macro_f1"),
    "regression": ("pearson", "spearman", "mean_squared_error"),
}
"""What is computed where a task asks for nothing else."""


class Score(NamedTuple):
    """Precision, recall and F1, 0 where they are not defined, and how many there are in truth."""

    precision: float
    recall: float
    f1: float
    support: int


# --- Predictions -----------------------------------------------------------------------------------------------------


def probabilities(logits: Array, problem_type: ProblemType) -> NDArray[np.float32]:
    """What a model's outputs say.

    Args:
      logits: [N, L]; for regression [N, 1].
      problem_type: see `PROBLEM_TYPES`.

    Returns:
      float32 of the same shape: softmax for a single label, the sigmoid of each for several, the value itself for
      regression.
    """
    from scipy import special

    values = np.asarray(logits, np.float32)
    if problem_type == "single_label":
        return np.asarray(special.softmax(values, axis=-1))
    return values if problem_type == "regression" else np.asarray(special.expit(values))


def predictions(probabilities: Array, problem_type: ProblemType, threshold: float = 0.5) -> Array:
    """What is decided on.

    Args:
      probabilities: [N, L] of the function of this name.
      problem_type: see `PROBLEM_TYPES`.
      threshold: of several labels, those with at least this probability are predicted.

    Returns:
      Single label: int [N], the first of the most probable ones. Several: bool [N, L]. Regression: float [N].
    """
    if problem_type == "single_label":
        return np.asarray(probabilities.argmax(axis=-1))
    return probabilities[:, 0] if problem_type == "regression" else probabilities >= threshold


# --- Metrics ---------------------------------------------------------------------------------------------------------


class LabelCounts:
    """What the scores of several labels a row follow from, counted block by block.

    Args:
      size: L.

    Attributes:
      right: int64 [L], rows that have each label and for which it is predicted.
      true: int64 [L], rows that have it.
      predicted: int64 [L], rows for which it is predicted.
      rows: all rows.
      exact: those with all labels right.
    """

    def __init__(self, size: int) -> None:
        self.right, self.true, self.predicted = np.zeros((3, size), np.int64)
        self.rows = self.exact = 0

    @classmethod
    def of(cls, labels: "Array | SparseRows", predicted: Callable[[int, int], Array]) -> "LabelCounts":
        """Of labels [N, L], 0 or 1, and a function from two rows to the predictions between them, bool [rows, L]."""
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
        return [_score(*of_label) for of_label in counts]

    @property
    def micro_f1(self) -> float:
        """F1 of all labels together."""
        return _score(int(self.right.sum()), int(self.predicted.sum()), int(self.true.sum())).f1

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
    """The named metrics of a model's outputs.

    Args:
      problem_type: see `PROBLEM_TYPES`.
      logits: [N, L]; for regression [N, 1].
      labels: single label: int [N] below `L`. Several: 0 or 1, [N, L], perhaps sparse. Regression: float [N].
      names: which; by default those of `DEFAULT_METRICS`.

        * single label: accuracy, f1 (of label 1 against the rest), macro_f1 (the mean over labels that are there or
          predicted), matthews
        * several labels: exact_match (the share of rows with all labels right), micro_f1, macro_f1
        * regression: pearson, spearman, mean_squared_error

      threshold: see `predictions`.

    Returns:
      name -> value. Correlations are NaN where one side is constant; other metrics that are not defined are 0.

    Raises:
      ValueError: no rows, shapes that do not fit, or an unknown name.
    """
    known = _METRICS[problem_type]
    wanted = DEFAULT_METRICS[problem_type] if names is None else tuple(names)
    unknown = [name for name in wanted if name not in known]
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
        return {name: float(known[name](counts)) for name in wanted}
    decided = np.concatenate([predicted(begin, end) for begin, end in row_ranges(*logits.shape)])
    return {name: float(known[name](labels, decided)) for name in wanted}


def per_label(labels: Array, predicted: Array, count: int) -> list[Score]:
    """Precision, recall and F1 of each label.

    Args:
      labels: int [N], or 0 and 1 in [N, L].
      predicted: of the same shape, from `predictions`.
      count: L.

    Returns:
      A score for each of the L labels.
    """
    from sklearn.metrics import precision_recall_fscore_support

    if labels.ndim == 2:
        return LabelCounts.of(labels, lambda begin, end: predicted[begin:end]).scores()
    columns = precision_recall_fscore_support(labels, predicted, labels=range(count), zero_division=0)
    return [Score(float(p), float(r), float(f), int(n)) for p, r, f, n in zip(*columns, strict=True)]


def confusion_matrix(labels: Array, predicted: Array, count: int) -> NDArray[np.int64]:
    """How often each label was taken for each: [L, L], a row for each true label, a column for each predicted one."""
    from sklearn import metrics

    return np.asarray(metrics.confusion_matrix(labels, predicted, labels=range(count)))


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
        warnings.simplefilter("ignore")  # of a single label everywhere, which is 0 by definition
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
        warnings.simplefilter("ignore")  # SciPy warns of values that are almost constant
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
    "multi_label": {  # of `LabelCounts`
        "exact_match": operator.attrgetter("exact_match"),
        "micro_f1": operator.attrgetter("micro_f1"),
        "macro_f1": operator.attrgetter("macro_f1"),
    },
    "regression": {"pearson": _pearson, "spearman": _spearman, "mean_squared_error": _mean_squared_error},
}


# --- Spans -----------------------------------------------------------------------------------------------------------


class Span(NamedTuple):
    """Tokens `begin` to `end`, both included, of one type."""

    type: str
    begin: int
    end: int


class SpanScores(NamedTuple):
    """Scores of spans: over all of them, averaged over types, and for each type that is there or predicted."""

    micro: Score
    macro: Score
    per_type: dict[str, Score]


def spans(tags: Sequence[str]) -> list[Span]:
    """The spans that a sentence's tags describe, read as `conlleval` and seqeval's default mode do: leniently.

    A span begins at `B-` or `S-`, after `E-` or `S-`, and also at an `I-` or `E-` whose type is not that of the tag
    before it; it goes on to the next `O` or the next beginning.

    Args:
      tags: `"O"`, or one of B, I, E and S, a hyphen and a type (`B-PER`). Without a type it is `"_"`.

    Raises:
      ValueError: a tag is none of these.
    """
    found = []
    begin = 0
    previous, kind = "O", ""  # of the tag before
    for index, tag in enumerate([*tags, "O"]):
        prefix, this_kind = _parts(tag)
        begins = prefix != "O" and (prefix in "BS" or previous in "OES" or this_kind != kind)
        if previous != "O" and (begins or prefix == "O"):
            found.append(Span(kind, begin, index - 1))
        if begins:
            begin = index
        previous, kind = prefix, this_kind
    return found


def _parts(tag: str) -> tuple[str, str]:
    if tag == "O":
        return "O", ""
    prefix, hyphen, kind = tag[:1], tag[1:2], tag[2:]
    if prefix not in ("B", "I", "E", "S") or hyphen not in ("", "-"):
        raise ValueError(f"{tag!r} is no tag; expected O, or one of B-, I-, E- and S- with a type behind it.")
    return prefix, kind or "_"


def span_scores(true: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> SpanScores:
    """Precision, recall and F1 of spans: right is what has the true type, begin and end (seqeval, default mode).

    Args:
      true: tags of each sentence; see `spans`.
      predicted: likewise, as many for each sentence.

    Returns:
      Scores; `macro` is the plain mean over types, all 0 where there are none.

    Raises:
      ValueError: numbers of sentences or tags differ, or a tag is no tag.
    """
    if [len(tags) for tags in true] != [len(tags) for tags in predicted]:
        raise ValueError("There have to be as many predicted tags as true ones in each sentence.")
    expected, found, right = Counter[str](), Counter[str](), Counter[str]()
    for true_tags, predicted_tags in zip(true, predicted, strict=True):
        true_spans, predicted_spans = set(spans(true_tags)), set(spans(predicted_tags))
        expected.update(span.type for span in true_spans)
        found.update(span.type for span in predicted_spans)
        right.update(span.type for span in true_spans & predicted_spans)
    per_type = {kind: _score(right[kind], found[kind], expected[kind]) for kind in sorted({*expected, *found})}
    micro = _score(right.total(), found.total(), expected.total())
    return SpanScores(micro, _mean(list(per_type.values())), per_type)


def _mean(scores: Sequence[Score]) -> Score:
    count = len(scores) or 1
    return Score(
        sum(score.precision for score in scores) / count,
        sum(score.recall for score in scores) / count,
        sum(score.f1 for score in scores) / count,
        sum(score.support for score in scores),
    )


def _score(right: int, found: int, expected: int) -> Score:
    return Score(
        right / found if found else 0.0,
        right / expected if expected else 0.0,
        2 * right / (found + expected) if found + expected else 0.0,
        expected,
    )
