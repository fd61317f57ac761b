"""One optimizer step on every replica, and many of them in one call of a compiled loop; knows no task.

The order of a step, which makes the numbers those of one device with the same global batch: the weight of each loss is
summed over all replicas first; each replica differentiates its part of the loss, already divided by that global weight,
in `gradient_accumulation_steps` parts one after the other; gradients are summed over replicas once, and clipped by
their global norm; a step that is not finite changes nothing, on no replica; then the update.
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
      sums: float32 `[values]`, see `TrainStep.value_names`; over the steps that were not skipped.
      last: float32 `[values]`, of the last step.
      taken: int64, steps taken, skipped ones included.
      skipped: int64, steps whose loss or gradients were not finite.
      in_a_row: int64, consecutive skipped steps at the end; those that only lowered float16's loss scale do not count.
      agreed: float32 `[2]`, see `TrainStep.run`.
      shapes: int32 `[taken, 2 + parts]`, of each step's batch on the first device of this process: rows and positions
        of a part, and the tokens of each part; 0 where they are not known.
    """

    sums: tf.Tensor
    last: tf.Tensor
    taken: tf.Tensor
    skipped: tf.Tensor
    in_a_row: tf.Tensor
    agreed: tf.Tensor
    shapes: tf.Tensor


class _Gradients(NamedTuple):
    """Of a part of a batch, or of several parts added up."""

    loss: tf.Tensor
    metrics: dict[str, Weighted]
    gradients: dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class TrainStep:
    """A task's step.

    Attributes:
      task: model and losses.
      optimizer: of the variables that are trained.
      schedule: learning rate by step.
      strategy: where it runs.
      loss_scale: of the precision that the model computes in.
      global_step: steps taken, int64 variable.
      skipped_steps: those of them that were skipped, int64 variable.
      input_position: `batches.INPUT_POSITION` of the latest batch, int64 variable; -1 where batches have none.
      seed: determines the dropout masks.
      clip_norm: maximum global norm of the gradients.
      parts: number of microbatches into which a replica's batch is split.
      most_skipped: skipped steps in a row after which `run` returns.
      compiles: whether XLA compiles forward and backward pass.
      is_whole: whether there is nothing to exchange with other replicas, so that XLA can compile clipping and update
        too: one program instead of several small ones a variable.
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
    parts: int
    most_skipped: int
    compiles: bool
    is_whole: bool = False

    @property
    def value_names(self) -> tuple[str, ...]:
        """The names of the values reported for each step."""
        return ("loss", *self.task.metric_names, "gradient_norm", "learning_rate")

    @functools.cached_property
    def run(self) -> Any:
        """A compiled function of `(iterator, count, in_a_row, mine)` that takes up to `count` steps; returns `Totals`.

        `in_a_row` is that of the call before; `mine`, float32 `[2]`, becomes `agreed`, the largest of all workers, so
        that what they do next is the same.
        """
        # AutoGraph has nothing to do in models, and would take seconds to find that out.
        replica_step = tf.autograph.experimental.do_not_convert(self._replica_step)
        if self.compiles and self.is_whole:
            replica_step = tf.function(self._replica_step, jit_compile=True, autograph=False)
        shape_of = tf.autograph.experimental.do_not_convert(self._shape_of)
        several_workers = isinstance(self.strategy, tf.distribute.MultiWorkerMirroredStrategy)

        @tf.function
        def run(iterator: Any, count: tf.Tensor, in_a_row: tf.Tensor, mine: tf.Tensor) -> Totals:
            zero = tf.constant(0, tf.int64)
            sums = last = tf.zeros([len(self.value_names)])
            taken, skipped = zero, zero
            shapes = tf.TensorArray(tf.int32, size=0, dynamic_size=True, element_shape=[2 + self.parts])
            while taken < count and in_a_row < self.most_skipped:
                scale = self.loss_scale.value()
                batch = next(iterator)
                shapes = shapes.write(tf.cast(taken, tf.int32), shape_of(batch))
                arguments = (batch, self.global_step.value(), self.skipped_steps.value(), scale)
                per_replica = self.strategy.run(replica_step, args=arguments)
                last, is_finite, position = self.strategy.experimental_local_results(per_replica)[0]
                sums = tf.where(is_finite, sums + last, sums)
                in_a_row = tf.where(is_finite, zero, in_a_row + tf.cast(scale <= 1, tf.int64))
                is_skipped = tf.cast(~is_finite, tf.int64)
                taken, skipped = taken + 1, skipped + is_skipped
                self.global_step.assign_add(1)
                self.skipped_steps.assign_add(is_skipped)
                self.input_position.assign(position)
                self.loss_scale.update(is_finite)
            agreed = mine
            if several_workers:
                agreed = self.strategy.experimental_local_results(self.strategy.run(_all_largest, args=(mine,)))[0]
            return Totals(sums, last, taken, skipped, in_a_row, agreed, shapes.stack())

        return run

    def _shape_of(self, batch: Batch) -> tf.Tensor:
        """See `Totals.shapes`, int32 `[2 + parts]`."""
        if "input_mask" not in batch or isinstance(self.strategy, tf.distribute.TPUStrategy):  # its shapes are fixed
            return tf.zeros([2 + self.parts], tf.int32)
        mask = self.strategy.experimental_local_results(batch["input_mask"])[0]  # [B, S]
        rows, columns = tf.unstack(tf.shape(mask))
        tokens = tf.reduce_sum(tf.cast(tf.reshape(mask, [self.parts, -1]) > 0, tf.int32), axis=1)
        return tf.concat([[rows // self.parts, columns], tokens], axis=0)

    def _replica_step(
        self, batch: Batch, step: tf.Tensor, skipped: tf.Tensor, scale: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """One step on one replica: its values, float32 `[values]`, whether it was taken, bool, and `INPUT_POSITION`."""
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
            return tf.function(self._all_parts, jit_compile=True, autograph=False)
        return self._all_parts

    def _all_parts(
        self, batch: Batch, weights: dict[str, tf.Tensor], step: tf.Tensor, replica: tf.Tensor, scale: tf.Tensor
    ) -> _Gradients:
        """Gradients of a replica's batch, one microbatch after the other, in the memory of a single one."""
        replicas = self.strategy.num_replicas_in_sync

        def dropout_seed(index: int | tf.Tensor) -> tf.Tensor:
            draw = (step * self.parts + tf.cast(index, tf.int64)) * replicas + replica
            return tf.stack([tf.constant(self.seed, tf.int64), draw * MAX_DROPOUT_SITES])

        if self.parts == 1:
            return self._part(batch, weights, dropout_seed(0), scale)
        split = {name: tf.reshape(value, _split_shape(value, self.parts)) for name, value in batch.items()}

        def part(index: int | tf.Tensor) -> _Gradients:
            rows = {name: value[index] for name, value in split.items()}
            return self._part(rows, weights, dropout_seed(index), scale)

        def add_part(index: tf.Tensor, total: _Gradients) -> tuple[tf.Tensor, _Gradients]:
            return index + 1, tf.nest.map_structure(tf.add, total, part(index))

        # The first part stands outside of the loop: it shows which variables have gradients at all.
        start = (tf.constant(1), part(0))
        return tf.while_loop(lambda index, _: index < self.parts, add_part, start, parallel_iterations=1)[1]

    def _part(self, batch: Batch, weights: dict[str, tf.Tensor], seed: tf.Tensor, scale: tf.Tensor) -> _Gradients:
        variables = self.optimizer.variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(list(variables.values()))
            loss, metrics = self.task.loss(batch, weights, seed)
            scaled = loss * scale
        found = zip(variables, tape.gradient(scaled, list(variables.values())), strict=True)
        gradients = {name: tf.convert_to_tensor(gradient) for name, gradient in found if gradient is not None}
        return _Gradients(scaled, metrics, gradients)


def _split_shape(value: tf.Tensor, parts: int) -> list[Any]:
    """`[B, ...]` as `[parts, B / parts, ...]`, as static as it can be."""
    dynamic = tf.shape(value)
    sizes = [dynamic[axis] if size is None else size for axis, size in enumerate(value.shape)]
    return [parts, sizes[0] // parts, *sizes[1:]]


def _all_largest(mine: tf.Tensor) -> tf.Tensor:
    """The largest over all replicas; their sum of one-hot rows, for collectives know sums best."""
    context = tf.distribute.get_replica_context()
    rows = tf.one_hot(context.replica_id_in_sync_group, context.num_replicas_in_sync)[:, None] * mine[None]
    return tf.reduce_max(context.all_reduce(tf.distribute.ReduceOp.SUM, rows), axis=0)
