"""Fine-tuning of a tagger: files -> windows -> batches -> model -> tags -> scores and files."""

import dataclasses
import functools
import logging
import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bert_tf2.input_pipeline.example_batches import ROW, ExampleArrays
from bert_tf2.io import atomic, run_files
from bert_tf2.modeling.encoder import POOLER_VARIABLES
from bert_tf2.modeling.tagger import TAGS, TaggingModel
from bert_tf2.modeling.task_model import Batch
from bert_tf2.tasks.finetuning import evaluation_files
from bert_tf2.tasks.finetuning.foundation import find_foundation
from bert_tf2.tasks.finetuning.runner import Finetuning, TrainingData
from bert_tf2.tasks.finetuning.seeds import run_seeds
from bert_tf2.tasks.tagging import outputs, scores, tags
from bert_tf2.tasks.tagging.config import TaggingConfig
from bert_tf2.tasks.tagging.data import Data, Split, open_data
from bert_tf2.tasks.tagging.features import Features, featurize
from bert_tf2.tasks.tagging.scores import Scores
from bert_tf2.tasks.tagging.task_description import OUTSIDE, TaggingDescription
from bert_tf2.tokenization.auto import Tokenizer
from bert_tf2.training.distribution import Workers, make_strategy

__all__ = ["TaggingConfig", "run"]

logger = logging.getLogger(__name__)

_BEST_METRIC = "f1"
_LABELS, _PROBABILITIES, _LOSSES = "labels", "probabilities", "losses"


def run(config: TaggingConfig) -> dict[str, float] | None:
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


def _run(config: TaggingConfig, strategy: tf.distribute.Strategy) -> dict[str, float] | None:
    foundation = find_foundation(config)
    data = open_data(config, foundation)
    description = data.description
    foundation.check_sequences(description.max_seq_length, segments=1)
    tokenizer = foundation.tokenizer(description.do_lower_case)
    weights = _class_weights(config, data)

    def make_model(skip_padding: bool) -> TaggingModel:
        return TaggingModel(foundation.bert_config, len(description.labels), weights, config.recompute, skip_padding)

    finetuning = Finetuning.create(config, foundation, make_model, strategy, run_files.TAGGING, POOLER_VARIABLES)
    return finetuning.run(_Job(config, data, tokenizer, finetuning))


def _class_weights(config: TaggingConfig, data: Data) -> list[float] | None:
    if config.class_weights == "none" or "train" not in data.files:
        return None
    labels = data.description.labels
    weights: list[float] = tags.balanced_weights(tags.encode(data.files["train"], labels), len(labels)).tolist()
    named = zip(labels, weights, strict=True)
    logger.info("Weights of labels: %s.", ", ".join(f"{label} {weight:.3g}" for label, weight in named))
    return weights


class _Windows(NamedTuple):
    """A file as the model takes it."""

    features: Features
    arrays: ExampleArrays


class _Found(NamedTuple):
    """What the model says of W words; of those without pieces that they are O, and NaN.

    Attributes:
      tags: W of them.
      probabilities: of the tags, float32 [W].
      losses: of the true tags, float32 [W].
    """

    tags: list[str]
    probabilities: NDArray[np.float32]
    losses: NDArray[np.float32]


