"""Multiple choice: each choice is a pair with its question; a linear score of the pooled output, softmax over choices.

Follows the SWAG experiment of Devlin et al. 2018, section 4.4, and `BertForMultipleChoice` of transformers.

Shapes: `B` batch (questions), `C` the most choices of a question, `S` the most tokens of a pair, `T` the most tokens
of all pairs of a question together.
"""

import functools
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError
from bert_tf2.modeling import heads, layers
from bert_tf2.modeling.keras_model import INPUT_IDS, INPUT_MASK, features
from bert_tf2.modeling.task_model import Batch, Weighted
from bert_tf2.modeling.with_head import BertWithHead

LABELS = "label_ids"
"""In a batch: the index of the right choice of each question; int32 `[B]`."""

CHOICE_LENGTHS = "choice_lengths"
"""In a batch: the number of tokens of each pair, 0 for padding choices; int32 `[B, C]`."""

_PADDING_LOGIT = -1e9  # of padding choices: their probability becomes 0


@keras.saving.register_keras_serializable("bert_tf2")
class BertForMultipleChoice(BertWithHead):
    """A Keras model that scores each choice of a question, from the pooled first position of its pair.

    Called on `keras_model.features` with a row for each choice, each `[B, C, S]`, it returns logits, float32 `[B, C]`:
    compile it with a loss that has `from_logits=True`. A choice whose `input_mask` is all 0 is padding; its logit is
    -1e9.

        tokenized = tokenizer(contexts, choices, max_length=128)  # C pairs for each question, one after another
        inputs = {name: array.reshape(-1, C, array.shape[1]) for name, array in tokenized.items()}
        model.fit(inputs, labels)  # labels: the index of the right choice of each question

    Args:
      config: the encoder's config.
      recompute: see `encoder.BertModel`.
      **options: of `keras.Model`: `name`, `dtype`, `trainable`.

    Examples:
      >>> import numpy as np
      >>> from bert_tf2 import BertConfig, BertForMultipleChoice
      >>> config = BertConfig(100, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
      >>> model = BertForMultipleChoice(config)
      >>> model(np.array([[[2, 17, 3, 45, 3], [2, 17, 3, 46, 3]]])).shape  # ids [B, C, S] -> [B, C]
      TensorShape([1, 2])
    """

    ARCHITECTURE = "BertForMultipleChoice"

    def __init__(self, config: BertConfig, recompute: bool = False, **options: Any) -> None:
        super().__init__(config, recompute, **options)
        self.choice = heads.ClassifierHead(config, 1, name="choice", dtype=self.dtype_policy)
        self._complete()

    def _heads(self) -> list[Any]:
        return [self.choice]

    def call(self, inputs: Any, training: bool = False, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """`keras_model.features [B, C, S] -> float32 [B, C]`; for `dropout_seed` see `encoder.BertModel.call`.

        Raises:
          InputError: the inputs are not of shape `[B, C, S]`.
        """
        batch = features(inputs)
        shape = batch[INPUT_IDS].shape
        if shape.rank != 3:
            raise InputError(f"The inputs are of shape {shape}; expected [B, C, S], one row for each choice.")
        length = shape[2] or tf.shape(batch[INPUT_IDS])[2]
        pairs = {name: tf.reshape(values, [-1, length]) for name, values in batch.items()}  # [B*C, S]
        scores = self.scores(pairs, layers.call_seed(training, dropout_seed))
        return _choice_logits(scores, tf.reduce_any(tf.cast(batch[INPUT_MASK], tf.bool), axis=2))

    def scores(self, pairs: Batch, dropout_seed: tf.Tensor | None, skip_padding: bool = False) -> tf.Tensor:
        """The score of each pair: float32 `[R]`, for `input_ids`, `input_mask` and `segment_ids`, int32 `[R, S]`."""
        outputs = self.bert(
            pairs["input_ids"],
            pairs["input_mask"],
            pairs["segment_ids"],
            training=dropout_seed is not None,
            dropout_seed=dropout_seed,
            output_positions=tf.zeros_like(pairs["input_ids"][:, :1]),
            skip_padding=skip_padding,
        )
        return self.choice(outputs.pooled_output, dropout_seed)[:, 0]


class MultipleChoiceModel:
    """A model for multiple choice and its loss: a `task_model.Task`.

    Its loss is the mean over questions of the cross-entropy of the choices.

    Args:
      config: the encoder's config.
      recompute: see `encoder.BertModel`.
      skip_padding: see `encoder.BertModel.call`.
    """

    metric_names = ("accuracy",)

    def __init__(self, config: BertConfig, recompute: bool = False, skip_padding: bool = False) -> None:
        self.network = BertForMultipleChoice(config, recompute)
        self.bert, self.choice = self.network.bert, self.network.choice
        self._skip_padding = skip_padding

    @functools.cached_property
    def named_variables(self) -> Mapping[str, keras.Variable]:
        """All variables, by Google's names; the head's names are those of a classifier with one output."""
        return self.network.named_variables()

    def logits(self, batch: Batch, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """The score of each choice, -1e9 for padding: float32 `[B, C]`.

        Args:
          batch: `input_ids`, `input_mask` and `segment_ids`, int32 `[B, T]`, in which the pairs of a question are
            concatenated, and `CHOICE_LENGTHS`.
          dropout_seed: int64 `[2]`; None switches dropout off.
        """
        return _choice_logits(self.scores(split_choices(batch), dropout_seed), batch[CHOICE_LENGTHS] > 0)

    def scores(self, pairs: Batch, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """See `BertForMultipleChoice.scores`."""
        return self.network.scores(pairs, dropout_seed, self._skip_padding)

    def loss_weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        """The number of questions in the batch, without padding."""
        return {"questions": tf.reduce_sum(heads.example_weights(batch))}

    def loss(
        self, batch: Batch, loss_weights: dict[str, tf.Tensor], dropout_seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, dict[str, Weighted]]:
        """The mean of the questions' losses; see `task_model.Task.loss`."""
        logits, labels, weights = self.logits(batch, dropout_seed), batch[LABELS], heads.example_weights(batch)
        loss = tf.reduce_sum(heads.cross_entropy(logits, labels) * weights) / loss_weights["questions"]
        correct = tf.reduce_sum(heads.correct(logits, labels) * weights)
        return loss, {"accuracy": (correct, tf.reduce_sum(weights))}


def _choice_logits(scores: tf.Tensor, is_choice: tf.Tensor) -> tf.Tensor:
    """`scores float32 [B*C], is_choice bool [B, C] -> float32 [B, C]`, with `_PADDING_LOGIT` for padding."""
    scores = tf.ensure_shape(tf.reshape(scores, tf.shape(is_choice)), is_choice.shape)
    return tf.where(is_choice, scores, tf.constant(_PADDING_LOGIT, scores.dtype))


def split_choices(batch: Batch) -> Batch:
    """Splits the questions of a batch into their pairs, one per row, padded to the longest.

    Args:
      batch: see `MultipleChoiceModel.logits`. If T is known statically, S is T / C.

    Returns:
      `input_ids`, `input_mask` and `segment_ids`, int32 `[B*C, S]`; all 0 for padding choices.
    """
    lengths = batch[CHOICE_LENGTHS]
    choices, total = lengths.shape[1], batch["input_ids"].shape[1]
    size = tf.maximum(tf.reduce_max(lengths), 1) if total is None else total // choices
    starts = tf.cumsum(lengths, axis=1, exclusive=True)  # [B, C]
    positions = tf.range(size)
    is_token = positions < lengths[:, :, None]  # [B, C, S]
    # A padding row has the lengths of some question, which may be longer than the batch, but no tokens.
    last = tf.shape(batch["input_ids"])[1] - 1
    indices = tf.where(is_token, tf.minimum(starts[:, :, None] + positions, last), 0)
    pairs = {}
    for name in ("input_ids", "input_mask", "segment_ids"):
        values = tf.where(is_token, tf.gather(batch[name], indices, batch_dims=1), 0)
        pairs[name] = tf.reshape(values, [-1, size])
    return pairs
