"""The classifier: encoder, head, and the loss of each kind of problem.

Shapes: `B` batch, `L` labels. Follows google-research/bert `run_classifier.py`.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from bert_tf2.configs.choices import PROBLEM_TYPES, ProblemType
from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError
from bert_tf2.modeling import heads, layers
from bert_tf2.modeling.distillation import TEACHER_LOGITS, Distillation, fill_missing_labels
from bert_tf2.modeling.keras_model import features
from bert_tf2.modeling.task_model import Batch, Weighted
from bert_tf2.modeling.with_head import BertWithLabels

LABELS = "label_ids"


@keras.saving.register_keras_serializable("bert_tf2")
class BertClassifier(BertWithLabels):
    """A Keras model that scores the labels of a text or of a pair of texts, from the pooled first position.

    Called on `keras_model.features`, it returns logits, float32 `[B, L]`: compile it with a loss that has
    `from_logits=True`.

    Args:
      config: the encoder's config.
      labels: their names in the order of their ids, or their number, `L`; 1 for regression.
      problem_type: see `configs.choices.PROBLEM_TYPES`; it defines the meaning of the scores and is saved with the
        model.
      recompute: see `encoder.BertModel`.
      **options: of `keras.Model`: `name`, `dtype`, `trainable`.

    Raises:
      InputError: there are no labels, or the problem type is unknown.

    Examples:
      >>> import numpy as np
      >>> from bert_tf2 import BertClassifier, BertConfig
      >>> config = BertConfig(100, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
      >>> model = BertClassifier(config, labels=["bad", "good"])
      >>> model(np.array([[2, 17, 45, 3]])).shape  # [B, L]
      TensorShape([1, 2])
    """

    ARCHITECTURE = "BertForSequenceClassification"

    def __init__(
        self,
        config: BertConfig,
        labels: int | Sequence[str],
        problem_type: ProblemType = "single_label",
        recompute: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(config, labels, recompute, **options)
        if problem_type not in PROBLEM_TYPES:
            raise InputError(f"problem_type={problem_type!r}; choose one of {', '.join(PROBLEM_TYPES)}.")
        self.problem_type = problem_type
        self.classifier = heads.ClassifierHead(
            config, self.number_of_labels, name="classifier", dtype=self.dtype_policy
        )
        self._complete()

    def _heads(self) -> list[Any]:
        return [self.classifier]

    def get_config(self) -> dict[str, Any]:
        """For Keras's serialization."""
        return {**super().get_config(), "problem_type": self.problem_type}

    def call(self, inputs: Any, training: bool = False, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """`keras_model.features -> float32 [B, L]`; for `dropout_seed` see `encoder.BertModel.call`."""
        return self.logits(features(inputs), layers.call_seed(training, dropout_seed))

    def logits(self, batch: Batch, dropout_seed: tf.Tensor | None, skip_padding: bool = False) -> tf.Tensor:
        """Scores of a batch with `input_ids`, `input_mask` and `segment_ids`: float32 `[B, L]`."""
        outputs = self.bert(
            batch["input_ids"],
            batch["input_mask"],
            batch["segment_ids"],
            training=dropout_seed is not None,
            dropout_seed=dropout_seed,
            output_positions=tf.zeros_like(batch["input_ids"][:, :1]),
            skip_padding=skip_padding,
        )
        return self.classifier(outputs.pooled_output, dropout_seed)


class ClassificationModel:
    """A classifier and its losses: a `task_model.Task`.

    Its loss is a mean over rows: of the cross-entropy for a single label, of the mean cross-entropy of each label for
    several, of the squared error for regression. With a teacher, each has a second term; see `Distillation`.

    Args:
      config: the encoder's config.
      outputs: the number of scores per row, `L`; 1 for regression.
      problem_type: see `configs.choices.PROBLEM_TYPES`.
      class_weights: for a single label, the weight of each label's rows, `[L]`; the loss is the weighted mean. They
        apply to the loss of the labels, not to the distillation loss.
      recompute: see `encoder.BertModel`.
      skip_padding: see `encoder.BertModel.call`.
      distillation: the loss for the teacher's logits, which batches must then contain; None without a teacher.
    """

    def __init__(
        self,
        config: BertConfig,
        outputs: int,
        problem_type: ProblemType,
        class_weights: Sequence[float] | None = None,
        recompute: bool = False,
        skip_padding: bool = False,
        distillation: Distillation | None = None,
    ) -> None:
        self.network = BertClassifier(config, outputs, problem_type, recompute)
        self.bert, self.classifier = self.network.bert, self.network.classifier
        self._problem_type = problem_type
        self._skip_padding = skip_padding
        self._class_weights = None if class_weights is None else tuple(map(float, class_weights))
        self._distillation = distillation

    @property
    def metric_names(self) -> tuple[str, ...]:
        """`accuracy` for a single label; with a teacher also `teacher_loss`, the mean distillation loss."""
        accuracy = ("accuracy",) if self._problem_type == "single_label" else ()
        return accuracy if self._distillation is None else (*accuracy, "teacher_loss")

    @functools.cached_property
    def named_variables(self) -> Mapping[str, keras.Variable]:
        """All variables, by Google's names."""
        return self.network.named_variables()

    def logits(self, batch: Batch, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """Scores of a batch with `input_ids`, `input_mask` and `segment_ids`: float32 `[B, L]`."""
        return self.network.logits(batch, dropout_seed, self._skip_padding)

    def loss_weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        """The total weight of the rows of the batch."""
        rows = tf.reduce_sum(self._weights(batch))
        if self._distillation is not None:
            rows += tf.reduce_sum(self._distillation.weights(batch))
        return {"rows": rows}

    def loss(
        self, batch: Batch, loss_weights: dict[str, tf.Tensor], dropout_seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, dict[str, Weighted]]:
        """The mean of the rows' losses; see `task_model.Task.loss`."""
        logits, labels = self.logits(batch, dropout_seed), batch[LABELS]
        total = tf.reduce_sum(self._row_losses(logits, labels) * self._weights(batch))
        metrics: dict[str, Weighted] = {}
        if self._distillation is not None:
            weights = self._distillation.weights(batch)
            soft = self._distillation.losses(self._problem_type, logits, batch[TEACHER_LOGITS])
            metrics["teacher_loss"] = tf.reduce_sum(soft * weights), tf.reduce_sum(weights)
            total += metrics["teacher_loss"][0]
        loss = total / loss_weights["rows"]
        if self._problem_type == "single_label":
            rows = heads.example_weights(batch)
            correct = tf.reduce_sum(heads.correct(logits, fill_missing_labels(batch, labels)) * rows)
            metrics["accuracy"] = correct, tf.reduce_sum(rows)
        return loss, metrics

    def _row_losses(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """`logits float32 [B, L], labels [B] or [B, L] -> float32 [B]`."""
        if self._problem_type == "single_label":
            return heads.cross_entropy(logits, labels)
        if self._problem_type == "regression":
            return tf.square(logits[:, 0] - labels)
        losses = tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(labels, tf.float32), logits)  # [B, L]
        return tf.reduce_mean(losses, axis=1)

    def _weights(self, batch: Batch) -> tf.Tensor:
        """The weight of the loss of each row's label, float32 `[B]`."""
        weights = heads.example_weights(batch)
        if self._distillation is not None:
            weights *= 1.0 - self._distillation.fractions(batch)
        if self._class_weights is None:
            return weights
        return weights * tf.gather(tf.constant(self._class_weights), batch[LABELS])
