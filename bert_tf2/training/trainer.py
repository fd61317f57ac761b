"""The training loop, for any task and any `tf.distribute` strategy: saves, resumes, and stops when asked to."""

import dataclasses
import functools
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import tensorflow as tf

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import listing
from bert_tf2.configs.training import LoopConfig, OptimizerConfig, PrecisionConfig, TrainingConfig
from bert_tf2.errors import Diverged, InputError, Stopped, counted, inflected
from bert_tf2.input_pipeline.record_batches import INPUT_POSITION, Share, distribute
from bert_tf2.io.progress import Progress, duration
from bert_tf2.io.signals import StopRequest, stop_request
from bert_tf2.modeling.task_model import Batch, Task, Weighted
from bert_tf2.training.compilations import Compilations
from bert_tf2.training.distribution import Workers
from bert_tf2.training.optimizers import Optimizer, make_optimizer
from bert_tf2.training.precision import LossScale
from bert_tf2.training.profiling import Profiler
from bert_tf2.training.schedules import Schedule
from bert_tf2.training.step import Totals, TrainStep
from bert_tf2.training.tensorboard import event_writer, write_scalars

__all__ = ["Batch", "Data", "Hook", "LoopConfig", "Task", "Trainer", "TrainingConfig", "Weighted"]

logger = logging.getLogger(__name__)

# A function from the number of examples that an earlier run has taken (or the `INPUT_POSITION` of its latest batch) and
# a process's share to the batches that follow.
Data = Callable[[int, Share], tf.data.Dataset]

SKIPPED_STEPS = "skipped_steps"
_SECONDS_BETWEEN_PROGRESS = 1.0
_LOST_CONNECTION = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


class Hook(Protocol):
    """Something to do between steps, for example evaluation.

    Examples:
      >>> class EnoughSteps:
      ...     def next_after(self, step):
      ...         return 100 if step < 100 else step + 1
      ...
      ...     def run(self, step):
      ...         return "100 steps are enough" if step >= 100 else None
      >>> EnoughSteps().run(100)
      '100 steps are enough'
    """

    def next_after(self, step: int) -> int:
        """The first step after `step` at which `run` is to be called."""

    def run(self, step: int) -> str | None:
        """Called at such a step, and once at the start; does nothing if an earlier run has already done it.

        Returns:
          The reason to end training at this step; None to continue.
        """


