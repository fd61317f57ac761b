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
"""Probabilities that are written together; as text each takes 128 bytes."""
_TEXTS_AT_ONCE = 256


@dataclasses.dataclass(frozen=True)
class Probabilities:
    """The probabilities of logits, computed for the rows that are asked for: `probabilities[begin:end]`.

    Attributes:
      logits: float32 [N, L], in memory or in a file.
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
    folder: str,
    description: TaskDescription,
    examples: Examples,
    probabilities: NDArray[np.float32] | Probabilities,
    task: GlueTask | None = None,
    min_confidence: float = 0.0,
) -> list[str]:
    """Writes all files of a prediction: `test_results.tsv`, `predictions.jsonl` and `.csv`, and GLUE's if there is one.

    Args:
      folder: `output_dir`.
      description: of the task.
      examples: the N rows that were predicted.
      probabilities: float32 [N, L] from `metrics.probabilities`, in the order of the rows.
      task: where it is one of GLUE.
      min_confidence: see `prediction_rows`.

    Returns:
      The paths.

    Raises:
      ValueError: there is not one row of probabilities for each example.
    """
    if probabilities.shape != (len(examples), description.outputs):
        raise ValueError(f"{probabilities.shape} are not probabilities of {counted(len(examples), 'row')}.")
    names = (run_files.TEST_RESULTS, run_files.PREDICTION_LINES, run_files.PREDICTION_TABLE)
    paths = [os.path.join(folder, name) for name in names]
    write_test_results(paths[0], probabilities)
    write_rows(paths[1], paths[2], prediction_rows(description, examples, probabilities, min_confidence))
    if task and task.submission:
        paths.append(os.path.join(folder, task.submission))
        write_submission(paths[-1], task, probabilities)
    return paths


def write_test_results(path: str, probabilities: NDArray[np.float32] | Probabilities) -> None:
    """A line for each row: its L probabilities (for regression the value) as float32 prints them, tabs between them."""
    with atomic.replacing(path) as file:
        for begin, end in row_ranges(len(probabilities), probabilities.shape[1], VALUES_AT_ONCE):
            file.writelines("\t".join(map(str, row)) + "\n" for row in np.asarray(probabilities[begin:end]))


def prediction_rows(
    description: TaskDescription,
    examples: Examples,
    probabilities: NDArray[np.float32] | Probabilities,
    min_confidence: float = 0.0,
) -> Iterator[dict[str, Any]]:
    """The id, text and prediction of each row, and its truth where the file has it.

    * single label: `{"id": "a1", "text": "...", "label": "good", "confidence": 0.9, "probabilities": {"bad": 0.1,
      "good": 0.9}}`
    * several labels: `"labels": ["rude", "angry"]` in place of `"label"` and `"confidence"`, those whose probability
      reaches the threshold
    * regression: `{"id": "a1", "text": "...", "value": 3.2}`

    Args:
      description: of the task.
      examples: the N rows that were predicted.
      probabilities: float32 [N, L].
      min_confidence: with a single label, one of a lower probability becomes None.
    """
    kind, names = description.problem_type, description.labels
    for begin, end in row_ranges(len(probabilities), probabilities.shape[1], VALUES_AT_ONCE):
        part = probabilities[begin:end]
        predicted = metrics.predictions(part, kind, description.threshold)
        columns = (rows_of_texts(examples, begin, end), printed(part), predicted)
        for row, values, decided in zip(*columns, strict=True):
            if kind == "regression":
                row["value"] = values[0]
            elif kind == "multi_label":
                row["labels"] = [label for label, applies in zip(names, decided, strict=True) if applies]
            else:
                confidence = values[int(decided)]
                row["label"] = names[int(decided)] if confidence >= min_confidence else None
                row["confidence"] = confidence
            if "truth" in row:  # belongs beside what was predicted
                row["truth"] = row.pop("truth")
            if names:
                row["probabilities"] = dict(zip(names, values, strict=True))
            yield row


def rows_of_texts(examples: Examples, begin: int, end: int) -> Iterator[dict[str, Any]]:
    """Ids and texts of rows `begin` to `end`, and truths where a file to predict has them."""
    columns = {"id": examples.ids, "text": examples.texts, "text_pair": examples.pairs, "truth": examples.truths}
    present: dict[str, Sequence[Any]] = {name: values for name, values in columns.items() if values is not None}
    for first in range(begin, end, _TEXTS_AT_ONCE):
        last = min(first + _TEXTS_AT_ONCE, end)
        for row in zip(*(values[first:last] for values in present.values()), strict=True):
            yield dict(zip(present, row, strict=True))


def printed(values: NDArray[np.float32]) -> list[Any]:
    """Numbers as float32 prints them."""
    numbers: list[Any] = as_printed(values).tolist()
    return numbers


def print_lines(path: str) -> None:
    """Prints a file of JSON Lines to standard output, if the texts were given interactively."""
    for line in files.read_lines(path):
        print(line)


def write_submission(path: str, task: GlueTask, probabilities: NDArray[np.float32] | Probabilities) -> None:
    """Writes the format of GLUE's server: a header, then the number of each row, from 0, and its label or value."""
    parts = row_ranges(len(probabilities), probabilities.shape[1])
    predicted = np.concatenate(
        [metrics.predictions(probabilities[begin:end], task.problem_type) for begin, end in parts]
    )
    cells: Sequence[str]
    if task.value_range:
        cells = [f"{value:.3f}" for value in np.clip(predicted, *task.value_range)]
    else:
        cells = [task.labels[label] for label in predicted.tolist()]
    with atomic.replacing(path) as file:
        file.write("index\tprediction\n")
        file.writelines(f"{index}\t{cell}\n" for index, cell in enumerate(cells))
