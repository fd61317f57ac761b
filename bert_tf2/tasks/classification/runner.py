"""Fine-tuning of a classifier or of a regression: rows -> features -> batches -> model -> scores and files.

Follows google-research/bert `run_classifier.py`.
"""

import dataclasses
import functools
import logging
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bert_tf2 import metrics
from bert_tf2.checkpoints.pretrained import Pretrained
from bert_tf2.errors import InputError
from bert_tf2.input_pipeline.example_batches import ExampleArrays
from bert_tf2.io import atomic, run_files, spilled
from bert_tf2.io.sparse_rows import SparseRows
from bert_tf2.modeling.classifier import LABELS, ClassificationModel
from bert_tf2.tasks.classification import labels as label_lists
from bert_tf2.tasks.classification import outputs
from bert_tf2.tasks.classification.config import ClassificationConfig
from bert_tf2.tasks.classification.data import Data, open_data
from bert_tf2.tasks.classification.examples import Examples
from bert_tf2.tasks.classification.features import featurize
from bert_tf2.tasks.classification.glue import Split
from bert_tf2.tasks.classification.label_report import LabelReport
from bert_tf2.tasks.classification.scores import result_names, results
from bert_tf2.tasks.classification.task_description import TaskDescription
from bert_tf2.tasks.finetuning import evaluation_files
from bert_tf2.tasks.finetuning.foundation import find_foundation
from bert_tf2.tasks.finetuning.runner import Finetuning, TrainingData
from bert_tf2.tasks.finetuning.seeds import run_seeds
from bert_tf2.tokenization.auto import Tokenizer
from bert_tf2.training.distribution import Workers, make_strategy

__all__ = ["ClassificationConfig", "run"]

logger = logging.getLogger(__name__)

_RECORDS: dict[Split, str] = {
    "train": run_files.TRAIN_RECORDS,
    "dev": run_files.EVAL_RECORDS,
    "test": run_files.PREDICT_RECORDS,
}
_LOGITS = "logits"


def run(config: ClassificationConfig) -> dict[str, float] | None:
    """Trains, evaluates and predicts as the config says.

    Returns:
      The evaluation's results, with several seeds their means; None where there was none.

    Raises:
      InputError: data, model, checkpoint and flags do not fit together, or the training diverged.
      OSError: something cannot be written.
      Stopped: SIGTERM or Ctrl-C came while it trained; a checkpoint has been written.
    """
    strategy = make_strategy(config.distribution)
    return run_seeds(config, lambda config: _run(config, strategy), Workers.of(strategy).is_chief)


def _run(config: ClassificationConfig, strategy: tf.distribute.Strategy) -> dict[str, float] | None:
    foundation = find_foundation(config)
    data = _open_data(config, foundation)
    description = data.description
    wanted = {"train": config.do_train, "dev": config.do_eval, "test": config.do_predict}
    examples = {split: data.examples(split) for split in _RECORDS if wanted[split]}
    pairs = bool(description.text_pair_column) or (data.task is not None and data.task.has_pairs)
    foundation.check_sequences(description.max_seq_length, segments=1 + pairs)
    tokenizer = foundation.tokenizer(description.do_lower_case)
    weights = _class_weights(config, data, examples.get("train"))

    def make_model(skip_padding: bool) -> ClassificationModel:
        kind, options = description.problem_type, (config.recompute, skip_padding)
        return ClassificationModel(foundation.bert_config, description.outputs, kind, weights, *options)

    finetuning = Finetuning.create(config, foundation, make_model, strategy, run_files.CLASSIFICATION)
    return finetuning.run(_Job(config, data, examples, tokenizer, finetuning))


def _open_data(config: ClassificationConfig, foundation: Pretrained) -> Data:
    flags = config.data
    saved = None if config.overwrite_output_dir else TaskDescription.load(config.output_dir)
    if flags.do_lower_case is None and saved is None:
        flags = dataclasses.replace(flags, do_lower_case=foundation.do_lower_case)
    return open_data(flags, config.do_train, config.overwrite_output_dir)


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


@dataclasses.dataclass(frozen=True)
class _Encoded:
    """Rows as the model takes them."""

    labels: NDArray[Any] | SparseRows
    arrays: ExampleArrays


