"""Fine-tuning for classification or regression: rows -> features -> batches -> model -> scores and files.

Follows google-research/bert `run_classifier.py`.
"""

import dataclasses
import functools
import gc
import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bert_tf2.checkpoints import model_source
from bert_tf2.checkpoints.pretrained import Pretrained
from bert_tf2.configs.fields import check_has_effect
from bert_tf2.configs.long_texts import WINDOWS
from bert_tf2.errors import InputError, counted
from bert_tf2.input_pipeline.example_batches import ExampleArrays
from bert_tf2.io import run_files
from bert_tf2.io.sparse_rows import SparseRows
from bert_tf2.modeling.classifier import ClassificationModel
from bert_tf2.modeling.distillation import Distillation
from bert_tf2.modeling.task_model import Batch
from bert_tf2.reports.page import Section
from bert_tf2.tasks.classification import labels as label_lists
from bert_tf2.tasks.classification import outputs, report_rows, report_sections, score_intervals, teacher_logits
from bert_tf2.tasks.classification.arrays import arrays_of
from bert_tf2.tasks.classification.config import ClassificationConfig, DataConfig
from bert_tf2.tasks.classification.data import Data, open_data
from bert_tf2.tasks.classification.evaluated import Evaluated
from bert_tf2.tasks.classification.evaluated_rows import evaluated_rows
from bert_tf2.tasks.classification.examples import Examples
from bert_tf2.tasks.classification.features import Features, featurize
from bert_tf2.tasks.classification.label_report import LabelReport
from bert_tf2.tasks.classification.scores import pool_windows, result_names, results
from bert_tf2.tasks.classification.task_description import TaskDescription
from bert_tf2.tasks.classification.teacher import Teacher
from bert_tf2.tasks.classification.teacher_logits import TeacherLogits
from bert_tf2.tasks.finetuning import runner
from bert_tf2.tasks.finetuning.latest import Latest
from bert_tf2.tasks.finetuning.outputs import OutputBatches
from bert_tf2.tasks.finetuning.task import CreateCompanion, Evaluation, FinetuningTask, Split

__all__ = ["ClassificationConfig", "ClassificationTask", "run"]

logger = logging.getLogger(__name__)

Floats = NDArray[np.float32]

_RECORDS: dict[Split, str] = {
    "train": run_files.TRAIN_RECORDS,
    "dev": run_files.EVAL_RECORDS,
    "test": run_files.PREDICT_RECORDS,
}
_LOGITS = "logits"
_BEST_METRICS = {"single_label": "matthews", "multi_label": "micro_f1", "regression": "pearson"}


def run(config: ClassificationConfig) -> dict[str, float] | None:
    """Trains, evaluates and predicts according to the config.

    Returns:
      The results of the evaluation by name, with `seeds` their means; None if there was no evaluation.

    Raises:
      InputError: flags, data and model do not fit together, or the training diverged.
      OSError: an output cannot be written.
      Stopped: SIGTERM or Ctrl-C arrived during training; a checkpoint has been written.

    Examples:
      >>> from pathlib import Path
      >>> from bert_tf2 import BertConfig, BertModel, FullTokenizer
      >>> from bert_tf2.tasks import classification
      >>> _ = Path("vocab.txt").write_text("[PAD]\\n[UNK]\\n[CLS]\\n[SEP]\\n[MASK]\\ngood\\nbad\\nfilm\\n")
      >>> config = BertConfig(8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
      >>> BertModel(config).save_pretrained("tiny", tokenizer=FullTokenizer("vocab.txt"))
      >>> _ = Path("train.csv").write_text("text,label\\n" + "good film,pos\\nbad film,neg\\n" * 8)
      >>> results = classification.run(
      ...     classification.ClassificationConfig(
      ...         train_file="train.csv",
      ...         dev_file="train.csv",
      ...         init_checkpoint="tiny",
      ...         output_dir="model",
      ...         do_train=True,
      ...         do_eval=True,
      ...         train_batch_size=8,
      ...     )
      ... )
      >>> sorted(results)
      ['eval_accuracy', 'eval_loss', 'eval_macro_f1', 'global_step', 'loss']
    """
    logits_dir = os.path.join(config.output_dir, run_files.TEACHER_LOGITS)  # shared by all seeds
    return runner.run(functools.partial(ClassificationTask, teacher_logits_dir=logits_dir), config)


