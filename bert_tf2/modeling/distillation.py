"""What a student learns from a teacher's logits (Hinton et al. 2015, arXiv:1503.02531).

Shapes: `B` batch, `L` labels. The teacher's logits are a column of the batch, so that a step costs nothing more.
"""

import dataclasses

import tensorflow as tf

from bert_tf2.configs.choices import ProblemType
from bert_tf2.modeling import heads
from bert_tf2.modeling.task_model import Batch

TEACHER_LOGITS = "teacher_logits"
"""In a batch: the teacher's logits, float32 `[B, L]`, in the order of the student's labels; of regression its value."""

IS_LABELED = "is_labeled"
"""In a batch: 1 for rows with a label, 0 for those that only the teacher labels, float32 `[B]`; if missing, all 1."""


@dataclasses.dataclass(frozen=True)
class Distillation:
    """How much of the loss of a row is the distance to the teacher, and how that is measured.

    The loss of a row is `(1 - weight) * hard + weight * soft`, of a row without a label `soft` alone.

    Attributes:
      temperature: what logits are divided by before the distance is taken; 1 leaves probabilities as they are.
      weight: of the soft loss, from 0 to 1.
    """

    temperature: float
    weight: float

    def losses(self, problem_type: ProblemType, logits: tf.Tensor, teacher_logits: tf.Tensor) -> tf.Tensor:
        """The soft loss of each row, 0 where the student says what the teacher says: float32 `[B]`.

        For a single label it is the Kullback-Leibler divergence of the student's softened probabilities from the
        teacher's; for several labels the mean of the divergences of all labels. Both are multiplied by the squared
        temperature, so that their gradients stay as large as those of the labels. For regression it is the squared
        difference.

        Args:
          problem_type: see `metrics.PROBLEM_TYPES`.
          logits: the student's, float32 `[B, L]`.
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
        """How much of each row's loss is the soft one: float32 `[B]`, or a scalar where all rows have labels."""
        if IS_LABELED not in batch:
            return tf.constant(self.weight)
        return 1.0 - (1.0 - self.weight) * batch[IS_LABELED]

    def weights(self, batch: Batch) -> tf.Tensor:
        """How much the soft loss of each row counts, float32 `[B]`; 0 of what fills up a batch."""
        return heads.example_weights(batch) * self.fractions(batch)


def with_labels_of_teacher(batch: Batch, labels: tf.Tensor) -> tf.Tensor:
    """The single label of each row, `labels`, where it has one; else the one that the teacher gives it: int32 `[B]`."""
    if IS_LABELED not in batch:
        return labels
    return tf.where(batch[IS_LABELED] > 0, labels, tf.argmax(batch[TEACHER_LOGITS], axis=1, output_type=labels.dtype))
