"""Fine-tuning of a tagger: files -> windows -> batches -> model -> tags -> scores and files."""

import logging
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bert_tf2.checkpoints.pretrained import Pretrained
from bert_tf2.errors import counted
from bert_tf2.input_pipeline.example_batches import ROW, ExampleArrays
from bert_tf2.io import run_files
from bert_tf2.modeling.encoder import POOLER_VARIABLES
from bert_tf2.modeling.tagger import TAGS, TaggingModel
from bert_tf2.modeling.task_model import Batch
from bert_tf2.reports.page import Section
from bert_tf2.tasks.finetuning import runner
from bert_tf2.tasks.finetuning.latest import Latest
from bert_tf2.tasks.finetuning.outputs import OutputBatches
from bert_tf2.tasks.finetuning.task import Evaluation, FinetuningTask, Split
from bert_tf2.tasks.tagging import outputs, report, scores, tags
from bert_tf2.tasks.tagging.config import TaggingConfig
from bert_tf2.tasks.tagging.conll import Sentences
from bert_tf2.tasks.tagging.data import Data, open_data
from bert_tf2.tasks.tagging.evaluated import EvaluatedSentence, evaluated_sentences
from bert_tf2.tasks.tagging.features import Features, featurize
from bert_tf2.tasks.tagging.scores import Scores
from bert_tf2.tasks.tagging.tag_sequence import TagSequence
from bert_tf2.tasks.tagging.task_description import OUTSIDE, TaggingDescription

__all__ = ["TaggingConfig", "TaggingTask", "run"]

logger = logging.getLogger(__name__)

_LABELS, _PROBABILITIES, _LOSSES = "labels", "probabilities", "losses"


