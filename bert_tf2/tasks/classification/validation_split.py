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

_SEED = 12345  # so that the same rows of the same file are held out, whatever --seed is
_ADVICE = "restore the file that the training wrote, or give --overwrite_output_dir to start over."


@dataclasses.dataclass(frozen=True)
class ValidationSplit:
    """Which rows are held out.

    Attributes:
      train_file: path of the file.
      fraction: the share of the rows that was asked for.
      rows: of the file.
      held_out: numbers of the rows, from 0, in ascending order.
    """

    train_file: str
    fraction: float
    rows: int
    held_out: tuple[int, ...]

    @classmethod
    def of(cls, examples: Examples, fraction: float, classes: NDArray[np.int32] | None) -> Self:
        """Chooses the rows, always the same ones of the same file.

        Args:
          examples: the N rows of the file.
          fraction: above 0 and below 1.
          classes: int [N], the label of each row, where each has one: all labels then have about this share of their
            rows held out, and at least one row left. None: the rows are chosen from all.

        Raises:
          InputError: no row would be held out.
        """
        count = round(fraction * len(examples))
        random = np.random.Generator(np.random.PCG64(_SEED))
        groups = [np.arange(len(examples))]
        if classes is not None:
            groups = [rows for rows in (np.flatnonzero(classes == label) for label in np.unique(classes)) if len(rows)]
        held_out = [
            random.permutation(rows)[:share]
            for rows, share in zip(groups, _shares([len(rows) for rows in groups], fraction, count), strict=True)
        ]
        found = np.sort(np.concatenate(held_out))
        if not len(found):
            raise InputError(
                f"--validation_split={fraction:g} holds out none of the rows of {examples.path} ({len(examples):,} in "
                "all), of which one of each label is kept for training; give a larger fraction, or --dev_file."
            )
        logger.info(
            "%s: %s of %s %s held out for evaluation%s.",
            *(examples.path, f"{len(found):,}", counted(len(examples), "row"), inflected(len(found), "is", "are")),
            ", about the same fraction of each label" if classes is not None else "",
        )
        return cls(file_system.absolute(examples.path), fraction, len(examples), tuple(found.tolist()))

    def divide(self, examples: Examples) -> tuple[Examples, Examples]:
        """The training rows and those held out.

        Raises:
          InputError: the file has another number of rows than when it was divided.
        """
        if len(examples) != self.rows:
            raise InputError(
                f"{examples.path} has {counted(len(examples), 'row')}, but had {self.rows:,} when --validation_split "
                "split it; restore the file, or give --overwrite_output_dir to start over."
            )
        held_out = np.array(self.held_out, np.int64)
        return examples.take(np.delete(np.arange(self.rows), held_out)), examples.take(held_out)

    def save(self, folder: str) -> None:
        """Writes `validation_split.json`.

        Raises:
          OSError: it cannot be written.
        """
        with atomic.replacing(os.path.join(folder, run_files.VALIDATION_SPLIT)) as file:
            file.write(json.dumps(dataclasses.asdict(self), ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, folder: str) -> Self | None:
        """Reads what `save` wrote; None where there is no such file.

        Raises:
          InputError: it is damaged.
        """
        path = os.path.join(folder, run_files.VALIDATION_SPLIT)
        if not file_system.exists(path):
            return None
        content = json_files.read_object(path, _ADVICE)
        fraction, rows = content.get("fraction"), json_files.get(content, "rows", int, path, 0)
        held_out: list[Any] = json_files.get(content, "held_out", list, path, [])
        is_whole = all(type(row) is int and 0 <= row < rows for row in held_out)
        if not isinstance(fraction, float) or not is_whole or not 0 < len(set(held_out)) == len(held_out) < rows:
            raise InputError(f"{path} does not say which rows are held out; {_ADVICE}")
        return cls(json_files.get(content, "train_file", str, path, ""), fraction, rows, tuple(held_out))


def _shares(sizes: list[int], fraction: float, count: int) -> list[int]:
    """How many of each group are taken: `count` in all, if each group is left with one at least."""
    exact = np.array(sizes) * fraction
    shares = np.floor(exact).astype(np.int64)
    most = np.array(sizes) - 1
    for group in np.argsort(shares - exact, kind="stable"):  # the largest remainders first
        if shares.sum() >= count:
            break
        shares[group] += 1
    return np.minimum(shares, most).tolist()
