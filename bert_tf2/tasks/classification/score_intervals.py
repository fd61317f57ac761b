"""Confidence intervals of the scores of an evaluation.

Shapes: `N` rows, `L` labels.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2.io.sparse_rows import SparseRows
from bert_tf2.io.spilled import row_ranges
from bert_tf2.reports.intervals import bootstrap, bootstrap_sums, wilson
from bert_tf2.tasks.classification.evaluated import Evaluated

Interval = tuple[float, float]

_MAX_DECISIONS = 2_000_000  # N x L with several labels per row; with more, macro F1 has no interval


def of_metrics(evaluated: Evaluated, names: Sequence[str]) -> dict[str, Interval]:
    """95 % intervals by `eval_<metric>`: Wilson's for fractions of the rows, bootstrap intervals for other scores.

    Args:
      evaluated: an evaluation.
      names: names of the metrics, see `metrics.evaluate`.

    Returns:
      Lower and upper bound of each score that has an interval.
    """
    if evaluated.description.problem_type == "multi_label":
        intervals = _for_several_labels(evaluated.labels, evaluated.predictions, set(names))
    else:
        is_single = evaluated.description.problem_type == "single_label"
        compute = _for_single_labels if is_single else _for_values
        intervals = compute(np.asarray(evaluated.labels), evaluated.scores.predicted, set(names))
    return {f"eval_{name}": intervals[name] for name in names if name in intervals}


def _for_single_labels(labels: NDArray[Any], predicted: NDArray[Any], names: set[str]) -> dict[str, Interval]:
    intervals = {"accuracy": wilson(int(np.count_nonzero(labels == predicted)), len(labels))}
    # A statistic depends only on how often a resample has each pair of true and predicted label.
    size = int(max(labels.max(initial=0), predicted.max(initial=0))) + 1
    pairs, pair_of_row = np.unique(labels.astype(np.int64) * size + predicted, return_inverse=True)
    pair_true, pair_predicted = pairs // size, pairs % size

    def from_counts(score: Callable[..., float]) -> Callable[[NDArray[Any]], float]:
        def statistic(rows: NDArray[Any]) -> float:
            counts = np.bincount(rows, minlength=len(pairs))
            return score(
                np.bincount(pair_true, np.where(pair_true == pair_predicted, counts, 0), size),
                np.bincount(pair_true, counts, size),
                np.bincount(pair_predicted, counts, size),
            )

        return statistic

    scores = {"macro_f1": _macro_f1, "f1": _f1_of_label_1, "matthews": _matthews}
    return intervals | {
        name: bootstrap(pair_of_row, from_counts(score)) for name, score in scores.items() if name in names
    }


def _f1s(right: NDArray[Any], true: NDArray[Any], predicted: NDArray[Any]) -> NDArray[Any]:
    return 2 * right / np.maximum(true + predicted, 1)


def _macro_f1(right: NDArray[Any], true: NDArray[Any], predicted: NDArray[Any]) -> float:
    """The mean over labels that occur or are predicted."""
    return float(_f1s(right, true, predicted)[(true + predicted) > 0].mean())


def _f1_of_label_1(right: NDArray[Any], true: NDArray[Any], predicted: NDArray[Any]) -> float:
    return float(_f1s(right, true, predicted)[1]) if len(right) > 1 else 0.0


def _matthews(right: NDArray[Any], true: NDArray[Any], predicted: NDArray[Any]) -> float:
    """The Matthews correlation for any number of labels; 0 if it is undefined."""
    rows = true.sum()
    spread = (rows**2 - (predicted**2).sum()) * (rows**2 - (true**2).sum())
    return float((right.sum() * rows - (true * predicted).sum()) / np.sqrt(spread)) if spread > 0 else 0.0


def _for_several_labels(
    labels: NDArray[Any] | SparseRows, predicted: Callable[[int, int], NDArray[Any]], names: set[str]
) -> dict[str, Interval]:
    has_macro = "macro_f1" in names and labels.shape[0] * labels.shape[1] <= _MAX_DECISIONS
    counts, by_label, exact = [], [], 0
    for begin, end in row_ranges(*labels.shape):
        is_true, is_predicted = labels[begin:end] != 0, predicted(begin, end)
        decisions = (is_true & is_predicted, is_true, is_predicted)
        counts.append(np.stack([decision.sum(axis=1) for decision in decisions], axis=1))
        exact += int((is_true == is_predicted).all(axis=1).sum())
        if has_macro:
            by_label.append(np.concatenate(decisions, axis=1).astype(np.float32))
    intervals = {
        "exact_match": wilson(exact, labels.shape[0]),
        "micro_f1": bootstrap_sums(np.concatenate(counts), lambda sums: float(_f1s(*sums))),
    }
    if has_macro:
        columns = np.concatenate(by_label)  # [N, 3 * L]
        intervals["macro_f1"] = bootstrap_sums(columns, lambda sums: float(_f1s(*np.split(sums, 3)).mean()))
    return intervals


def _for_values(labels: NDArray[Any], predicted: NDArray[Any], names: set[str]) -> dict[str, Interval]:
    from scipy import stats

    pairs = np.stack([labels, predicted], axis=1).astype(np.float64)
    # In resamples, each row keeps its rank among all rows.
    ranks = np.stack([stats.rankdata(column) for column in pairs.T], axis=1)
    errors = np.stack([(pairs[:, 0] - pairs[:, 1]) ** 2, np.ones(len(pairs))], axis=1)
    scores: dict[str, tuple[NDArray[Any], Callable[[NDArray[Any]], float]]] = {
        "pearson": (_moments(pairs), _correlation),
        "spearman": (_moments(ranks), _correlation),
        "mean_squared_error": (errors, lambda sums: float(sums[0] / sums[1])),
    }
    return {name: bootstrap_sums(*scores[name]) for name in scores if name in names}


def _moments(pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """The terms from whose sums a correlation is computed: 1, x, y, xx, yy, xy of each pair, [N, 6]."""
    x, y = (pairs - pairs.mean(axis=0)).T
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)


def _correlation(sums: NDArray[np.float64]) -> float:
    x, y, xx, yy, xy = sums[1:] / sums[0]
    spread = (xx - x * x) * (yy - y * y)
    return float((xy - x * y) / np.sqrt(spread)) if spread > 0 else float("nan")
