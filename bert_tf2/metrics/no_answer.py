"""Scores of questions that may have no answer, by the threshold for predicting none; no TensorFlow.

Shapes: `N` questions.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_POINTS = 200
_TAIL = 0.005  # fraction of the questions at either end that the curve omits


class ThresholdScores(NamedTuple):
    """The scores at one threshold.

    Attributes:
      exact: mean exact match, from 0 to 1.
      f1: mean F1, from 0 to 1.
      right: the number of questions without an answer for which none is predicted.
      predicted: the number of questions for which no answer is predicted.
      true: the number of questions without an answer.
    """

    exact: float
    f1: float
    right: int
    predicted: int
    true: int


@dataclass(frozen=True)
class NoAnswer:
    """The scores of N questions if either their best answer or no answer is predicted.

    Attributes:
      null_odds: [N], the score of "no answer" minus that of the best answer.
      has_best: [N], whether the model has a best answer that is not empty.
      has_answer: [N], whether the question has an answer.
      exact: [N], exact match of the best answer.
      f1: [N], F1 of the best answer.
      without: [N], exact match, which equals F1, if no answer is predicted.
    """

    null_odds: Floats
    has_best: Bools
    has_answer: Bools
    exact: Floats
    f1: Floats
    without: Floats

    def at(self, threshold: float) -> ThresholdScores:
        """The scores if no answer is predicted where `null_odds` is greater than the threshold."""
        is_answered = self.has_best & (self.null_odds <= threshold)
        exact, f1 = (np.where(is_answered, scores, self.without) for scores in (self.exact, self.f1))
        right = int(np.count_nonzero(~is_answered & ~self.has_answer))
        true = int(np.count_nonzero(~self.has_answer))
        return ThresholdScores(float(exact.mean()), float(f1.mean()), right, int(np.count_nonzero(~is_answered)), true)

    def curve(self) -> tuple[Floats, Floats, Floats]:
        """At most 200 thresholds, ascending, with exact match and F1 of each."""
        thresholds = np.unique(np.quantile(self.null_odds, np.linspace(_TAIL, 1 - _TAIL, _POINTS)))
        order = np.argsort(self.null_odds, kind="stable")
        answered = np.searchsorted(self.null_odds[order], thresholds, side="right")
        columns = []
        for scores in (self.exact, self.f1):
            gained = np.where(self.has_best, scores - self.without, 0.0)[order]
            total = self.without.sum() + np.concatenate([[0.0], np.cumsum(gained)])
            columns.append(total[answered] / len(self.null_odds))
        return thresholds, columns[0], columns[1]
