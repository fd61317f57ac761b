"""The output files of predictions; `test_results.tsv` is that of google-research/bert `run_classifier.py`."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2 import metrics
from bert_tf2.configs.choices import ProblemType
from bert_tf2.io import atomic, files, json_files, run_files
from bert_tf2.io.spilled import row_ranges
from bert_tf2.tasks.classification.examples import Examples
from bert_tf2.tasks.classification.glue import GlueTask
from bert_tf2.tasks.classification.task_description import TaskDescription

_VALUES_AT_ONCE = 1 << 18  # of probabilities; as text each takes 128 bytes


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
) -> list[str]:
    """Writes all files of a prediction: `test_results.tsv`, `predictions.jsonl`, and GLUE's if there is one.

    Args:
      folder: `output_dir`.
      description: of the task.
      examples: the N rows that were predicted.
      probabilities: float32 [N, L] from `metrics.probabilities`, in the order of the rows.
      task: where it is one of GLUE.

    Returns:
      The paths.

    Raises:
      ValueError: there is not one row of probabilities for each example.
    """
    if probabilities.shape != (len(examples), description.outputs):
        raise ValueError(f"{probabilities.shape} are not probabilities of {len(examples)} rows.")
    paths = [os.path.join(folder, name) for name in (run_files.TEST_RESULTS, run_files.PREDICTION_LINES)]
    write_test_results(paths[0], probabilities)
    write_prediction_lines(paths[1], description, examples, probabilities)
    if task and task.submission:
        paths.append(os.path.join(folder, task.submission))
        write_submission(paths[2], task, probabilities)
    return paths


def write_test_results(path: str, probabilities: NDArray[np.float32] | Probabilities) -> None:
    """A line for each row: its L probabilities (for regression the value) as float32 prints them, tabs between them."""
    with atomic.replacing(path) as file:
        for begin, end in row_ranges(len(probabilities), probabilities.shape[1], _VALUES_AT_ONCE):
            file.writelines("\t".join(map(str, row)) + "\n" for row in np.asarray(probabilities[begin:end]))


def write_prediction_lines(
    path: str,
    description: TaskDescription,
    examples: Examples,
    probabilities: NDArray[np.float32] | Probabilities,
) -> None:
    """Writes JSON Lines with the id of each row, and its prediction.

    * single label: `{"id": "a1", "label": "good", "probabilities": {"bad": 0.1, "good": 0.9}}`
    * several labels: `"labels": ["rude", "angry"]` in place of `"label"`, those whose probability reaches the threshold
    * regression: `{"id": "a1", "value": 3.2}`
    """
    kind, names = description.problem_type, description.labels
    with atomic.replacing(path) as file:
        for begin, end in row_ranges(len(probabilities), probabilities.shape[1], _VALUES_AT_ONCE):
            part = probabilities[begin:end]
            # As float32 prints itself: 0.1, not 0.10000000149011612.
            values = part.astype(str).astype(float).tolist()
            predicted = metrics.predictions(part, kind, description.threshold)
            for name, value, found in zip(examples.ids[begin:end], values, predicted, strict=True):
                line: dict[str, Any] = {"id": name}
                if kind == "regression":
                    line["value"] = value[0]
                elif kind == "multi_label":
                    line["labels"] = [label for label, is_there in zip(names, found, strict=True) if is_there]
                else:
                    line["label"] = names[int(found)]
                if names:
                    line["probabilities"] = dict(zip(names, value, strict=True))
                file.write(json_files.line(line))


def print_lines(path: str) -> None:
    """Prints what `write_prediction_lines` wrote to standard output, if the texts were given interactively."""
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
