"""Vectors of lines that are longer than the model, from those of overlapping windows.

Shapes: `N` lines, `M` windows, `T` tokens of all lines, `D` numbers of a vector.
"""

from collections.abc import Callable

import numpy as np

from bert_tf2.tasks.feature_extraction import outputs
from bert_tf2.tasks.feature_extraction.config import MAX, TOKENS
from bert_tf2.tasks.feature_extraction.data import Array, Sequences
from bert_tf2.tasks.feature_extraction.encoder import Encoder
from bert_tf2.tokenization.row_windows import RowWindows, divide_rows


def vectors(
    encoder: Encoder,
    sequences: Sequences,
    max_seq_length: int,
    stride: int | None,
    pooling: str,
    most: int,
    report: Callable[[int], None],
) -> Array:
    """The vectors of all tokens, float32 [T, D], or of all lines, [N, D], in their order.

    * Of a token that is in several windows, the vector of the one where it has most context.
    * Of a line, for the pooling "max" the greatest of each number in its windows; for the others the mean of what its
      windows have, weighted by their tokens.

    Args:
      encoder: makes the vectors of windows.
      sequences: at least one; made for windows.
      max_seq_length: maximum tokens per window.
      stride: see `sequences.window_sizes`.
      pooling: as the encoder's.
      most: how many vectors of windows are held at a time, if they are not those of a single one.
      report: called with how many lines are done.
    """
    divided = divide_rows(sequences.row_splits, sequences.first_lengths, max_seq_length, stride)
    windows = Sequences(
        divided.row_splits, sequences.input_ids[divided.sources], sequences.segment_ids[divided.sources]
    )
    counts = np.arange(len(windows) + 1) if pooling != TOKENS else windows.row_splits
    collected: _OfTokens | _OfLines
    collected = _OfTokens(len(sequences.input_ids), divided) if pooling == TOKENS else _OfLines(divided, pooling)
    for first, end in outputs.ranges(counts, most):
        collected.add(first, end, encoder.vectors(windows.part(first, end), lambda _: None))
        report(int(divided.rows[end - 1] - (divided.rows[first - 1] if first else 0)))
    report(1)
    return collected.finish()


class _OfTokens:
    """Each token from the window where it has most context.

    Args:
      count: T.
      windows: of all lines.
    """

    def __init__(self, count: int, windows: RowWindows) -> None:
        self._count, self._windows, self._is_taken = count, windows, windows.with_most_context()
        self._found: Array | None = None

    def add(self, first: int, end: int, values: Array) -> None:
        """Takes the vectors of all tokens of windows `first` to `end`."""
        if self._found is None:
            self._found = np.empty((self._count, values.shape[1]), np.float32)
        tokens = slice(*self._windows.row_splits[[first, end]].tolist())
        is_taken = self._is_taken[tokens]
        self._found[self._windows.sources[tokens][is_taken]] = values[is_taken]

    def finish(self) -> Array:
        """All of them."""
        assert self._found is not None
        return self._found


class _OfLines:
    """Each line from the vectors of its windows.

    Args:
      windows: of all lines.
      pooling: which vectors these are.
    """

    def __init__(self, windows: RowWindows, pooling: str) -> None:
        self._rows, self._count, self._is_max = windows.rows, len(windows.counts), pooling == MAX
        self._weights = np.ones(len(self._rows), np.float32)
        if not self._is_max:  # each window's part of the tokens of its line's windows
            tokens = np.diff(windows.row_splits)
            ends = np.cumsum(windows.counts)
            self._weights = (tokens / np.add.reduceat(tokens, ends - windows.counts)[self._rows]).astype(np.float32)
        self._found: Array | None = None

    def add(self, first: int, end: int, values: Array) -> None:
        """Takes the vectors of windows `first` to `end`."""
        operation, nothing = (np.maximum, -np.inf) if self._is_max else (np.add, 0.0)
        if self._found is None:
            self._found = np.full((self._count, values.shape[1]), nothing, np.float32)
        rows = self._rows[first:end]
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        found = operation.reduceat(values * self._weights[first:end, None], starts, axis=0)
        lines = rows[starts]
        self._found[lines] = operation(self._found[lines], found)

    def finish(self) -> Array:
        """All of them."""
        assert self._found is not None
        return self._found
