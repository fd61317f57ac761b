"""Calibration of probabilities, and the best thresholds of labels; counted block by block.

Shapes: `n` rows of a block, `L` labels.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2.metrics.classification import Score, score_of_counts

BINS = 15
"""The number of bins of equal width, as in Guo et al. (https://arxiv.org/abs/1706.04599)."""

THRESHOLDS: NDArray[np.float32] = (np.arange(1, 100) / 100).astype(np.float32)
"""The thresholds that are tried: 0.01 to 0.99."""


class Reliability:
    """How often predictions of a given probability come true.

    Attributes:
      rows: int64 [BINS], the number of probabilities in each bin.
    """

    def __init__(self) -> None:
        self.rows = np.zeros(BINS, np.int64)
        self._probabilities, self._true = np.zeros(BINS), np.zeros(BINS)

    def add(self, probabilities: NDArray[Any], is_true: NDArray[Any]) -> None:
        """Counts a block: probabilities from 0 to 1, and whether each prediction came true, of the same shape."""
        values = np.asarray(probabilities, np.float64).ravel()
        bins = np.minimum((values * BINS).astype(np.int64), BINS - 1)
        self.rows += np.bincount(bins, minlength=BINS)
        self._probabilities += np.bincount(bins, values, BINS)
        self._true += np.bincount(bins, np.asarray(is_true, np.float64).ravel(), BINS)

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The mean probability of each bin that is not empty, and the fraction of its predictions that came true."""
        is_filled = self.rows > 0
        rows = self.rows[is_filled]
        return self._probabilities[is_filled] / rows, self._true[is_filled] / rows

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance between the two values of `curve`, weighted by rows."""
        predicted, observed = self.curve()
        return float(np.sum(np.abs(predicted - observed) * self.rows[self.rows > 0]) / max(self.rows.sum(), 1))

    @property
    def mean(self) -> float:
        """The mean of all probabilities."""
        return float(self._probabilities.sum() / max(self.rows.sum(), 1))


class ThresholdScores:
    """Scores of labels for each of `THRESHOLDS`.

    Args:
      size: L.
    """

    def __init__(self, size: int) -> None:
        # [L, thresholds + 1]: for each label, the number of rows whose probability reaches that many thresholds.
        self._all, self._true = np.zeros((2, size, len(THRESHOLDS) + 1), np.int64)

    def add(self, probabilities: NDArray[np.float32], labels: NDArray[Any]) -> None:
        """Counts a block: float32 [n, L], and 0 or 1, [n, L]."""
        shape = size, count = self._all.shape
        reached = np.searchsorted(THRESHOLDS, probabilities, side="right")  # [n, L]
        cells = (reached + count * np.arange(size)).ravel()
        self._all += np.bincount(cells, minlength=size * count).reshape(shape)
        true = cells[np.asarray(labels).ravel() != 0]
        self._true += np.bincount(true, minlength=size * count).reshape(shape)

    def scores(self, label: int | None = None) -> list[Score]:
        """Precision, recall and F1 at each threshold, of one label or of all together."""
        predicted, right = (self._select(counts, label)[::-1].cumsum()[::-1] for counts in (self._all, self._true))
        true = int(right[0])
        pairs = zip(right[1:].tolist(), predicted[1:].tolist(), strict=True)
        return [score_of_counts(*counts, true) for counts in pairs]

    def best(self, label: int | None = None) -> tuple[float, Score]:
        """The threshold with the best F1, on a tie the one nearest to 0.5, and its score."""
        scores = self.scores(label)
        best_f1 = max(score.f1 for score in scores)
        tied = [index for index, score in enumerate(scores) if score.f1 == best_f1]
        index = min(tied, key=lambda index: abs(index - len(THRESHOLDS) // 2))
        return (index + 1) / 100, scores[index]

    @staticmethod
    def _select(counts: NDArray[np.int64], label: int | None) -> NDArray[np.int64]:
        return counts.sum(axis=0) if label is None else counts[label]
