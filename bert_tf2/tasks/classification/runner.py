"""Fine-tuning of a classifier or of a regression: rows -> features -> batches -> model -> scores and files.

Follows google-research/bert `run_classifier.py`.
"""

import dataclasses
import functools
import logging
import os
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bert_tf2.checkpoints import model_source
from bert_tf2.checkpoints.pretrained import Pretrained
from bert_tf2.configs.long_texts import WINDOWS
from bert_tf2.errors import InputError, counted
from bert_tf2.input_pipeline.example_batches import ExampleArrays
from bert_tf2.input_pipeline.record_batches import EXAMPLE_WEIGHTS
from bert_tf2.io import run_files
from bert_tf2.io.sparse_rows import SparseRows
from bert_tf2.modeling.classifier import LABELS, ClassificationModel
from bert_tf2.modeling.task_model import Batch
from bert_tf2.tasks.classification import labels as label_lists
from bert_tf2.tasks.classification import outputs
from bert_tf2.tasks.classification.config import ClassificationConfig, DataConfig
from bert_tf2.tasks.classification.data import Data, open_data
from bert_tf2.tasks.classification.examples import Examples
from bert_tf2.tasks.classification.features import Features, featurize
from bert_tf2.tasks.classification.label_report import LabelReport
from bert_tf2.tasks.classification.scores import pool_windows, result_names, results
from bert_tf2.tasks.classification.task_description import TaskDescription
from bert_tf2.tasks.finetuning import runner
from bert_tf2.tasks.finetuning.outputs import OutputBatches
from bert_tf2.tasks.finetuning.task import Evaluation, FinetuningTask, Split

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
    """Trains, evaluates and predicts according to the config; see `finetuning.runner.run`."""
    return runner.run(ClassificationTask, config)


@dataclasses.dataclass(frozen=True)
class _Rows:
    """Rows as model inputs."""

    examples: Examples
    labels: NDArray[Any] | SparseRows
    features: Features
    directory: str | None

    @functools.cached_property
    def arrays(self) -> ExampleArrays:
        features = self.features
        weights = {} if features.weights is None else {EXAMPLE_WEIGHTS: features.weights}
        return ExampleArrays(
            row_splits=features.input_ids.row_splits,
            tokens={"input_ids": features.input_ids.values, "segment_ids": features.segment_ids(self.directory)},
            columns={LABELS: features.labels, **weights},
            max_length=features.max_seq_length,
        )


