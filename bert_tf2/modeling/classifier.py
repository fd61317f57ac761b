"""The classifier: encoder, head, and the loss of each kind of problem.

Shapes: `B` batch, `L` labels. Follows google-research/bert `run_classifier.py`.
"""

import functools
from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from bert_tf2.configs.choices import ProblemType
from bert_tf2.configs.model import BertConfig
from bert_tf2.modeling import encoder, heads
from bert_tf2.modeling.task_model import Batch, Weighted

LABELS = "label_ids"


class ClassificationModel:
    """The encoder with a classifier on it: a `task_model.Task`.

    Its loss is a mean over rows: of the cross-entropy for a single label, of the mean cross-entropy of each label for
    several, of the squared error for regression.

    Args:
      config: the encoder's sizes.
      outputs: scores of a row, `L`; 1 for regression.
      problem_type: see `metrics.PROBLEM_TYPES`.
      class_weights: for a single label, how much rows of each label count, [L]; the mean is divided by their sum.
      recompute: see `encoder.BertModel`.
      skip_padding: see `encoder.BertModel.call`.
    """

    def __init__(
        self,
        config: BertConfig,
        outputs: int,
        problem_type: ProblemType,
        class_weights: Sequence[float] | None = None,
        recompute: bool = False,
        skip_padding: bool = False,
    ) -> None:
        self.bert = encoder.BertModel(config, recompute)
        self.classifier = heads.ClassifierHead(config, outputs, name="classifier")
        self._problem_type = problem_type
        self._skip_padding = skip_padding
        self._class_weights = None if class_weights is None else tuple(map(float, class_weights))

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The accuracy, for a single label."""
        return ("accuracy",) if self._problem_type == "single_label" else ()

    @functools.cached_property
    def named_variables(self) -> Mapping[str, keras.Variable]:
        """All variables, by Google's names."""
        return {**self.bert.named_variables(), **self.classifier.named_variables()}

    def logits(self, batch: Batch, dropout_seed: tf.Tensor | None = None) -> tf.Tensor:
        """Scores of a batch with `input_ids`, `input_mask` and `segment_ids`: float32 `[B, L]`."""
        outputs = self.bert(
            batch["input_ids"],
            batch["input_mask"],
            batch["segment_ids"],
            training=dropout_seed is not None,
            dropout_seed=dropout_seed,
            output_positions=tf.zeros_like(batch["input_ids"][:, :1]),
            skip_padding=self._skip_padding,
        )
        return self.classifier(outputs.pooled_output, dropout_seed)

    def loss_weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        """How much the rows of the batch count in all."""
        return {"rows": tf.reduce_sum(self._weights(batch))}

    def loss(
        self, batch: Batch, loss_weights: dict[str, tf.Tensor], dropout_seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, dict[str, Weighted]]:
        """The mean of the rows' losses; see `task_model.Task.loss`."""
        logits, labels = self.logits(batch, dropout_seed), batch[LABELS]
        loss = tf.reduce_sum(self._row_losses(logits, labels) * self._weights(batch)) / loss_weights["rows"]
        if self._problem_type != "single_label":
            return loss, {}
        rows = heads.example_weights(batch)
        right = tf.reduce_sum(heads.correct(logits, labels) * rows)
        return loss, {"accuracy": (right, tf.reduce_sum(rows))}

    def _row_losses(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """`logits float32 [B, L], labels [B] or [B, L] -> float32 [B]`."""
        if self._problem_type == "single_label":
            return heads.cross_entropy(logits, labels)
        if self._problem_type == "regression":
            return tf.square(logits[:, 0] - labels)
        losses = tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(labels, tf.float32), logits)  # [B, L]
        return tf.reduce_mean(losses, axis=1)

    def _weights(self, batch: Batch) -> tf.Tensor:
        weights = heads.example_weights(batch)
        if self._class_weights is None:
            return weights
        return weights * tf.gather(tf.constant(self._class_weights), batch[LABELS])
