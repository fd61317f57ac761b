"""The text of numbers equals that of Python, with and without the kernel."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bert_tf2.io.json_floats import as_printed, rows_as_text

EDGES = (
    *(0.0, -0.0, 1e-9, -1e-9, 5e-7, -5e-7, 1e-6, 1.5e-6, 9.9e-5, 9.95e-5, 1e-4, 0.1, 0.9999996, 0.99999949, 1.0),
    *(0.0078125, 0.0234375, 9.9999999, 99.5, 999999.94, 1e6, 123456.789, 999999936.0, -999999936.0),
)


def expected_text(values):
    return [json.dumps([round(float(value), 6) for value in row])[1:-1].encode() for row in values]


def test_edges():
    values = np.array([EDGES], np.float32)
    assert rows_as_text(values) == expected_text(values)
    assert rows_as_text(np.array([[-0.0, 1.2e-5, 2.5, 1e-6]], np.float32)) == [b"-0.0, 1.2e-05, 2.5, 1e-06"]


@given(arrays(np.uint32, (3, 5)))
def test_any_float32(bits):
    values = bits.view(np.float32)
    assert rows_as_text(values) == expected_text(values)


@given(arrays(np.float32, (2, 40), elements=st.floats(-1e9, 1e9, exclude_min=True, exclude_max=True, width=32)))
def test_numbers_that_the_kernel_supports(values):
    assert rows_as_text(values) == expected_text(values)


@given(arrays(np.int64, 64, elements=st.integers(-(2**23), 2**23)), st.integers(0, 20))
def test_ties_round_to_even(numerators, power):
    values = (numerators / 2**power).astype(np.float32)[None]
    assert rows_as_text(values) == expected_text(values)


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf, 1e9, -3.5e20])
def test_numbers_that_the_kernel_does_not_support(special):
    values = np.array([[1.5, special], [0.25, -2.0]], np.float32)
    assert rows_as_text(values) == expected_text(values)


def test_no_rows_and_views():
    assert rows_as_text(np.empty((0, 3), np.float32)) == []
    values = np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2] / 8
    assert rows_as_text(values) == expected_text(values)


def test_numbers_as_float32_prints_them():
    values = as_printed(np.array([[0.1, 1e-7], [np.nan, 16777216]], np.float32))
    assert values.dtype == np.float64
    assert str(values.tolist()) == "[[0.1, 1e-07], [nan, 16777216.0]]"
