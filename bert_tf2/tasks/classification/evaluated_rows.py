"""The rows of `eval_predictions.jsonl`: text, truth, prediction, confidence, loss.

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
from bert_tf2.tasks.finetuning.row_files import MOST_COLUMNS


def evaluated_rows(
    description: TaskDescription, examples: Examples, labels: NDArray[Any] | SparseRows, logits: NDArray[np.float32]
) -> Iterator[dict[str, Any]]:
    """A row for each example, in their order.

    * single label: `{"id": "a1", "text": "...", "truth": "good", "prediction": "bad", "right": false,
      "confidence": 0.9, "loss": 2.3, "probabilities": {"bad": 0.9, "good": 0.1}}`
    * several labels: truth and prediction are lists; right where they are the same; the confidence is that of the
      decision, for or against a label, that is least certain
    * regression: `{"id": "a1", "text": "...", "truth": 3.0, "prediction": 3.2, "error": 0.2, "loss": 0.04}`

    There are no probabilities where there are more than 20 labels.

    Args:
      description: of the task.
      examples: N rows.
      labels: theirs, from `labels.encode`.
      logits: float32 [N, L].
    """
    kind, names = description.problem_type, description.labels
    for begin, end in row_ranges(len(logits), logits.shape[1], VALUES_AT_ONCE):
        part, of_part = logits[begin:end], labels[begin:end]
        scores = block_scores(description, of_part, part)
        rows = rows_of_texts(examples, begin, end)
        losses = printed(scores.losses)
        if kind == "regression":
            truths = np.asarray(of_part, np.float32)
            columns = map(printed, (truths, scores.predicted, scores.predicted - truths))
            for row, truth, prediction, error, loss in zip(rows, *columns, losses, strict=True):
                yield {**row, "truth": truth, "prediction": prediction, "error": error, "loss": loss}
            continue
        probabilities = Probabilities(part, kind)[:]
        shown = printed(probabilities) if len(names) <= MOST_COLUMNS else [None] * len(part)
        decided = metrics.predictions(probabilities, kind, description.threshold)
        certain = printed(scores.confidences)
        values = zip(rows, of_part, decided, scores.is_right.tolist(), certain, losses, shown, strict=True)
        for row, truth, prediction, is_right, confidence, loss, numbers in values:
            row |= {"truth": _named(truth, names), "prediction": _named(prediction, names), "right": is_right}
            row |= {"confidence": confidence, "loss": loss}
            if numbers is not None:
                row["probabilities"] = dict(zip(names, numbers, strict=True))
            yield row


def _named(label: Any, names: tuple[str, ...]) -> str | list[str]:
    """The name of a label by its number, or those of several by 0 and 1 for each."""
    if np.ndim(label) == 0:
        return names[int(label)]
    return [names[number] for number in np.flatnonzero(label)]
