"""Excerpts of long texts around their marks."""

from hypothesis import given
from hypothesis import strategies as st

from bert_tf2.reports.excerpts import ELLIPSIS, excerpt
from bert_tf2.reports.page import Mark

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def mark(begin: int, end: int) -> Mark:
    return Mark(begin, end, "x", "wrong")


def test_short_text_is_unchanged() -> None:
    assert excerpt("a short text", [mark(2, 7)], most=12) == ("a short text", [mark(2, 7)])


def test_text_without_marks_is_shortened_to_its_beginning() -> None:
    assert excerpt(LETTERS, most=5) == ("abcde … ", [])


def test_parts_around_marks() -> None:
    shortened, marks = excerpt(LETTERS, [mark(5, 6), mark(20, 22)], most=12, around=2)
    assert shortened == " … defgh … stuvwx … "
    assert [shortened[one.begin : one.end] for one in marks] == ["f", "uv"]


def test_words_are_not_split() -> None:
    shortened, marks = excerpt("one two three four five six", [mark(8, 13)], most=20, around=6)
    assert shortened == " … two three four … "
    assert shortened[marks[0].begin : marks[0].end] == "three"


def test_adjacent_parts_are_merged() -> None:
    assert excerpt(LETTERS, [mark(0, 1), mark(6, 7)], most=12, around=2) == ("abcdefghi … ", [mark(0, 1), mark(6, 7)])


def test_excerpt_has_at_most_the_maximum_length() -> None:
    shortened, marks = excerpt(LETTERS, [mark(1, 20), mark(24, 25)], most=10, around=0)
    assert shortened == " … bcdefghijk … "
    assert [shortened[one.begin : one.end] for one in marks] == ["bcdefghijk"]


@given(
    st.text(st.sampled_from("abc"), max_size=60),
    st.lists(st.tuples(st.integers(0, 59), st.integers(1, 9)), max_size=4),
    st.integers(1, 30),
    st.integers(0, 9),
)
def test_marked_characters_are_preserved(text: str, spans: list[tuple[int, int]], most: int, around: int) -> None:
    originals = [mark(begin, min(begin + size, len(text))) for begin, size in spans if begin < len(text)]
    shortened, marks = excerpt(text, originals, most, around)
    assert len(shortened.replace(ELLIPSIS, "")) <= max(most, 1)
    for one in marks:
        assert any(shortened[one.begin : one.end] in text[original.begin : original.end] for original in originals)
        assert ELLIPSIS not in shortened[one.begin : one.end]
