"""Runs a fine-tuning task: start or resume, train, evaluate during training, predict, write; or a dry run."""

import dataclasses
import functools
import logging
import os
from collections.abc import Callable
from typing import Any, TypeVar

import tensorflow as tf

from bert_tf2 import training
from bert_tf2.checkpoints.pretrained import Pretrained
from bert_tf2.io import atomic, file_system, run_dir, run_files
from bert_tf2.tasks.finetuning import best_weights, evaluation_files, outputs, report
from bert_tf2.tasks.finetuning.config import FinetuningConfig
from bert_tf2.tasks.finetuning.evaluation_hook import BestMetric, Results
from bert_tf2.tasks.finetuning.foundation import check_data_is_kept, find_foundation, with_model_in_output_dir
from bert_tf2.tasks.finetuning.loop import Finetuning, TrainingData
from bert_tf2.tasks.finetuning.search import run_search
from bert_tf2.tasks.finetuning.task import Evaluation, FinetuningTask, Split
from bert_tf2.training import tracking
from bert_tf2.training.distribution import Workers, make_strategy

logger = logging.getLogger(__name__)

Config = TypeVar("Config", bound=FinetuningConfig)
AnyTask = FinetuningTask[Any, Any, Any]


def run(make_task: Callable[[Config, Pretrained], AnyTask], config: Config) -> Results | None:
    """Trains, evaluates and predicts according to the config.

    Args:
      make_task: the task's class, or a function that creates the task.
      config: the flags.

    Returns:
      The results of the evaluation: with several seeds their means, with a search those of the best weights. None if
      nothing was evaluated.

    Raises:
      InputError: data, model, checkpoint and flags do not fit together, or the training diverged.
      OSError: a file cannot be written.
      Stopped: training was stopped by SIGTERM or Ctrl-C; a checkpoint has been written.
    """
    check_data_is_kept(config)
    tracking.check_installed(config.reports)
    strategy = make_strategy(config.distribution)
    return run_search(config, functools.partial(_run, make_task, strategy), strategy)


def _run(
    make_task: Callable[[Config, Pretrained], AnyTask],
    strategy: tf.distribute.Strategy,
    config: Config,
    predicts: bool = True,
) -> Results | None:
    config = with_model_in_output_dir(config)
    foundation = find_foundation(config)
    task = make_task(config, foundation)
    foundation.check_sequences(task.description.max_seq_length, segments=task.segments)
    task.tokenizer = foundation.tokenizer(task.description.do_lower_case)
    finetuning = Finetuning.create(
        config, foundation, task.make_model, strategy, task.files, task.dispensable, task.head
    )
    task.model = finetuning.model
    reports = config.reports if finetuning.is_chief and not config.dry_run else ()
    with tracking.tracking(reports, config.output_dir, run_dir.flat_values(config)):
        return _TaskRun(task, finetuning, predicts=predicts).run()