class ClassificationTask(FinetuningTask[ClassificationConfig, _Rows, Floats]):
    """Classifies or scores texts; see `FinetuningTask`. Its model outputs logits, float32 [N, L]."""

    files = run_files.CLASSIFICATION
    head = "classifier"

    description: TaskDescription

    def __init__(self, config: ClassificationConfig, foundation: Pretrained) -> None:
        super().__init__(config, foundation)
        self.data = _open_data(config, foundation)
        self.description = self.data.description
        wanted: dict[Split, bool] = {"train": config.do_train, "dev": config.do_eval, "test": config.do_predict}
        self.examples = {split: self.data.examples(split) for split in wanted if wanted[split]}
        pairs = bool(self.description.text_pair_column) or (self.data.task is not None and self.data.task.has_pairs)
        self.segments = 1 + pairs

    @property
    def train_count(self) -> int | None:
        """The rows to learn; of windows it is known only when there are some."""
        return None if self.description.long_text == WINDOWS else len(self.examples["train"])

    def encode(self, split: Split) -> _Rows:
        """Rows as features."""
        examples = self.examples[split]
        labels, description = self.data.labels(examples), self.description
        lengths = description.max_seq_length, self.directory, description.long_text, description.window_stride
        features = featurize(examples, labels, self.tokenizer, *lengths)
        logger.info("%s: %s", examples.path, features.truncation())
        return _Rows(examples, labels, features, self.directory)

    def write_encoded(self, split: Split, encoded: _Rows) -> None:
        """Writes the original's records; on a TPU they are filled up to whole batches."""
        sizes = {"train": 1, "dev": self.config.eval_batch_size, "test": self.config.predict_batch_size}
        path = os.path.join(self.config.output_dir, _RECORDS[split])
        encoded.features.write(path, multiple_of=sizes[split] if self.config.distribution.use_tpu else 1)

    def make_model(self, skip_padding: bool) -> ClassificationModel:
        """The encoder with a classifier."""
        description, options = self.description, (self.config.recompute, skip_padding)
        weights = _class_weights(self.config, self.data, self.examples.get("train"))
        kind = description.problem_type
        return ClassificationModel(self.foundation.bert_config, description.outputs, kind, weights, *options)

    def keep(self, folder: str) -> None:
        """See `Data.save`."""
        self.data.save(folder)

    def outputs(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Logits."""
        return {_LOGITS: self.model.logits(batch)}

    def gather(self, encoded: _Rows, outputs: OutputBatches) -> Floats:
        """Logits in the order of the rows."""
        logits, splits = outputs.in_order()[_LOGITS], encoded.features.window_splits
        return (
            logits if splits is None else pool_windows(logits, splits, self.description.window_pooling, self.directory)
        )

    @property
    def best_metric(self) -> str:
        """By the kind of problem, if the task has that metric."""
        names, name = self.data.metrics, _BEST_METRICS[self.description.problem_type]
        return name if name in names else names[0]

    def result_names(self) -> list[str]:
        """See `scores.results`."""
        return result_names(self.data.metrics)

    def score(self, encoded: _Rows, found: Floats) -> Evaluation:
        """See `scores.results`."""
        description = self.description
        values = results(
            found,
            encoded.labels,
            description.problem_type,
            self.data.metrics,
            description.threshold,
            self.config.eval_batch_size,
        )
        return Evaluation(values, (encoded.labels, found))

    def write_evaluation(self, evaluation: Evaluation) -> None:
        """The scores of each label."""
        labels, logits = evaluation.details
        report = LabelReport.of(self.description, labels, outputs.Probabilities(logits, self.description.problem_type))
        if report:
            logger.info("\n%s\n\nWrote %s.", report.text(), ", ".join(report.save(self.config.output_dir)))

    def write_predictions(self, encoded: _Rows, found: Floats) -> tuple[str, list[str]]:
        """See `outputs.write_predictions`."""
        folder, rows = self.config.output_dir, encoded.examples
        probabilities = outputs.Probabilities(found, self.description.problem_type)
        paths = outputs.write_predictions(folder, self.description, rows, probabilities, self.data.task)
        if self.config.text is not None or self.config.predict_file == "-":
            outputs.print_lines(paths[1])
        return counted(len(rows), "row"), paths


def _open_data(config: ClassificationConfig, foundation: Pretrained) -> Data:
    flags = config.data
    saved = TaskDescription.saved(config)
    if flags.do_lower_case is None and saved is None:
        flags = dataclasses.replace(flags, do_lower_case=foundation.do_lower_case)
    of_checkpoint = None if config.do_train or saved or flags.labels_file else _task_of_checkpoint(config, flags)
    return open_data(flags, config.do_train, config.overwrite_output_dir, of_checkpoint)


def _task_of_checkpoint(config: ClassificationConfig, flags: DataConfig) -> TaskDescription | None:
    """What the classifier of `--init_checkpoint` was trained for, without its paths; None if nothing says it."""
    if not config.init_checkpoint:
        return None
    source = model_source.open_source(config.init_checkpoint, config.bert_config_file, config.num_hidden_layers)
    if source.classifier != "classifier" or "output_weights" not in source.own_names:
        return None
    if description := TaskDescription.load(source.folder):
        return dataclasses.replace(description, data_dir=None, dev_file=None, predict_file=None)
    length = min(TaskDescription.max_seq_length, source.config.max_position_embeddings)
    description = TaskDescription.of_head(source, length, bool(flags.do_lower_case))
    return dataclasses.replace(description, text_pair_column=None if flags.text_pair is None else "text_pair")


def _class_weights(config: ClassificationConfig, data: Data, train: Examples | None) -> list[float] | None:
    description = data.description
    if config.class_weights == "none" or train is None:
        return None
    if description.problem_type != "single_label":
        raise InputError(
            f"--class_weights={config.class_weights} is for rows with a single label each; the problem type of this "
            f"task is {description.problem_type}. Leave the flag away."
        )
    weights = label_lists.balanced_weights(np.asarray(data.labels(train)), description.labels).tolist()
    named = zip(description.labels, weights, strict=True)
    logger.info("Weights of labels: %s.", ", ".join(f"{label} {weight:.3g}" for label, weight in named))
    return weights
