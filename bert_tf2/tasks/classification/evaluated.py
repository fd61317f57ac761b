"""An evaluation, and what it comes to for each row: right or wrong, confidence, loss.

Shapes: `N` rows, `L` labels.
"""

import dataclasses
import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2 import metrics
from bert_tf2.io.sparse_rows import SparseRows
from bert_tf2.io.spilled import row_ranges
from bert_tf2.tasks.classification.examples import Examples
from bert_tf2.tasks.classification.features import Features
from bert_tf2.tasks.classification.outputs import Probabilities
from bert_tf2.tasks.classification.scores import row_losses
from bert_tf2.tasks.classification.task_description import TaskDescription


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """An evaluation: the rows and the outputs of the model.

    Attributes:
      description: of the task.
      examples: N rows.
      labels: theirs, from `labels.encode`.
      features: of the rows.
      logits: float32 [N, L].
    """

    description: TaskDescription
    examples: Examples
    labels: NDArray[Any] | SparseRows
    features: Features
    logits: NDArray[np.float32]

    @functools.cached_property
    def scores(self) -> "RowScores":
        """Of each row."""
        return RowScores.of(self.description, self.labels, self.logits)

    def probabilities(self, begin: int, end: int) -> NDArray[np.float32]:
        """Of rows `begin` to `end`; see `metrics.probabilities`."""
        return Probabilities(self.logits, self.description.problem_type)[begin:end]

    def decided(self, begin: int, end: int) -> NDArray[Any]:
        """What is predicted of these rows; see `metrics.predictions`."""
        description = self.description
        return metrics.predictions(self.probabilities(begin, end), description.problem_type, description.threshold)


@dataclasses.dataclass(frozen=True)
class RowScores:
    """Scores of N rows.

    Attributes:
      predicted: int32 [N], the predicted label; for several labels int32 [N], how many are predicted; for regression
        float32 [N], the value.
      is_right: bool [N], whether the label, or each of the labels, is right; False for regression.
      confidences: float32 [N], the probability of the predicted label; for several labels, that of the decision, for or
        against a label, that is least certain; NaN for regression.
      losses: float32 [N], see `row_losses`.
    """

    predicted: NDArray[Any]
    is_right: NDArray[np.bool_]
    confidences: NDArray[np.float32]
    losses: NDArray[np.float32]

    @classmethod
    def of(
        cls, description: TaskDescription, labels: NDArray[Any] | SparseRows, logits: NDArray[np.float32]
    ) -> "RowScores":
        """Of an evaluation.

        Args:
          description: of the task.
          labels: see `labels.encode`.
          logits: float32 [N, L].
        """
        parts = [
            block_scores(description, labels[begin:end], logits[begin:end]) for begin, end in row_ranges(*logits.shape)
        ]
        columns = (np.concatenate([getattr(part, field.name) for part in parts]) for field in dataclasses.fields(cls))
        return cls(*columns)


def block_scores(description: TaskDescription, labels: NDArray[Any], logits: NDArray[np.float32]) -> RowScores:
    """The scores of some rows; see `RowScores.of`."""
    kind = description.problem_type
    probabilities = Probabilities(logits, kind)[:]
    decided = metrics.predictions(probabilities, kind, description.threshold)
    losses = row_losses(logits, labels, kind).astype(np.float32)
    if kind == "regression":
        return RowScores(decided, np.zeros(len(logits), bool), np.full(len(logits), np.nan, np.float32), losses)
    if kind == "single_label":
        confidences = probabilities.max(axis=1, initial=0.0)
        return RowScores(decided.astype(np.int32), decided == labels, confidences, losses)
    sure = np.where(decided, probabilities, 1 - probabilities).min(axis=1)
    is_right = (decided == (labels != 0)).all(axis=1)
    return RowScores(decided.sum(axis=1).astype(np.int32), is_right, sure, losses)
