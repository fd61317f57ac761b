"""Splits sentences into windows that fit the model, each word being decided by exactly one window; no TensorFlow.

A sentence that fits is one window. A longer one is split into overlapping windows: each begins twice the context before
the end of the previous one. A word in several windows is decided by the one with the most context, which is the number
of pieces on the side of the word that has fewer; so each word has about the requested context, if the sentence has it.

Shapes: `W` words, `N` sentences, `M` windows.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Windows:
    """The windows of sentences.

    Attributes:
      first: int64 [M], the first word of each window, ascending.
      end: int64 [M], the word after its last word.
      decided: int64 [M], the first word that it decides; it decides all words before the first one that the next window
        decides, or before the end of the sentence.
      divided: the number of sentences with several windows.
    """

    first: Ints
    end: Ints
    decided: Ints
    divided: int

    def deciding_window(self, words: Ints) -> Ints:
        """The window that decides each of the given words, which must have pieces."""
        return np.searchsorted(self.decided, words, side="right") - 1


def divide(pieces: Ints, row_splits: Ints, room: int, context: int) -> Windows:
    """Splits sentences into windows.

    Args:
      pieces: int [W], the number of pieces of each word, at most `room`. A word without pieces need not be in a window.
      row_splits: int64 [N + 1]; the words of sentence `i` are `row_splits[i]` to `row_splits[i + 1]` (exclusive).
      room: the maximum number of pieces per window.
      context: half the number of pieces that adjacent windows share, less than half of `room`; they share fewer if a
        long word does not leave room.

    Returns:
      The windows; sentences without pieces have none.
    """
    offsets = np.concatenate([[0], np.cumsum(pieces)])  # [W + 1]
    begins, ends = row_splits[:-1], row_splits[1:]
    sizes = offsets[ends] - offsets[begins]
    fits = (sizes > 0) & (sizes <= room)
    windows = [(begins[fits], ends[fits], begins[fits])]
    long = np.flatnonzero(sizes > room)
    for sentence in long.tolist():
        windows.append(_divide_sentence(offsets, int(begins[sentence]), int(ends[sentence]), room, context))
    first, end, decided = (np.concatenate(columns) for columns in zip(*windows, strict=True))
    order = np.argsort(first, kind="stable")
    return Windows(first[order], end[order], decided[order], divided=len(long))


def _divide_sentence(offsets: Ints, begin: int, end: int, room: int, context: int) -> tuple[Ints, Ints, Ints]:
    """The first word, the word after the last, and the first decided word of each window of a sentence.

    Args:
      offsets: [W + 1], the number of pieces before each word.
      begin: the first word of the sentence.
      end: the word after its last word.
      room: see `divide`.
      context: see `divide`.
    """

    def first_within(last: int) -> int:
        """The earliest word such that the words from it to word `last` (exclusive) fit into a window."""
        return int(np.searchsorted(offsets, offsets[last] - room))

    bounds = []
    first = begin
    while True:
        last = int(np.searchsorted(offsets, offsets[first] + room, side="right")) - 1
        if last >= end:
            break
        bounds.append((first, last))
        overlap_start = int(np.searchsorted(offsets, offsets[last] - 2 * context, side="right")) - 1
        first = max(overlap_start, first_within(last + 1))
    bounds.append((first_within(end), end))  # the last window begins as early as possible
    firsts, lasts = np.array(bounds, np.int64).T
    # The later of two windows decides a word if it has more pieces before the word than the earlier one has after it:
    # if the sum of the word's begin and end exceeds the sum of the later window's begin and the earlier window's end.
    begin_plus_end = offsets[begin:end] + offsets[begin + 1 : end + 1]
    changes = begin + np.searchsorted(begin_plus_end, offsets[firsts[1:]] + offsets[lasts[:-1]], side="right")
    decided = np.concatenate([[begin], changes])
    is_needed = np.diff(offsets[np.append(decided, end)]) > 0
    return firsts[is_needed], lasts[is_needed], decided[is_needed]
