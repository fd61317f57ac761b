"""The output files of predictions; `test_results.tsv` is that of google-research/bert `run_classifier.py`."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2 import metrics
from bert_tf2.configs.choices import ProblemType
from bert_tf2.errors import counted
from bert_tf2.io import atomic, files, run_files
from bert_tf2.io.json_floats import as_printed
from bert_tf2.io.spilled import row_ranges
from bert_tf2.tasks.classification.examples import Examples
from bert_tf2.tasks.classification.glue import GlueTask
from bert_tf2.tasks.classification.task_description import TaskDescription
from bert_tf2.tasks.finetuning.row_files import write_rows

VALUES_AT_ONCE = 1 << 18
"""The number of probabilities that are formatted at a time; as text each takes 128 bytes."""
_TEXTS_AT_ONCE = 256


@dataclasses.dataclass(frozen=True)
class Probabilities:
    """Probabilities that are computed from logits when they are needed: `probabilities[begin:end]`.

    Attributes:
      logits: the model's outputs, float32 [N, L], in memory or in a file.
      problem_type: see `metrics.probabilities`.
    """

    logits: NDArray[np.float32]
    problem_type: ProblemType

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def shape(self) -> tuple[int, ...]:
        """`(N, L)`."""
        return self.logits.shape

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        return metrics.probabilities(self.logits[rows], self.problem_type)


def write_predictions(
    output_dir: str,
    description: TaskDescription,
    examples: Examples,
    probabilities: NDArray[np.float32] | Probabilities,
    task: GlueTask | None = None,
    min_confidence: float = 0.0,
) -> list[str]:
    """Writes all files of a prediction: `test_results.tsv`, `predictions.jsonl` and `.csv`, and the submission to GLUE.

    Args:
      output_dir: the directory to write to.
      description: the description of the task.
      examples: the N predicted rows.
      probabilities: float32 [N, L] from `metrics.probabilities`, in the order of the rows.
      task: the GLUE task; None for custom data.
      min_confidence: see `prediction_rows`.

    Returns:
      The paths of the files.

    Raises:
      OSError: a file cannot be written.
      ValueError: the probabilities do not have the shape [N, L].
    """
    if probabilities.shape != (len(examples), description.outputs):
        raise ValueError(f"{probabilities.shape} are not probabilities of {counted(len(examples), 'row')}.")
    names = (run_files.TEST_RESULTS, run_files.PREDICTION_LINES, run_files.PREDICTION_TABLE)
    paths = [os.path.join(output_dir, name) for name in names]
    write_test_results(paths[0], probabilities)
    write_rows(paths[1], paths[2], prediction_rows(description, examples, probabilities, min_confidence))
    if task and task.submission:
        paths.append(os.path.join(output_dir, task.submission))
        write_submission(paths[-1], task, probabilities)
    return paths


def write_test_results(path: str, probabilities: NDArray[np.float32] | Probabilities) -> None:
    """Writes a line for each row: its L probabilities (for regression the value), separated by tabs."""
    with atomic.replacing(path) as file:
        for begin, end in row_ranges(len(probabilities), probabilities.shape[1], VALUES_AT_ONCE):
            file.writelines("\t".join(map(str, row)) + "\n" for row in np.asarray(probabilities[begin:end]))


def prediction_rows(
    description: TaskDescription,
    examples: Examples,
    probabilities: NDArray[np.float32] | Probabilities,
    min_confidence: float = 0.0,
) -> Iterator[dict[str, Any]]:
    """Yields the id, text and prediction of each row, and the true label if the file has it.

    * single label: `{"id": "a1", "text": "...", "label": "good", "confidence": 0.9, "probabilities": {"bad": 0.1,
      "good": 0.9}}`
    * several labels: `"labels": ["rude", "angry"]` instead of `"label"` and `"confidence"`, the labels whose
      probability reaches the threshold
    * regression: `{"id": "a1", "text": "...", "value": 3.2}`

    Args:
      description: the description of the task.
      examples: the N predicted rows.
      probabilities: float32 [N, L].
      min_confidence: a single label with a lower probability becomes None.
    """
    kind, names = description.problem_type, description.labels
    for begin, end in row_ranges(len(probabilities), probabilities.shape[1], VALUES_AT_ONCE):
        block = probabilities[begin:end]
        predicted = metrics.predictions(block, kind, description.threshold)
        columns = (rows_of_texts(examples, begin, end), printed(block), predicted)
        for row, values, prediction in zip(*columns, strict=True):
            if kind == "regression":
                row["value"] = values[0]
            elif kind == "multi_label":
                row["labels"] = [label for label, applies in zip(names, prediction, strict=True) if applies]
            else:
                confidence = values[int(prediction)]
                row["label"] = names[int(prediction)] if confidence >= min_confidence else None
                row["confidence"] = confidence
            if "truth" in row:  # moves it to the end, next to the prediction
                row["truth"] = row.pop("truth")
            if names:
                row["probabilities"] = dict(zip(names, values, strict=True))
            yield row


def rows_of_texts(examples: Examples, begin: int, end: int) -> Iterator[dict[str, Any]]:
    """Yields id and texts of rows `begin` to `end`, and the true label if a file to predict has it."""
    columns = {"id": examples.ids, "text": examples.texts, "text_pair": examples.pairs, "truth": examples.truths}
    present: dict[str, Sequence[Any]] = {name: values for name, values in columns.items() if values is not None}
    for first in range(begin, end, _TEXTS_AT_ONCE):
        last = min(first + _TEXTS_AT_ONCE, end)
        for row in zip(*(values[first:last] for values in present.values()), strict=True):
            yield dict(zip(present, row, strict=True))


def printed(values: NDArray[np.float32]) -> list[Any]:
    """Numbers that JSON prints as float32 prints itself."""
    numbers: list[Any] = as_printed(values).tolist()
    return numbers


def print_lines(path: str) -> None:
    """Prints the lines of a file to standard output."""
    for line in files.read_lines(path):
        print(line)


def write_submission(path: str, task: GlueTask, probabilities: NDArray[np.float32] | Probabilities) -> None:
    """Writes a file for GLUE's server: a header, then the index of each row and its label or value."""
    blocks = row_ranges(len(probabilities), probabilities.shape[1])
    predicted = np.concatenate(
        [metrics.predictions(probabilities[begin:end], task.problem_type) for begin, end in blocks]
    )
    cells: Sequence[str]
    if task.value_range:
        cells = [f"{value:.3f}" for value in np.clip(predicted, *task.value_range)]
    else:
        cells = [task.labels[label] for label in predicted.tolist()]
    with atomic.replacing(path) as file:
        file.write("index\tprediction\n")
        file.writelines(f"{index}\t{cell}\n" for index, cell in enumerate(cells))
