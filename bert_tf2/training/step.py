"""One optimizer step on every replica, and many of them in one call of a compiled loop; independent of tasks.

The order of a step, which gives the same numbers as one device with the same global batch: first, the weight of each
loss is summed over all replicas; each replica differentiates its part of the loss, already divided by that global
weight, in `gradient_accumulation_steps` microbatches one after the other; gradients are summed over replicas once, and
clipped by their global norm; then follows the update, unless the step is not finite, when it is skipped on every
replica.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from bert_tf2.input_pipeline.record_batches import INPUT_POSITION
from bert_tf2.modeling.layers import MAX_DROPOUT_SITES
from bert_tf2.modeling.task_model import Batch, Task, Weighted
from bert_tf2.training.optimizers import Optimizer, clipping_scale
from bert_tf2.training.precision import LossScale
from bert_tf2.training.schedules import Schedule


class Totals(NamedTuple):
    """The results of several steps.

    Attributes:
      sums: float32 `[values]`, the sums of `TrainStep.value_names` over the steps that were not skipped.
      last: float32 `[values]`, the values of the last step.
      taken: int64, steps taken, skipped ones included.
      skipped: int64, steps whose loss or gradients were not finite.
      consecutive_skips: int64, skipped steps at the end; those that only lowered float16's loss scale do not count.
      agreed: float32 `[2]`, see `TrainStep.run`.
      shapes: int32 `[taken, 2 + microbatches]`, of each step's batch on the first device of this process: rows and
        positions of a microbatch, and the tokens of each microbatch; 0 if unknown.
    """

    sums: tf.Tensor
    last: tf.Tensor
    taken: tf.Tensor
    skipped: tf.Tensor
    consecutive_skips: tf.Tensor
    agreed: tf.Tensor
    shapes: tf.Tensor


class _Gradients(NamedTuple):
    """Loss, metrics and gradients of one microbatch, or the sums of several."""

    loss: tf.Tensor
    metrics: dict[str, Weighted]
    gradients: dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class TrainStep:
    """The training step of a task.

    Attributes:
      task: model and losses.
      optimizer: of the variables that are trained.
      schedule: learning rate by step.
      strategy: where it runs.
      loss_scale: for the precision of the model.
      global_step: steps taken, int64 variable.
      skipped_steps: the number of these that were skipped, int64 variable.
      input_position: `INPUT_POSITION` of the latest batch, int64 variable; -1 if batches have none.
      seed: determines the dropout masks.
      clip_norm: maximum global norm of the gradients.
      microbatches: the number of microbatches that a replica's batch is split into.
      max_skipped: consecutive skipped steps after which `run` returns.
      compiles: whether XLA compiles the forward and backward pass.
      is_whole: whether the step runs on a single replica, so that XLA can compile clipping and update as well: one
        program instead of several small ones per variable.
    """

    task: Task
    optimizer: Optimizer
    schedule: Schedule
    strategy: tf.distribute.Strategy
    loss_scale: LossScale
    global_step: tf.Variable
    skipped_steps: tf.Variable
    input_position: tf.Variable
    seed: int
    clip_norm: float
    microbatches: int
    max_skipped: int
    compiles: bool
    is_whole: bool = False

    @property
    def value_names(self) -> tuple[str, ...]:
        """The names of the values reported for each step."""
        return ("loss", *self.task.metric_names, "gradient_norm", "learning_rate")

    @functools.cached_property
    def run(self) -> Any:
        """A compiled function `(iterator, count, consecutive_skips, proposed)` that takes up to `count` steps.

        It returns `Totals`. `consecutive_skips` is that of the previous call. `agreed` is the maximum over all workers
        of `proposed`, float32 `[2]`, so that all workers can make the same decisions.
        """
        # AutoGraph has nothing to convert in models, but would take seconds to find that out.
        replica_step = tf.autograph.experimental.do_not_convert(self._replica_step)
        if self.compiles and self.is_whole:
            replica_step = tf.function(self._replica_step, jit_compile=True, autograph=False)
        shape_of = tf.autograph.experimental.do_not_convert(self._shape_of)
        several_workers = isinstance(self.strategy, tf.distribute.MultiWorkerMirroredStrategy)

        @tf.function
        def run(iterator: Any, count: tf.Tensor, consecutive_skips: tf.Tensor, proposed: tf.Tensor) -> Totals:
            zero = tf.constant(0, tf.int64)
            sums = last = tf.zeros([len(self.value_names)])
            taken, skipped = zero, zero
            shapes = tf.TensorArray(tf.int32, size=0, dynamic_size=True, element_shape=[2 + self.microbatches])
            while taken < count and consecutive_skips < self.max_skipped:
                scale = self.loss_scale.value()
                batch = next(iterator)
                shapes = shapes.write(tf.cast(taken, tf.int32), shape_of(batch))
                arguments = (batch, self.global_step.value(), self.skipped_steps.value(), scale)
                per_replica = self.strategy.run(replica_step, args=arguments)
                last, is_finite, position = self.strategy.experimental_local_results(per_replica)[0]
                sums = tf.where(is_finite, sums + last, sums)
                consecutive_skips = tf.where(is_finite, zero, consecutive_skips + tf.cast(scale <= 1, tf.int64))
                is_skipped = tf.cast(~is_finite, tf.int64)
                taken, skipped = taken + 1, skipped + is_skipped
                self.global_step.assign_add(1)
                self.skipped_steps.assign_add(is_skipped)
                self.input_position.assign(position)
                self.loss_scale.update(is_finite)
            agreed = proposed
            if several_workers:
                per_replica = self.strategy.run(_max_over_replicas, args=(proposed,))
                agreed = self.strategy.experimental_local_results(per_replica)[0]
            return Totals(sums, last, taken, skipped, consecutive_skips, agreed, shapes.stack())

        return run

    def _shape_of(self, batch: Batch) -> tf.Tensor:
        """A row of `Totals.shapes`, int32 `[2 + microbatches]`."""
        unknown = tf.zeros([2 + self.microbatches], tf.int32)
        # On a TPU all shapes are fixed.
        if "input_mask" not in batch or isinstance(self.strategy, tf.distribute.TPUStrategy):
            return unknown
        mask = self.strategy.experimental_local_results(batch["input_mask"])[0]  # [B, S]
        if mask.shape.rank != 2:
            return unknown
        rows, columns = tf.unstack(tf.shape(mask))
        is_token = tf.cast(tf.reshape(mask, [self.microbatches, -1]), tf.bool)
        tokens = tf.reduce_sum(tf.cast(is_token, tf.int32), axis=1)
        return tf.concat([[rows // self.microbatches, columns], tokens], axis=0)

    def _replica_step(
        self, batch: Batch, step: tf.Tensor, skipped: tf.Tensor, scale: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Takes one step on one replica.

        Returns:
          Its values, float32 `[values]`; whether they are finite, bool; and `INPUT_POSITION` of the batch, int64.
        """
        batch = dict(batch)
        position = batch.pop(INPUT_POSITION)[0] if INPUT_POSITION in batch else tf.constant(-1, tf.int64)
        context = tf.distribute.get_replica_context()
        add = functools.partial(context.all_reduce, tf.distribute.ReduceOp.SUM)
        weights = add(self.task.loss_weights(batch))
        replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
        loss, metrics, gradients = add(self._gradients(batch, weights, step, replica, scale))
        loss /= scale
        norm = tf.linalg.global_norm(list(gradients.values())) / scale
        is_finite = tf.math.is_finite(loss) & tf.math.is_finite(norm)
        gradient_scale = tf.where(is_finite, clipping_scale(norm, self.clip_norm) / scale, 0.0)
        rate = self.schedule(step)
        self.optimizer.apply(gradients, rate, gradient_scale, step - skipped)
        means = [tf.math.divide_no_nan(*metrics[name]) for name in self.task.metric_names]
        return tf.stack([loss, *means, norm, rate]), is_finite, position

    @functools.cached_property
    def _gradients(self) -> Callable[..., _Gradients]:
        if self.compiles and not self.is_whole:
            return tf.function(self._accumulate_gradients, jit_compile=True, autograph=False)
        return self._accumulate_gradients

    def _accumulate_gradients(
        self, batch: Batch, weights: dict[str, tf.Tensor], step: tf.Tensor, replica: tf.Tensor, scale: tf.Tensor
    ) -> _Gradients:
        """The gradients of a replica's batch, computed in microbatches, in the memory that a single one needs."""
        replicas = self.strategy.num_replicas_in_sync

        def dropout_seed(index: int | tf.Tensor) -> tf.Tensor:
            draw = (step * self.microbatches + tf.cast(index, tf.int64)) * replicas + replica
            return tf.stack([tf.constant(self.seed, tf.int64), draw * MAX_DROPOUT_SITES])

        if self.microbatches == 1:
            return self._compute_gradients(batch, weights, dropout_seed(0), scale)
        split = {name: tf.reshape(value, _split_shape(value, self.microbatches)) for name, value in batch.items()}

        def compute(index: int | tf.Tensor) -> _Gradients:
            microbatch = {name: value[index] for name, value in split.items()}
            return self._compute_gradients(microbatch, weights, dropout_seed(index), scale)

        def add_microbatch(index: tf.Tensor, total: _Gradients) -> tuple[tf.Tensor, _Gradients]:
            return index + 1, tf.nest.map_structure(tf.add, total, compute(index))

        # The first microbatch is computed outside the loop: it shows which variables have gradients at all.
        start = (tf.constant(1), compute(0))
        return tf.while_loop(lambda index, _: index < self.microbatches, add_microbatch, start, parallel_iterations=1)[
            1
        ]

    def _compute_gradients(
        self, batch: Batch, weights: dict[str, tf.Tensor], seed: tf.Tensor, scale: tf.Tensor
    ) -> _Gradients:
        variables = self.optimizer.variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(list(variables.values()))
            loss, metrics = self.task.loss(batch, weights, seed)
            scaled = loss * scale
        pairs = zip(variables, tape.gradient(scaled, list(variables.values())), strict=True)
        gradients = {name: tf.convert_to_tensor(gradient) for name, gradient in pairs if gradient is not None}
        return _Gradients(scaled, metrics, gradients)


def _split_shape(value: tf.Tensor, count: int) -> list[Any]:
    """The shape `[count, B / count, ...]` for a tensor `[B, ...]`, with as many static dimensions as possible."""
    dynamic = tf.shape(value)
    sizes = [dynamic[axis] if size is None else size for axis, size in enumerate(value.shape)]
    return [count, sizes[0] // count, *sizes[1:]]


def _max_over_replicas(value: tf.Tensor) -> tf.Tensor:
    """The maximum of a vector over all replicas; computed from a sum, the collective that every strategy supports."""
    context = tf.distribute.get_replica_context()
    rows = tf.one_hot(context.replica_id_in_sync_group, context.num_replicas_in_sync)[:, None] * value[None]
    return tf.reduce_max(context.all_reduce(tf.distribute.ReduceOp.SUM, rows), axis=0)
