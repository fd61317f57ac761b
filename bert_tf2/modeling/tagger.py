"""The tagger: encoder, head, and its loss.

Shapes: `B` batch, `S` sequence, `H` hidden, `L` labels.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from bert_tf2.configs.model import BertConfig
from bert_tf2.modeling import heads, layers
from bert_tf2.modeling.keras_model import features
from bert_tf2.modeling.task_model import Batch, Weighted
from bert_tf2.modeling.with_head import BertWithLabels

TAGS = "tag_ids"
"""In a batch: 1 + the label of the word that starts at each position, 0 if no word does; int32 `[B, S]`."""


@keras.saving.register_keras_serializable("bert_tf2")
class BertTagger(BertWithLabels):
    """A Keras model that scores the labels at each position.

    Called on `keras_model.features`, it returns logits, float32 `[B, S, L]`: compile it with a loss that has
    `from_logits=True`, and exclude positions without a label by weights or `ignore_class`. No gradient reaches the
    pooler.

    Args:
      config: the encoder's config.
      labels: their names in the order of their ids, or their number, `L`.
      recompute: see `encoder.BertModel`.
      **options: of `keras.Model`: `name`, `dtype`, `trainable`.

    Raises:
      InputError: there are no labels.

    Examples:
      >>> import numpy as np
      >>> from bert_tf2 import BertConfig, BertTagger
      >>> config = BertConfig(100, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
      >>> model = BertTagger(config, labels=["O", "B-PER", "I-PER"])
      >>> model(np.array([[2, 17, 45, 3]])).shape  # [B, S, L]
      TensorShape([1, 4, 3])
    """

    ARCHITECTURE = "BertForTokenClassification"
    TRAINS_POOLER = False

    def __init__(
        self, config: BertConfig, labels: int | Sequence[str], recompute: bool = False, **options: Any
    ) -> None:
        super().__init__(config, labels, recompute, **options)
        self.tagger = heads.ClassifierHead(config, self.number_of_labels, name="tagger", dtype=self.dtype_policy)
        self._complete()

    def _heads(self) -> list[Any]:
        return [self.tagger]

    def call(self, inputs: Any, training: bool = False, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """`keras_model.features -> float32 [B, S, L]`; for `dropout_seed` see `encoder.BertModel.call`."""
        batch = features(inputs)
        flat = self.logits(batch, layers.call_seed(training, dropout_seed))
        return tf.reshape(flat, [*tf.unstack(tf.shape(batch["input_ids"])), self.number_of_labels])

    def logits(self, batch: Batch, dropout_seed: tf.Tensor | None, skip_padding: bool = False) -> tf.Tensor:
        """Scores of each position of a batch, float32 `[B*S, L]`.

        The batch has `input_ids`, `input_mask` and, optionally, `segment_ids`.
        """
        outputs = self.bert(
            batch["input_ids"],
            batch["input_mask"],
            batch.get("segment_ids"),
            training=dropout_seed is not None,
            dropout_seed=dropout_seed,
            skip_padding=skip_padding,
        )
        hidden = outputs.sequence_output
        return self.tagger(tf.reshape(hidden, [-1, hidden.shape[2]]), dropout_seed)


class TaggingModel:
    """A tagger and its loss: a `task_model.Task`.

    Its loss is the mean cross-entropy over the first pieces of words. No gradient reaches the pooler, which is not
    trained.

    Args:
      config: the encoder's config.
      labels: the number of labels, `L`.
      class_weights: the weight of each label's words, `[L]`; the loss is the weighted mean.
      recompute: see `encoder.BertModel`.
      skip_padding: see `encoder.BertModel.call`.
    """

    metric_names = ("accuracy",)

    def __init__(
        self,
        config: BertConfig,
        labels: int,
        class_weights: Sequence[float] | None = None,
        recompute: bool = False,
        skip_padding: bool = False,
    ) -> None:
        self.network = BertTagger(config, labels, recompute)
        self.bert, self.tagger = self.network.bert, self.network.tagger
        self.bert.pooler.trainable = True  # so that it has optimizer slots, as in the original
        self._skip_padding = skip_padding
        self._class_weights = None if class_weights is None else tuple(map(float, class_weights))

    @functools.cached_property
    def named_variables(self) -> Mapping[str, keras.Variable]:
        """All variables, by Google's names; the head's names are those of a classifier."""
        return self.network.named_variables()

    def logits(self, batch: Batch, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """Scores of each position of a batch with `input_ids` and `input_mask`: float32 `[B*S, L]`."""
        inputs = {name: batch[name] for name in ("input_ids", "input_mask")}  # without any `segment_ids`: all 0
        return self.network.logits(inputs, dropout_seed, self._skip_padding)

    def losses(self, logits: tf.Tensor, batch: Batch) -> tf.Tensor:
        """The cross-entropy at each position, 0 where no word starts.

        Args:
          logits: float32 `[B*S, L]`.
          batch: with `TAGS`.

        Returns:
          float32 `[B*S]`.
        """
        labels = tf.maximum(_tags(batch) - 1, 0)
        return heads.cross_entropy(logits, labels) * _is_word(batch)

    def loss_weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        """The total weight of the words of the batch."""
        return {"words": tf.reduce_sum(self._weights(batch))}

    def loss(
        self, batch: Batch, loss_weights: dict[str, tf.Tensor], dropout_seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, dict[str, Weighted]]:
        """The mean of the words' losses; see `task_model.Task.loss`."""
        logits = self.logits(batch, dropout_seed)
        loss = tf.reduce_sum(self.losses(logits, batch) * self._weights(batch)) / loss_weights["words"]
        words = _is_word(batch)
        correct = tf.reduce_sum(heads.correct(logits, _tags(batch) - 1) * words)
        return loss, {"accuracy": (correct, tf.reduce_sum(words))}

    def _weights(self, batch: Batch) -> tf.Tensor:
        """The weight of each position: float32 `[B*S]`."""
        if self._class_weights is None:
            return _is_word(batch)
        return tf.gather(tf.constant((0.0, *self._class_weights)), _tags(batch))


def _tags(batch: Batch) -> tf.Tensor:
    return tf.reshape(batch[TAGS], [-1])  # [B*S]


def _is_word(batch: Batch) -> tf.Tensor:
    """1 where a word starts, else 0: float32 `[B*S]`. Padding and padding rows have no words."""
    return tf.cast(_tags(batch) > 0, tf.float32)
