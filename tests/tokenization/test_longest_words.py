"""Text divided into the longest words of a list."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bert_tf2.tokenization.longest_words import LongestWords
from bert_tf2.tokenization.unicode_tables import code_points

LETTERS = "abcd"


def lengths(words: list[str], text: str) -> list[int]:
    codes = code_points(text)
    is_letter = np.array([char in LETTERS for char in text], np.bool_)
    return LongestWords(words, LETTERS).lengths(codes, is_letter).tolist()


def test_the_longest_word_at_each_position() -> None:
    assert lengths(["ab", "abcd", "bcd", "dd"], "abcabcd, bcda xdddd") == [2, 1, 4, 3, 1, 2, 2]
    assert lengths(["ab"], "") == []


@given(st.lists(st.text(LETTERS, min_size=2, max_size=5), min_size=1, max_size=8), st.text(LETTERS + "X ", max_size=30))
def test_against_plain_code(words: list[str], text: str) -> None:
    expected = []
    for run in text.replace("X", " ").split(" "):
        start = 0
        while start < len(run):
            length = max((len(word) for word in words if run.startswith(word, start)), default=1)
            expected.append(length)
            start += length
    assert lengths(words, text) == expected
