"""Pre-training: masked language model and next sentence; records -> batches -> model -> scores.

Follows google-research/bert `run_pretraining.py`.
"""

import contextlib
import dataclasses
import logging
import math
import os

import keras
import tensorflow as tf

from bert_tf2 import checkpoints, training
from bert_tf2.checkpoints import pretrained
from bert_tf2.configs.model import BertConfig
from bert_tf2.configs.training import PrecisionConfig, TrainingConfig
from bert_tf2.errors import InputError, some
from bert_tf2.input_pipeline import record_batches
from bert_tf2.io import atomic, files, run_dir
from bert_tf2.modeling import summary
from bert_tf2.modeling.pretraining import PretrainingModel
from bert_tf2.records import index, reader, shuffled
from bert_tf2.tasks.finetuning import evaluation_files, foundation
from bert_tf2.tasks.pretraining import kept_vocabulary
from bert_tf2.tasks.pretraining.config import PretrainingConfig
from bert_tf2.tasks.pretraining.data import PretrainingData, explain_error, log_input, vocabulary_for
from bert_tf2.tasks.pretraining.kept_vocabulary import KeptVocabulary
from bert_tf2.tokenization.auto import VocabularyFile
from bert_tf2.training import evaluation, tracking
from bert_tf2.training.concurrency import Concurrency
from bert_tf2.training.distribution import Workers, make_strategy, wait_for_all
from bert_tf2.training.precision import policy, resolved
from bert_tf2.training.schedules import make_schedule

__all__ = ["PretrainingConfig", "PretrainingModel", "run"]

logger = logging.getLogger(__name__)

_LARGEST_EXPONENT = 88.0


def run(config: PretrainingConfig) -> dict[str, float] | None:
    """Trains and evaluates according to the config.

    Returns:
      The results of the evaluation; None without one.

    Raises:
      InputError: records, config, checkpoint and flags do not match, or the training diverged.
      OSError: a file cannot be written.
      Stopped: SIGTERM or Ctrl-C came during training; a checkpoint has been written.
    """
    tracking.check_installed(config.reports)
    strategy = make_strategy(config.distribution)
    precision = resolved(config.precision)
    bert_config = pretrained.find_bert_config(
        config.init_checkpoint, config.bert_config_file or None, config.output_dir, config.num_hidden_layers
    )
    if config.max_seq_length > bert_config.max_position_embeddings:
        raise InputError(
            f"--max_seq_length={config.max_seq_length} but the model has max_position_embeddings="
            f"{bert_config.max_position_embeddings}; make records with at most that many tokens."
        )
    eval_paths = files.expand(config.eval_input_file, "--eval_input_file") if config.eval_input_file else []
    paths = files.expand(config.input_file, "--input_file") if config.do_train or not eval_paths else []
    vocabulary = vocabulary_for(config, bert_config, [*paths, *eval_paths])
    saves_index = config.do_train and not config.dry_run
    index_file = os.path.join(config.output_dir, index.INDEX_FILE) if saves_index else None
    source = shuffled.RecordSource(index_file, config.skip_bad_records)
    data = PretrainingData(config, paths, vocabulary, precision.compiles, source, eval_paths, bert_config.vocab_size)
    for existing in filter(None, (paths, eval_paths)):
        reader.check_lengths(existing, data.schema)
    log_input(data)

    keras.utils.set_random_seed(config.seed)
    with strategy.scope(), policy(precision):
        # Only packed rows have many unused predictions; in others, finding them costs more than it saves.
        skip_unused = config.pack_sequences and not precision.compiles
        model = PretrainingModel(bert_config, config.use_nsp, config.recompute, skip_unused)
    logger.info("%s", summary.summary(bert_config, model.named_variables))
    to_keep = kept_vocabulary.find(config, bert_config, paths) if config.do_train else None
    if config.do_train and config.do_predict and not (to_keep or VocabularyFile.in_directory(config.output_dir)):
        raise InputError(
            "--do_predict: there is no vocabulary to keep with the model and to read the lines with; give --vocab_file."
        )
    job = _Job(config, bert_config, model, strategy, precision, data, to_keep)
    try:
        if config.dry_run:
            job.check()
            return None
        is_chief = job.workers.is_chief
        reports = config.reports if is_chief else ()
        with tracking.tracking(reports, config.output_dir, run_dir.flat_values(config)):
            if config.do_train:
                with run_dir.locked(config.output_dir) if is_chief else contextlib.nullcontext():
                    job.train()
            return job.evaluate() if config.do_eval else None
    except tf.errors.OpError as error:
        if source.error:
            raise source.error from None
        if isinstance(error, tf.errors.DataLossError):
            raise InputError(
                reader.locate_damage([*paths, *eval_paths]) or "A record file changed while it was read."
            ) from None
        if isinstance(error, tf.errors.InvalidArgumentError):
            raise explain_error(error, bert_config) from error
        raise


def perplexity(masked_lm_loss: float) -> float:
    """`e` to the power of the mean loss per masked token, in nats; infinity if that exceeds float32."""
    return math.exp(masked_lm_loss) if not masked_lm_loss > _LARGEST_EXPONENT else math.inf


