"""The one loop: train and evaluate any task on any `tf.distribute` strategy; knows no task.

The order of a step, which makes the numbers those of one device with the same global batch: the weight of each loss is
summed over all replicas first; each replica differentiates its part of the loss, already divided by that global weight;
gradients are summed over replicas once, made dense and clipped by their global norm; a step that is not finite changes
nothing; then the update.
"""

import dataclasses
import functools
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import keras
import tensorflow as tf

from bert_tf2 import checkpoints
from bert_tf2.errors import InputError
from bert_tf2.modeling import MAX_DROPOUT_SITES
from bert_tf2.optimization import BertAdam, Schedule, clipping_scale
from bert_tf2.progress import Progress, duration

logger = logging.getLogger(__name__)

Batch = dict[str, tf.Tensor]
# A sum and the weight to divide it by once everything has been added.
Weighted = tuple[tf.Tensor, tf.Tensor]

_SECONDS_BETWEEN_PROGRESS = 1.0


class Task(Protocol):
    """What the loop needs of a model with its losses."""

    @property
    def named_variables(self) -> Mapping[str, keras.Variable]:
        """All variables, by their names in checkpoints."""

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The keys of the metrics that `loss` returns."""

    def loss_weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        """The weight of each loss in (a replica's part of) a batch, float32 scalars; they are added over replicas."""

    def loss(
        self, batch: Batch, loss_weights: dict[str, tf.Tensor], dropout_seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, dict[str, Weighted]]:
        """A replica's share of the loss, a float32 scalar, and its metrics.

        Args:
          batch: a replica's part of a batch.
          loss_weights: those of the global batch.
          dropout_seed: int64 `[2]`; None switches dropout off.
        """


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Attributes:
      output_dir: folder of checkpoints and TensorBoard events.
      num_train_steps: steps in all, those of earlier runs included.
      batch_size: examples in a step, over all replicas.
      save_checkpoints_steps: steps between checkpoints.
      iterations_per_loop: most steps in one call of the compiled loop.
      log_steps: steps between TensorBoard events.
      seed: what dropout masks follow from.
      clip_norm: largest global norm of the gradients.
      keep_checkpoints: how many of the newest checkpoints to keep.
    """

    output_dir: str
    num_train_steps: int
    batch_size: int
    save_checkpoints_steps: int = 1000
    iterations_per_loop: int = 1000
    log_steps: int = 100
    seed: int = 12345
    clip_norm: float = 1.0
    keep_checkpoints: int = 5


@dataclasses.dataclass(frozen=True)
class Trainer:
    """A task with its optimizer on a strategy; make task and optimizer inside the strategy's scope.

    Attributes:
      task: model and losses.
      optimizer: of the task's variables.
      schedule: learning rate by step.
      strategy: where it runs.
      config: how.
      global_step: finished steps, an int64 variable.
    """

    task: Task
    optimizer: BertAdam
    schedule: Schedule
    strategy: tf.distribute.Strategy
    config: TrainingConfig
    global_step: tf.Variable

    @classmethod
    def create(
        cls, task: Task, schedule: Schedule, strategy: tf.distribute.Strategy, config: TrainingConfig
    ) -> "Trainer":
        """A trainer with fresh moments and step 0."""
        with strategy.scope():
            optimizer = BertAdam(task.named_variables)
            global_step = tf.Variable(
                0, dtype=tf.int64, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
            )
        return cls(task, optimizer, schedule, strategy, config, global_step)

    @property
    def _state(self) -> dict[str, tf.Variable]:
        slots = self.optimizer.named_slots()
        return {**self.optimizer.variables, **slots, checkpoints.GLOBAL_STEP: self.global_step}

    def resume(self) -> str | None:
        """Restores the newest checkpoint of `output_dir`, if it has one; returns its prefix."""
        checkpoints.remove_unfinished(self.config.output_dir)
        prefix = checkpoints.latest(self.config.output_dir)
        if prefix:
            checkpoints.restore(self._state, prefix)
        return prefix

    def train(self, batches: Callable[[int], tf.data.Dataset]) -> None:
        """Trains from `global_step` to `num_train_steps`.

        Args:
          batches: makes the endless dataset of global batches that follows after that many examples.

        Raises:
          InputError: loss or gradients are not finite; the batch does not divide by the replicas.
          OSError: a checkpoint cannot be written.
        """
        config, step = self.config, int(self.global_step.numpy())
        replicas = self.strategy.num_replicas_in_sync
        if config.batch_size % replicas:
            raise InputError(
                f"--train_batch_size={config.batch_size} does not divide by the {replicas} devices; "
                f"take a multiple of {replicas}."
            )
        if step == 0 and checkpoints.latest(config.output_dir) is None:
            self._save()
        if step >= config.num_train_steps:
            logger.info("Nothing left to train: step %d of %d is reached.", step, config.num_train_steps)
            return

        dataset = self.strategy.experimental_distribute_dataset(batches(step * config.batch_size))
        iterator = iter(dataset)
        names = ("loss", *self.task.metric_names, "gradient_norm", "learning_rate")
        start, log_start, log_from = time.monotonic(), time.monotonic(), step
        sums = dict.fromkeys(names, 0.0)
        first_step, seconds_per_step = step, math.inf
        events = tf.summary.create_file_writer(config.output_dir)
        progress = Progress("Training", config.num_train_steps, unit="step", initial=step)
        with events.as_default(), progress:
            while step < config.num_train_steps:
                call_start = time.monotonic()
                most = self._steps_to_boundary(step, seconds_per_step)
                values, taken, finite = self._run_steps(iterator, tf.constant(most, tf.int64))
                totals = dict(zip(names, values.numpy().tolist(), strict=True))
                taken = int(taken)
                if not bool(finite):
                    raise InputError(self._not_finite(step + taken, totals))
                seconds_per_step = (time.monotonic() - call_start) / taken
                step += taken
                sums = {name: sums[name] + totals[name] for name in names}
                now = time.monotonic()
                note = _note({name: totals[name] / taken for name in names}, config.batch_size / seconds_per_step)
                progress.update(taken, note)
                if step % config.log_steps == 0 or step == config.num_train_steps:
                    means = {name: total / (step - log_from) for name, total in sums.items()}
                    means["examples_per_second"] = (step - log_from) * config.batch_size / (now - log_start)
                    write_scalars(step, means)
                    log_start, log_from, sums = now, step, dict.fromkeys(names, 0.0)
                if step % config.save_checkpoints_steps == 0 or step == config.num_train_steps:
                    self._save()
        seconds = time.monotonic() - start
        rate = (step - first_step) * config.batch_size / seconds
        logger.info("Trained %d steps in %s, %.4g examples/s.", step - first_step, duration(seconds), rate)
        logger.info("Wrote %s.", os.path.join(config.output_dir, f"model.ckpt-{step}"))

    def _save(self) -> None:
        step = int(self.global_step.numpy())
        checkpoints.save(self.config.output_dir, step, self._state, self.config.keep_checkpoints)

    def _steps_to_boundary(self, step: int, seconds_per_step: float) -> int:
        """Steps until something is due outside the compiled loop, at most about a second's worth."""
        config = self.config
        due = min(
            config.num_train_steps - step,
            *(interval - step % interval for interval in (config.log_steps, config.save_checkpoints_steps)),
        )
        return max(1, min(due, config.iterations_per_loop, int(_SECONDS_BETWEEN_PROGRESS / seconds_per_step)))

    @functools.cached_property
    def _run_steps(self) -> Callable[..., Any]:
        @tf.function
        def run_steps(iterator: Any, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            """Up to `count` steps; stops behind the first that is not finite, then returns that step's values alone."""
            totals = tf.zeros([len(self.task.metric_names) + 3])
            taken, finite = tf.constant(0, tf.int64), tf.constant(True)
            while taken < count and finite:
                per_replica = self.strategy.run(self._replica_step, args=(next(iterator), self.global_step.value()))
                values = self.strategy.experimental_local_results(per_replica)[0]
                finite = tf.reduce_all(tf.math.is_finite(values))
                taken += 1
                totals = tf.where(finite, totals + values, values)
                self.global_step.assign_add(tf.cast(finite, tf.int64))
            return totals, taken, finite

        return run_steps

    def _replica_step(self, batch: Batch, step: tf.Tensor) -> tf.Tensor:
        """One step on one replica: float32 `[1 + metrics + 2]`: loss, metrics, gradient norm, learning rate."""
        context = tf.distribute.get_replica_context()
        add = functools.partial(context.all_reduce, tf.distribute.ReduceOp.SUM)
        weights = add(self.task.loss_weights(batch))
        variables = self.optimizer.variables
        with tf.GradientTape() as tape:
            loss, metrics = self.task.loss(batch, weights, self._dropout_seed(step, context))
        gradients = dict(zip(variables, tape.gradient(loss, list(variables.values())), strict=True))
        gradients = add({name: tf.convert_to_tensor(g) for name, g in gradients.items() if g is not None})
        scale, norm = clipping_scale(list(gradients.values()), self.config.clip_norm)
        loss, metrics = add((loss, metrics))
        rate = self.schedule(step)
        scale = tf.where(tf.math.is_finite(loss), scale, 0.0)
        self.optimizer.apply(gradients, rate, scale)
        means = [tf.math.divide_no_nan(*metrics[name]) for name in self.task.metric_names]
        return tf.stack([loss, *means, norm, rate])

    def _dropout_seed(self, step: tf.Tensor, context: tf.distribute.ReplicaContext) -> tf.Tensor:
        replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
        draw = (step * self.strategy.num_replicas_in_sync + replica) * MAX_DROPOUT_SITES
        return tf.stack([tf.constant(self.config.seed, tf.int64), draw])

    def _not_finite(self, step: int, values: Mapping[str, float]) -> str:
        last = checkpoints.latest(self.config.output_dir)
        return (
            f"Step {step}: loss {values['loss']:g}, gradient norm {values['gradient_norm']:g} at learning rate "
            f"{values['learning_rate']:g}; the step was not taken and training stopped. The last good checkpoint is "
            f"{last}. Lower --learning_rate or raise --num_warmup_steps, and start again."
        )


def evaluate(
    task: Task, strategy: tf.distribute.Strategy, batches: tf.data.Dataset, steps: int | None
) -> dict[str, float]:
    """The task's metrics over a dataset, dropout off.

    Args:
      task: model and losses.
      strategy: where it runs.
      batches: global batches of fixed size; rows with `example_weights` 0 do not count.
      steps: how many there are, for the progress shown; None where nobody knows.

    Returns:
      Each metric: sums and weights added over all batches, divided once; and `loss`, the mean of the batches' losses
      weighted by their examples.
    """

    @tf.function
    def evaluate_batch(batch: Batch) -> dict[str, Weighted]:
        def replica(batch: Batch) -> dict[str, Weighted]:
            add = functools.partial(tf.distribute.get_replica_context().all_reduce, tf.distribute.ReduceOp.SUM)
            weights = add(task.loss_weights(batch))
            loss, metrics = task.loss(batch, weights, None)
            examples = add(tf.reduce_sum(batch["example_weights"]))
            loss, metrics = add((loss, metrics))
            return {"loss": (loss * examples, examples), **metrics}

        per_replica = strategy.run(replica, args=(batch,))
        return tf.nest.map_structure(lambda value: strategy.experimental_local_results(value)[0], per_replica)

    totals: dict[str, tuple[float, float]] = {}
    with Progress("Evaluating", steps, unit="batch") as progress:
        for batch in strategy.experimental_distribute_dataset(batches):
            for name, (total, weight) in evaluate_batch(batch).items():
                before = totals.get(name, (0.0, 0.0))
                totals[name] = (before[0] + float(total), before[1] + float(weight))
            progress.update()
    return {name: total / weight if weight else math.nan for name, (total, weight) in totals.items()}


def write_scalars(step: int, values: Mapping[str, float]) -> None:
    """Writes TensorBoard scalars to the default event writer (`tf.summary.scalar` needs TensorBoard installed)."""
    metadata = tf.compat.v1.SummaryMetadata(data_class="DATA_CLASS_SCALAR")
    metadata.plugin_data.plugin_name = "scalars"
    for name, value in values.items():
        tf.summary.write(name, tf.constant(value, tf.float32), step=step, metadata=metadata)


def _note(values: Mapping[str, float], examples_per_second: float) -> str:
    shown = [f"{name} {value:.4g}" for name, value in values.items()]
    return ", ".join([*shown, f"{examples_per_second:.4g} examples/s"])
