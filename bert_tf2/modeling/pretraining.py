"""The pre-training model: encoder, masked-LM head, optional next-sentence head, and their losses.

Shapes: `B` batch, `P` predictions, `V` vocabulary. Follows google-research/bert `run_pretraining.py`.
"""

import functools
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from bert_tf2.configs.model import BertConfig
from bert_tf2.modeling import heads, layers, unpadded
from bert_tf2.modeling.keras_model import features
from bert_tf2.modeling.task_model import Batch, Weighted
from bert_tf2.modeling.with_head import BertWithHead

MASKED_POSITIONS = "masked_lm_positions"
# As in the original, the masked-LM loss is divided by the sum of the weights plus this.
_MASKED_LM_WEIGHT_EPSILON = 1e-5


@keras.saving.register_keras_serializable("bert_tf2")
class BertMaskedLM(BertWithHead):
    """A Keras model that scores all pieces of the vocabulary at the masked positions.

    Called on `keras_model.features` and, optionally, `masked_lm_positions`, int `[B, P]`, it returns logits, float32
    `[B, P, V]`, or `[B, S, V]` for all positions: compile it with a loss that has `from_logits=True`. No gradient
    reaches the pooler.

    Args:
      config: the encoder's config.
      recompute: see `encoder.BertModel`.
      **options: of `keras.Model`: `name`, `dtype`, `trainable`.

    Examples:
      >>> import numpy as np
      >>> from bert_tf2 import BertConfig, BertMaskedLM
      >>> config = BertConfig(100, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
      >>> model = BertMaskedLM(config)
      >>> inputs = {"input_ids": np.array([[2, 4, 45, 3]]), "masked_lm_positions": np.array([[1]])}
      >>> model(inputs).shape  # [B, P, V]
      TensorShape([1, 1, 100])
    """

    ARCHITECTURE = "BertForMaskedLM"
    _with_next_sentence = TRAINS_POOLER = False

    def __init__(self, config: BertConfig, recompute: bool = False, **options: Any) -> None:
        super().__init__(config, recompute, **options)
        inner: dict[str, Any] = {"dtype": self.dtype_policy}
        self.masked_lm = heads.MaskedLMHead(config, name="masked_lm", **inner)
        self.next_sentence: heads.NextSentenceHead | None = None
        if self._with_next_sentence:
            self.next_sentence = heads.NextSentenceHead(config, name="next_sentence", **inner)
        self._complete()

    def _heads(self) -> list[Any]:
        return [self.masked_lm, *([self.next_sentence] if self.next_sentence else [])]

    def call(self, inputs: Any, training: bool = False, dropout_seed: tf.Tensor | None = None) -> Any:
        """`keras_model.features` to logits; for `dropout_seed` see `encoder.BertModel.call`."""
        return self._scores(inputs, training, dropout_seed)[0]

    def _scores(
        self, inputs: Any, training: bool, dropout_seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Masked-LM logits `[B, P, V]`, and next-sentence logits `[B, 2]` or None."""
        batch = features(inputs, (MASKED_POSITIONS,))
        if MASKED_POSITIONS not in batch:
            shape = tf.shape(batch["input_ids"])
            batch[MASKED_POSITIONS] = tf.broadcast_to(tf.range(shape[1]), shape)
        masked_lm, next_sentence = self.logits(batch, layers.call_seed(training, dropout_seed))
        shape = tf.unstack(tf.shape(batch[MASKED_POSITIONS]))
        return tf.reshape(masked_lm, [*shape, self.config.vocab_size]), next_sentence

    def logits(self, batch: Batch, dropout_seed: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Scores of a batch with the features of `records.pretraining`, or, packed, of `sequence_packing.row_features`.

        Returns:
          Masked-LM scores, float32 `[B*P, V]`, and next-sentence scores, float32 `[B, 2]` (`[B*Q, 2]` for packed
          rows), or None without that head.
        """
        masked, first = self.encoded(batch, dropout_seed)
        masked_lm = self.masked_lm.logits(_as_matrix(masked), tf.convert_to_tensor(self.bert.embedding_table))
        return masked_lm, self.next_sentence_logits(first)

    def encoded(self, batch: Batch, dropout_seed: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        """Hidden states at the masked positions, `[B, P, H]`, and at the start of each sequence, `[B, 1 or Q, H]`.

        The last layer is computed only at these positions.
        """
        masked_positions = tf.cast(batch["masked_lm_positions"], tf.int32)
        starts = tf.cast(batch.get("sequence_starts", tf.zeros_like(masked_positions[:, :1])), tf.int32)
        outputs = self.bert(
            batch["input_ids"],
            batch.get("input_mask"),
            batch["segment_ids"],
            training=dropout_seed is not None,
            dropout_seed=dropout_seed,
            position_ids=batch.get("position_ids"),
            sequence_ids=batch.get("sequence_ids"),
            output_positions=tf.concat([starts, masked_positions], axis=1),
        )
        sequence_count = tf.shape(starts)[1] if starts.shape[1] is None else starts.shape[1]
        return outputs.sequence_output[:, sequence_count:], outputs.sequence_output[:, :sequence_count]

    def next_sentence_logits(self, first: tf.Tensor) -> tf.Tensor | None:
        """`first [B, Q, H] -> float32 [B*Q, 2]`: scores of the sequences' first positions; None without that head."""
        if self.next_sentence is None:
            return None
        return self.next_sentence(self.bert.pooler(_as_matrix(first)))


@keras.saving.register_keras_serializable("bert_tf2")
class BertForPreTraining(BertMaskedLM):
    """A Keras model with the heads that BERT was pre-trained with: that of `BertMaskedLM`, and next sentence.

    It returns a dictionary of `masked_lm`, the logits of `BertMaskedLM`, and `next_sentence`, logits, float32 `[B, 2]`:
    0, the second segment follows the first; 1, it is random.

    Examples:
      >>> import numpy as np
      >>> from bert_tf2 import BertConfig, BertForPreTraining
      >>> config = BertConfig(100, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
      >>> outputs = BertForPreTraining(config)(np.array([[2, 4, 3, 45, 3]]))
      >>> outputs["masked_lm"].shape, outputs["next_sentence"].shape
      (TensorShape([1, 5, 100]), TensorShape([1, 2]))
    """

    ARCHITECTURE = "BertForPreTraining"
    _with_next_sentence = TRAINS_POOLER = True

    def call(
        self, inputs: Any, training: bool = False, dropout_seed: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor | None]:
        """`keras_model.features` to logits; for `dropout_seed` see `encoder.BertModel.call`."""
        masked_lm, next_sentence = self._scores(inputs, training, dropout_seed)
        return {"masked_lm": masked_lm, "next_sentence": next_sentence}


class PretrainingModel:
    """A pre-training model with one head or both, and their losses: a `task_model.Task`.

    Args:
      config: the encoder's config.
      with_next_sentence: whether there is a next-sentence head. Without it, no gradient reaches the pooler, which is
        then not trained.
      recompute: see `encoder.BertModel`.
      skip_unused: whether to leave predictions without weight, such as the free slots of a packed row, out of the
        computation of scores and loss. The number of rows there then differs from batch to batch.
    """

    def __init__(
        self,
        config: BertConfig,
        with_next_sentence: bool = True,
        recompute: bool = False,
        skip_unused: bool = False,
    ) -> None:
        self._skip_unused = skip_unused
        self.network = (BertForPreTraining if with_next_sentence else BertMaskedLM)(config, recompute)
        self.bert, self.masked_lm, self.next_sentence = (
            self.network.bert,
            self.network.masked_lm,
            self.network.next_sentence,
        )
        self.bert.pooler.trainable = True  # so that it has optimizer slots, as in the original

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The loss and accuracy of each head."""
        masked_lm = ("masked_lm_loss", "masked_lm_accuracy")
        return (*masked_lm, "next_sentence_loss", "next_sentence_accuracy") if self.next_sentence else masked_lm

    @functools.cached_property
    def named_variables(self) -> Mapping[str, keras.Variable]:
        """All variables, by Google's names."""
        return self.network.named_variables()

    def logits(self, batch: Batch, dropout_seed: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor | None]:
        """See `BertMaskedLM.logits`."""
        return self.network.logits(batch, dropout_seed)

    def loss_weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        """The total weight of the predictions, and the number of examples."""
        return {
            "masked_lm": tf.reduce_sum(batch["masked_lm_weights"]),
            "next_sentence": tf.reduce_sum(heads.example_weights(batch)),
        }

    def loss(
        self, batch: Batch, loss_weights: dict[str, tf.Tensor], dropout_seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, dict[str, Weighted]]:
        """Masked-LM loss, plus next-sentence loss if there is that head; see `task_model.Task.loss`."""
        masked, first = self.network.encoded(batch, dropout_seed)
        masked = _as_matrix(masked)  # [B*P, H]
        masked_ids = tf.reshape(batch["masked_lm_ids"], [-1])  # [B*P]
        masked_weights = tf.reshape(batch["masked_lm_weights"], [-1])  # [B*P]
        fuse = layers.fuses(self.bert.config, dropout_seed)
        if self._skip_unused:
            used = unpadded.token_layout(masked_weights, round_up=fuse)
            masked = unpadded.without_padding(masked, used)  # [T, H]
            masked_ids = tf.gather(masked_ids, used.positions)  # [T]
            masked_weights = tf.where(used.row_is_token[:, 0], tf.gather(masked_weights, used.positions), 0.0)
        losses, correct = self.masked_lm.losses(
            masked, tf.convert_to_tensor(self.bert.embedding_table), masked_ids, fuse=fuse
        )
        masked_lm, masked_correct = tf.reduce_sum(losses * masked_weights), tf.reduce_sum(correct * masked_weights)
        masked_weight = tf.reduce_sum(masked_weights)
        loss = masked_lm / (loss_weights["masked_lm"] + _MASKED_LM_WEIGHT_EPSILON)
        metrics = {"masked_lm_loss": (masked_lm, masked_weight), "masked_lm_accuracy": (masked_correct, masked_weight)}
        next_sentence_logits = self.network.next_sentence_logits(first)
        if next_sentence_logits is None:
            return loss, metrics

        next_labels = tf.reshape(batch["next_sentence_labels"], [-1])  # [B]
        example_weights = heads.example_weights(batch)  # [B]
        next_sentence = tf.reduce_sum(heads.cross_entropy(next_sentence_logits, next_labels) * example_weights)
        next_correct = tf.reduce_sum(heads.correct(next_sentence_logits, next_labels) * example_weights)
        examples = tf.reduce_sum(example_weights)
        loss += next_sentence / loss_weights["next_sentence"]
        return loss, {
            **metrics,
            "next_sentence_loss": (next_sentence, examples),
            "next_sentence_accuracy": (next_correct, examples),
        }


def _as_matrix(x: tf.Tensor) -> tf.Tensor:
    """`[B, Q, H] -> [B*Q, H]`."""
    return tf.reshape(x, [-1, x.shape[2]])
