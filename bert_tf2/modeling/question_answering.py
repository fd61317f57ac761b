"""The model for question answering: encoder, two scores for each token, and the loss.

Shapes: `B` batch, `S` sequence, `H` hidden. Follows google-research/bert `run_squad.py`.
"""

import functools
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from bert_tf2.configs.model import BertConfig
from bert_tf2.modeling import heads, layers
from bert_tf2.modeling.keras_model import features
from bert_tf2.modeling.task_model import Batch, Weighted
from bert_tf2.modeling.with_head import BertWithHead

START_POSITIONS, END_POSITIONS = "start_positions", "end_positions"
START_LOGITS, END_LOGITS = "start_logits", "end_logits"

NO_CANDIDATE_LOGIT = -1e30
"""The logit of a position that cannot be part of an answer: below all others, but finite."""


@keras.saving.register_keras_serializable("bert_tf2")
class SpanHead(layers.ConfiguredLayer):
    """Two scores for each token: that the answer starts with it, and that the answer ends with it."""

    def __init__(self, config: BertConfig, **options: Any) -> None:
        super().__init__(config, **options)
        self.output_weights = self.add_weight(
            name="output_weights", shape=(2, config.hidden_size), initializer=layers.truncated_normal(0.02)
        )
        # In float32 under all dtype policies: it is added to float32 scores.
        self.output_bias = self.add_weight(name="output_bias", shape=(2,), initializer="zeros", autocast=False)
        self.built = True

    def call(self, sequence_output: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`sequence_output [B, S, H] -> start and end logits, each float32 [B, S]`."""
        shape = tf.shape(sequence_output)
        flat = tf.reshape(sequence_output, [-1, sequence_output.shape[2]])  # [B*S, H]
        scores = tf.matmul(self.output_weights, flat, transpose_b=True)  # [2, B*S]
        scores = tf.cast(scores, tf.float32) + tf.convert_to_tensor(self.output_bias)[:, None]
        start, end = tf.unstack(tf.reshape(scores, [2, shape[0], shape[1]]))
        return start, end

    def named_variables(self) -> dict[str, keras.Variable]:
        """The head's variables by Google's names, `cls/squad/...`."""
        return {"cls/squad/output_weights": self.output_weights, "cls/squad/output_bias": self.output_bias}


@keras.saving.register_keras_serializable("bert_tf2")
class BertForQuestionAnswering(BertWithHead):
    """A Keras model with two scores for each position: that the answer starts there, and that it ends there.

    Called on `keras_model.features`, it returns a dictionary of `start_logits` and `end_logits`, each float32 `[B, S]`:
    compile it with a loss for each that has `from_logits=True`. No gradient reaches the pooler.

    Args:
      config: the encoder's config.
      recompute: see `encoder.BertModel`.
      **options: of `keras.Model`: `name`, `dtype`, `trainable`.

    Examples:
      >>> import numpy as np
      >>> from bert_tf2 import BertConfig, BertForQuestionAnswering
      >>> config = BertConfig(100, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
      >>> outputs = BertForQuestionAnswering(config)(np.array([[2, 17, 3, 45, 3]]))
      >>> outputs["start_logits"].shape, outputs["end_logits"].shape  # [B, S]
      (TensorShape([1, 5]), TensorShape([1, 5]))
    """

    ARCHITECTURE = "BertForQuestionAnswering"
    TRAINS_POOLER = False

    def __init__(self, config: BertConfig, recompute: bool = False, **options: Any) -> None:
        super().__init__(config, recompute, **options)
        self.span = SpanHead(config, name="span", dtype=self.dtype_policy)
        self._complete()

    def _heads(self) -> list[Any]:
        return [self.span]

    def call(self, inputs: Any, training: bool = False, dropout_seed: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        """`keras_model.features` to logits; for `dropout_seed` see `encoder.BertModel.call`."""
        start, end = self.logits(features(inputs), layers.call_seed(training, dropout_seed))
        return {START_LOGITS: start, END_LOGITS: end}

    def logits(
        self, batch: Batch, dropout_seed: tf.Tensor | None, skip_padding: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Start and end scores of a batch with `input_ids`, `input_mask`, `segment_ids`: two float32 `[B, S]`."""
        outputs = self.bert(
            batch["input_ids"],
            batch["input_mask"],
            batch["segment_ids"],
            training=dropout_seed is not None,
            dropout_seed=dropout_seed,
            skip_padding=skip_padding,
        )
        return self.span(outputs.sequence_output)


class SpanModel:
    """A model for question answering and its loss: a `task_model.Task`.

    Its loss is the mean over windows of half the cross-entropy of the answer's first token plus half that of its last
    token. If a window has no answer, both are [CLS].

    Args:
      config: the encoder's config.
      recompute: see `encoder.BertModel`.
      over_padding: whether the softmax of the loss is over all positions of a batch, as in the original, whose batches
        have the length `max_seq_length`; else it is over the tokens alone, and independent of the batch's length.
      skip_padding: whether to leave padding out of the computation where its logits are not needed; see
        `encoder.BertModel.call`.
    """

    def __init__(
        self, config: BertConfig, recompute: bool = False, over_padding: bool = True, skip_padding: bool = False
    ) -> None:
        self.network = BertForQuestionAnswering(config, recompute)
        self.bert, self.span = self.network.bert, self.network.span
        self.bert.pooler.trainable = True  # so that it has optimizer slots, as in the original
        self._over_padding, self._skip_padding = over_padding, skip_padding

    @property
    def metric_names(self) -> tuple[str, ...]:
        """`accuracy`, the fraction of windows whose start and end are both predicted correctly."""
        return ("accuracy",)

    @functools.cached_property
    def named_variables(self) -> Mapping[str, keras.Variable]:
        """All variables, by Google's names, as in the original including the pooler, which has no effect here."""
        return self.network.named_variables()

    def logits(
        self, batch: Batch, dropout_seed: tf.Tensor | None = None, with_padding: bool = True
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Start and end scores of each position.

        Args:
          batch: with `input_ids`, `input_mask`, `segment_ids`.
          dropout_seed: int64 `[2]`; None switches dropout off.
          with_padding: whether the scores at padding are needed; else they are undefined if the model skips padding.

        Returns:
          Two float32 `[B, S]`.
        """
        return self.network.logits(batch, dropout_seed, self._skip_padding and not with_padding)

    def outputs(self, batch: Batch, size: int, with_padding: bool = False) -> dict[str, tf.Tensor]:
        """The logits for prediction, padded to `size` positions: `start_logits` and `end_logits`, float32 `[B, size]`.

        Args:
          batch: windows of at most `size` positions.
          size: the number of positions of the result.
          with_padding: whether the batch's padding has the model's logits, as in the original, or `NO_CANDIDATE_LOGIT`,
            which the positions added up to `size` always have.
        """
        outputs = {}
        for name, logits in zip((START_LOGITS, END_LOGITS), self.logits(batch, None, with_padding), strict=True):
            if not with_padding:
                logits = tf.where(batch["input_mask"] > 0, logits, NO_CANDIDATE_LOGIT)
            paddings = [[0, 0], [0, size - tf.shape(logits)[1]]]
            outputs[name] = tf.pad(logits, paddings, constant_values=NO_CANDIDATE_LOGIT)
        return outputs

    def loss_weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        """The number of windows in the batch."""
        return {"rows": tf.reduce_sum(heads.example_weights(batch))}

    def loss(
        self, batch: Batch, loss_weights: dict[str, tf.Tensor], dropout_seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, dict[str, Weighted]]:
        """The mean of the windows' losses; see `task_model.Task.loss`."""
        rows = heads.example_weights(batch)
        losses, correct = tf.zeros_like(rows), rows
        start_and_end = self.logits(batch, dropout_seed, self._over_padding)
        for logits, name in zip(start_and_end, (START_POSITIONS, END_POSITIONS), strict=True):
            if not self._over_padding:
                logits = tf.where(batch["input_mask"] > 0, logits, NO_CANDIDATE_LOGIT)
            losses += heads.cross_entropy(logits, batch[name]) / 2
            correct *= heads.correct(logits, batch[name])
        return tf.reduce_sum(losses * rows) / loss_weights["rows"], {
            "accuracy": (tf.reduce_sum(correct), tf.reduce_sum(rows))
        }
