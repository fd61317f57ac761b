"""Rows of zeros and ones of which only the ones are stored."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from bert_tf2.io.sparse_rows import SparseRows


@given(arrays(np.int32, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=5), elements=st.integers(0, 1)))
def test_all_and_selected_rows(dense):
    row, column = np.nonzero(dense)
    splits = np.searchsorted(row, np.arange(len(dense) + 1))
    sparse = SparseRows(splits, column.astype(np.int32), dense.shape[1])
    assert (len(sparse), sparse.shape, sparse.ndim, sparse.dtype) == (len(dense), dense.shape, 2, np.int32)
    assert sparse.tolist() == dense.tolist()
    np.testing.assert_array_equal(np.asarray(sparse), dense)
    order = np.random.default_rng(len(dense)).permutation(len(dense))
    np.testing.assert_array_equal(sparse.take(order), dense[order])
    width = max(map(sum, dense.tolist()), default=0) + 1
    for first, last in ((0, len(dense)), (len(dense), len(dense)), (0, min(2, len(dense)))):
        columns, counts = sparse.padded(first, last, width)
        expected = [np.flatnonzero(row).tolist() for row in dense[first:last]]
        assert [row[:count].tolist() for row, count in zip(columns, counts, strict=True)] == expected
        assert not any(row[count:].any() for row, count in zip(columns, counts, strict=True))
    for rows in (slice(1, 3), slice(0, 0), slice(3, 1), slice(2, 100), slice(None)):
        np.testing.assert_array_equal(sparse[rows], dense[rows])
        assert sparse[rows].dtype == np.int32
    np.testing.assert_array_equal(
        SparseRows.joined([sparse, sparse.select(order)]), np.concatenate([dense, dense[order]])
    )
