"""Fine-tuning for multiple choice: questions -> pairs -> batches -> model -> scores and files."""

import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bert_tf2.checkpoints.pretrained import Pretrained
from bert_tf2.errors import counted
from bert_tf2.input_pipeline.example_batches import ExampleArrays
from bert_tf2.io import file_kinds, run_files
from bert_tf2.modeling.multiple_choice import CHOICE_LENGTHS, LABELS, MultipleChoiceModel
from bert_tf2.modeling.task_model import Batch
from bert_tf2.reports.page import Section
from bert_tf2.tasks.finetuning import runner
from bert_tf2.tasks.finetuning.description import file_of
from bert_tf2.tasks.finetuning.latest import Latest
from bert_tf2.tasks.finetuning.outputs import OutputBatches
from bert_tf2.tasks.finetuning.row_files import write_rows
from bert_tf2.tasks.finetuning.task import Evaluation, FinetuningTask, Split
from bert_tf2.tasks.multiple_choice import examples, outputs, report
from bert_tf2.tasks.multiple_choice.config import MultipleChoiceConfig
from bert_tf2.tasks.multiple_choice.evaluated import evaluated_questions, losses_of
from bert_tf2.tasks.multiple_choice.examples import Example
from bert_tf2.tasks.multiple_choice.features import Features, featurize
from bert_tf2.tasks.multiple_choice.task_description import MultipleChoiceDescription

__all__ = ["MultipleChoiceConfig", "MultipleChoiceTask", "run"]

logger = logging.getLogger(__name__)

Floats = NDArray[np.float32]


