"""The result of every reader of data: the rows of a file, unchanged."""

import dataclasses
import itertools
from array import array
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from bert_tf2.io.spilled import SpilledSequence, SpilledTexts

Item = TypeVar("Item")

RawLabel = str | tuple[str, ...]
"""A label as in the file; a tuple if it is a list there."""

Truth = str | tuple[str, ...] | float | None
"""The true label, labels or value of a row to predict; None if unknown."""


@dataclasses.dataclass(frozen=True)
class Examples:
    """The rows of a file, by column.

    Attributes:
      path: the path of the file.
      lines: the line on which each row begins, from 1.
      ids: the id of each row.
      texts: the text of each row, or the first of two.
      pairs: the second texts; None if rows have a single text.
      labels: the label of each row; None if the file is read without labels.
      unit: the unit of `lines`: "line", or "row" if the file does not consist of lines.
      label_names: the names of all labels, if each has its own column; None if there is one label column.
      truths: the labels in a file to predict, if it has any; `labels` is None then.
    """

    path: str
    lines: Sequence[int]
    ids: Sequence[str | int]
    texts: Sequence[str]
    pairs: Sequence[str] | None
    labels: Sequence[RawLabel] | None
    unit: str = "line"
    label_names: tuple[str, ...] | None = None
    truths: Sequence[Truth] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def location(self, row: int) -> str:
        """The location of a row, for errors: `train.csv, line 7`."""
        return f"{self.path}, {self.unit} {self.lines[row]}"

    def take(self, rows: NDArray[np.int64]) -> "Examples":
        """Selects rows.

        Args:
          rows: their indices, ascending.
        """
        return dataclasses.replace(
            self,
            lines=_Selected(self.lines, rows),
            ids=_Selected(self.ids, rows),
            texts=_Selected(self.texts, rows),
            pairs=None if self.pairs is None else _Selected(self.pairs, rows),
            labels=None if self.labels is None else _Selected(self.labels, rows),
            truths=None if self.truths is None else _Selected(self.truths, rows),
        )


class _Selected(Sequence[Item], Generic[Item]):
    """Selected items of a sequence, in order; items in a file are read when they are accessed."""

    def __init__(self, items: Sequence[Item], rows: NDArray[np.int64]) -> None:
        self._items, self._rows = items, rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self._items[row] for row in self._rows[index].tolist()]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._items[int(self._rows[index])]

    def __iter__(self) -> Iterator[Item]:
        is_selected = np.zeros(len(self._items), bool)
        is_selected[self._rows] = True
        return itertools.compress(self._items, is_selected.tolist())


class Collected:
    """Collects blocks of rows; data that exceeds memory is stored in files (`spilled`).

    Args:
      path: the path of the file that is read.
      directory: for data that exceeds memory; None: the system's directory for temporary files.
      pairs: whether rows have a second text.
      labels: whether rows have labels.
      unit: see `Examples`.
    """

    def __init__(self, path: str, directory: str | None, *, pairs: bool, labels: bool, unit: str = "line") -> None:
        self._path, self._unit = path, unit
        self._lines = array("q")
        self._texts = SpilledTexts(directory)
        self._pairs = SpilledTexts(directory) if pairs else None
        self._labels: SpilledSequence[RawLabel] | None = SpilledSequence(directory) if labels else None

    def add(
        self,
        lines: Sequence[int],
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        labels: Sequence[RawLabel] | None = None,
    ) -> None:
        """Adds rows, given as columns like those of `Examples`.

        Raises:
          OSError: a file cannot be written.
        """
        self._lines.extend(lines)
        self._texts.extend(texts)
        if self._pairs is not None:
            self._pairs.extend(pairs or ())
        if self._labels is not None:
            self._labels.extend(labels or ())

    def __len__(self) -> int:
        return len(self._lines)

    def finish(self, ids: Sequence[str | int]) -> Examples:
        """All rows, with the given ids."""
        return Examples(self._path, self._lines, ids, self._texts, self._pairs, self._labels, self._unit)
