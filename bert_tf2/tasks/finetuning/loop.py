"""The fine-tuning loop: start or resume, train with evaluations in between, keep the best weights, load.

It does not depend on the task: `runner` passes it the training data and a function that evaluates.
"""

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Callable, Collection, Iterator

import keras
import numpy as np
import tensorflow as tf

from bert_tf2 import checkpoints, training
from bert_tf2.checkpoints import model_source
from bert_tf2.checkpoints.pretrained import Pretrained
from bert_tf2.configs.training import PrecisionConfig, TrainingConfig
from bert_tf2.errors import InputError, counted, some
from bert_tf2.input_pipeline import example_batches
from bert_tf2.input_pipeline.example_batches import ExampleArrays
from bert_tf2.input_pipeline.record_batches import Share
from bert_tf2.io import run_dir, run_files
from bert_tf2.modeling import summary
from bert_tf2.modeling.lora import is_lora, lora_scope
from bert_tf2.modeling.task_model import Batch, Task
from bert_tf2.tasks.finetuning import best_weights
from bert_tf2.tasks.finetuning.best_weights import BestScore
from bert_tf2.tasks.finetuning.config import FinetuningConfig
from bert_tf2.tasks.finetuning.evaluation_hook import BestMetric, EvaluationHook, EvaluationSteps, Results
from bert_tf2.tasks.finetuning.foundation import check_not_inside, load_averages
from bert_tf2.tasks.finetuning.lora import find_lora
from bert_tf2.tasks.finetuning.outputs import OutputBatches
from bert_tf2.training.concurrency import Concurrency
from bert_tf2.training.distribution import Workers, wait_for_all
from bert_tf2.training.evaluation import Arrays, predict_batches
from bert_tf2.training.precision import policy, resolved
from bert_tf2.training.schedules import make_schedule

logger = logging.getLogger(__name__)

Outputs = Callable[[Batch], dict[str, tf.Tensor]]

_AVERAGE = f"/{checkpoints.AVERAGE}"


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """The training data, and how to evaluate during training.

    Attributes:
      examples: the training examples.
      save_assets: `FinetuningTask.save_assets`.
      evaluate: evaluates the model in its current state, at a step; None: there is no evaluation.
      best: the score that decides which evaluation is the best; None: there is no evaluation.
      epoch: number of examples per epoch, after which `evaluate` is called by default; None: all of `examples`.
    """

    examples: ExampleArrays
    save_assets: Callable[[str], None]
    evaluate: Callable[[int], Results] | None = None
    best: BestMetric | None = None
    epoch: int | None = None


