"""Matrices of zeros and few ones, of which only the ones are stored."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True)
class SparseRows:
    """A matrix `[N, L]` of 0 and 1. `numpy.asarray` makes it dense; so does a slice, for its rows.

    Attributes:
      row_splits: int64 [N + 1]; the ones of row `i` are `values[row_splits[i] : row_splits[i + 1]]`.
      values: int32, the columns of the ones, strictly ascending in each row.
      size: the number of columns, L.
    """

    row_splits: NDArray[np.int64]
    values: NDArray[np.int32]
    size: int

    @classmethod
    def joined(cls, matrices: "Sequence[SparseRows]") -> "SparseRows":
        """Concatenates the rows of matrices with the same columns."""
        starts = itertools.accumulate((len(matrix.values) for matrix in matrices), initial=0)
        row_splits = [matrix.row_splits[1:] + start for matrix, start in zip(matrices, starts, strict=False)]
        values = np.concatenate([matrix.values for matrix in matrices])
        return cls(np.concatenate([[0], *row_splits]), values, matrices[0].size)

    def __len__(self) -> int:
        return len(self.row_splits) - 1

    @property
    def shape(self) -> tuple[int, int]:
        """`(N, L)`."""
        return len(self), self.size

    @property
    def ndim(self) -> int:
        """The number of dimensions, 2."""
        return 2

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the dense rows: int32."""
        return np.dtype(np.int32)

    def __getitem__(self, rows: slice) -> NDArray[np.int32]:
        first, last, _ = rows.indices(len(self))
        last = max(first, last)
        dense = np.zeros((last - first, self.size), np.int32)
        splits = self.row_splits[first : last + 1]
        dense[np.repeat(np.arange(last - first), np.diff(splits)), self.values[splits[0] : splits[-1]]] = 1
        return dense

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """The dense rows with these indices, in any order: int32 [rows, L]."""
        starts = self.row_splits[rows]
        counts = self.row_splits[rows + 1] - starts
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        dense = np.zeros((len(rows), self.size), np.int32)
        dense[np.repeat(np.arange(len(rows)), counts), self.values[np.repeat(starts, counts) + within]] = 1
        return dense

    def select(self, rows: NDArray[np.int64]) -> "SparseRows":
        """The rows with these indices, in any order and with repetitions, still sparse."""
        starts = self.row_splits[rows]
        counts = self.row_splits[rows + 1] - starts
        splits = np.concatenate([[0], np.cumsum(counts)])
        indices = np.arange(splits[-1]) + np.repeat(starts - splits[:-1], counts)
        return SparseRows(splits, self.values[indices], self.size)

    def padded(self, first: int, last: int, width: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The columns of the ones in rows `first` to `last`, padded, and the number of ones in each row.

        Args:
          first: the first row.
          last: the one after the last.
          width: at least the greatest number of ones in a row.

        Returns:
          int32 [rows, width], the columns of each row, then zeros; int64 [rows], the numbers of ones.
        """
        splits = self.row_splits[first : last + 1]
        counts = np.diff(splits)
        columns = np.zeros((len(counts), width), np.int32)
        columns[np.arange(width) < counts[:, None]] = self.values[splits[0] : splits[-1]]
        return columns, counts

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or np.int32, copy=False)

    def tolist(self) -> list[list[int]]:
        """All dense rows as lists."""
        rows: list[list[int]] = self[:].tolist()
        return rows
