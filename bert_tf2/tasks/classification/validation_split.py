"""Rows of the training file that are held out for evaluation (`--validation_split`); no TensorFlow."""

import dataclasses
import json
import logging
import os
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bert_tf2.errors import InputError, counted, inflected
from bert_tf2.io import atomic, file_system, json_files, run_files
from bert_tf2.tasks.classification.examples import Examples

logger = logging.getLogger(__name__)

_SEED = 12345  # fixed, so that the same rows of a file are held out for every --seed
_ADVICE = "restore the file that the training wrote, or give --overwrite_output_dir to start over."


@dataclasses.dataclass(frozen=True)
class ValidationSplit:
    """The rows of a file that are held out for evaluation.

    Attributes:
      train_file: the path of the file.
      fraction: the requested fraction of the rows.
      rows: the number of rows in the file.
      held_out: the indices of the rows that are held out, ascending.
    """

    train_file: str
    fraction: float
    rows: int
    held_out: tuple[int, ...]

    @classmethod
    def of(cls, examples: Examples, fraction: float, classes: NDArray[np.int32] | None) -> Self:
        """Chooses the rows to hold out, which are always the same for the same file.

        Args:
          examples: the N rows of the file.
          fraction: the fraction to hold out, above 0 and below 1.
          classes: the label id of each row, int32 [N]: about this fraction of each label's rows is held out, and at
            least one is kept for training. None: the rows are chosen irrespective of labels.

        Raises:
          InputError: no row would be held out.
        """
        count = round(fraction * len(examples))
        random = np.random.Generator(np.random.PCG64(_SEED))
        groups = [np.arange(len(examples))]
        if classes is not None:
            groups = [rows for rows in (np.flatnonzero(classes == label) for label in np.unique(classes)) if len(rows)]
        held_out = [
            random.permutation(rows)[:size]
            for rows, size in zip(groups, _allocate([len(rows) for rows in groups], fraction, count), strict=True)
        ]
        chosen = np.sort(np.concatenate(held_out))
        if not len(chosen):
            raise InputError(
                f"--validation_split={fraction:g} holds out none of the rows of {examples.path} ({len(examples):,} in "
                "all), of which one of each label is kept for training; give a larger fraction, or --dev_file."
            )
        logger.info(
            "%s: %s of %s %s held out for evaluation%s.",
            *(examples.path, f"{len(chosen):,}", counted(len(examples), "row"), inflected(len(chosen), "is", "are")),
            ", about the same fraction of each label" if classes is not None else "",
        )
        return cls(file_system.absolute(examples.path), fraction, len(examples), tuple(chosen.tolist()))

    def divide(self, examples: Examples) -> tuple[Examples, Examples]:
        """Divides the rows of the file into those for training and those held out.

        Raises:
          InputError: the file's number of rows has changed.
        """
        if len(examples) != self.rows:
            raise InputError(
                f"{examples.path} has {counted(len(examples), 'row')}, but had {self.rows:,} when --validation_split "
                "split it; restore the file, or give --overwrite_output_dir to start over."
            )
        held_out = np.array(self.held_out, np.int64)
        return examples.take(np.delete(np.arange(self.rows), held_out)), examples.take(held_out)

    def save(self, directory: str) -> None:
        """Writes `validation_split.json`.

        Raises:
          OSError: it cannot be written.
        """
        with atomic.replacing(os.path.join(directory, run_files.VALIDATION_SPLIT)) as file:
            file.write(json.dumps(dataclasses.asdict(self), ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, directory: str) -> Self | None:
        """Reads the file that `save` writes; None if it does not exist.

        Raises:
          InputError: the file is corrupt.
        """
        path = os.path.join(directory, run_files.VALIDATION_SPLIT)
        if not file_system.exists(path):
            return None
        content = json_files.read_object(path, _ADVICE)
        fraction, rows = content.get("fraction"), json_files.get(content, "rows", int, path, 0)
        held_out: list[Any] = json_files.get(content, "held_out", list, path, [])
        has_valid_rows = all(type(row) is int and 0 <= row < rows for row in held_out)
        if not isinstance(fraction, float) or not has_valid_rows or not 0 < len(set(held_out)) == len(held_out) < rows:
            raise InputError(f"{path} does not say which rows are held out; {_ADVICE}")
        return cls(json_files.get(content, "train_file", str, path, ""), fraction, rows, tuple(held_out))


def _allocate(sizes: list[int], fraction: float, count: int) -> list[int]:
    """The number of rows to take from each group: `count` in total, or less, as one row of each group is left."""
    exact = np.array(sizes) * fraction
    allocated = np.floor(exact).astype(np.int64)
    limits = np.array(sizes) - 1
    for group in np.argsort(allocated - exact, kind="stable"):  # the largest remainders first
        if allocated.sum() >= count:
            break
        allocated[group] += 1
    return np.minimum(allocated, limits).tolist()
