"""The interface of a model with its losses, as training and evaluation need it."""

from collections.abc import Mapping
from typing import Protocol

import keras
import tensorflow as tf

Batch = dict[str, tf.Tensor]
# A weighted sum, and the total weight to divide it by when the sums of all batches have been added.
Weighted = tuple[tf.Tensor, tf.Tensor]


class Task(Protocol):
    """A model with its losses."""

    @property
    def named_variables(self) -> Mapping[str, keras.Variable]:
        """All variables, by their names in checkpoints."""

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The keys of the metrics that `loss` returns."""

    def loss_weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        """The total weight of each loss in a replica's batch, float32 scalars, to be summed over replicas."""

    def loss(
        self, batch: Batch, loss_weights: dict[str, tf.Tensor], dropout_seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, dict[str, Weighted]]:
        """A replica's contribution to the loss, a float32 scalar, and its metrics.

        Args:
          batch: a replica's batch, or a microbatch of it.
          loss_weights: the loss weights of the global batch.
          dropout_seed: int64 `[2]`; None switches dropout off.
        """
