"""The encoder's heads and their losses: masked language model, next sentence, labels of texts.

Shapes: `B` batch, `S` sequence, `H` hidden, `P` predictions, `V` vocabulary, `L` labels. Losses are returned per
row, so that their sums over replicas and batches can be divided by the total weight once. Follows google-research/bert
`run_pretraining.py` and `run_classifier.py`.
"""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from bert_tf2.configs.model import BertConfig
from bert_tf2.input_pipeline.record_batches import EXAMPLE_WEIGHTS
from bert_tf2.modeling import fused_ops
from bert_tf2.modeling.layers import (
    MAX_DROPOUT_SITES,
    ConfiguredLayer,
    Dense,
    LayerNorm,
    dropout,
    flat_positions,
    truncated_normal,
)

# As in the original, regardless of the encoder's dropout rate.
_CLASSIFIER_DROPOUT = 0.1


@keras.saving.register_keras_serializable("bert_tf2")
class MaskedLMHead(ConfiguredLayer):
    """Scores of all pieces at the masked positions: dense, activation, LayerNorm, tied embeddings, bias."""

    def __init__(self, config: BertConfig, **options: Any) -> None:
        super().__init__(config, **options)
        hidden = config.hidden_size
        inner: dict[str, Any] = {"dtype": self.dtype_policy}
        self.transform = Dense(hidden, hidden, config.initializer_range, config.hidden_act, name="transform", **inner)
        self.layer_norm = LayerNorm(hidden, name="layer_norm", **inner)
        # In float32 under all dtype policies: it is added to float32 scores.
        self.output_bias = self.add_weight(
            name="output_bias", shape=(config.vocab_size,), initializer="zeros", autocast=False
        )
        self.built = True

    def call(self, sequence_output: tf.Tensor, positions: tf.Tensor, embedding_table: tf.Tensor) -> tf.Tensor:
        """Scores at the given positions.

        Args:
          sequence_output: float `[B, S, H]`.
          positions: int `[B, P]`, indices into the sequence.
          embedding_table: float `[V, H]`, the encoder's word embeddings.

        Returns:
          float32 `[B*P, V]`.
        """
        return self.logits(gather_positions(sequence_output, positions), embedding_table)

    def logits(self, masked: tf.Tensor, embedding_table: tf.Tensor) -> tf.Tensor:
        """Scores of hidden states: `masked float [R, H], embedding_table float [V, H] -> float32 [R, V]`."""
        scores = self._scores(masked, embedding_table, fuse=False)
        return tf.nn.bias_add(tf.cast(scores, tf.float32), self.output_bias)

    def losses(
        self, masked: tf.Tensor, embedding_table: tf.Tensor, labels: tf.Tensor, fuse: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`heads.cross_entropy` and `heads.correct` of the scores, without storing the scores in float32.

        Args:
          masked: float `[R, H]`, hidden states at masked positions.
          embedding_table: float `[V, H]`, the encoder's word embeddings.
          labels: int `[R]`.
          fuse: see `fused_ops`.

        Returns:
          The loss of each row, and 1 for each row predicted correctly, else 0: two float32 `[R]`.
        """
        return fused_ops.cross_entropy(self._scores(masked, embedding_table, fuse), self.output_bias, labels, fuse=fuse)

    def _scores(self, masked: tf.Tensor, embedding_table: tf.Tensor, fuse: bool) -> tf.Tensor:
        """The scores without the output bias, in the dtype of `masked`: `[R, V]`."""
        transformed = self.layer_norm(self.transform(masked, fuse=fuse), fuse=fuse)  # [R, H]
        return tf.matmul(transformed, tf.cast(embedding_table, transformed.dtype), transpose_b=True)

    def named_variables(self) -> dict[str, keras.Variable]:
        """The head's variables by Google's names, `cls/predictions/...`; the tied embeddings are the encoder's."""
        return {
            **self.transform.named_variables("cls/predictions/transform/dense"),
            **self.layer_norm.named_variables("cls/predictions/transform/LayerNorm"),
            "cls/predictions/output_bias": self.output_bias,
        }


@keras.saving.register_keras_serializable("bert_tf2")
class NextSentenceHead(ConfiguredLayer):
    """Two scores: 0, the second segment follows the first; 1, the second segment is random."""

    def __init__(self, config: BertConfig, **options: Any) -> None:
        super().__init__(config, **options)
        self.output_weights = self.add_weight(
            name="output_weights",
            shape=(2, config.hidden_size),
            initializer=truncated_normal(config.initializer_range),
        )
        self.output_bias = self.add_weight(name="output_bias", shape=(2,), initializer="zeros", autocast=False)
        self.built = True

    def call(self, pooled_output: tf.Tensor) -> tf.Tensor:
        """`pooled_output [B, H] -> float32 [B, 2]`."""
        scores = tf.matmul(pooled_output, self.output_weights, transpose_b=True)
        return tf.nn.bias_add(tf.cast(scores, tf.float32), self.output_bias)

    def named_variables(self) -> dict[str, keras.Variable]:
        """The head's variables by Google's names, `cls/seq_relationship/...`."""
        return {
            "cls/seq_relationship/output_weights": self.output_weights,
            "cls/seq_relationship/output_bias": self.output_bias,
        }


@keras.saving.register_keras_serializable("bert_tf2")
class ClassifierHead(ConfiguredLayer):
    """A score for each label of a text, from the pooled first position; as in the original's `run_classifier.py`.

    A tagger applies the same head to each position.

    Args:
      config: the encoder's config.
      outputs: the number of scores, `L`.
    """

    def __init__(self, config: BertConfig, outputs: int, **options: Any) -> None:
        super().__init__(config, **options)
        self.outputs = outputs
        self.output_weights = self.add_weight(
            name="output_weights", shape=(outputs, config.hidden_size), initializer=truncated_normal(0.02)
        )
        self.output_bias = self.add_weight(name="output_bias", shape=(outputs,), initializer="zeros", autocast=False)
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """For Keras's serialization."""
        return {**super().get_config(), "outputs": self.outputs}

    def call(self, pooled_output: tf.Tensor, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """`pooled_output [B, H] -> float32 [B, L]`; without a seed there is no dropout."""
        pooled_output = dropout(pooled_output, _CLASSIFIER_DROPOUT, dropout_seed, MAX_DROPOUT_SITES - 1)
        scores = tf.matmul(pooled_output, self.output_weights, transpose_b=True)
        return tf.nn.bias_add(tf.cast(scores, tf.float32), self.output_bias)

    def named_variables(self) -> dict[str, keras.Variable]:
        """The head's variables by Google's names, `output_weights` and `output_bias`."""
        return {"output_weights": self.output_weights, "output_bias": self.output_bias}


def gather_positions(sequence: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    """Rows of a `[B, S, H]` tensor at positions `[B, P]`, as a matrix `[B*P, H]`."""
    flat = flat_positions(positions, tf.shape(sequence)[1])
    return tf.gather(tf.reshape(sequence, [-1, sequence.shape[2]]), flat)


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Negative log-likelihood of each row's label: `logits [R, C], labels int [R] -> float32 [R]`."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)


def correct(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """1 where the label has the highest score, else 0: `logits [R, C], labels int [R] -> float32 [R]`."""
    return tf.cast(tf.argmax(logits, axis=-1, output_type=labels.dtype) == labels, tf.float32)


def example_weights(batch: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """1 for an example, 0 for padding of a batch or of a packed row: float32 `[B]`, or `[B*Q]` for packed rows."""
    if "sequence_weights" in batch:
        return tf.reshape(batch["sequence_weights"], [-1])
    if EXAMPLE_WEIGHTS in batch:
        return batch[EXAMPLE_WEIGHTS]
    return tf.ones(tf.shape(batch["input_ids"])[:1])