@dataclasses.dataclass(frozen=True)
class _Job:
    """A model and its data on the devices."""

    config: PretrainingConfig
    bert_config: BertConfig
    model: PretrainingModel
    strategy: tf.distribute.Strategy
    precision: PrecisionConfig
    data: PretrainingData
    vocabulary_to_keep: KeptVocabulary | None

    @property
    def workers(self) -> Workers:
        return Workers.of(self.strategy)

    def _trainer(self) -> training.Trainer:
        config = self.config
        schedule = make_schedule(
            config.optimizer.learning_rate_schedule,
            config.learning_rate,
            config.num_train_steps,
            config.num_warmup_steps,
        )
        loop = TrainingConfig.of(
            config,
            output_dir=config.output_dir,
            num_train_steps=config.num_train_steps,
            batch_size=config.train_batch_size,
        )
        return training.Trainer.create(self.model, schedule, self.strategy, loop, config.optimizer, self.precision)

    def train(self) -> None:
        config, trainer = self.config, self._trainer()
        self._start(trainer)
        if self.workers.is_chief:
            pretrained.save_config(config.output_dir, self.bert_config)
            if self.vocabulary_to_keep:
                self.vocabulary_to_keep.copy_into(config.output_dir)
            run_dir.describe(config.output_dir, config)
        hooks = [_Evaluation(self, trainer)] if config.do_eval and config.eval_every_steps else []
        trainer.train(self.data.training, hooks)
        wait_for_all(self.strategy)  # so that the others read only what the chief has finished writing

    def _start(self, trainer: training.Trainer) -> None:
        resumed = trainer.resume()
        if resumed:
            logger.info("Resuming from %s, step %d.", resumed, trainer.global_step)
        elif self.config.init_checkpoint:
            logger.info("%s", self._initialize(self.config.init_checkpoint))
        else:
            logger.info("Starting from random weights (seed %d).", self.config.seed)

    def _initialize(self, checkpoint: str) -> checkpoints.LoadReport:
        return pretrained.load(self._variables, checkpoint, num_hidden_layers=self.config.num_hidden_layers)

    @property
    def _variables(self) -> dict[str, tf.Variable]:
        return checkpoints.tf_variables(self.model.named_variables)

    def check(self) -> None:
        """Does everything that can fail before the first step, but writes nothing."""
        config = self.config
        if config.do_train:
            atomic.check_writable(config.output_dir)
            trainer = self._trainer()
            self._start(trainer)
            trainer.check(self.data.training)
        if config.do_eval:
            if not config.do_train:
                self._load_for_evaluation()
            next(iter(self.data.evaluation(config.max_eval_steps or None, record_batches.Share())))

    def _load_for_evaluation(self) -> int:
        """Loads the newest checkpoint of `output_dir`, else `init_checkpoint`; returns the checkpoint's step."""
        config = self.config
        prefix = checkpoints.latest(config.output_dir)
        if prefix is None and config.init_checkpoint is None:
            raise InputError(
                f"--do_eval: {config.output_dir} has no checkpoint; train first, or give --init_checkpoint."
            )
        if prefix is None:
            logger.info("%s", self._load_complete(str(config.init_checkpoint)))
        else:
            if not config.do_train:  # after training, the weights are those of the newest checkpoint
                self._load_complete(prefix)
            if config.optimizer.ema_decay:
                foundation.load_averages(self._variables, prefix)
        logger.info("Evaluating %s.", prefix or config.init_checkpoint)
        return checkpoints.step_of(prefix) if prefix else 0

    def _load_complete(self, checkpoint: str) -> checkpoints.LoadReport:
        report = self._initialize(checkpoint)
        needed = ("bert/pooler/", "cls/") if self.config.use_nsp else ("cls/",)
        missing = [name for name in (*report.missing, *report.mismatched) if name.startswith(needed)]
        if not missing:
            return report
        advice = "it was fine-tuned for another task, or never had a masked-LM head"
        if not any(name.startswith("cls/predictions/") for name in missing):
            advice = "give --use_nsp=false to evaluate only its masked-LM head"
        raise InputError(
            f"--do_eval: {report.prefix} lacks {some(missing)}; a model with random weights there has no meaningful "
            f"scores: {advice}."
        )

    def evaluate(self) -> dict[str, float]:
        step = self._load_for_evaluation()
        return {"global_step": float(step), **self.score(step)}

    def score(self, step: int) -> dict[str, float]:
        """Evaluates the current weights, and writes the results.

        Args:
          step: the training step of the weights.

        Returns:
          Each metric, `loss` and `perplexity`.
        """
        config = self.config
        steps = config.max_eval_steps or None
        concurrency = Concurrency.of(self.strategy, self.precision.compiles)
        results = evaluation.evaluate(
            self.model, self.strategy, lambda share: self.data.evaluation(steps, share), steps, concurrency
        )
        results["perplexity"] = perplexity(results["masked_lm_loss"])
        if self.workers.is_chief:
            evaluation_files.report(config.output_dir, {"global_step": step, **results}, with_events=True)
        return results


@dataclasses.dataclass(frozen=True)
class _Evaluation:
    """Evaluates during training; a `training.Hook`."""

    job: _Job
    trainer: training.Trainer

    def next_after(self, step: int) -> int:
        every = self.job.config.eval_every_steps
        return step - step % every + every

    def run(self, step: int) -> None:
        config = self.job.config
        is_last = step >= config.num_train_steps  # evaluated after training in any case
        if step and not is_last and step % config.eval_every_steps == 0:
            with self.trainer.optimizer.averages_in_place():
                self.job.score(step)