@dataclasses.dataclass
class _Job:
    """A model with its data on the devices."""

    config: TaggingConfig
    data: Data
    tokenizer: Tokenizer
    finetuning: Finetuning
    known: tuple[int, Scores] | None = None  # the step of the latest evaluation, and its scores

    @property
    def description(self) -> TaggingDescription:
        return self.data.description

    @functools.cached_property
    def dev(self) -> _Windows:
        return self._encode("dev")

    @functools.cached_property
    def outputs(self) -> Any:
        model: Any = self.finetuning.model
        width = self.description.max_seq_length

        def of_positions(batch: Batch) -> dict[str, tf.Tensor]:
            """Each `[B, S]`, filled up to one width for all batches."""
            logits = model.logits(batch)  # [B*S, L]
            found = {
                _LABELS: tf.argmax(logits, axis=-1, output_type=tf.int32),
                _PROBABILITIES: tf.reduce_max(tf.nn.softmax(logits), axis=-1),
                _LOSSES: model.losses(logits, batch),
            }
            shape = tf.shape(batch[TAGS])
            filling = [[0, 0], [0, width - shape[1]]]
            return {name: tf.pad(tf.reshape(value, shape), filling) for name, value in found.items()}

        return self.finetuning.compiled(of_positions)

    def train(self) -> None:
        windows, evaluate = self._encode("train"), None
        if self.config.do_eval:
            _ = self.dev  # what is wrong with it comes out before the training
            evaluate = self._results
        trainer = self.finetuning.trainer(len(windows.features))
        keep = self.description.save
        data = TrainingData(windows.arrays, keep, scores.RESULT_NAMES, evaluate, _BEST_METRIC)
        self.finetuning.train(trainer, data)

    def check(self) -> None:
        """Does all that can go wrong before the first step, and writes nothing."""
        if self.config.do_train:
            atomic.check_writable(self.config.output_dir)
            windows = self._encode("train")
            trainer = self.finetuning.trainer(len(windows.features))
            trainer.check(self.finetuning.batches(windows.arrays))
        else:
            self.finetuning.load(is_trained=False)
        for split in self.data.files:
            if split != "train":
                self._encode(split)
        logger.info("Dry run: all is well, and nothing was written.")

    def evaluate(self, step: int) -> dict[str, float]:
        found = self._scores(step)
        results = {"global_step": step, **found.results()}
        if self.finetuning.is_chief:
            folder = self.config.output_dir
            evaluation_files.report(folder, results, with_events=not self.config.do_train)
            logger.info("\n%s\n\nWrote %s.", found.text(), found.save(folder))
        return results

    def _results(self, step: int) -> dict[str, float]:
        return self._scores(step).results()

    def _scores(self, step: int) -> Scores:
        """Of the file to evaluate; those of a step are computed once."""
        if self.known is None or self.known[0] != step:
            sentences = self.data.files["dev"]
            found = self._tag("dev", self.dev, self.config.eval_batch_size)
            loss = float(np.nanmean(found.losses, dtype=np.float64)) if len(self.dev.features) else math.nan
            self.known = step, Scores.of(sentences, found.tags, loss)
        return self.known[1]

    def predict(self, step: int) -> None:
        sentences = self.data.files["test"]
        found = self._tag("test", self._encode("test"), self.config.predict_batch_size)
        if self.finetuning.is_chief:
            folder = self.config.output_dir
            paths = outputs.write_predictions(folder, sentences, found.tags, found.probabilities)
            logger.info("Predicted %s words. Wrote %s.", f"{len(sentences.words):,}", ", ".join(paths))

    def _tag(self, split: Split, windows: _Windows, batch_size: int) -> _Found:
        """The tags of a file, each from the window that decides it; O for words without pieces."""
        features, count = windows.features, len(self.data.files[split].words)
        names = self.description.labels
        labels = np.full(count, names.index(OUTSIDE), np.int32)
        probabilities, losses = np.full([2, count], np.nan, np.float32)
        batches = self.finetuning.predict_batches(self.outputs, windows.arrays, batch_size) if len(features) else ()
        for found in batches:
            words = features.words_of(found[ROW], self.description.max_seq_length)  # [B, S]
            is_decided = words >= 0
            words = words[is_decided]
            labels[words] = found[_LABELS][is_decided]
            probabilities[words] = found[_PROBABILITIES][is_decided]
            losses[words] = found[_LOSSES][is_decided]
        return _Found([names[label] for label in labels.tolist()], probabilities, losses)

    def _encode(self, split: Split) -> _Windows:
        sentences = self.data.files[split]
        labels = tags.encode(sentences, self.description.labels)
        features = featurize(sentences, self.tokenizer, self.description)
        logger.info("%s: %s", sentences.path, features.summary(self.description))
        arrays = ExampleArrays(
            row_splits=features.row_splits,
            tokens={"input_ids": features.input_ids, TAGS: features.tag_ids(labels)},
            columns={},
            max_length=self.description.max_seq_length,
        )
        return _Windows(features, arrays)
