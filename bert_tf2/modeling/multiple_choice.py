"""Multiple choice: each choice of a question is a pair of its own; a vector on their pooled outputs, softmax over them.

Follows the SWAG experiment of Devlin et al. 2018, section 4.4, and `BertForMultipleChoice` of transformers.

Shapes: `B` questions of a batch, `C` choices of the one that has most, `S` tokens of the longest pair, `T` tokens of
all pairs of the longest question.
"""

import functools
from collections.abc import Mapping

import keras
import tensorflow as tf

from bert_tf2.configs.model import BertConfig
from bert_tf2.modeling import encoder, heads
from bert_tf2.modeling.task_model import Batch, Weighted

LABELS = "label_ids"
"""In a batch: the right choice of each question, from 0; int32 `[B]`."""

CHOICE_LENGTHS = "choice_lengths"
"""In a batch: tokens of each pair, 0 where a question has no such choice; int32 `[B, C]`."""

_NO_CHOICE = -1e9  # the score of what is no choice; softmax makes 0 of it


class MultipleChoiceModel:
    """The encoder with a score for each choice on it: a `task_model.Task`.

    Its loss is the mean over questions of the cross-entropy of the choices.

    Args:
      config: the encoder's sizes.
      recompute: see `encoder.BertModel`.
      skip_padding: see `encoder.BertModel.call`.
    """

    metric_names = ("accuracy",)

    def __init__(self, config: BertConfig, recompute: bool = False, skip_padding: bool = False) -> None:
        self.bert = encoder.BertModel(config, recompute)
        self.choice = heads.ClassifierHead(config, 1, name="choice")
        self._skip_padding = skip_padding

    @functools.cached_property
    def named_variables(self) -> Mapping[str, keras.Variable]:
        """All variables, by Google's names; the head's are a classifier's with one output."""
        return {**self.bert.named_variables(), **self.choice.named_variables()}

    def logits(self, batch: Batch, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """The score of each choice, -1e9 for what is none: float32 `[B, C]`.

        Args:
          batch: `input_ids`, `input_mask` and `segment_ids`, int32 `[B, T]`, the pairs of a question one after the
            other, and `CHOICE_LENGTHS`.
          dropout_seed: int64 `[2]`; None switches dropout off.
        """
        is_choice = batch[CHOICE_LENGTHS] > 0
        scores = tf.reshape(self.scores(choices_apart(batch), dropout_seed), tf.shape(is_choice))
        scores = tf.ensure_shape(scores, is_choice.shape)
        return tf.where(is_choice, scores, tf.constant(_NO_CHOICE, scores.dtype))

    def scores(self, pairs: Batch, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """The score of each pair of `input_ids`, `input_mask` and `segment_ids`, int32 `[R, S]`: float32 `[R]`."""
        outputs = self.bert(
            pairs["input_ids"],
            pairs["input_mask"],
            pairs["segment_ids"],
            training=dropout_seed is not None,
            dropout_seed=dropout_seed,
            output_positions=tf.zeros_like(pairs["input_ids"][:, :1]),
            skip_padding=self._skip_padding,
        )
        return self.choice(outputs.pooled_output, dropout_seed)[:, 0]

    def loss_weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        """How many questions count."""
        return {"questions": tf.reduce_sum(heads.example_weights(batch))}

    def loss(
        self, batch: Batch, loss_weights: dict[str, tf.Tensor], dropout_seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, dict[str, Weighted]]:
        """The mean of the questions' losses; see `task_model.Task.loss`."""
        logits, labels, weights = self.logits(batch, dropout_seed), batch[LABELS], heads.example_weights(batch)
        loss = tf.reduce_sum(heads.cross_entropy(logits, labels) * weights) / loss_weights["questions"]
        right = tf.reduce_sum(heads.correct(logits, labels) * weights)
        return loss, {"accuracy": (right, tf.reduce_sum(weights))}


def choices_apart(batch: Batch) -> Batch:
    """The pairs of all questions as rows of their own, padded to the longest one.

    Args:
      batch: see `MultipleChoiceModel.logits`. If T is fixed, S is T / C.

    Returns:
      `input_ids`, `input_mask` and `segment_ids`, int32 `[B*C, S]`; rows of what is no choice have no tokens.
    """
    lengths = batch[CHOICE_LENGTHS]
    choices, total = lengths.shape[1], batch["input_ids"].shape[1]
    size = tf.maximum(tf.reduce_max(lengths), 1) if total is None else total // choices
    starts = tf.cumsum(lengths, axis=1, exclusive=True)  # [B, C]
    positions = tf.range(size)
    is_token = positions < lengths[:, :, None]  # [B, C, S]
    places = tf.where(is_token, starts[:, :, None] + positions, 0)
    apart = {}
    for name in ("input_ids", "input_mask", "segment_ids"):
        values = tf.where(is_token, tf.gather(batch[name], places, batch_dims=1), 0)
        apart[name] = tf.reshape(values, [-1, size])
    return apart
