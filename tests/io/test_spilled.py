"""Data that exceeds memory is read back from files unchanged, and leaves no files behind."""

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
    growing = SpilledArray(shape, np.int32, str(tmp_path))
    chunks = [np.arange(rows * 3).reshape(rows, 3)[:, : shape[0] if shape else 1] for rows in (0, 2, 7, 0, 30)]
    chunks = [chunk if shape else chunk[:, 0] for chunk in chunks]
    for chunk in chunks:
        growing.append(chunk)
    array = growing.finish()
    np.testing.assert_array_equal(array, np.concatenate(chunks))
    assert array.dtype == np.int32
    assert isinstance(array, np.memmap) == (most < 10**6)
    assert not list(tmp_path.iterdir())


def test_an_empty_array(monkeypatch):
    monkeypatch.setattr(spilled, "MOST_IN_MEMORY", 1)
    growing = SpilledArray((3,), np.float32)
    growing.append(np.empty((0, 3)))
    assert growing.finish().shape == (0, 3)


@given(st.lists(st.integers(0, 600), max_size=4), st.sampled_from([1, 10**6]))
def test_a_sequence_of_any_size(sizes, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spilled, "MOST_IN_MEMORY", most)
        growing, expected = SpilledSequence(), []
        for size in sizes:
            items = [(len(expected) + number, "text") for number in range(size)]
            growing.extend(items)
            expected += items
        assert len(growing) == len(expected)
        assert list(growing) == expected
        assert [growing[index] for index in reversed(range(len(expected)))] == expected[::-1]
        for first, last in ((0, len(growing)), (250, 520), (3, 3), (700, 10**6), (5, 2)):
            assert growing[first:last] == expected[first:last]
        for index in (-1, len(expected)):
            with pytest.raises(IndexError):
                growing[index]


@given(st.lists(st.lists(st.text(max_size=20), max_size=300), max_size=4), st.sampled_from([1, 10**6]))
def test_texts_of_any_size(blocks, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spilled, "MOST_IN_MEMORY", most)
        growing, expected = SpilledTexts(), [text for block in blocks for text in block]
        for block in blocks:
            growing.extend(block)
        assert growing.sizes.tolist() == [len(text.encode()) for text in expected]
        assert list(growing) == expected
        assert len(growing) == len(expected)
        for first, last in ((0, len(growing)), (250, 520), (3, 3), (700, 10**6), (5, 2)):
            assert growing[first:last] == expected[first:last]
        if expected:
            assert growing[len(expected) - 1] == expected[-1]
            with pytest.raises(ValueError, match="Texts cannot be added"):
                growing.extend(["more"])
        for index in (-1, len(expected)):
            with pytest.raises(IndexError):
                growing[index]


@pytest.mark.parametrize("most", [0, 10**6])
def test_an_array_filled_in_any_order(tmp_path, monkeypatch, most):
    monkeypatch.setattr(spilled, "MOST_IN_MEMORY", most)
    array = spilled.empty((40, 3), np.float32, str(tmp_path))
    expected = np.arange(120, dtype=np.float32).reshape(40, 3)
    for rows in np.random.default_rng(0).permutation(40).reshape(8, 5):
        array[rows] = expected[rows]
    np.testing.assert_array_equal(array, expected)
    assert isinstance(array, np.memmap) == (most == 0)
    assert not list(tmp_path.iterdir())


def test_ranges_of_rows(monkeypatch):
    monkeypatch.setattr(spilled, "VALUES_AT_ONCE", 10)
    assert list(spilled.row_ranges(7, 3)) == [(0, 3), (3, 6), (6, 7)]
    assert list(spilled.row_ranges(2, 100)) == [(0, 1), (1, 2)]
    assert list(spilled.row_ranges(7, 3, most=100)) == [(0, 7)]
    assert list(spilled.row_ranges(0, 3)) == []


def test_the_preferred_directory_if_it_exists(tmp_path):
    assert directory_for_spilling(tmp_path) == str(tmp_path)
    assert directory_for_spilling(tmp_path / "missing") is directory_for_spilling(None) is None
