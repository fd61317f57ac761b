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
"""A label as the file has it; a tuple where the file has a list."""

Truth = str | tuple[str, ...] | float | None
"""The truth of a row to predict: one of the model's labels, several, or a value; None if unknown."""


@dataclasses.dataclass(frozen=True)
class Examples:
    """Rows of one file, column by column.

    Attributes:
      path: the file.
      lines: the line that each row begins on, from 1.
      ids: what each row is called.
      texts: the text, or the first of two.
      pairs: the second texts; None where there is one text a row.
      labels: None where the file is read without them.
      unit: what `lines` numbers: "line", or "row" where a file has no lines.
      label_names: of labels in columns of their own, the names of all; None where labels stand in one column.
      truths: the labels of a file to predict, if it has any; `labels` is None then.
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

    def place(self, row: int) -> str:
        """Where a row stands, for errors: `train.csv, line 7`."""
        return f"{self.path}, {self.unit} {self.lines[row]}"

    def take(self, rows: NDArray[np.int64]) -> "Examples":
        """Some of the rows.

        Args:
          rows: their numbers, from 0, ascending.
        """
        return dataclasses.replace(
            self,
            lines=_Taken(self.lines, rows),
            ids=_Taken(self.ids, rows),
            texts=_Taken(self.texts, rows),
            pairs=None if self.pairs is None else _Taken(self.pairs, rows),
            labels=None if self.labels is None else _Taken(self.labels, rows),
            truths=None if self.truths is None else _Taken(self.truths, rows),
        )


class _Taken(Sequence[Item], Generic[Item]):
    """Some of the items of a sequence, in its order; what is in a file stays there."""

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
        is_taken = np.zeros(len(self._items), bool)
        is_taken[self._rows] = True
        return itertools.compress(self._items, is_taken.tolist())


class Collected:
    """Examples to which blocks of rows are added; large data is kept in files (`spilled`).

    Args:
      path: the file that is read.
      directory: for what is large; None: the system's directory for temporary files.
      pairs: whether there are second texts.
      labels: whether there are labels.
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
        """Adds rows, column by column as `Examples` has them.

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
        """All rows, with the id of each."""
        return Examples(self._path, self._lines, ids, self._texts, self._pairs, self._labels, self._unit)
