import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_tf2.sequences import join_pair, pad, truncate_pair

LISTS = st.lists(st.integers(), max_size=30)


def test_the_longer_one_loses_its_last_token_and_of_equals_the_second() -> None:
    assert truncate_pair("abcdef", "xy", 6) == (list("abcd"), list("xy"))
    assert truncate_pair("abc", "xyz", 5) == (list("abc"), list("xy"))
    assert truncate_pair("abcdef", "xyz", 4) == (list("ab"), list("xy"))
    assert truncate_pair("ab", "xy", 4) == (list("ab"), list("xy"))


def test_tokens_are_cut_from_the_front_when_asked_for() -> None:
    answers = iter([True, False, True])
    assert truncate_pair("abcdef", "xy", 5, lambda: next(answers)) == (list("cde"), list("xy"))
    assert next(answers, None) is None


@given(LISTS, LISTS, st.integers(0, 60), st.randoms())
def test_truncation_keeps_slices_that_fit(a: list[int], b: list[int], limit: int, rng: object) -> None:
    asked = 0

    def cut_front() -> bool:
        nonlocal asked
        asked += 1
        return bool(rng.getrandbits(1))

    left = truncate_pair(a, b, limit, cut_front)
    assert len(left[0]) + len(left[1]) == min(limit, len(a) + len(b))
    assert asked == max(0, len(a) + len(b) - limit)
    for whole, part in zip((a, b), left, strict=True):
        assert any(whole[start : start + len(part)] == part for start in range(len(whole) - len(part) + 1))
    if asked:  # what was shortened has not become the shorter one by more than the token that was due
        shortened = [len(part) for whole, part in zip((a, b), left, strict=True) if len(part) < len(whole)]
        assert all(length >= max(map(len, left)) - 1 for length in shortened)


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
