"""Batches of examples in memory, each padded to its longest row instead of to the longest example of all.

For fine-tuning: texts, pairs, windows of documents, tagged words. Training batches depend only on the examples, the
seed and the number of examples before them, so a resumed run continues with exactly the batches that an uninterrupted
one would have had. Evaluation batches rows of similar length, and marks each row with the number of its example.

Shapes: `N` examples, `B` rows of a batch, `S` its columns, `T` tokens of all examples.
"""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bert_tf2.input_pipeline.record_batches import EXAMPLE_WEIGHTS, Batch, Share
from bert_tf2.io.sparse_rows import SparseRows
from bert_tf2.io.spilled import SpilledArray

Array = NDArray[Any]

ROW = "row"
"""The key, in an evaluation batch, of the number of each row's example, int64 `[B]`; -1 for rows that fill it up."""

MAX_GRAPH_BYTES = 16 << 20
"""Maximum bytes of tokens, or of a column, that are embedded in TensorFlow's graph."""

_WHOLE = Share()
_MULTIPLE = 8  # the number of columns is a multiple of this, to limit the number of different shapes


@dataclasses.dataclass(frozen=True)
class ExampleArrays:
    """Examples of different lengths.

    Attributes:
      row_splits: int64 [N + 1]; the tokens of example `i` are `row_splits[i]` to `row_splits[i + 1]` of all.
      tokens: by feature, a number for each token, [T]: `input_ids`, `segment_ids`, and further features of the task. A
        `numpy.memmap` is read as needed.
      columns: by feature, an array with a row for each example, [N, ...], or sparse rows.
      max_length: maximum tokens per example.
    """

    row_splits: NDArray[np.int64]
    tokens: Mapping[str, Array]
    columns: Mapping[str, Array | SparseRows]
    max_length: int

    @classmethod
    def joined(cls, parts: Sequence["ExampleArrays"], directory: str | None = None) -> "ExampleArrays":
        """Concatenates examples.

        Args:
          parts: at least one; all with the same features.
          directory: for data that exceeds memory, see `io.spilled`.
        """
        if len(parts) == 1:
            return parts[0]
        starts = itertools.accumulate((int(part.row_splits[-1]) for part in parts), initial=0)
        row_splits = [part.row_splits[1:] + start for part, start in zip(parts, starts, strict=False)]

        def column(name: str) -> Array | SparseRows:
            values = [part.columns[name] for part in parts]
            sparse = [rows for rows in values if isinstance(rows, SparseRows)]
            return SparseRows.joined(sparse) if sparse else _concatenate(values, directory)

        first = parts[0]
        return cls(
            row_splits=np.concatenate([[0], *row_splits]),
            tokens={name: _concatenate([part.tokens[name] for part in parts], directory) for name in first.tokens},
            columns={name: column(name) for name in first.columns},
            max_length=max(part.max_length for part in parts),
        )

    def __len__(self) -> int:
        return len(self.row_splits) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each example, int64 [N]."""
        return np.diff(self.row_splits)

    def gather(self, fixed_shapes: bool) -> Callable[[tf.Tensor], Batch]:
        """Returns a function from the numbers of examples, int64 [B], to a batch of them.

        The batch has `tokens` and `input_mask`, int32 [B, S], and `columns`, [B, ...]. The number -1 gives a row
        without tokens; its columns are those of the first example.

        Args:
          fixed_shapes: whether S is always `max_length`; else it is the length of the longest example in the batch,
            rounded up to a multiple of 8.
        """
        if self._is_large:
            return self._gather_outside_graph(fixed_shapes)
        with tf.device("CPU:0"):
            splits = tf.constant(self.row_splits, tf.int64)
            tokens = {name: tf.constant(values) for name, values in self.tokens.items()}
            columns = {name: _row_gatherer(values) for name, values in self.columns.items()}
        total = len(next(iter(self.tokens.values())))

        def batch(rows: tf.Tensor) -> Batch:
            numbers = tf.maximum(rows, 0)
            starts = tf.gather(splits, numbers)
            lengths = tf.where(rows >= 0, tf.gather(splits, numbers + 1) - starts, 0)  # [B]
            size = tf.constant(self.max_length, tf.int64)
            if not fixed_shapes:
                size = tf.minimum(tf.maximum(-(-tf.reduce_max(lengths) // _MULTIPLE) * _MULTIPLE, 1), size)
            positions = tf.range(size)
            mask = positions < lengths[:, None]  # [B, S]
            indices = tf.minimum(starts[:, None] + positions, total - 1)
            features = {name: tf.where(mask, tf.gather(values, indices), 0) for name, values in tokens.items()}
            features["input_mask"] = tf.cast(mask, tf.int32)
            shape = [rows.shape[0], self.max_length if fixed_shapes else None]
            features = {name: tf.ensure_shape(value, shape) for name, value in features.items()}
            return features | {name: gather(numbers) for name, gather in columns.items()}

        return batch

    @property
    def _is_large(self) -> bool:
        """Whether the examples stay outside the graph, which would hold several copies of them."""
        tokens = self.tokens.values()
        dense = [values for values in self.columns.values() if not isinstance(values, SparseRows)]
        return (
            any(isinstance(values, np.memmap) for values in (*tokens, *dense))
            or sum(values.nbytes for values in tokens) > MAX_GRAPH_BYTES
            or any(values.nbytes > MAX_GRAPH_BYTES for values in dense)
        )

    def _gather_outside_graph(self, fixed_shapes: bool) -> Callable[[tf.Tensor], Batch]:
        """As `gather`, but the examples stay outside the graph."""
        names = [*self.tokens, "input_mask", *self.columns]
        types = [*(values.dtype for values in self.tokens.values()), np.dtype(np.int32)]
        types += [values.dtype for values in self.columns.values()]

        def read(rows: Array) -> list[Array]:
            numbers = np.maximum(rows, 0)
            starts = self.row_splits[numbers]
            lengths = np.where(rows >= 0, self.row_splits[numbers + 1] - starts, 0)
            size = self.max_length
            if not fixed_shapes:
                size = min(max(-(-int(lengths.max()) // _MULTIPLE) * _MULTIPLE, 1), size)
            mask = np.arange(size) < lengths[:, None]  # [B, S]
            indices = (starts[:, None] + np.arange(size))[mask]
            tokens = []
            for values in self.tokens.values():
                tokens.append(np.zeros(mask.shape, values.dtype))
                tokens[-1][mask] = values[indices]
            columns = self.columns.values()
            return [
                *tokens,
                mask.astype(np.int32),
                *(values.take(numbers) if isinstance(values, SparseRows) else values[numbers] for values in columns),
            ]

        def batch(rows: tf.Tensor) -> Batch:
            values = tf.numpy_function(read, [rows], types, stateful=False)
            token_shape = [self.max_length if fixed_shapes else None]
            shapes = [token_shape] * (len(self.tokens) + 1) + [values.shape[1:] for values in self.columns.values()]
            return {
                name: tf.ensure_shape(value, [rows.shape[0], *shape])
                for name, value, shape in zip(names, values, shapes, strict=True)
            }

        return batch


def _concatenate(values: Sequence[Any], directory: str | None) -> Array:
    """Concatenates arrays, in a file if they exceed memory."""
    whole = SpilledArray(values[0].shape[1:], values[0].dtype, directory)
    for part in values:
        whole.append(part)
    return whole.finish()


def _row_gatherer(values: Array | SparseRows) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function from numbers of examples, int64 `[B]`, to their rows, `[B, ...]`."""
    if not isinstance(values, SparseRows):
        dense = tf.constant(values)
        return lambda rows: tf.gather(dense, rows)
    splits, indices, size = tf.constant(values.row_splits), tf.constant(values.values), values.size

    def gather(rows: tf.Tensor) -> tf.Tensor:
        chosen = tf.ragged.range(tf.gather(splits, rows), tf.gather(splits, rows + 1))
        columns = tf.cast(tf.gather(indices, chosen.values), tf.int64)
        ones = tf.stack([tf.cast(chosen.value_rowids(), tf.int64), columns], axis=1)
        dense = tf.scatter_nd(ones, tf.ones_like(columns, tf.int32), [tf.size(rows, tf.int64), size])
        return tf.ensure_shape(dense, [rows.shape[0], size])

    return gather


