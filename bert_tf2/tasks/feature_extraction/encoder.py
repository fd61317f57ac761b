"""A model's vectors for tokens or for whole sequences.

Shapes: `N` sequences, `T` tokens of all of them, `B` rows of a batch, `S` its columns, `H` hidden, `D` size of a
vector.
"""

import itertools
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from bert_tf2 import modeling
from bert_tf2.metrics.finite import check_finite
from bert_tf2.tasks.feature_extraction.config import CLS, CONCAT, MAX, POOLER, SUM, TOKENS
from bert_tf2.tasks.feature_extraction.data import Array, Sequences
from bert_tf2.training.concurrency import Concurrency

Features = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]

_MAX_COMPILED_LENGTHS = 8  # different numbers of columns, for each of which XLA compiles a program
_MAX_ON_ACCELERATOR = 8  # batches at a time, limited by memory


def features_of(model: modeling.BertModel, layers: tuple[int, ...], pooling: str, combine: str = CONCAT) -> Features:
    """Returns a function from ids, mask and segments, int32 [B, S], to vectors, float32.

    As a `tf.function`, it computes only what the result needs.

    Args:
      model: the encoder.
      layers: layer numbers, as Python's indices: -1 is the last layer.
      pooling: "none": all positions, [B, S, D]. The others give [B, D]: "mean" or "max" over the positions that the
        mask includes; "cls", the first position; or "pooler", the output of the model's pooler, which ignores `layers`.
      combine: "concat", the layers one after the other, or their "sum" or "mean"; applied before pooling.
    """

    def features(input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor) -> tf.Tensor:
        outputs = model(input_ids, input_mask, segment_ids)
        if pooling == POOLER:
            return tf.cast(outputs.pooled_output, tf.float32)
        vectors = [tf.cast(outputs.encoder_layers[layer], tf.float32) for layer in layers]
        if combine != CONCAT:
            total = tf.add_n(vectors)
            vectors = [total if combine == SUM else total / len(layers)]
        if pooling == TOKENS:
            return tf.concat(vectors, -1)  # [B, S, D]
        return tf.concat([_pool(layer, input_mask, pooling) for layer in vectors], -1)  # [B, D]

    return features


def _pool(layer: tf.Tensor, input_mask: tf.Tensor, pooling: str) -> tf.Tensor:
    """`layer [B, S, H], input_mask [B, S] -> [B, H]`."""
    if pooling == CLS:
        return layer[:, 0]
    mask = input_mask[..., None]  # [B, S, 1]
    if pooling == MAX:
        return tf.reduce_max(tf.where(mask > 0, layer, layer.dtype.min), 1)
    weights = tf.cast(mask, layer.dtype)
    return tf.reduce_sum(layer * weights, 1) / tf.maximum(tf.reduce_sum(weights, 1), 1.0)


class Encoder:
    """A model on the devices of this process.

    Args:
      features: the result of `features_of`.
      size: `D`.
      of_tokens: whether there is a vector for each token; else there is one for each sequence.
      batch_size: maximum rows of a batch, over all devices; rounded up to a multiple of their number.
      max_seq_length: maximum columns of a batch.
      strategy: where it runs.
      compiles: whether XLA compiles it.
    """

    def __init__(
        self,
        features: Features,
        size: int,
        *,
        of_tokens: bool,
        batch_size: int,
        max_seq_length: int,
        strategy: tf.distribute.Strategy,
        compiles: bool,
    ) -> None:
        replicas = strategy.num_replicas_in_sync
        self._size, self._of_tokens, self._max_seq_length, self._compiles = size, of_tokens, max_seq_length, compiles
        self._rows = -(-batch_size // replicas) * replicas
        self._fills_up = compiles or replicas > 1
        self._concurrency = Concurrency.of(strategy, compiles, _MAX_ON_ACCELERATOR)
        compiled = tf.function(features, jit_compile=compiles or None)

        def replica(*batch: tf.Tensor) -> tf.Tensor:
            rows = self._rows // replicas
            first = tf.distribute.get_replica_context().replica_id_in_sync_group * rows
            return compiled(*(tensor[first : first + rows] for tensor in batch))

        def run(*batch: tf.Tensor) -> tf.Tensor:
            return strategy.gather(strategy.run(replica, args=batch), axis=0) if replicas > 1 else compiled(*batch)

        batch = [tf.TensorSpec([None, None], tf.int32)] * 3
        self._run = tf.function(run, input_signature=batch).get_concrete_function()

    def vectors(self, sequences: Sequences, report: Callable[[int], None]) -> Array:
        """The vectors of all tokens, float32 [T, D], or of all sequences, [N, D], in order.

        Args:
          sequences: at least one.
          report: called after each batch with its number of sequences.

        Raises:
          InputError: a vector is not finite.
        """
        vectors = np.empty((len(sequences.input_ids) if self._of_tokens else len(sequences), self._size), np.float32)
        order = np.argsort(-sequences.lengths, kind="stable")  # similar lengths together, for little padding
        splits = self._concurrency.divide(sequences.lengths[order], self._rows)
        batches = (order[first:end] for first, end in itertools.pairwise(splits))
        for rows in self._concurrency.map(lambda rows: self._compute(sequences, rows, vectors), batches):
            report(len(rows))
        return vectors

    def _compute(self, sequences: Sequences, rows: Array, vectors: Array) -> Array:
        """Computes the vectors of the sequences `rows` and writes them into `vectors`; returns `rows`."""
        starts = sequences.row_splits[rows]
        lengths = sequences.row_splits[rows + 1] - starts
        positions = np.arange(self._columns(int(lengths.max())))
        mask = positions < lengths[:, None]  # [B, S]
        tokens = (starts[:, None] + positions)[mask]
        batch = self._to_batch(sequences.input_ids[tokens], 1, sequences.segment_ids[tokens], mask=mask)
        values = self._run(*batch).numpy()[: len(rows)]
        values = values[mask] if self._of_tokens else values
        check_finite({"features": values})
        vectors[tokens if self._of_tokens else rows] = values
        return rows

    def _columns(self, longest: int) -> int:
        if not self._compiles:
            return longest
        step = math.ceil(self._max_seq_length / _MAX_COMPILED_LENGTHS)
        return min(math.ceil(longest / step) * step, self._max_seq_length)

    def _to_batch(self, *values: Array | int, mask: Array) -> list[tf.Tensor]:
        """A tensor, int32 [B, S], for each of `values`, which are those of the positions that the mask includes."""
        rows, columns = mask.shape
        tensors = []
        for value in values:
            tensor = np.zeros((self._rows if self._fills_up else rows, columns), np.int32)
            tensor[:rows][mask] = value
            tensors.append(tf.constant(tensor))
        return tensors