@dataclasses.dataclass(frozen=True)
class _Rows:
    """Rows as model inputs.

    Attributes:
      examples: the rows of the split.
      labels: their labels.
      features: their features.
      directory: for data that exceeds memory, see `spilled`.
      unlabeled: the features of each file of unlabeled rows.
      with_teacher: all of these rows with the teacher's logits, once those have been computed.
    """

    examples: Examples
    labels: NDArray[Any] | SparseRows
    features: Features
    directory: str | None
    unlabeled: tuple[Features, ...] = ()
    with_teacher: ExampleArrays | None = None

    @functools.cached_property
    def arrays(self) -> ExampleArrays:
        if self.with_teacher is not None:
            return self.with_teacher
        arrays = [arrays_of(features, self.directory) for features in (self.features, *self.unlabeled)]
        return ExampleArrays.joined(arrays, self.directory)


class ClassificationTask(FinetuningTask[ClassificationConfig, _Rows, Floats]):
    """Classifies or scores texts; see `FinetuningTask`. Its model outputs logits, float32 [N, L]."""

    files = run_files.CLASSIFICATION
    head = "classifier"

    description: TaskDescription

    def __init__(
        self, config: ClassificationConfig, foundation: Pretrained, teacher_logits_dir: str | None = None
    ) -> None:
        super().__init__(config, foundation)
        self.data = _open_data(config, foundation)
        self.description = self.data.description
        is_needed: dict[Split, bool] = {"train": config.do_train, "dev": config.do_eval, "test": config.do_predict}
        self.examples = {split: self.data.examples(split) for split in is_needed if is_needed[split]}
        self.segments = 1 + (self.description.has_pairs or len(self.data.texts) > 1)
        self._latest = Latest[Evaluated]()
        self.teacher: Teacher | None = None
        self.unlabeled: list[Examples] = []
        self.teacher_results: dict[str, float] | None = None
        self._teacher_logits_dir = teacher_logits_dir or os.path.join(config.output_dir, run_files.TEACHER_LOGITS)
        if config.teacher:
            needed = "is for labels, not for regression; omit it"
            has_labels = self.description.problem_type != "regression"
            check_has_effect(config, ("teacher_temperature",), has_labels, needed)
            self.teacher = Teacher.open(config.teacher, self.description, config.output_dir)
            self.unlabeled = self.data.unlabeled()

    @property
    def train_count(self) -> int | None:
        """The number of rows to learn from; None if they are split into windows, which are counted when encoded."""
        if self.description.long_text == WINDOWS:
            return None
        return sum(map(len, (self.examples["train"], *self.unlabeled)))

    def encode(self, split: Split) -> _Rows:
        """Encodes the rows of a split; those of the training split include unlabeled rows."""
        examples = self.examples[split]
        labels = self.data.labels(examples)
        features = self._features(examples, labels)
        unlabeled = self.unlabeled if split == "train" else []
        unlabeled_features = tuple(self._features(rows, self.data.labels(rows)) for rows in unlabeled)
        return _Rows(examples, labels, features, self.directory, unlabeled_features)

    def _features(self, examples: Examples, labels: NDArray[Any] | SparseRows) -> Features:
        description = self.description
        lengths = description.max_seq_length, self.directory, description.long_text, description.window_stride
        features = featurize(examples, labels, self.tokenizer, *lengths)
        logger.info("%s: %s", examples.path, features.truncation())
        return features

    def complete_training(self, encoded: _Rows, create_companion: CreateCompanion) -> _Rows:
        """Adds the teacher's logits, and evaluates the teacher on the dev data."""
        if self.teacher is None:
            return encoded
        examples = {"train": encoded.examples}
        examples |= {f"unlabeled_{number}": rows for number, rows in enumerate(self.unlabeled)}
        for_training = list(examples)
        if "dev" in self.examples:
            examples["dev"] = self.examples["dev"]
        arguments = self.teacher, create_companion, self._teacher_logits_dir, self.directory
        logits = TeacherLogits.start(*arguments).of(examples)
        gc.collect()  # frees the teacher's layers, which refer to each other, for the training
        if "dev" in logits and not self.config.dry_run:
            self.teacher_results = self._results(logits["dev"], self.data.labels(self.examples["dev"]))
            logger.info("Teacher on the dev data: %s.", _shown(self.teacher_results))
        training_logits = [logits[name] for name in for_training]
        arrays = teacher_logits.with_logits(encoded.features, encoded.unlabeled, training_logits, self.directory)
        return dataclasses.replace(encoded, with_teacher=arrays)

    def write_encoded(self, split: Split, encoded: _Rows) -> None:
        """Writes records like the original's; on a TPU they are padded to complete batches."""
        sizes = {"train": 1, "dev": self.config.eval_batch_size, "test": self.config.predict_batch_size}
        path = os.path.join(self.config.output_dir, _RECORDS[split])
        encoded.features.write(path, multiple_of=sizes[split] if self.config.distribution.use_tpu else 1)

    def make_model(self, skip_padding: bool) -> ClassificationModel:
        """Creates an encoder with a classifier."""
        description, options = self.description, (self.config.recompute, skip_padding)
        weights = _class_weights(self.config, self.data, self.examples.get("train"))
        kind, config = description.problem_type, self.config
        distillation = Distillation(config.teacher_temperature, config.teacher_weight) if self.teacher else None
        return ClassificationModel(
            self.foundation.bert_config, description.outputs, kind, weights, *options, distillation
        )

    def save_assets(self, directory: str) -> None:
        """See `Data.save`."""
        self.data.save(directory)

    def outputs(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Computes the logits, float32 [B, L]."""
        return {_LOGITS: self.model.logits(batch)}

    def gather(self, encoded: _Rows, outputs: OutputBatches) -> Floats:
        """Collects the logits in the order of the rows, pooled over windows: float32 [N, L]."""
        logits, splits = outputs.in_order()[_LOGITS], encoded.features.window_splits
        return (
            logits if splits is None else pool_windows(logits, splits, self.description.window_pooling, self.directory)
        )

    @property
    def best_metric(self) -> str:
        """The default metric of the problem type, if the task has it; else the task's first metric."""
        names, name = self.data.metrics, _BEST_METRICS[self.description.problem_type]
        return name if name in names else names[0]

    def result_names(self) -> list[str]:
        """See `scores.results`."""
        return result_names(self.data.metrics)

    def score(self, encoded: _Rows, gathered: Floats) -> Evaluation:
        """See `scores.results`."""
        return Evaluation(self._results(gathered, encoded.labels), (encoded.labels, gathered))

    def _results(self, logits: Floats, labels: NDArray[Any] | SparseRows) -> dict[str, float]:
        kind, threshold = self.description.problem_type, self.description.threshold
        return results(logits, labels, kind, self.data.metrics, threshold, self.config.eval_batch_size)

    def write_evaluation(self, evaluation: Evaluation) -> None:
        """Logs and writes the scores of each label."""
        if self.teacher_results is not None:
            logger.info("Teacher: %s; student: %s.", _shown(self.teacher_results), _shown(evaluation.results))
        labels, logits = evaluation.details
        report = LabelReport.of(self.description, labels, outputs.Probabilities(logits, self.description.problem_type))
        if report:
            logger.info("\n%s\n\nWrote %s.", report.text(), ", ".join(report.save(self.config.output_dir)))

    def evaluation_rows(self, encoded: _Rows, gathered: Floats) -> Iterator[dict[str, Any]]:
        """See `evaluated_rows`."""
        return evaluated_rows(self.description, encoded.examples, encoded.labels, gathered)

    def score_intervals(self, encoded: _Rows, gathered: Floats) -> dict[str, tuple[float, float]]:
        """See `score_intervals.of_metrics`."""
        return score_intervals.of_metrics(self._evaluated(encoded, gathered), self.data.metrics)

    def report_sections(self, encoded: _Rows, gathered: Floats, evaluation: Evaluation) -> list[Section]:
        """See `report_sections.sections`."""
        return report_sections.sections(self._evaluated(encoded, gathered))

    def length_section(self, encoded: _Rows, gathered: Floats) -> Section:
        """See `report_rows.lengths`."""
        return report_rows.lengths(self._evaluated(encoded, gathered))

    def _evaluated(self, encoded: _Rows, gathered: Floats) -> Evaluated:
        """The evaluation for reports; cached, as several methods use it."""
        columns = encoded.examples, encoded.labels, encoded.features, gathered
        return self._latest.of(gathered, lambda: Evaluated(self.description, *columns))

    def write_predictions(self, encoded: _Rows, gathered: Floats) -> tuple[str, list[str]]:
        """See `outputs.write_predictions`."""
        config, rows = self.config, encoded.examples
        probabilities = outputs.Probabilities(gathered, self.description.problem_type)
        paths = outputs.write_predictions(
            config.output_dir, self.description, rows, probabilities, self.data.task, config.min_confidence
        )
        if config.text is not None or config.predict_file == "-":
            outputs.print_lines(paths[1])
        return counted(len(rows), "row"), paths


def _shown(results: Mapping[str, float]) -> str:
    """The scores of an evaluation, without its losses, for the log."""
    scores = {name.removeprefix("eval_"): value for name, value in results.items() if not name.endswith("loss")}
    return ", ".join(f"{name} {value:.4g}" for name, value in scores.items() if name != "global_step")


def _open_data(config: ClassificationConfig, foundation: Pretrained) -> Data:
    flags = config.data
    saved = TaskDescription.saved(config)
    if flags.do_lower_case is None and saved is None:
        flags = dataclasses.replace(flags, do_lower_case=foundation.do_lower_case)
    checkpoint_task = None if config.do_train or saved or flags.labels_file else _checkpoint_task(config, flags)
    data = open_data(flags, config.do_train, config.overwrite_output_dir, checkpoint_task)
    kind = data.description.problem_type
    needed = f"is for a single label a row, but the problem type of this task is {kind}; omit it"
    check_has_effect(config, ("min_confidence",), kind == "single_label", needed)
    return data


def _checkpoint_task(config: ClassificationConfig, flags: DataConfig) -> TaskDescription | None:
    """The task that the classifier of `--init_checkpoint` was trained for, without paths; None if it is unknown."""
    if not config.init_checkpoint:
        return None
    source = model_source.open_source(config.init_checkpoint, config.bert_config_file, config.num_hidden_layers)
    if source.classifier != "classifier" or "output_weights" not in source.own_names:
        return None
    if description := TaskDescription.load(source.directory):
        return dataclasses.replace(description, data_dir=None, dev_file=None, predict_file=None)
    length = min(TaskDescription.max_seq_length, source.config.max_position_embeddings)
    return TaskDescription.of_head(source, length, bool(flags.do_lower_case))


def _class_weights(config: ClassificationConfig, data: Data, train: Examples | None) -> list[float] | None:
    description = data.description
    if config.class_weights == "none" or train is None:
        return None
    if description.problem_type != "single_label":
        raise InputError(
            f"--class_weights={config.class_weights} is for rows with a single label each; the problem type of this "
            f"task is {description.problem_type}. Omit the flag."
        )
    weights = label_lists.balanced_weights(np.asarray(data.labels(train)), description.labels).tolist()
    named = zip(description.labels, weights, strict=True)
    logger.info("Weights of labels: %s.", ", ".join(f"{label} {weight:.3g}" for label, weight in named))
    return weights
