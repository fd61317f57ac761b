"""Growing arrays: no value is lost, and copies are rare."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf2.pretraining_data.growing_array import GrowingArray


@given(
    st.lists(st.tuples(st.lists(st.integers(-5, 5), max_size=20), st.sampled_from([0.0, 0.1, 0.5, 1.0])), max_size=20),
    st.sampled_from([(), (2,), (0,)]),
    st.sampled_from([np.int32, np.uint16, np.bool_]),
)
@settings(max_examples=200)
def test_appended_values_are_kept(parts: list[tuple[list[int], float]], shape: tuple[int, ...], dtype: Any) -> None:
    array = GrowingArray(shape, dtype)
    expected = [np.zeros((0, *shape), dtype)]
    for values, fraction in parts:
        part = np.multiply.outer(np.array(values, np.int64), np.ones(shape, np.int64)).astype(dtype)
        array.append(part, fraction)
        expected.append(part)
    np.testing.assert_array_equal(array.filled(), np.concatenate(expected))
    assert array.filled().dtype == dtype
    assert array.filled().flags.c_contiguous


def test_unfilled_room_is_not_included() -> None:
    array = GrowingArray((), np.int32)
    array.room(10, 0)[:3] = [1, 2, 3]
    array.size += 3
    assert array.filled().tolist() == [1, 2, 3]


def test_a_wrong_estimate_does_not_exceed_memory() -> None:
    """A document of a third of the text may be the first of a million."""
    array = GrowingArray((2,), np.int64)
    array.append(np.ones((30_000, 2), np.int64), 0.0)
    array.append(np.zeros((30_000, 2), np.int64), 1e-12)
    assert array.filled().sum() == 60_000


@pytest.mark.parametrize(("fractions", "copies"), [("right", 2), ("none", 25), ("too high", 25)])
def test_it_is_rarely_copied(fractions: str, copies: int, monkeypatch: pytest.MonkeyPatch) -> None:
    allocations = []
    empty = np.empty
    monkeypatch.setattr(np, "empty", lambda *arguments: allocations.append(arguments) or empty(*arguments))
    array = GrowingArray((), np.int32)
    for number in range(1000):
        fraction = {"right": number / 1000, "none": 0.0, "too high": 1.0}[fractions]
        array.append(np.arange(50, dtype=np.int32), fraction)
    assert array.size == 50_000
    assert len(allocations) <= 1 + copies
