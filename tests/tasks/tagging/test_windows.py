"""Windows: every word is decided in exactly one, and in that with the most context."""

import numpy as np
import pytest
from helpers.tagging_windows import cases, divided
from hypothesis import given, settings


def context_of(places: np.ndarray, word: int, first: int, end: int) -> int:
    """How many pieces a window has on the side of a word that has fewer."""
    return int(min(places[word] - places[first], places[end] - places[word + 1]))


@given(cases())
@settings(max_examples=500)
def test_each_word_is_decided_once_where_it_has_most_context(case: tuple[list[list[int]], int, int]) -> None:
    sentences, room, _ = case
    found = divided(*case)
    pieces = np.array([count for words in sentences for count in words])
    places = np.concatenate([[0], np.cumsum(pieces)])
    assert (places[found.end] - places[found.first] <= room).all()
    begin = 0
    for words in sentences:
        end = begin + len(words)
        mine = [(a, b) for a, b in zip(found.first, found.end, strict=True) if begin <= a < end]
        assert all(b <= end for _, b in mine)
        assert (len(mine) == 1) == (0 < sum(words) <= room)
        for word in range(begin, end):
            if pieces[word]:
                window = int(found.deciding(np.array([word]))[0])
                bounds = (found.first[window], found.end[window])
                assert bounds in mine
                assert bounds[0] <= word < bounds[1]
                there = [context_of(places, word, *other) for other in mine if other[0] <= word < other[1]]
                assert context_of(places, word, *bounds) == max(there)
        begin = end
    assert found.divided == sum(sum(words) > room for words in sentences)
    decided = found.deciding(np.flatnonzero(pieces > 0))
    assert set(decided) == set(range(len(found.first))), "a window that decides nothing"


@given(cases())
@settings(max_examples=200)
def test_context_is_as_wide_as_asked_for(case: tuple[list[list[int]], int, int]) -> None:
    """Of words of one piece each; a longer one lies across the middle of what two windows share."""
    sentences, room, context = [[1] * len(words) for words in case[0]], *case[1:]
    found = divided(sentences, room, context)
    begin = 0
    for words in sentences:
        end = begin + len(words)
        for word in range(begin, end):
            window = int(found.deciding(np.array([word]))[0])
            first, last = found.first[window], found.end[window]
            assert word - first >= min(context, word - begin)
            assert last - word - 1 >= min(context, end - word - 1)
        begin = end


def test_an_example() -> None:
    found = divided([[1] * 3, [1] * 10, [0, 0]], room=6, context=2)
    windows = list(zip(found.first.tolist(), found.end.tolist(), found.decided.tolist(), strict=True))
    assert windows == [(0, 3, 0), (3, 9, 3), (5, 11, 7), (7, 13, 9)]
    assert found.divided == 1


def test_the_last_window_goes_back_as_far_as_there_is_room() -> None:
    found = divided([[1] * 9], room=6, context=1)
    assert (found.first.tolist(), found.end.tolist()) == ([0, 3], [6, 9])
    assert found.decided.tolist() == [0, 5], "word 4 has a piece beside it in both: the first decides"


@pytest.mark.parametrize("context", [0, 2])
def test_words_as_long_as_a_window(context: int) -> None:
    found = divided([[1, 6, 1, 6, 6, 2]], room=6, context=context)
    assert found.deciding(np.arange(6)).tolist() == [0, 1, 2, 3, 4, 5]
    assert found.first.tolist() == [0, 1, 2, 3, 4, 5]


def test_one_sentence_of_a_whole_book() -> None:
    found = divided([[1] * 200_000], room=510, context=128)
    assert len(found.first) == pytest.approx(200_000 / (510 - 256), rel=0.01)