@dataclasses.dataclass(frozen=True)
class Trainer:
    """Trains a task on a strategy; see `create`.

    Attributes:
      task: model and losses.
      strategy: where it runs.
      config: of the run.
      step: the training step, with the optimizer.

    Examples:
      >>> import tensorflow as tf
      >>> from bert_tf2 import BertConfig
      >>> from bert_tf2.configs.training import TrainingConfig
      >>> from bert_tf2.modeling.classifier import ClassificationModel
      >>> from bert_tf2.training import Trainer
      >>> from bert_tf2.training.schedules import make_schedule
      >>> config = BertConfig(100, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
      >>> trainer = Trainer.create(
      ...     ClassificationModel(config, outputs=2, problem_type="single_label"),
      ...     make_schedule("linear", 1e-3, num_train_steps=2, num_warmup_steps=0),
      ...     tf.distribute.get_strategy(),
      ...     TrainingConfig(output_dir="model", num_train_steps=2, batch_size=2),
      ... )
      >>> def data(start, share):
      ...     ids = tf.constant([[2, 17, 3], [2, 45, 3]])
      ...     batch = {"input_ids": ids, "input_mask": tf.ones_like(ids), "segment_ids": tf.zeros_like(ids)}
      ...     return tf.data.Dataset.from_tensors({**batch, "label_ids": tf.constant([0, 1])}).repeat()
      >>> trainer.train(data)
      >>> trainer.global_step
      2
    """

    task: Task
    strategy: tf.distribute.Strategy
    config: TrainingConfig
    step: TrainStep

    @classmethod
    def create(
        cls,
        task: Task,
        schedule: Schedule,
        strategy: tf.distribute.Strategy,
        config: TrainingConfig,
        optimizer: OptimizerConfig | None = None,
        precision: PrecisionConfig | None = None,
    ) -> "Trainer":
        """Creates a trainer with new slots, at step 0.

        Args:
          task: model and losses, created inside the scope of `strategy` and with the policy of `precision`.
          schedule: learning rate by step.
          strategy: where it runs.
          config: of the run.
          optimizer: by default, BERT's.
          precision: the result of `precision.resolved`; by default, float32 without XLA.

        Raises:
          InputError: the batch is not divisible by devices and microbatches, or everything is frozen.
        """
        divisor = strategy.num_replicas_in_sync * config.gradient_accumulation_steps
        if config.batch_size % divisor:
            raise InputError(
                f"--train_batch_size={config.batch_size} does not divide by {divisor} "
                f"({counted(strategy.num_replicas_in_sync, 'device')}, gradient_accumulation_steps "
                f"{config.gradient_accumulation_steps}); give a multiple of it."
            )
        precision = precision or PrecisionConfig("float32", "off")
        options: dict[str, Any] = {"trainable": False, "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA}
        is_whole = strategy is tf.distribute.get_strategy()  # TensorFlow's default, which is one device
        with strategy.scope():
            step = TrainStep(
                task=task,
                optimizer=make_optimizer(task.named_variables, optimizer or OptimizerConfig(), fuse=is_whole),
                schedule=schedule,
                strategy=strategy,
                loss_scale=LossScale(precision.precision),
                global_step=tf.Variable(0, dtype=tf.int64, **options),
                skipped_steps=tf.Variable(0, dtype=tf.int64, **options),
                input_position=tf.Variable(-1, dtype=tf.int64, **options),
                seed=config.seed,
                clip_norm=config.clip_norm,
                microbatches=config.gradient_accumulation_steps,
                max_skipped=config.max_skipped_steps,
                compiles=precision.compiles,
                is_whole=is_whole,
            )
        return cls(task, strategy, config, step)

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer of the variables that are trained."""
        return self.step.optimizer

    @property
    def global_step(self) -> int:
        """Finished steps."""
        return int(self.step.global_step.numpy())

    @functools.cached_property
    def _workers(self) -> Workers:
        return Workers.of(self.strategy)

    @property
    def _state(self) -> dict[str, tf.Variable]:
        return {
            **checkpoints.tf_variables(self.task.named_variables),
            **self.optimizer.named_slots(),
            **self._optional_state,
            checkpoints.GLOBAL_STEP: self.step.global_step,
        }

    @property
    def _optional_state(self) -> dict[str, tf.Variable]:
        """Variables that the original's checkpoints lack."""
        extra = {SKIPPED_STEPS: self.step.skipped_steps, INPUT_POSITION: self.step.input_position}
        return {**self.optimizer.named_averages(), **self.step.loss_scale.variables, **extra}

    def resume(self) -> str | None:
        """Restores the newest complete checkpoint of `output_dir`, if it has one; returns its prefix.

        Raises:
          InputError: there are checkpoints, but none is complete and fits; or workers see different directories.
        """
        restored = checkpoints.resume(
            self._state, self.config.output_dir, self._optional_state, self.optimizer.foreign_slots()
        )
        self._check_that_workers_agree()
        if restored is None:
            return None
        prefix, missing = restored
        if set(missing) & set(self.optimizer.named_averages()):
            self.optimizer.start_averages()
        return prefix

    def _check_that_workers_agree(self) -> None:
        if self._workers.count == 1:
            return

        step, replicas = float(self.global_step), self.strategy.num_replicas_in_sync

        @tf.function
        def sums() -> tuple[tf.Tensor, ...]:
            def replica() -> tuple[tf.Tensor, tf.Tensor]:
                own_step = tf.cast(self.step.global_step.value(), tf.float64)
                add = functools.partial(tf.distribute.get_replica_context().all_reduce, tf.distribute.ReduceOp.SUM)
                return add(own_step), add(own_step * own_step)

            per_replica = self.strategy.run(replica)
            return tuple(self.strategy.experimental_local_results(value)[0] for value in per_replica)

        total, squares = (float(value) for value in sums())
        if total != step * replicas or squares != step * step * replicas:
            raise InputError(
                f"Worker {self._workers.index} would go on from step {step:.0f}, others from another one: --output_dir="
                f"{self.config.output_dir} must be one directory that all workers see."
            )

    def check(self, data: Data) -> None:
        """Reads a batch and traces a step without taking it, to detect errors in shapes and records.

        Args:
          data: as for `train`.
        """
        iterator = self._iterator(data)
        zero = tf.constant(0, tf.int64)
        self.step.run.get_concrete_function(iterator, zero, zero, tf.zeros([2]))
        next(iterator)

    def train(self, data: Data, hooks: Sequence[Hook] = ()) -> None:
        """Trains from `global_step` to `num_train_steps`, or until a hook ends it.

        Args:
          data: creates the endless dataset of this process's share of the global batches.
          hooks: called between steps.

        Raises:
          Diverged: too many consecutive steps were not finite.
          InputError: the device ran out of memory, or another worker was lost.
          OSError: a checkpoint or TensorBoard events cannot be written.
          Stopped: SIGTERM or Ctrl-C came; a checkpoint has been written.
        """
        config, first = self.config, self.global_step
        if self._workers.is_chief:
            checkpoints.remove_unfinished(config.output_dir)
        if first == 0:
            # Not only if there is no checkpoint: the chief may have saved this one before another worker gets here.
            self.optimizer.start_averages()
            if not listing.is_listed(config.output_dir):
                self._save(0)
        # Even after the last step: an earlier run may have been killed before the hooks that are due there.
        reason = _run_hooks(hooks, first)
        if first >= config.num_train_steps:
            reason = reason or f"step {first} of {config.num_train_steps} is reached"
        if reason:
            logger.info("Nothing left to train: %s.", reason)
            return
        start = time.monotonic()
        try:
            with stop_request() as stop:
                self._loop(data, hooks, stop)
        except _LOST_CONNECTION as error:
            if self._workers.count == 1:
                raise
            raise InputError(
                f"Another worker was lost ({_first_line(error)}). Restart all workers: they continue from "
                f"{checkpoints.latest(config.output_dir)}."
            ) from None
        if not self._workers.is_chief:
            return
        seconds, taken = time.monotonic() - start, self.global_step - first
        rate = taken * config.batch_size / seconds
        logger.info("Trained %s in %s, %.4g examples/s.", counted(taken, "step"), duration(seconds), rate)
        skipped = int(self.step.skipped_steps.numpy())
        if skipped:
            logger.warning("Skipped steps: %d, whose loss or gradients were not finite.", skipped)
        logger.info("Wrote %s.", checkpoints.latest(config.output_dir))

    def _iterator(self, data: Data) -> Any:
        position = int(self.step.input_position.numpy())
        start = self.global_step * self.config.batch_size if position < 0 else position
        return iter(distribute(functools.partial(data, start), self.strategy))

    def _loop(self, data: Data, hooks: Sequence[Hook], stop: StopRequest) -> None:
        config, step = self.config, self.global_step
        iterator = self._iterator(data)
        means, compilations = _Means(self.step.value_names, config.batch_size, step), Compilations(self.step.compiles)
        seconds_per_step, consecutive_skips, saved = math.inf, tf.constant(0, tf.int64), step
        is_chief = self._workers.is_chief
        events = event_writer(config.output_dir) if is_chief else None
        preparing = "tracing and compiling the training step"
        progress = Progress(
            "Training", config.num_train_steps, unit="step", initial=step, preparing=preparing, shown=is_chief
        )
        if is_chief and not progress.is_on_terminal:
            logger.info("%s...", preparing.capitalize())
        with progress, Profiler(config.output_dir, config.profiled if is_chief else None) as profiler:
            while step < config.num_train_steps:
                profiler.before(step)
                count = self._steps_to_boundary(step, seconds_per_step, hooks)
                call_start = time.monotonic()
                known_seconds = 0.0 if math.isinf(seconds_per_step) else seconds_per_step
                proposed = tf.constant([bool(stop), known_seconds], tf.float32)
                totals = self._take_steps(iterator, tf.constant(count, tf.int64), consecutive_skips, proposed)
                consecutive_skips, taken = totals.consecutive_skips, int(totals.taken)
                agreed_stop, agreed_seconds = totals.agreed.numpy().tolist()
                seconds = time.monotonic() - call_start
                if is_chief:
                    progress.leave_out(compilations.record(step, totals.shapes.numpy(), seconds))
                seconds_per_step = max(seconds / taken, 1e-9)
                if self._workers.count > 1:  # the same on all, so that all take as many steps in the next call
                    seconds_per_step = agreed_seconds or math.inf
                step += taken
                profiler.after(step)
                means.add(totals)
                if int(consecutive_skips) >= config.max_skipped_steps:
                    raise Diverged(self._not_finite(step, dict(zip(means.names, totals.last.numpy(), strict=True))))
                progress.update(taken, means.note())
                is_last = step == config.num_train_steps
                if is_last or step % config.log_steps == 0:
                    skipped = float(self.step.skipped_steps.numpy())
                    if is_chief:
                        write_scalars(events, step, {**means.values(), SKIPPED_STEPS: skipped}, "train")
                    means = _Means(self.step.value_names, config.batch_size, step)
                if is_last or step % config.save_checkpoints_steps == 0:
                    self._save(step)
                    saved = step
                reason = _run_hooks([hook for hook in hooks if hook.next_after(step - taken) == step], step)
                stops = bool(agreed_stop) if self._workers.count > 1 else bool(stop)
                if (reason or stops) and saved != step:
                    self._save(step)
                if reason:
                    logger.info("Training ends at step %d: %s.", step, reason)
                    break
                if stops and not is_last:
                    raise Stopped(self._stopped(step, stop))

    def _take_steps(self, *arguments: Any) -> Totals:
        try:
            totals: Totals = self.step.run(*arguments)
        except tf.errors.ResourceExhaustedError as error:
            raise InputError(self._out_of_memory(error)) from None
        return totals

    def _save(self, step: int) -> None:
        if self._workers.is_chief:
            checkpoints.save(self.config.output_dir, step, self._state, self.config.keep_checkpoints)

    def _steps_to_boundary(self, step: int, seconds_per_step: float, hooks: Sequence[Hook]) -> int:
        """The number of steps until something is due outside the compiled loop, limited to about a second."""
        config = self.config
        due = [config.num_train_steps, *(hook.next_after(step) for hook in hooks)]
        due += [step + interval - step % interval for interval in (config.log_steps, config.save_checkpoints_steps)]
        due += [edge for edge in config.profiled or () if edge > step]
        limit = min(config.iterations_per_loop, int(_SECONDS_BETWEEN_PROGRESS / seconds_per_step))
        return max(1, min(min(due) - step, limit))

    def _not_finite(self, step: int, values: Mapping[str, float]) -> str:
        checkpoint, limit = checkpoints.latest(self.config.output_dir), self.config.max_skipped_steps
        were_like_this = inflected(limit, "step was like this and was", "consecutive steps were like this and were")
        skipped = f"--max_skipped_steps={limit} {were_like_this} skipped"
        return (
            f"Step {step}: loss {values['loss']:g}, gradient norm {values['gradient_norm']:g} at learning rate "
            f"{values['learning_rate']:g}; {skipped}, and training stopped. The last good checkpoint is {checkpoint}. "
            "Lower --learning_rate or raise --num_warmup_steps, and start again."
        )

    def _stopped(self, step: int, stop: StopRequest) -> str:
        return (
            f"{stop.signal_name or 'Another worker'} requested a stop: saved step {step} of "
            f"{self.config.num_train_steps} as {checkpoints.latest(self.config.output_dir)}. Run the same command "
            "again to continue from there."
        )

    def _out_of_memory(self, error: tf.errors.ResourceExhaustedError) -> str:
        microbatches = self.config.gradient_accumulation_steps
        rows = self.config.batch_size // self.strategy.num_replicas_in_sync  # of a device
        more = next((count for count in range(microbatches + 1, rows + 1) if rows % count == 0), None)
        advice = "What helps:"
        if more:
            advice = f"--gradient_accumulation_steps={more} needs less and gives the same results. So do"
        return (
            f"Out of memory with {counted(rows // microbatches, 'example')} at once on a device "
            f"({_first_line(error, 'OOM')}). {advice} --recompute, or with other results --precision=bfloat16 and a "
            "smaller --max_seq_length."
        )


class _Means:
    """Means over the steps since the last event, which the progress line also shows."""

    def __init__(self, names: Sequence[str], batch_size: int, step: int) -> None:
        self.names = names
        self._batch_size = batch_size
        self._sums = [0.0] * len(names)
        self._taken = self._counted = 0
        self._start = time.monotonic()

    def add(self, totals: Totals) -> None:
        self._sums = [total + value for total, value in zip(self._sums, totals.sums.numpy().tolist(), strict=True)]
        self._taken += int(totals.taken)
        self._counted += int(totals.taken - totals.skipped)

    def values(self) -> dict[str, float]:
        means = [total / self._counted if self._counted else math.nan for total in self._sums]
        rate = self._taken * self._batch_size / max(time.monotonic() - self._start, 1e-9)
        return {**dict(zip(self.names, means, strict=True)), "examples_per_second": rate}

    def note(self) -> str:
        values = self.values()
        rate = values.pop("examples_per_second")
        return ", ".join([*(f"{name} {value:.4g}" for name, value in values.items()), f"{rate:.4g} examples/s"])


def _run_hooks(hooks: Sequence[Hook], step: int) -> str | None:
    """Runs all hooks; returns the first reason to end training, if any."""
    reasons = [hook.run(step) for hook in hooks]
    return next(filter(None, reasons), None)


def _first_line(error: tf.errors.OpError, word: str = "aborted") -> str:
    """The first line of a TensorFlow message that contains a word, or else its first line."""
    lines = str(error.message).strip().splitlines()
    return next((line.strip() for line in lines if word in line), lines[0])[:200]