def run(config: MultipleChoiceConfig) -> dict[str, float] | None:
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
      >>> from bert_tf2.tasks import multiple_choice
      >>> _ = Path("vocab.txt").write_text("[PAD]\\n[UNK]\\n[CLS]\\n[SEP]\\n[MASK]\\ngood\\nbad\\nfilm\\n")
      >>> config = BertConfig(8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
      >>> BertModel(config).save_pretrained("tiny", tokenizer=FullTokenizer("vocab.txt"))
      >>> line = '{"context": "film", "endings": ["good", "bad"], "label": 0}'
      >>> _ = Path("train.jsonl").write_text(f"{line}\\n" * 8)
      >>> results = multiple_choice.run(
      ...     multiple_choice.MultipleChoiceConfig(
      ...         train_file="train.jsonl",
      ...         dev_file="train.jsonl",
      ...         init_checkpoint="tiny",
      ...         output_dir="model",
      ...         do_train=True,
      ...         do_eval=True,
      ...         train_batch_size=4,
      ...     )
      ... )
      >>> sorted(results)
      ['eval_accuracy', 'eval_loss', 'global_step']
    """
    return runner.run(MultipleChoiceTask, config)


class _Questions(NamedTuple):
    """The questions of a file as model inputs."""

    examples: Sequence[Example]
    features: Features
    arrays: ExampleArrays


class MultipleChoiceTask(FinetuningTask[MultipleChoiceConfig, _Questions, Floats]):
    """Multiple choice; see `FinetuningTask`. `gather` returns logits, float32 [N, C]."""

    files = run_files.MULTIPLE_CHOICE
    head = "multiple_choice"
    best_metric = "accuracy"
    segments = 2

    def __init__(self, config: MultipleChoiceConfig, foundation: Pretrained) -> None:
        super().__init__(config, foundation)
        saved, model_dir = MultipleChoiceDescription.of_model(config)
        description = MultipleChoiceDescription(**MultipleChoiceDescription.remembered(config, foundation, saved))
        if saved and model_dir == config.model_dir:
            description.check_same_model(saved, model_dir)
        self.description = description
        files: dict[Split, tuple[bool, str, str | None]] = {
            "train": (config.do_train, "train_file", config.train_file),
            "dev": (config.do_eval, "dev_file", description.dev_file),
            "test": (config.do_predict, "predict_file", description.predict_file),
        }
        self.paths = {
            split: file_of(config, flag, path, "which questions?")
            for split, (is_requested, flag, path) in files.items()
            if is_requested
        }
        config.check_form(map(file_kinds.kind_of, self.paths.values()))
        read, form = examples.read, config.form
        self._reported = Latest[report.Collected]()
        self.examples = {split: read(path, split != "test", form, self.directory) for split, path in self.paths.items()}

    @property
    def train_count(self) -> int:
        """The number of training questions."""
        return len(self.examples["train"])

    def encode(self, split: Split) -> _Questions:
        """Questions as pairs of context and choice."""
        questions, size = self.examples[split], self.description.max_seq_length
        features = featurize(questions, self.tokenizer, size, self.directory)
        logger.info("%s: %s", self.paths[split], features.summary(size))
        arrays = ExampleArrays(
            row_splits=features.row_splits,
            tokens={"input_ids": features.input_ids, "segment_ids": features.segment_ids},
            columns={
                CHOICE_LENGTHS: features.lengths,
                LABELS: np.array([question.label or 0 for question in questions], np.int32),
            },
            max_length=size * features.lengths.shape[1],
        )
        return _Questions(questions, features, arrays)

    def make_model(self, skip_padding: bool) -> MultipleChoiceModel:
        """The encoder with a logit for each choice."""
        return MultipleChoiceModel(self.foundation.bert_config, self.config.recompute, skip_padding)

    def outputs(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Logits of the choices."""
        return {"logits": self.model.logits(batch)}

    def gather(self, encoded: _Questions, outputs: OutputBatches) -> Floats:
        """Logits in the order of the questions."""
        return outputs.in_order()["logits"]

    def result_names(self) -> tuple[str, ...]:
        """Accuracy and loss."""
        return "eval_accuracy", "eval_loss"

    def score(self, encoded: _Questions, gathered: Floats) -> Evaluation:
        """The fraction of questions whose choice is right, and the mean cross-entropy."""
        labels = np.array([example.label for example in encoded.examples])
        losses = losses_of(gathered, labels)
        accuracy = float(np.mean(gathered.argmax(axis=1) == labels))
        return Evaluation({"eval_accuracy": accuracy, "eval_loss": float(losses.mean())})

    def evaluation_rows(self, encoded: _Questions, gathered: Floats) -> Iterator[dict[str, Any]]:
        """See `EvaluatedQuestion.row`."""
        return (question.row() for question in evaluated_questions(encoded.examples, gathered))

    def score_intervals(self, encoded: _Questions, gathered: Floats) -> dict[str, tuple[float, float]]:
        """See `report.Collected.intervals`."""
        return self._collected(encoded, gathered).intervals()

    def report_sections(self, encoded: _Questions, gathered: Floats, evaluation: Evaluation) -> list[Section]:
        """See `report.sections`."""
        return report.sections(self._collected(encoded, gathered), encoded.features)

    def length_section(self, encoded: _Questions, gathered: Floats) -> Section:
        """See `report.truncated`."""
        return Section("Length", [report.truncated(encoded.features, self.description.max_seq_length)])

    def _collected(self, encoded: _Questions, gathered: Floats) -> report.Collected:
        return self._reported.of(gathered, lambda: report.Collected.of(evaluated_questions(encoded.examples, gathered)))

    def write_predictions(self, encoded: _Questions, gathered: Floats) -> tuple[str, list[str]]:
        """See `outputs.prediction_rows`."""
        output_dir, min_confidence = self.config.output_dir, self.config.min_confidence
        lines = os.path.join(output_dir, run_files.PREDICTION_LINES)
        table = os.path.join(output_dir, run_files.PREDICTION_TABLE)
        write_rows(lines, table, outputs.prediction_rows(encoded.examples, gathered, min_confidence))
        return counted(len(encoded.examples), "question"), [lines, table]