def run(config: TaggingConfig) -> dict[str, float] | None:
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
      >>> from bert_tf2.tasks import tagging
      >>> _ = Path("vocab.txt").write_text("[PAD]\\n[UNK]\\n[CLS]\\n[SEP]\\n[MASK]\\ngood\\nbad\\nfilm\\n")
      >>> config = BertConfig(8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
      >>> BertModel(config).save_pretrained("tiny", tokenizer=FullTokenizer("vocab.txt"))
      >>> _ = Path("train.conll").write_text("good\\tB-KIND\\nfilm\\tO\\n\\nbad\\tB-KIND\\nfilm\\tO\\n\\n" * 8)
      >>> results = tagging.run(
      ...     tagging.TaggingConfig(
      ...         train_file="train.conll",
      ...         dev_file="train.conll",
      ...         init_checkpoint="tiny",
      ...         output_dir="model",
      ...         do_train=True,
      ...         do_eval=True,
      ...         train_batch_size=8,
      ...     )
      ... )
      >>> sorted(results)[:3]
      ['eval_accuracy', 'eval_f1', 'eval_loss']
    """
    return runner.run(TaggingTask, config)


class _Windows(NamedTuple):
    """The sentences of a file as model inputs."""

    sentences: Sentences
    features: Features
    arrays: ExampleArrays


class _WordOutputs(NamedTuple):
    """The model's outputs for W words; for words without pieces, the tag O and NaN.

    Attributes:
      tags: the W predicted tags.
      probabilities: float32 [W], the probabilities of the predicted tags.
      losses: float32 [W], the cross-entropies of the true tags.
    """

    tags: TagSequence
    probabilities: NDArray[np.float32]
    losses: NDArray[np.float32]


class TaggingTask(FinetuningTask[TaggingConfig, _Windows, _WordOutputs]):
    """Tags words; see `FinetuningTask`."""

    files = run_files.TAGGING
    head = "tagger"
    dispensable = POOLER_VARIABLES
    best_metric = "f1"

    description: TaggingDescription

    def __init__(self, config: TaggingConfig, foundation: Pretrained) -> None:
        super().__init__(config, foundation)
        self.data = open_data(config, foundation)
        self.description = self.data.description
        self._reported = Latest[report.Collected]()

    def encode(self, split: Split) -> _Windows:
        """Sentences as windows."""
        sentences = self.data.files[split]
        labels = tags.encode(sentences, self.description.labels)
        features = featurize(sentences, self.tokenizer, self.description, self.directory)
        logger.info("%s: %s", sentences.path, features.summary(self.description))
        arrays = ExampleArrays(
            row_splits=features.row_splits,
            tokens={"input_ids": features.input_ids, TAGS: features.tag_ids(labels, self.directory)},
            columns={},
            max_length=self.description.max_seq_length,
        )
        return _Windows(sentences, features, arrays)

    def make_model(self, skip_padding: bool) -> TaggingModel:
        """The encoder with a logit of each label for each piece."""
        config, weights = self.foundation.bert_config, _class_weights(self.config, self.data)
        return TaggingModel(config, len(self.description.labels), weights, self.config.recompute, skip_padding)

    def outputs(self, batch: Batch) -> dict[str, tf.Tensor]:
        """The label, probability and loss of each piece, each `[B, S]`, padded to the same width in all batches."""
        logits = self.model.logits(batch)  # [B*S, L]
        values = {
            _LABELS: tf.argmax(logits, axis=-1, output_type=tf.int32),
            _PROBABILITIES: tf.reduce_max(tf.nn.softmax(logits), axis=-1),
            _LOSSES: self.model.losses(logits, batch),
        }
        shape = tf.shape(batch[TAGS])
        paddings = [[0, 0], [0, self.description.max_seq_length - shape[1]]]
        return {name: tf.pad(tf.reshape(value, shape), paddings) for name, value in values.items()}

    def gather(self, encoded: _Windows, outputs: OutputBatches) -> _WordOutputs:
        """The tags of a file, each from the window that decides it; O for words without pieces."""
        features, count = encoded.features, len(encoded.sentences.words)
        names = self.description.labels
        labels = np.full(count, names.index(OUTSIDE), np.int32)
        probabilities, losses = np.full([2, count], np.nan, np.float32)
        for batch in outputs.batches():
            words = features.padded_words(batch[ROW], self.description.max_seq_length)  # [B, S]
            is_decided = words >= 0
            words = words[is_decided]
            labels[words] = batch[_LABELS][is_decided]
            probabilities[words] = batch[_PROBABILITIES][is_decided]
            losses[words] = batch[_LOSSES][is_decided]
        return _WordOutputs(TagSequence(names, labels), probabilities, losses)

    def result_names(self) -> tuple[str, ...]:
        """See `Scores.results`."""
        return scores.RESULT_NAMES

    def score(self, encoded: _Windows, gathered: _WordOutputs) -> Evaluation:
        """Compares spans and tags with the true ones."""
        loss = float(np.nanmean(gathered.losses, dtype=np.float64)) if len(encoded.features) else math.nan
        result = Scores.of(encoded.sentences, gathered.tags, loss)
        return Evaluation(result.results(), result)

    def write_evaluation(self, evaluation: Evaluation) -> None:
        """Logs and writes the scores of each type of span."""
        result: Scores = evaluation.details
        logger.info("\n%s\n\nWrote %s.", result.text(), result.save(self.config.output_dir))

    def evaluation_rows(self, encoded: _Windows, gathered: _WordOutputs) -> Iterator[dict[str, Any]]:
        """See `EvaluatedSentence.row`."""
        return (sentence.row(encoded.sentences.scheme) for sentence in _evaluated(encoded, gathered))

    def score_intervals(self, encoded: _Windows, gathered: _WordOutputs) -> dict[str, tuple[float, float]]:
        """See `report.Collected.intervals`."""
        return self._collected(encoded, gathered).intervals()

    def report_sections(self, encoded: _Windows, gathered: _WordOutputs, evaluation: Evaluation) -> list[Section]:
        """See `report.sections`."""
        return report.sections(self._collected(encoded, gathered))

    def length_section(self, encoded: _Windows, gathered: _WordOutputs) -> Section:
        """See `report.windows`."""
        return Section("Length", [report.windows(encoded.features, self.description)])

    def _collected(self, encoded: _Windows, gathered: _WordOutputs) -> report.Collected:
        words = np.diff(encoded.sentences.row_splits)
        return self._reported.of(gathered, lambda: report.Collected.of(_evaluated(encoded, gathered), words))

    def write_predictions(self, encoded: _Windows, gathered: _WordOutputs) -> tuple[str, list[str]]:
        """See `outputs.write_predictions`."""
        sentences = encoded.sentences
        output_dir, min_confidence = self.config.output_dir, self.config.min_confidence
        paths = outputs.write_predictions(output_dir, sentences, gathered.tags, gathered.probabilities, min_confidence)
        return counted(len(sentences.words), "word"), paths


def _evaluated(encoded: _Windows, gathered: _WordOutputs) -> Iterator[EvaluatedSentence]:
    return evaluated_sentences(encoded.sentences, gathered.tags, gathered.probabilities, gathered.losses)


def _class_weights(config: TaggingConfig, data: Data) -> list[float] | None:
    if config.class_weights == "none" or "train" not in data.files:
        return None
    labels = data.description.labels
    weights: list[float] = tags.balanced_weights(tags.encode(data.files["train"], labels), len(labels)).tolist()
    named = zip(labels, weights, strict=True)
    logger.info("Weights of labels: %s.", ", ".join(f"{label} {weight:.3g}" for label, weight in named))
    return weights
