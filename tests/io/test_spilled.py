"""What is too much for memory comes back from files as it was, and leaves nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_tf2.io import spilled
from bert_tf2.io.spilled import SpilledArray, SpilledSequence, SpilledTexts, directory_for_spilling


@pytest.mark.parametrize("most", [0, 100, 10**6])
@pytest.mark.parametrize("shape", [(), (3,)])
def test_an_array_of_any_size(tmp_path, monkeypatch, most, shape):
    monkeypatch.setattr(spilled, "MOST_IN_MEMORY", most)
    made = SpilledArray(shape, np.int32, str(tmp_path))
    parts = [np.arange(rows * 3).reshape(rows, 3)[:, : shape[0] if shape else 1] for rows in (0, 2, 7, 0, 30)]
    parts = [part if shape else part[:, 0] for part in parts]
    for part in parts:
        made.append(part)
    found = made.finish()
    np.testing.assert_array_equal(found, np.concatenate(parts))
    assert found.dtype == np.int32
    assert isinstance(found, np.memmap) == (most < 10**6)
    assert not list(tmp_path.iterdir())


def test_an_array_of_nothing(monkeypatch):
    monkeypatch.setattr(spilled, "MOST_IN_MEMORY", 0)
    made = SpilledArray((3,), np.float32)
    made.append(np.empty((0, 3)))
    assert made.finish().shape == (0, 3)


@given(st.lists(st.integers(0, 600), max_size=4), st.sampled_from([0, 10**6]))
def test_a_sequence_of_any_size(sizes, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spilled, "MOST_IN_MEMORY", most)
        made, expected = SpilledSequence(), []
        for size in sizes:
            items = [(len(expected) + number, "text") for number in range(size)]
            made.extend(items)
            expected += items
        assert len(made) == len(expected)
        assert list(made) == expected
        assert [made[index] for index in reversed(range(len(expected)))] == expected[::-1]
        for first, last in ((0, len(made)), (250, 520), (3, 3), (700, 10**6), (5, 2)):
            assert made[first:last] == expected[first:last]
        for index in (-1, len(expected)):
            with pytest.raises(IndexError):
                made[index]


@given(st.lists(st.lists(st.text(max_size=20), max_size=300), max_size=4), st.sampled_from([0, 10**6]))
def test_texts_of_any_size(blocks, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spilled, "MOST_IN_MEMORY", most)
        made, expected = SpilledTexts(), [text for block in blocks for text in block]
        for block in blocks:
            made.extend(block)
        assert made.sizes.tolist() == [len(text.encode()) for text in expected]
        assert list(made) == expected
        assert len(made) == len(expected)
        for first, last in ((0, len(made)), (250, 520), (3, 3), (700, 10**6), (5, 2)):
            assert made[first:last] == expected[first:last]
        if expected:
            assert made[len(expected) - 1] == expected[-1]
            with pytest.raises(ValueError, match="Texts cannot be added"):
                made.extend(["more"])
        for index in (-1, len(expected)):
            with pytest.raises(IndexError):
                made[index]


@pytest.mark.parametrize("most", [0, 10**6])
def test_an_array_filled_in_any_order(tmp_path, monkeypatch, most):
    monkeypatch.setattr(spilled, "MOST_IN_MEMORY", most)
    made = spilled.empty((40, 3), np.float32, str(tmp_path))
    expected = np.arange(120, dtype=np.float32).reshape(40, 3)
    for rows in np.random.default_rng(0).permutation(40).reshape(8, 5):
        made[rows] = expected[rows]
    np.testing.assert_array_equal(made, expected)
    assert isinstance(made, np.memmap) == (most == 0)
    assert not list(tmp_path.iterdir())


def test_ranges_of_rows(monkeypatch):
    monkeypatch.setattr(spilled, "VALUES_AT_ONCE", 10)
    assert list(spilled.row_ranges(7, 3)) == [(0, 3), (3, 6), (6, 7)]
    assert list(spilled.row_ranges(2, 100)) == [(0, 1), (1, 2)]
    assert list(spilled.row_ranges(7, 3, most=100)) == [(0, 7)]
    assert list(spilled.row_ranges(0, 3)) == []


def test_the_directory_if_there_is_one(tmp_path):
    assert directory_for_spilling(tmp_path) == str(tmp_path)
    assert directory_for_spilling(tmp_path / "missing") is directory_for_spilling(None) is None
