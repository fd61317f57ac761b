"""A model's vectors of tokens or of whole sequences.

Shapes: `N` sequences, `T` tokens of all of them, `B` rows of a batch, `S` its columns, `H` hidden, `D` numbers of a
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

# Compiled by XLA, each number of columns is a program of its own; so there are this many different ones at most.
_MOST_COMPILED_LENGTHS = 8
_MOST_ON_ACCELERATOR = 8  # batches side by side, for their memory


def features_of(model: modeling.BertModel, layers: tuple[int, ...], pooling: str, combine: str = CONCAT) -> Features:
    """A function from ids, mask and segments, int32 [B, S], to vectors, float32.

    Only what the result needs is computed, once it is a `tf.function`.

    Args:
      model: the encoder.
      layers: which layers, counted as Python's indices: -1 is the last one.
      pooling: "none", all positions, [B, S, D]; "mean", the mean over the positions that the mask lets through, "max",
        the greatest of each number there, "cls", the first position, or "pooler", what the model's pooler makes of the
        last layer, whatever `layers` are: [B, D].
      combine: "concat", the layers one after the other, or their "sum" or "mean", before they are pooled.
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
        return tf.concat([_pooled(layer, input_mask, pooling) for layer in vectors], -1)  # [B, D]

    return features


def _pooled(layer: tf.Tensor, input_mask: tf.Tensor, pooling: str) -> tf.Tensor:
    """`layer [B, S, H], input_mask [B, S] -> [B, H]`."""
    if pooling == CLS:
        return layer[:, 0]
    mask = input_mask[..., None]  # [B, S, 1]
    if pooling == MAX:
        return tf.reduce_max(tf.where(mask > 0, layer, layer.dtype.min), 1)
    weights = tf.cast(mask, layer.dtype)
    return tf.reduce_sum(layer * weights, 1) / tf.maximum(tf.reduce_sum(weights, 1), 1.0)


class Encoder:
    """A model on its devices, in this process alone.

    Args:
      features: made by `features_of`.
      size: `D`.
      of_tokens: whether there is a vector for each token; else for each sequence.
      batch_size: rows of a batch at most, over all devices; rounded up to a multiple of their number.
      max_seq_length: columns of a batch at most.
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
        self._concurrency = Concurrency.of(strategy, compiles, _MOST_ON_ACCELERATOR)
        compiled = tf.function(features, jit_compile=compiles or None)

        def replica(*batch: tf.Tensor) -> tf.Tensor:
            rows = self._rows // replicas
            first = tf.distribute.get_replica_context().replica_id_in_sync_group * rows
            return compiled(*(part[first : first + rows] for part in batch))

        def run(*batch: tf.Tensor) -> tf.Tensor:
            return strategy.gather(strategy.run(replica, args=batch), axis=0) if replicas > 1 else compiled(*batch)

        batch = [tf.TensorSpec([None, None], tf.int32)] * 3
        self._run = tf.function(run, input_signature=batch).get_concrete_function()

    def vectors(self, sequences: Sequences, report: Callable[[int], None]) -> Array:
        """The vectors of all tokens, float32 [T, D], or of all sequences, [N, D], in their order.

        Args:
          sequences: at least one.
          report: called with the number of sequences of each batch that is done.

        Raises:
          InputError: a number is not finite.
        """
        found = np.empty((len(sequences.input_ids) if self._of_tokens else len(sequences), self._size), np.float32)
        order = np.argsort(-sequences.lengths, kind="stable")  # like with like, so that next to nothing is padding
        splits = self._concurrency.divide(sequences.lengths[order], self._rows)
        batches = (order[first:end] for first, end in itertools.pairwise(splits))
        for rows in self._concurrency.map(lambda rows: self._put(sequences, rows, found), batches):
            report(len(rows))
        return found

    def _put(self, sequences: Sequences, rows: Array, found: Array) -> Array:
        """Puts the vectors of some sequences where they belong; returns `rows`."""
        starts = sequences.row_splits[rows]
        lengths = sequences.row_splits[rows + 1] - starts
        positions = np.arange(self._columns(int(lengths.max())))
        mask = positions < lengths[:, None]  # [B, S]
        places = (starts[:, None] + positions)[mask]
        batch = self._filled(sequences.input_ids[places], 1, sequences.segment_ids[places], mask=mask)
        values = self._run(*batch).numpy()[: len(rows)]
        where = places if self._of_tokens else rows
        values = values[mask] if self._of_tokens else values
        check_finite({"features": values})
        found[where] = values
        return rows

    def _columns(self, longest: int) -> int:
        if not self._compiles:
            return longest
        step = math.ceil(self._max_seq_length / _MOST_COMPILED_LENGTHS)
        return min(math.ceil(longest / step) * step, self._max_seq_length)

    def _filled(self, *values: Array | int, mask: Array) -> list[tf.Tensor]:
        """Batches, int32 [B, S], of values of all places that the mask lets through."""
        rows, columns = mask.shape
        filled = []
        for value in values:
            batch = np.zeros((self._rows if self._fills_up else rows, columns), np.int32)
            batch[:rows][mask] = value
            filled.append(tf.constant(batch))
        return filled