@dataclasses.dataclass
class _TaskRun:
    """A task with its model on the devices."""

    task: AnyTask
    finetuning: Finetuning
    predicts: bool = True  # False: --do_predict is ignored
    encoded: dict[Split, Any] = dataclasses.field(default_factory=dict)
    written: list[Any] = dataclasses.field(default_factory=list)  # encoded splits whose files have been written
    latest_gathered: tuple[Any, int, Any] | None = None  # the encoded split, the step of the weights, the outputs
    latest_evaluation: tuple[int, Evaluation] | None = None  # the step of the weights, the evaluation

    @property
    def config(self) -> FinetuningConfig:
        return self.finetuning.config

    @property
    def is_writing(self) -> bool:
        return self.finetuning.is_chief and not self.config.dry_run

    @functools.cached_property
    def outputs(self) -> Any:
        return self.finetuning.compiled(self.task.outputs)

    def run(self) -> Results | None:
        """Checks, or trains, evaluates and predicts, according to the flags; returns the evaluation's results."""
        config = self.config
        if config.dry_run:
            self.check()
            return None
        if config.do_train:
            with self.finetuning.locked_output_dir():
                self.train()
        results = None
        predicts = config.do_predict and self.predicts
        if config.do_eval or predicts:
            step = self.finetuning.load(is_trained=config.do_train)
            if config.do_eval:
                results = self.evaluate(step)
            if predicts:
                self.predict(step)
        return results

    def check(self) -> None:
        """Runs every check that can fail before the first step, without writing anything."""
        if self.config.do_train:
            atomic.check_writable(self.config.output_dir)
            trainer, _ = self._trainer()
            encoded = self.task.complete_training(self._encode("train"), self.finetuning.create_companion)
            trainer.check(self.finetuning.batches(encoded.arrays))
            if self.config.do_eval:
                self._best_metric(trainer.global_step)
        else:
            self.finetuning.load(is_trained=False)
        if self.config.do_eval:
            self.task.result_names()
            self._encode("dev")
        if self.config.do_predict:
            self._encode("test")
        logger.info("Dry run: all checks passed; nothing was written.")

    # --- Training ----------------------------------------------------------------------------------------------------

    def train(self) -> None:
        """Trains; errors in data and flags are reported before anything is removed or written."""
        task = self.task
        splits: list[Split] = ["train", "dev"] if self.config.do_eval else ["train"]
        trainer, count = self._trainer()
        for split in splits:
            self._encode(split)
        best = self._best_metric(trainer.global_step) if self.config.do_eval else None
        self.encoded["train"] = task.complete_training(self.encoded["train"], self.finetuning.create_companion)
        data = TrainingData(self.encoded["train"].arrays, task.save_assets)
        if best:
            data = dataclasses.replace(data, evaluate=self._results, best=best, epoch=count)
        self.finetuning.remove_earlier_run()
        for split in splits:
            self._write_encoded(split)
        del self.encoded["train"]
        tracking.current().start()
        self.finetuning.train(trainer, data)

    def _trainer(self) -> tuple[training.Trainer, int]:
        """A trainer, and the number of examples per epoch."""
        count = self.task.train_count
        if count is None:
            count = len(self._encode("train").arrays)
        return self.finetuning.trainer(count), count

    def _best_metric(self, step: int) -> BestMetric:
        """The score that selects the best weights of a training that starts or resumes at a step.

        Raises:
          InputError: there is no such score, or it is another one than that of the best weights so far.
        """
        best = BestMetric.find(self.config.metric_for_best or self.task.best_metric, list(self.task.result_names()))
        if not self.config.overwrite_output_dir:
            best_weights.check_metric(self.config.output_dir, best.name, step)
        return best

    def _encode(self, split: Split) -> Any:
        if split not in self.encoded:
            if self.is_writing:
                file_system.makedirs(self.config.output_dir)
            self.encoded[split] = self.task.encode(split)
        return self.encoded[split]

    def _write_encoded(self, split: Split) -> None:
        encoded = self.encoded[split]
        if self.is_writing and not any(encoded is other for other in self.written):
            self.task.write_encoded(split, encoded)
            if split != "train":
                self.written.append(encoded)

    # --- Evaluation and prediction -----------------------------------------------------------------------------------

    def evaluate(self, step: int) -> Results:
        """Evaluates the loaded weights, which are those of `step`; writes and returns the results."""
        encoded = self._encode("dev")
        self._write_encoded("dev")
        evaluation = self._evaluation(step, self._resumable_file(run_files.EVAL_RESULTS))
        gathered = self._gathered(encoded, step, self.config.eval_batch_size, None)  # cached by _evaluation
        results: Results = {"global_step": step, **evaluation.results}
        if self.finetuning.is_chief:
            evaluation_files.report(self.config.output_dir, results, with_events=not self.config.do_train)
            self.task.write_evaluation(evaluation)
            report.write(self.task, encoded, gathered, evaluation, step)
            self._discard(run_files.EVAL_RESULTS)
        return results

    def predict(self, step: int) -> None:
        """Predicts with the loaded weights, which are those of `step`, and writes the predictions."""
        task, name = self.task, self.task.prediction_file or run_files.PREDICTION_LINES
        task.before_prediction()
        encoded = self._encode("test")
        self._write_encoded("test")
        gathered = self._gathered(encoded, step, self.config.predict_batch_size, self._resumable_file(name))
        if self.finetuning.is_chief:
            what, paths = task.write_predictions(encoded, gathered)
            self._discard(name)
            logger.info("Predicted %s. Wrote %s.", what, ", ".join(paths))

    def _results(self, step: int) -> Results:
        return self._evaluation(step, None).results

    def _evaluation(self, step: int, output_file: str | None) -> Evaluation:
        """The evaluation of the model in its current state, at a step; the latest one is cached."""
        if self.latest_evaluation is None or self.latest_evaluation[0] != step:
            encoded = self._encode("dev")
            gathered = self._gathered(encoded, step, self.config.eval_batch_size, output_file)
            self.latest_evaluation = step, self.task.score(encoded, gathered)
        return self.latest_evaluation[1]

    def _gathered(self, encoded: Any, step: int, batch_size: int, output_file: str | None) -> Any:
        """The model's outputs for a split, from `FinetuningTask.gather`; the latest ones are cached."""
        latest = self.latest_gathered
        if latest is None or latest[0] is not encoded or latest[1] != step:
            batches = self.finetuning.outputs(
                self.outputs, encoded.arrays, batch_size, self.task.directory, output_file
            )
            latest = self.latest_gathered = encoded, step, self.task.gather(encoded, batches)
        return latest[2]

    def _resumable_file(self, name: str) -> str | None:
        """The path of an output file if model outputs are saved next to it, so that a killed run can continue.

        Several workers save none: each would need the outputs of all.
        """
        is_resumable = self.task.prediction_file and Workers.of(self.finetuning.strategy).count == 1
        return os.path.join(self.config.output_dir, name) if is_resumable else None

    def _discard(self, name: str) -> None:
        if path := self._resumable_file(name):
            outputs.discard(path)
