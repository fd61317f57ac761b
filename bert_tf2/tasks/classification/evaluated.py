"""An evaluation, and scores of each row: whether the prediction is right, its confidence, the loss.

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
    """An evaluation: the rows and the model's outputs.

    Attributes:
      description: the description of the task.
      examples: the N rows.
      labels: their labels, from `labels.encode`.
      features: their features.
      logits: the model's outputs, float32 [N, L].
    """

    description: TaskDescription
    examples: Examples
    labels: NDArray[Any] | SparseRows
    features: Features
    logits: NDArray[np.float32]

    @functools.cached_property
    def scores(self) -> "RowScores":
        """The scores of each row."""
        return RowScores.of(self.description, self.labels, self.logits)

    def probabilities(self, begin: int, end: int) -> NDArray[np.float32]:
        """The probabilities of rows `begin` to `end`, float32 [rows, L]; see `metrics.probabilities`."""
        return Probabilities(self.logits, self.description.problem_type)[begin:end]

    def predictions(self, begin: int, end: int) -> NDArray[Any]:
        """The predictions for rows `begin` to `end`; see `metrics.predictions`."""
        description = self.description
        return metrics.predictions(self.probabilities(begin, end), description.problem_type, description.threshold)


@dataclasses.dataclass(frozen=True)
class RowScores:
    """Scores of N rows.

    Attributes:
      predicted: the predicted label, int32 [N]; for several labels the number of predicted labels, int32 [N]; for
        regression the predicted value, float32 [N].
      is_right: bool [N], whether the label, or every one of several labels, is right; False for regression.
      confidences: float32 [N], the probability of the predicted label; for several labels, that of the least certain
        decision for or against a label; NaN for regression.
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
        """Scores all rows of an evaluation.

        Args:
          description: the description of the task.
          labels: the labels, from `labels.encode`.
          logits: the model's outputs, float32 [N, L].
        """
        blocks = [
            block_scores(description, labels[begin:end], logits[begin:end]) for begin, end in row_ranges(*logits.shape)
        ]
        columns = (
            np.concatenate([getattr(block, field.name) for block in blocks]) for field in dataclasses.fields(cls)
        )
        return cls(*columns)


def block_scores(description: TaskDescription, labels: NDArray[Any], logits: NDArray[np.float32]) -> RowScores:
    """Scores a block of rows; see `RowScores.of`."""
    kind = description.problem_type
    probabilities = Probabilities(logits, kind)[:]
    predicted = metrics.predictions(probabilities, kind, description.threshold)
    losses = row_losses(logits, labels, kind).astype(np.float32)
    if kind == "regression":
        return RowScores(predicted, np.zeros(len(logits), bool), np.full(len(logits), np.nan, np.float32), losses)
    if kind == "single_label":
        confidences = probabilities.max(axis=1, initial=0.0)
        return RowScores(predicted.astype(np.int32), predicted == labels, confidences, losses)
    confidences = np.where(predicted, probabilities, 1 - probabilities).min(axis=1)
    is_right = (predicted == (labels != 0)).all(axis=1)
    return RowScores(predicted.sum(axis=1).astype(np.int32), is_right, confidences, losses)
