"""Splits sentences into windows that fit into the model, with each word decided in exactly one of them; no TensorFlow.

A sentence that fits is one window. A longer one becomes several that overlap: where one ends, the next begins twice the
context before. A word in several windows is decided where it has most context, as many pieces as there are on the side
that has fewer of them; so around each word there is about the context that was asked for, where the sentence has it.

Shapes: `W` words, `N` sentences, `M` windows, `P` pieces of all words.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Windows:
    """Where windows begin and end.

    Attributes:
      first: int64 [M], the first word of each window, ascending.
      end: int64 [M], the word after its last one.
      decided: int64 [M], the first word that it decides; it decides all up to the next window's, or to the end of the
        sentence.
      divided: how many sentences became several windows.
    """

    first: Ints
    end: Ints
    decided: Ints
    divided: int

    def deciding(self, words: Ints) -> Ints:
        """The window that decides each of some words which have pieces."""
        return np.searchsorted(self.decided, words, side="right") - 1


def divide(pieces: Ints, row_splits: Ints, room: int, context: int) -> Windows:
    """Splits sentences into windows.

    Args:
      pieces: int [W], of each word; at most `room`. A word without any is in no window, or in one by chance.
      row_splits: int64 [N + 1], the words of each sentence.
      room: pieces of a window at most.
      context: half of the pieces that neighbouring windows share; they share less where a long word needs the room.
        2 * context < room.

    Returns:
      Windows; none for sentences without pieces.
    """
    places = np.concatenate([[0], np.cumsum(pieces)])  # [W + 1]
    begins, ends = row_splits[:-1], row_splits[1:]
    sizes = places[ends] - places[begins]
    fits = (sizes > 0) & (sizes <= room)
    parts = [(begins[fits], ends[fits], begins[fits])]
    long = np.flatnonzero(sizes > room)
    for sentence in long.tolist():
        parts.append(_divide_one(places, int(begins[sentence]), int(ends[sentence]), room, context))
    first, end, decided = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(first, kind="stable")
    return Windows(first[order], end[order], decided[order], divided=len(long))


def _divide_one(places: Ints, begin: int, end: int, room: int, context: int) -> tuple[Ints, Ints, Ints]:
    """First word, word after the last, and first decided word of each window of a sentence.

    Args:
      places: [W + 1], the pieces before each word.
      begin: the first word of the sentence.
      end: the word after its last one.
      room: see `divide`.
      context: see there.
    """

    def first_within(last: int) -> int:
        """The first word from which on all pieces before word `last` fit into a window."""
        return int(np.searchsorted(places, places[last] - room))

    bounds = []
    first = begin
    while True:
        last = int(np.searchsorted(places, places[first] + room, side="right")) - 1
        if last >= end:
            break
        bounds.append((first, last))
        overlapping = int(np.searchsorted(places, places[last] - 2 * context, side="right")) - 1
        first = max(overlapping, first_within(last + 1))
    bounds.append((first_within(end), end))  # the last one goes back as far as there is room
    firsts, lasts = np.array(bounds, np.int64).T
    # A word goes to the later of two windows where the pieces before it there are more than those after it here. Twice
    # its middle, the sum of where it begins and ends, is then after the sum of where the later begins and the earlier
    # ends.
    twice_middle = places[begin:end] + places[begin + 1 : end + 1]
    changes = begin + np.searchsorted(twice_middle, places[firsts[1:]] + places[lasts[:-1]], side="right")
    decided = np.concatenate([[begin], changes])
    needed = np.diff(places[np.append(decided, end)]) > 0
    return firsts[needed], lasts[needed], decided[needed]