@dataclasses.dataclass(frozen=True)
class Finetuning:
    """A model on its devices, with the flags for training it and predicting with it.

    Attributes:
      config: the flags.
      foundation: model config and vocabulary.
      model: the result of the task's `make_model`.
      strategy: the devices.
      precision: the flags of precision, resolved for the devices.
      files: the files that the task writes into `output_dir`, for `--overwrite_output_dir`.
      dispensable: names of variables that evaluation and prediction do not need.
      head: the kind of head, see `model_source.load`.
    """

    config: FinetuningConfig
    foundation: Pretrained
    model: Task
    strategy: tf.distribute.Strategy
    precision: PrecisionConfig
    files: run_files.Files
    dispensable: Collection[str] = ()
    head: str | None = None

    @classmethod
    def create(
        cls,
        config: FinetuningConfig,
        foundation: Pretrained,
        make_model: Callable[[bool], Task],
        strategy: tf.distribute.Strategy,
        files: run_files.Files = (),
        dispensable: Collection[str] = (),
        head: str | None = None,
    ) -> "Finetuning":
        """Creates a new model on the devices; the seed determines its initial weights.

        Args:
          config: the flags.
          foundation: model config and vocabulary.
          make_model: creates the model; its argument says whether the model skips padding.
          strategy: the devices.
          files: the files that the task writes into `output_dir`.
          dispensable: names of variables that evaluation and prediction do not need.
          head: see `model_source.load`.

        Raises:
          InputError: `--pack_sequences` is set, but XLA compiles the model; or LoRA is requested, and the model has no
            encoder for it or the checkpoint to be evaluated has another LoRA.
        """
        precision = resolved(config.precision)
        if config.pack_sequences and precision.compiles:
            raise InputError(
                "--pack_sequences: XLA compiles one program for shapes that are fixed, and without padding each batch "
                "has another number of tokens; omit the flag, or give --jit=off."
            )
        keras.utils.set_random_seed(config.seed)
        lora = find_lora(config)
        with strategy.scope(), policy(precision), lora_scope(lora):
            model = make_model(_skips_padding(config, precision))
        if lora is not None:
            _freeze_for_lora(model, dispensable)
        logger.info("%s", summary.summary(foundation.bert_config, model.named_variables))
        return cls(config, foundation, model, strategy, precision, files, dispensable, head)

    def create_companion(self, foundation: Pretrained, make_model: Callable[[bool], Task]) -> "Finetuning":
        """Creates another model on the same devices with the same precision, for predictions; its weights are random.

        Args:
          foundation: the config and vocabulary of the other model.
          make_model: see `create`.
        """
        with self.strategy.scope(), policy(self.precision):
            model = make_model(_skips_padding(self.config, self.precision))
        return dataclasses.replace(self, foundation=foundation, model=model, dispensable=(), head=None)

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one that writes files."""
        return Workers.of(self.strategy).is_chief

    @property
    def _variables(self) -> dict[str, tf.Variable]:
        return checkpoints.tf_variables(self.model.named_variables)

    # --- Training ----------------------------------------------------------------------------------------------------

    def trainer(self, examples: int) -> training.Trainer:
        """Creates a trainer for this many examples, which resumes or starts from `init_checkpoint`.

        Call it inside `locked_output_dir`, and call `remove_earlier_run` before anything is written.

        Raises:
          InputError: there are too few examples for a step, a checkpoint does not match the model, or
            `--overwrite_output_dir` would remove a file that is needed.
        """
        config, steps = self.config, self.config.num_train_steps(examples)
        if steps == 0 and config.num_train_epochs:
            raise InputError(
                f"{counted(examples, 'example')} and --num_train_epochs={config.num_train_epochs:g} are not one batch "
                f"of --train_batch_size={config.train_batch_size}; use smaller batches or more epochs."
            )
        warmup = config.num_warmup_steps(examples)
        schedule_name = config.optimizer.learning_rate_schedule
        schedule = make_schedule(schedule_name, config.learning_rate, steps, warmup)
        loop = TrainingConfig.of(
            config, output_dir=config.output_dir, num_train_steps=steps, batch_size=config.train_batch_size
        )
        trainer = training.Trainer.create(self.model, schedule, self.strategy, loop, config.optimizer, self.precision)
        trained = summary.trained_parameters(self.model.named_variables, trainer.optimizer.variables)
        if trained:
            logger.info("%s%s", f"{config.lora}. " if config.lora else "", trained)
        resumed = None if config.overwrite_output_dir else trainer.resume()
        if resumed:
            logger.info("Resuming from %s, step %d.", resumed, trainer.global_step)
        elif config.init_checkpoint:
            logger.info("%s", self._load_weights(config.init_checkpoint))
        else:
            logger.warning("No --init_checkpoint: training from random weights (seed %d).", config.seed)
        logger.info(
            "Training: %s, %s, %s of %d, %d of them warm-up.",
            *(counted(examples, "example"), counted(float(config.num_train_epochs), "epoch"), counted(steps, "step")),
            *(config.train_batch_size, warmup),
        )
        if config.overwrite_output_dir:
            inputs = (config.init_checkpoint, config.bert_config_file, config.vocab_file, config.spm_model_file)
            check_not_inside(config.output_dir, inputs)
        else:
            best_weights.check_replaceable(config.output_dir)
        return trainer

    @contextlib.contextmanager
    def locked_output_dir(self) -> Iterator[None]:
        """Keeps other processes from training in `output_dir`; a context manager.

        Raises:
          InputError: another process is training there.
        """
        if not self.is_chief or self.config.dry_run:
            yield
            return
        with run_dir.locked(self.config.output_dir):
            yield

    def remove_earlier_run(self) -> None:
        """Removes an earlier run's files if `--overwrite_output_dir` is set; `trainer` checks that it is safe."""
        if self.config.overwrite_output_dir and self.is_chief:
            run_files.remove_run(self.config.output_dir, self.files)

    def save_assets(self, directory: str, save_task_assets: Callable[[str], None]) -> None:
        """Writes everything but the weights into a model's directory."""
        self.foundation.write_files(directory)
        save_task_assets(directory)

    def train(self, trainer: training.Trainer, data: TrainingData) -> None:
        """Trains to the end; call it inside `locked_output_dir`.

        Raises:
          InputError, OSError, Stopped: see `training.Trainer.train`.
        """
        config = self.config
        best = best_weights.directory_of(config.output_dir)
        hooks = [self._hook(trainer, data, data.evaluate, data.best)] if data.evaluate and data.best else []
        if self.is_chief:
            self.save_assets(config.output_dir, data.save_assets)
            run_dir.describe(config.output_dir, config)
        is_finished = trainer.global_step >= trainer.config.num_train_steps
        if is_finished and best_weights.exist(config.output_dir):
            # Without a history, it is unknown how good the best weights are: they are kept.
            hooks = [hook for hook in hooks if hook.history]
        trainer.train(self.batches(data.examples), hooks)
        wait_for_all(self.strategy)  # so that the others read only what the chief has finished writing
        for hook in hooks:
            if hook.best:
                logger.info("The best evaluation was at step %d; its weights are kept in %s.", hook.best["step"], best)

    def batches(self, examples: ExampleArrays) -> training.Data:
        """Endless training batches, for `training.Trainer`."""

        def make(examples_done: int, share: Share) -> tf.data.Dataset:
            size, seed = self.config.train_batch_size, self.config.seed
            fixed = self.precision.compiles or self.config.trains_at_full_length
            return example_batches.training(examples, size, seed, examples_done, share, fixed)

        return make

    def _hook(
        self, trainer: training.Trainer, data: TrainingData, evaluate: Callable[[int], Results], best: BestMetric
    ) -> EvaluationHook:
        config = self.config

        def evaluate_averages(step: int) -> Results:
            with trainer.optimizer.averages_in_place():
                return evaluate(step)

        def save_best(step: int, value: float) -> None:
            if not self.is_chief:
                return
            directory = best_weights.directory_of(config.output_dir)
            checkpoints.remove_unfinished(directory)
            self.save_assets(directory, data.save_assets)
            with trainer.optimizer.averages_in_place():
                state = {**self._variables, checkpoints.GLOBAL_STEP: trainer.step.global_step}
                checkpoints.save(directory, step, state, keep=1)
            BestScore(best.name, value, step).save(directory)

        return EvaluationHook(
            config.output_dir,
            EvaluationSteps(
                trainer.config.num_train_steps,
                data.epoch or len(data.examples),
                config.train_batch_size,
                config.eval_every_steps,
            ),
            best,
            config.early_stopping_patience,
            evaluate_averages,
            save_best,
            first_step=trainer.global_step,
            is_chief=self.is_chief,
        )

    # --- Evaluation and prediction -----------------------------------------------------------------------------------

    def load(self, is_trained: bool) -> int:
        """Loads the weights to evaluate or predict with.

        These are the weights of `--use_best`, else the latest in `output_dir`, else those of `init_checkpoint`.

        Args:
          is_trained: whether the model has just been trained, so that only moving averages need to be loaded.

        Returns:
          The step of the weights; 0 if they are not from a training in `output_dir`.

        Raises:
          Diverged: the best weights of the training are asked for, but no evaluation had a score.
          InputError: they cannot be read, or lack a part of the model.
        """
        config = self.config
        if config.use_best:
            best_weights.check(config.output_dir, is_trained)
        elif self.is_chief:
            best_weights.log_if_better(config.output_dir, "used")
        prefix = checkpoints.latest(config.weights_dir)
        if config.use_best or not is_trained or prefix is None:
            self._load_complete(prefix or str(config.init_checkpoint))
        if prefix is None:
            return 0
        if config.optimizer.ema_decay and not config.use_best:  # best/ has the averages as its weights
            load_averages(self._variables, prefix)
        return checkpoints.step_of(prefix)

    def _load_weights(self, checkpoint: str) -> checkpoints.LoadReport:
        if self.is_chief:
            best_weights.log_if_better(checkpoint, "used", "--init_checkpoint={best}")
        return model_source.load(self._variables, checkpoint, self.head, self.config.num_hidden_layers)

    def _load_complete(self, checkpoint: str) -> None:
        report = self._load_weights(checkpoint)
        missing = [name for name in (*report.missing, *report.mismatched) if name not in self.dispensable]
        if missing:
            raise InputError(
                f"{checkpoint} is not a model of this task: it lacks {some(missing)}, or has it in another shape; "
                "train it first (--do_train)."
            )
        logger.info("Using the weights of %s.", checkpoint)
        if not self.config.optimizer.ema_decay and any(name.endswith(_AVERAGE) for name in report.unused):
            logger.warning(
                "%s also has moving averages, which its training used for evaluation; --ema_decay=0.999 uses them.",
                checkpoint,
            )

    def outputs(
        self,
        outputs: Outputs,
        examples: ExampleArrays,
        batch_size: int,
        directory: str | None = None,
        output_file: str | None = None,
    ) -> OutputBatches:
        """The model's outputs for each example, computed when they are iterated over.

        Args:
          outputs: computes named tensors from a batch: a result of `compiled`, so that it is traced only once.
          examples: the examples.
          batch_size: maximum rows per batch over all devices, rounded up to a multiple of their number. On a CPU, the
            tokens per batch are limited instead, see `Concurrency`.
          directory: see `OutputBatches`.
          output_file: see `OutputBatches`.
        """
        settings = {
            "config": self.foundation.bert_config.to_dict(),
            "precision": self.precision.precision,
            "max_seq_length": examples.max_length,
            "batch_size": batch_size,
            "with_padding": self.config.predicts_at_full_length,
            "concurrency": dataclasses.asdict(self._concurrency),
        }
        compute = functools.partial(self.predict_batches, outputs, examples, batch_size)
        return OutputBatches(examples, compute, self.model, settings, directory, output_file)

    def predict_batches(
        self, outputs: Outputs, examples: ExampleArrays, batch_size: int, done: int = 0
    ) -> Iterator[Arrays]:
        """Computes the outputs batch by batch, the longest examples first; `example_batches.ROW` has their numbers.

        Args:
          outputs: see the method `outputs`.
          examples: the examples.
          batch_size: see the method `outputs`.
          done: number of batches to skip at the beginning, because an earlier run has computed them.
        """
        replicas = self.strategy.num_replicas_in_sync
        size = -(-batch_size // replicas) * replicas
        fixed = self.precision.compiles or self.config.predicts_at_full_length
        splits = None
        if self._concurrency.max_tokens is not None:
            lengths = np.full(len(examples), examples.max_length) if fixed else -np.sort(-examples.lengths)
            splits = self._concurrency.divide(lengths, size)[done:]

        def with_rows(batch: Batch) -> dict[str, tf.Tensor]:
            return {**outputs(batch), example_batches.ROW: batch[example_batches.ROW]}

        def batches(share: Share) -> tf.data.Dataset:
            if splits is not None:
                return example_batches.evaluation(examples, size, share, fixed, splits)
            # Each device's shard of a batch is a separate element.
            return example_batches.evaluation(examples, size, share, fixed).skip(done * share.devices)

        steps = example_batches.number_of_batches(examples, size) if splits is None else done + len(splits) - 1
        return predict_batches(with_rows, self.strategy, batches, steps, done, self._concurrency)

    @property
    def _concurrency(self) -> Concurrency:
        """How batches of evaluation and prediction are computed."""
        return Concurrency.of(self.strategy, self.precision.compiles)

    def compiled(self, outputs: Outputs) -> Outputs:
        """Compiles a function for the method `outputs`; it is traced once, however often it is used."""
        jit = self.precision.compiles or None
        return tf.function(outputs, autograph=False, jit_compile=jit, reduce_retracing=True)


def _skips_padding(config: FinetuningConfig, precision: PrecisionConfig) -> bool:
    """Whether models skip padding."""
    return not precision.compiles if config.pack_sequences is None else config.pack_sequences


def _freeze_for_lora(model: Task, dispensable: Collection[str]) -> None:
    """Freezes the variables that evaluation and prediction do not use; LoRA has frozen the rest of the encoder.

    Raises:
      InputError: the model did not create a `BertModel` itself, so it has no LoRA.
    """
    if not any(map(is_lora, model.named_variables)):
        raise InputError(
            "--lora_rank: this task's model has no variables of a BertModel that it creates itself, so there is "
            "nothing to train; omit the flag."
        )
    for name, variable in model.named_variables.items():
        if name in dispensable:
            variable.trainable = False
