"""Vectors of lines that are longer than the model's limit, from those of overlapping windows.

Shapes: `N` lines, `M` windows, `T` tokens of all lines, `D` size of a vector.
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
    max_vectors: int,
    report: Callable[[int], None],
) -> Array:
    """The vectors of all tokens, float32 [T, D], or of all lines, [N, D], in order.

    * A token that is in several windows has the vector of the window in which it has most context.
    * A line has, for the pooling "max", the maximum of each number over its windows; for any other the mean of the
      vectors of its windows, weighted by their tokens.

    Args:
      encoder: computes the vectors of windows.
      sequences: at least one; encoded for windows.
      max_seq_length: maximum tokens per window.
      stride: see `sequences.window_sizes`.
      pooling: that of the encoder.
      max_vectors: maximum vectors held at a time, except for a window that has more.
      report: called with the number of lines that have been completed since the last call.
    """
    divided = divide_rows(sequences.row_splits, sequences.first_lengths, max_seq_length, stride)
    windows = Sequences(
        divided.row_splits, sequences.input_ids[divided.sources], sequences.segment_ids[divided.sources]
    )
    counts = np.arange(len(windows) + 1) if pooling != TOKENS else windows.row_splits
    merger: _TokenMerger | _LineMerger
    merger = _TokenMerger(len(sequences.input_ids), divided) if pooling == TOKENS else _LineMerger(divided, pooling)
    for first, end in outputs.ranges(counts, max_vectors):
        merger.add(first, end, encoder.vectors(windows.part(first, end), lambda _: None))
        report(int(divided.rows[end - 1] - (divided.rows[first - 1] if first else 0)))
    report(1)
    return merger.finish()


class _TokenMerger:
    """Takes the vector of each token from the window in which it has most context.

    Args:
      count: `T`.
      windows: of all lines.
    """

    def __init__(self, count: int, windows: RowWindows) -> None:
        self._count, self._windows, self._is_taken = count, windows, windows.with_most_context()
        self._vectors: Array | None = None

    def add(self, first: int, end: int, values: Array) -> None:
        """Adds the vectors of all tokens of windows `first` to `end`."""
        if self._vectors is None:
            self._vectors = np.empty((self._count, values.shape[1]), np.float32)
        tokens = slice(*self._windows.row_splits[[first, end]].tolist())
        is_taken = self._is_taken[tokens]
        self._vectors[self._windows.sources[tokens][is_taken]] = values[is_taken]

    def finish(self) -> Array:
        """The vectors of all tokens, float32 [T, D]."""
        assert self._vectors is not None
        return self._vectors


class _LineMerger:
    """Pools the vectors of the windows of each line.

    Args:
      windows: of all lines.
      pooling: that of the encoder.
    """

    def __init__(self, windows: RowWindows, pooling: str) -> None:
        self._rows, self._count, self._is_max = windows.rows, len(windows.counts), pooling == MAX
        self._weights = np.ones(len(self._rows), np.float32)
        if not self._is_max:  # each window's fraction of the tokens in all windows of its line
            tokens = np.diff(windows.row_splits)
            ends = np.cumsum(windows.counts)
            self._weights = (tokens / np.add.reduceat(tokens, ends - windows.counts)[self._rows]).astype(np.float32)
        self._vectors: Array | None = None

    def add(self, first: int, end: int, values: Array) -> None:
        """Adds the vectors of windows `first` to `end`."""
        operation, identity = (np.maximum, -np.inf) if self._is_max else (np.add, 0.0)
        if self._vectors is None:
            self._vectors = np.full((self._count, values.shape[1]), identity, np.float32)
        rows = self._rows[first:end]
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        reduced = operation.reduceat(values * self._weights[first:end, None], starts, axis=0)
        lines = rows[starts]
        self._vectors[lines] = operation(self._vectors[lines], reduced)

    def finish(self) -> Array:
        """The vectors of all lines, float32 [N, D]."""
        assert self._vectors is not None
        return self._vectors