@dataclasses.dataclass
class _Job:
    """A model with its data on the devices."""

    config: ClassificationConfig
    data: Data
    examples: Mapping[Split, Examples]
    tokenizer: Tokenizer
    finetuning: Finetuning
    known: tuple[int, NDArray[np.float32]] | None = None  # the step of the latest evaluation, and its logits

    @property
    def description(self) -> TaskDescription:
        return self.data.description

    @functools.cached_property
    def dev(self) -> _Encoded:
        return self._encode("dev", self.config.eval_batch_size)

    @functools.cached_property
    def outputs(self) -> Any:
        model: Any = self.finetuning.model

        def logits(batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            return {_LOGITS: model.logits(batch)}

        return self.finetuning.compiled(logits)

    def train(self) -> None:
        trainer = self.finetuning.trainer(len(self.examples["train"]))
        examples, keep = self._encode("train").arrays, self.data.save
        if not self.config.do_eval:
            self.finetuning.train(trainer, TrainingData(examples, keep))
            return
        _ = self.dev  # what is wrong with it comes out before the training
        names = result_names(self.data.metrics)
        self.finetuning.train(trainer, TrainingData(examples, keep, names, self._scores, self._best_metric()))

    def _best_metric(self) -> str:
        names = self.data.metrics
        preferred = {"single_label": "matthews", "multi_label": "micro_f1", "regression": "pearson"}
        name = preferred[self.description.problem_type]
        return name if name in names else names[0]

    def check(self) -> None:
        """Does all that can go wrong before the first step, and writes nothing."""
        if self.config.do_train:
            atomic.check_writable(self.config.output_dir)
            trainer = self.finetuning.trainer(len(self.examples["train"]))
            trainer.check(self.finetuning.batches(self._encode("train").arrays))
        else:
            self.finetuning.load(is_trained=False)
        for split in self.examples:
            if split != "train":
                self._encode(split)
        logger.info("Dry run: all is well, and nothing was written.")

    def evaluate(self, step: int) -> dict[str, float]:
        found = {"global_step": step, **self._scores(step)}
        if not self.finetuning.is_chief:
            return found
        folder, description = self.config.output_dir, self.description
        evaluation_files.report(folder, found, with_events=not self.config.do_train)
        report = LabelReport.of(description, self.dev.labels, self._probabilities(self._logits(step)))
        if report:
            logger.info("\n%s\n\nWrote %s.", report.text(), ", ".join(report.save(folder)))
        return found

    def _scores(self, step: int) -> dict[str, float]:
        description = self.description
        return results(
            self._logits(step),
            self.dev.labels,
            description.problem_type,
            self.data.metrics,
            description.threshold,
            self.config.eval_batch_size,
        )

    def _logits(self, step: int) -> NDArray[np.float32]:
        """Of the rows to evaluate, float32 [N, L]; those of a step are computed once."""
        if self.known is None or self.known[0] != step:
            found = self.finetuning.predict(self.outputs, self.dev.arrays, self.config.eval_batch_size)
            self.known = step, found[_LOGITS]
        return self.known[1]

    def _probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of logits [N, L]; like these in memory, or where they are many in a file."""
        found = spilled.empty(logits.shape, np.float32, self._directory)
        for begin, end in spilled.row_ranges(*logits.shape):
            found[begin:end] = metrics.probabilities(logits[begin:end], self.description.problem_type)
        return found

    @property
    def _directory(self) -> str | None:
        return spilled.directory_for_spilling(self.config.output_dir)

    def predict(self, step: int) -> None:
        examples, size = self.examples["test"], self.config.predict_batch_size
        logits = self.finetuning.predict(self.outputs, self._encode("test", size).arrays, size)[_LOGITS]
        if not self.finetuning.is_chief:
            return
        folder, probabilities = self.config.output_dir, self._probabilities(logits)
        paths = outputs.write_predictions(folder, self.description, examples, probabilities, self.data.task)
        if self.config.text is not None or self.config.predict_file == "-":
            outputs.print_lines(paths[1])
        logger.info("Predicted %s rows. Wrote %s.", f"{len(examples):,}", ", ".join(paths))

    def _encode(self, split: Split, batch_size: int = 1) -> _Encoded:
        """Rows as features, which are also written as the original's records.

        Args:
          split: which rows.
          batch_size: of an evaluation or a prediction; on a TPU the original fills up its records to whole batches.
        """
        examples = self.examples[split]
        labels = self.data.labels(examples)
        features = featurize(examples, labels, self.tokenizer, self.description.max_seq_length, self._directory)
        logger.info("%s: %s", examples.path, features.truncation())
        if self.finetuning.is_chief and not self.config.dry_run:
            path = os.path.join(self.config.output_dir, _RECORDS[split])
            features.write(path, multiple_of=batch_size if self.config.distribution.use_tpu else 1)
        arrays = ExampleArrays(
            row_splits=features.input_ids.row_splits,
            tokens={"input_ids": features.input_ids.values, "segment_ids": features.segment_ids(self._directory)},
            columns={LABELS: features.labels},
            max_length=features.max_seq_length,
        )
        return _Encoded(labels, arrays)
