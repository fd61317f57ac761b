"""Windows: every word is decided by exactly one, the one with the most context."""

import numpy as np
import pytest
from helpers.tagging_windows import cases, divided
from hypothesis import given, settings


def context_of(offsets: np.ndarray, word: int, first: int, end: int) -> int:
    """The number of pieces that a window has on the side of a word that has fewer."""
    return int(min(offsets[word] - offsets[first], offsets[end] - offsets[word + 1]))


@given(cases())
@settings(max_examples=500)
def test_each_word_is_decided_by_the_window_with_the_most_context(case: tuple[list[list[int]], int, int]) -> None:
    sentences, room, _ = case
    windows = divided(*case)
    pieces = np.array([count for words in sentences for count in words])
    offsets = np.concatenate([[0], np.cumsum(pieces)])
    assert (offsets[windows.end] - offsets[windows.first] <= room).all()
    begin = 0
    for words in sentences:
        end = begin + len(words)
        own_bounds = [bounds for bounds in zip(windows.first, windows.end, strict=True) if begin <= bounds[0] < end]
        assert all(last <= end for _, last in own_bounds)
        assert (len(own_bounds) == 1) == (0 < sum(words) <= room)
        for word in range(begin, end):
            if pieces[word]:
                window = int(windows.deciding_window(np.array([word]))[0])
                bounds = (windows.first[window], windows.end[window])
                assert bounds in own_bounds
                assert bounds[0] <= word < bounds[1]
                contexts = [context_of(offsets, word, *other) for other in own_bounds if other[0] <= word < other[1]]
                assert context_of(offsets, word, *bounds) == max(contexts)
        begin = end
    assert windows.divided == sum(sum(words) > room for words in sentences)
    decided = windows.deciding_window(np.flatnonzero(pieces > 0))
    assert set(decided) == set(range(len(windows.first))), "a window that decides nothing"


@given(cases())
@settings(max_examples=200)
def test_words_have_the_requested_context(case: tuple[list[list[int]], int, int]) -> None:
    """For words of one piece each; a longer word may span the middle of what two windows share."""
    sentences, room, context = [[1] * len(words) for words in case[0]], *case[1:]
    windows = divided(sentences, room, context)
    begin = 0
    for words in sentences:
        end = begin + len(words)
        for word in range(begin, end):
            window = int(windows.deciding_window(np.array([word]))[0])
            first, last = windows.first[window], windows.end[window]
            assert word - first >= min(context, word - begin)
            assert last - word - 1 >= min(context, end - word - 1)
        begin = end


def test_example() -> None:
    windows = divided([[1] * 3, [1] * 10, [0, 0]], room=6, context=2)
    columns = zip(windows.first.tolist(), windows.end.tolist(), windows.decided.tolist(), strict=True)
    assert list(columns) == [(0, 3, 0), (3, 9, 3), (5, 11, 7), (7, 13, 9)]
    assert windows.divided == 1


def test_the_last_window_begins_as_early_as_possible() -> None:
    windows = divided([[1] * 9], room=6, context=1)
    assert (windows.first.tolist(), windows.end.tolist()) == ([0, 3], [6, 9])
    assert windows.decided.tolist() == [0, 5], "word 4 has one piece of context in both windows: the first decides it"


@pytest.mark.parametrize("context", [0, 2])
def test_words_as_long_as_a_window(context: int) -> None:
    windows = divided([[1, 6, 1, 6, 6, 2]], room=6, context=context)
    assert windows.deciding_window(np.arange(6)).tolist() == [0, 1, 2, 3, 4, 5]
    assert windows.first.tolist() == [0, 1, 2, 3, 4, 5]


def test_one_very_long_sentence() -> None:
    windows = divided([[1] * 200_000], room=510, context=128)
    assert len(windows.first) == pytest.approx(200_000 / (510 - 256), rel=0.01)
