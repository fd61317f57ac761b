"""The rows of `eval_predictions.jsonl`: text, true label, prediction, confidence, loss.

Shapes: `N` rows, `L` labels.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2 import metrics
from bert_tf2.io.sparse_rows import SparseRows
from bert_tf2.io.spilled import row_ranges
from bert_tf2.tasks.classification.evaluated import block_scores
from bert_tf2.tasks.classification.examples import Examples
from bert_tf2.tasks.classification.outputs import VALUES_AT_ONCE, Probabilities, printed, rows_of_texts
from bert_tf2.tasks.classification.task_description import TaskDescription
from bert_tf2.tasks.finetuning.row_files import MAX_COLUMNS


def evaluated_rows(
    description: TaskDescription, examples: Examples, labels: NDArray[Any] | SparseRows, logits: NDArray[np.float32]
) -> Iterator[dict[str, Any]]:
    """Yields a row for each example, in order.

    * single label: `{"id": "a1", "text": "...", "truth": "good", "prediction": "bad", "right": false,
      "confidence": 0.9, "loss": 2.3, "probabilities": {"bad": 0.9, "good": 0.1}}`
    * several labels: truth and prediction are lists; `right` says whether they are the same; the confidence is that of
      the least certain decision for or against a label
    * regression: `{"id": "a1", "text": "...", "truth": 3.0, "prediction": 3.2, "error": 0.2, "loss": 0.04}`

    With more than `MAX_COLUMNS` labels, the probabilities are omitted.

    Args:
      description: the description of the task.
      examples: the N rows.
      labels: their labels, from `labels.encode`.
      logits: the model's outputs, float32 [N, L].
    """
    kind, names = description.problem_type, description.labels
    for begin, end in row_ranges(len(logits), logits.shape[1], VALUES_AT_ONCE):
        block_logits, block_labels = logits[begin:end], labels[begin:end]
        scores = block_scores(description, block_labels, block_logits)
        rows = rows_of_texts(examples, begin, end)
        losses = printed(scores.losses)
        if kind == "regression":
            truths = np.asarray(block_labels, np.float32)
            columns = map(printed, (truths, scores.predicted, scores.predicted - truths))
            for row, truth, prediction, error, loss in zip(rows, *columns, losses, strict=True):
                yield {**row, "truth": truth, "prediction": prediction, "error": error, "loss": loss}
            continue
        probabilities = Probabilities(block_logits, kind)[:]
        written = printed(probabilities) if len(names) <= MAX_COLUMNS else [None] * len(block_logits)
        predicted = metrics.predictions(probabilities, kind, description.threshold)
        confidences = printed(scores.confidences)
        values = block_labels, predicted, scores.is_right.tolist(), confidences, losses, written
        for row, truth, prediction, is_right, confidence, loss, numbers in zip(rows, *values, strict=True):
            row |= {"truth": _names(truth, names), "prediction": _names(prediction, names), "right": is_right}
            row |= {"confidence": confidence, "loss": loss}
            if numbers is not None:
                row["probabilities"] = dict(zip(names, numbers, strict=True))
            yield row


def _names(label: Any, names: tuple[str, ...]) -> str | list[str]:
    """The name of a label id; or a list of names for an array with 1 for each label that applies."""
    if np.ndim(label) == 0:
        return names[int(label)]
    return [names[number] for number in np.flatnonzero(label)]
