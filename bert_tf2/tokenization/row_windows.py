"""Splits rows that are longer than the model into overlapping windows; no TensorFlow.

    row     [CLS] a b c d e f g [SEP] x [SEP]
    windows [CLS] a b c d [SEP] x [SEP]
            [CLS] c d e f [SEP] x [SEP]
            [CLS] d e f g [SEP] x [SEP]

The first text is split, the second is repeated in each window. All windows of a row have the same size: the last one
ends with the text.

Shapes: `N` rows, `M` windows, `T` tokens of all windows.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bert_tf2.tokenization.sequences import SPECIAL_IN_PAIR, SPECIAL_IN_TEXT, ranges, window_sizes

Ints = NDArray[np.int64]


class RowWindows(NamedTuple):
    """Windows of rows.

    Attributes:
      sources: int64 [T], the index among the tokens of all rows of each token of the windows.
      row_splits: int64 [M + 1]; window `i` is `sources[row_splits[i] : row_splits[i + 1]]`.
      first_lengths: int64 [M], the number of tokens in the first segment of each window.
      counts: int64 [N], the number of windows of each row, at least 1.
    """

    sources: Ints
    row_splits: Ints
    first_lengths: Ints
    counts: Ints

    @property
    def rows(self) -> Ints:
        """The row of each window: int64 [M]."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def with_most_context(self) -> NDArray[np.bool_]:
        """A mask that selects each token of the rows once: bool [T].

        If a token is in several windows, the one with the most context is selected, as in SQuAD: the smaller of the
        numbers of its text's tokens to the left and to the right; on a tie, the first. Special tokens and those of the
        second text are taken from the first window.
        """
        lengths = np.diff(self.row_splits)
        within = ranges(0, lengths)
        context = np.minimum(within - 1, np.repeat(self.first_lengths, lengths) - 2 - within)
        order = np.lexsort((-np.maximum(context, 0), self.sources))  # stable: on a tie, the first window comes first
        sources = self.sources[order]
        is_selected = np.zeros(len(sources), bool)
        is_selected[order[np.diff(sources, prepend=-1) > 0]] = True
        return is_selected


def divide_rows(row_splits: Ints, first_lengths: Ints, max_seq_length: int, stride: int | None) -> RowWindows:
    """Splits rows in BERT's form into windows; one that fits becomes a single window.

    Args:
      row_splits: int64 [N + 1], from `sequences.join_rows` with `long_text` "windows".
      first_lengths: int64 [N], the number of tokens in the first segment of each row.
      max_seq_length: maximum tokens per window.
      stride: see `sequences.window_sizes`.
    """
    begins, lengths = row_splits[:-1], np.diff(row_splits)
    a = first_lengths - SPECIAL_IN_TEXT
    is_pair = lengths > first_lengths
    b = np.where(is_pair, lengths - first_lengths - 1, 0)
    sizes = window_sizes(a, b, max_seq_length - np.where(is_pair, SPECIAL_IN_PAIR, SPECIAL_IN_TEXT), stride)
    rows = np.repeat(np.arange(len(lengths)), sizes.counts)  # [M]
    starts = sizes.starts(a, rows, ranges(0, sizes.counts))
    size, begins, one = sizes.size[rows], begins[rows], np.ones(len(rows), np.int64)
    second = np.where(is_pair, b + 2, 1)[rows]  # [SEP], or [SEP] b [SEP]
    segment_starts = np.stack([begins, begins + 1 + starts, begins + 1 + a[rows]], axis=1)  # [M, 3]
    counts = np.stack([one, size, second], axis=1)
    splits = np.concatenate([[0], np.cumsum(counts.sum(axis=1))])
    return RowWindows(ranges(segment_starts.ravel(), counts.ravel()), splits, size + SPECIAL_IN_TEXT, sizes.counts)
