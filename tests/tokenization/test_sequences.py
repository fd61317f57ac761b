import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference.sequences import truncate_pair

from bert_tf2.tokenization.fast_wordpiece import Ragged
from bert_tf2.tokenization.sequences import join_pair, join_rows, pad, ranges, truncated_lengths

ROWS = st.lists(st.integers(1, 99), max_size=12)
LISTS = st.lists(st.integers(), max_size=30)


def test_truncation_shortens_the_longer_text_or_the_second_on_a_tie() -> None:
    assert truncate_pair("abcdef", "xy", 6) == (list("abcd"), list("xy"))
    assert truncate_pair("abc", "xyz", 5) == (list("abc"), list("xy"))
    assert truncate_pair("abcdef", "xyz", 4) == (list("ab"), list("xy"))
    assert truncate_pair("ab", "xy", 4) == (list("ab"), list("xy"))


def test_truncation_from_the_front_if_requested() -> None:
    answers = iter([True, False, True])
    assert truncate_pair("abcdef", "xy", 5, lambda: next(answers)) == (list("cde"), list("xy"))
    assert next(answers, None) is None


def test_lengths_are_those_of_the_loop() -> None:
    a, b, room = (side.ravel() for side in np.mgrid[0:14, 0:14, 0:20])
    kept_a, kept_b = truncated_lengths(a, b, room)
    for row in range(a.size):
        expected = truncate_pair(range(a[row]), range(b[row]), int(room[row]))
        assert (kept_a[row], kept_b[row]) == tuple(map(len, expected))


def ragged(rows: list[list[int]]) -> Ragged:
    return Ragged(np.array([value for row in rows for value in row], np.int32), np.cumsum([0, *map(len, rows)]))


@given(st.lists(st.tuples(ROWS, ROWS), max_size=5), st.integers(5, 20))
def test_rows_are_joined_as_one_by_one(pairs: list[tuple[list[int], list[int]]], length: int) -> None:
    for with_second in (True, False):
        firsts, seconds = [pair[0] for pair in pairs], [pair[1] if with_second else [] for pair in pairs]
        joined = join_rows(ragged(firsts), ragged(seconds) if with_second else None, length, 101, 102)
        assert joined.input_ids.values.dtype == np.int32
        assert joined.input_ids.row_splits[0] == 0
        assert len(joined.input_ids.row_splits) == len(joined.first_lengths) + 1 == len(pairs) + 1
        splits = joined.input_ids.row_splits.tolist()
        for row, (a, b) in enumerate(zip(firsts, seconds, strict=True)):
            first, second = truncate_pair(a, b, length - 3) if b else (a[: length - 2], [])
            expected = [101, *first, 102, *([*second, 102] if b else [])]
            assert joined.input_ids.values[splits[row] : splits[row + 1]].tolist() == expected
            assert joined.first_lengths[row] == len(first) + 2
            assert joined.whole_lengths[row] == len(a) + len(b) + (3 if b else 2)


def kept(text: list[int], count: int, long_text: str) -> list[int]:
    """The part of a text that remains after truncation."""
    head = {"truncate_tail": count, "truncate_head": 0, "head_tail": (count + 2) // 4}[long_text]
    return text if len(text) <= count else text[:head] + text[len(text) - (count - head) :]


@given(
    st.lists(st.tuples(ROWS, ROWS), max_size=5),
    st.integers(5, 20),
    st.sampled_from(["truncate_tail", "truncate_head", "head_tail"]),
)
def test_which_part_of_long_texts_is_kept(
    pairs: list[tuple[list[int], list[int]]], length: int, long_text: str
) -> None:
    joined = join_rows(*(ragged([pair[side] for pair in pairs]) for side in (0, 1)), length, 101, 102, long_text)
    splits = joined.input_ids.row_splits.tolist()
    for row, (a, b) in enumerate(pairs):
        counts = [len(part) for part in (truncate_pair(a, b, length - 3) if b else (a[: length - 2], []))]
        expected = [101, *kept(a, counts[0], long_text), 102]
        expected += [*kept(b, counts[1], long_text), 102] if b else []
        assert joined.input_ids.values[splits[row] : splits[row + 1]].tolist() == expected


def test_head_and_tail_of_510_tokens_begin_with_the_first_128() -> None:
    joined = join_rows(ragged([list(range(200, 1200))]), None, 512, 101, 102, "head_tail")
    assert joined.input_ids.values[[1, 128, 129, 510]].tolist() == [200, 327, 818, 1199]


def test_ranges() -> None:
    assert ranges(np.array([5, 1, 9, 0]), np.array([2, 0, 1, 3])).tolist() == [5, 6, 9, 0, 1, 2]
    assert ranges(0, np.array([2, 0, 3])).tolist() == [0, 1, 0, 1, 2]
    assert ranges(np.zeros(0, np.int64), np.zeros(0, np.int64)).tolist() == []


@given(LISTS, LISTS, st.integers(0, 60), st.randoms())
def test_truncation_keeps_slices_that_fit(a: list[int], b: list[int], limit: int, rng: object) -> None:
    calls = 0

    def truncates_front() -> bool:
        nonlocal calls
        calls += 1
        return bool(rng.getrandbits(1))

    remaining = truncate_pair(a, b, limit, truncates_front)
    assert len(remaining[0]) + len(remaining[1]) == min(limit, len(a) + len(b))
    assert calls == max(0, len(a) + len(b) - limit)
    for text, part in zip((a, b), remaining, strict=True):
        assert any(text[start : start + len(part)] == part for start in range(len(text) - len(part) + 1))
    if calls:  # a shortened text is at most one token shorter than the other
        shortened = [len(part) for text, part in zip((a, b), remaining, strict=True) if len(part) < len(text)]
        assert all(length >= max(map(len, remaining)) - 1 for length in shortened)


def test_bert_form() -> None:
    assert join_pair(["a"], ["b", "c"]) == (["[CLS]", "a", "[SEP]", "b", "c", "[SEP]"], [0, 0, 0, 1, 1, 1])
    assert join_pair(["a"], []) == (["[CLS]", "a", "[SEP]", "[SEP]"], [0, 0, 0, 1])
    assert join_pair(["a", "b"]) == (["[CLS]", "a", "b", "[SEP]"], [0, 0, 0, 0])


def test_padding() -> None:
    assert pad([1, 2], 4, 0) == [1, 2, 0, 0]
    assert pad([], 2, 0.5) == [0.5, 0.5]
    assert pad([1, 2], 2, 0) == [1, 2]
    with pytest.raises(ValueError, match="3 values do not fit into 2"):
        pad([1, 2, 3], 2, 0)
