"""Windows of rows, against their definition one row at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_tf2.configs.long_texts import WINDOWS, check_long_text
from bert_tf2.errors import InputError
from bert_tf2.tokenization.fast_wordpiece import Ragged
from bert_tf2.tokenization.row_windows import divide_rows
from bert_tf2.tokenization.sequences import join_rows

CLS, SEP = 1, 2
TEXTS = st.integers(0, 30)


def numbers(lengths: list[int], begin: int) -> Ragged:
    """Rows of `begin`, `begin + 1` and so on."""
    rows = [np.arange(begin, begin + length, dtype=np.int32) for length in lengths]
    return Ragged(np.concatenate([np.zeros(0, np.int32), *rows]), np.cumsum([0, *lengths]))


def expected_windows(a: int, b: int, limit: int, stride: int | None) -> list[list[int]]:
    """The windows of a row whose texts are `100, 101, ...` and `500, 501, ...`."""
    room = limit - (3 if b else 2)
    second = list(range(500, 500 + b))
    while len(second) > max(room // 2, room - a):
        second.pop()
    room -= len(second)
    step = min(stride or -(-room // 2), room)
    result, begin = [], 0
    while True:
        begin = min(begin, max(a - room, 0))
        text = list(range(100 + begin, 100 + min(begin + room, a)))
        result.append([CLS, *text, SEP, *([*second, SEP] if b else [])])
        if begin + room >= a:
            return result
        begin += step


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5), st.booleans(), st.integers(5, 14), st.integers(0, 12))
def test_windows_follow_the_definition(
    pairs: list[tuple[int, int]], with_second: bool, limit: int, stride: int
) -> None:
    pairs = [(a, b if with_second else 0) for a, b in pairs]
    first = numbers([a for a, _ in pairs], 100)
    second = numbers([b for _, b in pairs], 500) if with_second else None
    rows = join_rows(first, second, limit, CLS, SEP, WINDOWS)
    windows = divide_rows(rows.input_ids.row_splits, rows.first_lengths, limit, stride or None)
    values = rows.input_ids.values[windows.sources]
    result = [part.tolist() for part in np.split(values, windows.row_splits[1:-1])]
    expected = [expected_windows(a, b, limit, stride or None) for a, b in pairs]
    assert result == [window for row in expected for window in row]
    assert windows.counts.tolist() == list(map(len, expected))
    assert windows.first_lengths.tolist() == [window.index(SEP) + 1 for window in result]
    assert windows.rows.tolist() == [row for row, each in enumerate(expected) for _ in each]


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4), st.integers(5, 14), st.integers(1, 12))
def test_each_token_is_taken_where_it_has_most_context(pairs: list[tuple[int, int]], limit: int, stride: int) -> None:
    rows = join_rows(numbers([a for a, _ in pairs], 100), numbers([b for _, b in pairs], 500), limit, CLS, SEP, WINDOWS)
    windows = divide_rows(rows.input_ids.row_splits, rows.first_lengths, limit, stride)
    is_taken = windows.with_most_context()
    assert sorted(windows.sources[is_taken].tolist()) == list(range(len(rows.input_ids.values)))
    best: dict[int, tuple[int, int]] = {}
    ranges = zip(windows.row_splits[:-1].tolist(), windows.first_lengths.tolist(), strict=True)
    for begin, length in ranges:
        for within in range(1, length - 1):
            source, context = int(windows.sources[begin + within]), min(within - 1, length - 2 - within)
            if source not in best or context > best[source][0]:
                best[source] = context, begin + within
    assert all(is_taken[place] for _, place in best.values())


def test_a_stride_that_skips_tokens_is_refused() -> None:
    check_long_text("windows", 6, 8)
    with pytest.raises(InputError, match=r"--long_text=windows needs --max_seq_length=5 or more.* it is 4"):
        check_long_text("windows", None, 4)
    for stride in (0, 7):
        with pytest.raises(InputError, match=f"--window_stride={stride} must be from 1 to 6, the tokens of a window"):
            check_long_text("windows", stride, 8)
    with pytest.raises(InputError, match="--window_stride is for --long_text=windows, but it is head_tail"):
        check_long_text("head_tail", 3, 8)
    with pytest.raises(InputError, match="Unknown --long_text 'middle'; choose one of truncate_tail, truncate_head"):
        check_long_text("middle", None, 8)