def training(
    examples: ExampleArrays,
    batch_size: int,
    seed: int,
    examples_done: int = 0,
    share: Share = _WHOLE,
    fixed_shapes: bool = False,
) -> tf.data.Dataset:
    """An endless dataset of batches; every epoch visits each example once, in a different order.

    Args:
      examples: at least one.
      batch_size: rows of a batch, over all processes and devices. A batch may hold the end of one epoch and the start
        of the next.
      seed: of the order.
      examples_done: the number of examples that an earlier run has already taken.
      share: which part of each batch to create.
      fixed_shapes: see `ExampleArrays.gather`.
    """
    count = len(examples)
    first_epoch, done = divmod(examples_done, count)

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(tf.range(count, dtype=tf.int64), seed=[seed, number])
        return tf.data.Dataset.from_tensor_slices(order)

    rows = tf.data.Dataset.range(first_epoch, tf.int64.max).flat_map(epoch).skip(done)
    rows = share.of(rows.batch(batch_size, drop_remainder=True), batch_size)
    return _map(rows, examples.gather(fixed_shapes))


def evaluation(
    examples: ExampleArrays,
    batch_size: int,
    share: Share = _WHOLE,
    fixed_shapes: bool = False,
    splits: NDArray[np.int64] | None = None,
) -> tf.data.Dataset:
    """Each example once, the longest first, in batches with `example_weights` and `ROW` added.

    Args:
      examples: at least one.
      batch_size: rows of a batch, over all processes and devices. Rows without tokens and with weight 0 fill up the
        last batch.
      share: which part of each batch to create.
      fixed_shapes: see `ExampleArrays.gather`.
      splits: int64 [batches + 1]; if given, batch `i` has the examples `splits[i]` to `splits[i + 1]`, counted from
        the longest one; `batch_size` and `share` are then ignored.
    """
    order = np.argsort(-examples.lengths, kind="stable")
    gather = examples.gather(fixed_shapes)

    def batch(rows: tf.Tensor) -> Batch:
        return {**gather(rows), ROW: rows, EXAMPLE_WEIGHTS: tf.cast(rows >= 0, tf.float32)}

    if splits is not None:
        with tf.device("CPU:0"):
            longest_first = tf.constant(order)
        ends = tf.data.Dataset.from_tensor_slices((splits[:-1], splits[1:]))
        return _map(ends.map(lambda first, end: longest_first[first:end]), batch)
    numbers = np.full(number_of_batches(examples, batch_size) * batch_size, -1)
    numbers[: len(order)] = order
    rows = tf.data.Dataset.from_tensor_slices(numbers.reshape(-1, batch_size))
    return _map(share.of(rows, batch_size), batch)


def number_of_batches(examples: ExampleArrays, batch_size: int) -> int:
    """The number of batches of this size that `evaluation` creates."""
    return -(-len(examples) // batch_size)


def _map(rows: tf.data.Dataset, batch: Callable[[tf.Tensor], Batch]) -> tf.data.Dataset:
    return rows.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)
