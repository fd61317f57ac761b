"""The distillation loss: a student learns from a teacher's logits (Hinton et al. 2015, arXiv:1503.02531).

Shapes: `B` batch, `L` labels. The teacher's logits are a column of the batch, so a step costs no more than without a
teacher.
"""

import dataclasses

import tensorflow as tf

from bert_tf2.configs.choices import ProblemType
from bert_tf2.modeling import heads
from bert_tf2.modeling.task_model import Batch

TEACHER_LOGITS = "teacher_logits"
"""In a batch: the teacher's logits, float32 `[B, L]`, in the order of the student's labels."""

IS_LABELED = "is_labeled"
"""In a batch: 1 for labeled rows, 0 for unlabeled ones, float32 `[B]`; if missing, all rows are labeled."""


@dataclasses.dataclass(frozen=True)
class Distillation:
    """How the loss of a row combines the loss of its label (hard) with the distance to the teacher (soft).

    It is `(1 - weight) * hard + weight * soft`; for an unlabeled row `soft` alone.

    Attributes:
      temperature: divides all logits in the soft loss; 1 leaves the probabilities unchanged.
      weight: of the soft loss, from 0 to 1.
    """

    temperature: float
    weight: float

    def losses(self, problem_type: ProblemType, logits: tf.Tensor, teacher_logits: tf.Tensor) -> tf.Tensor:
        """The soft loss of each row, 0 where student and teacher agree: float32 `[B]`.

        For a single label it is the Kullback-Leibler divergence of the student's softened probabilities from the
        teacher's; for several labels the mean divergence over the labels. Both are multiplied by the squared
        temperature, which keeps their gradients on the scale of the hard loss. For regression it is the squared
        difference.

        Args:
          problem_type: see `configs.choices.PROBLEM_TYPES`.
          logits: the student's logits, float32 `[B, L]`.
          teacher_logits: float32 `[B, L]`.
        """
        if problem_type == "regression":
            return tf.square(logits[:, 0] - teacher_logits[:, 0])
        student, teacher = logits / self.temperature, teacher_logits / self.temperature
        if problem_type == "single_label":
            log_p = tf.nn.log_softmax(teacher)
            divergence = tf.reduce_sum(tf.exp(log_p) * (log_p - tf.nn.log_softmax(student)), axis=1)
        else:
            cross_entropy, targets = tf.nn.sigmoid_cross_entropy_with_logits, tf.sigmoid(teacher)
            divergence = tf.reduce_mean(cross_entropy(targets, student) - cross_entropy(targets, teacher), axis=1)
        return divergence * self.temperature**2

    def fractions(self, batch: Batch) -> tf.Tensor:
        """The weight of the soft loss in each row's loss: float32 `[B]`, or a scalar if all rows have labels."""
        if IS_LABELED not in batch:
            return tf.constant(self.weight)
        return 1.0 - (1.0 - self.weight) * batch[IS_LABELED]

    def weights(self, batch: Batch) -> tf.Tensor:
        """The weight of each row's soft loss, float32 `[B]`; 0 for padding rows."""
        return heads.example_weights(batch) * self.fractions(batch)


def fill_missing_labels(batch: Batch, labels: tf.Tensor) -> tf.Tensor:
    """`labels`, int32 `[B]`, with the teacher's predictions in place of the labels of unlabeled rows."""
    if IS_LABELED not in batch:
        return labels
    return tf.where(batch[IS_LABELED] > 0, labels, tf.argmax(batch[TEACHER_LOGITS], axis=1, output_type=labels.dtype))
