"""Question answering: files -> windows -> batches -> model -> answers, scores and files.

Follows google-research/bert `run_squad.py`.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from bert_tf2.checkpoints import listing, pretrained
from bert_tf2.checkpoints.pretrained import Pretrained
from bert_tf2.errors import counted
from bert_tf2.io import file_system, run_files
from bert_tf2.io.spilled import SpilledSequence
from bert_tf2.metrics import squad
from bert_tf2.modeling.encoder import POOLER_VARIABLES
from bert_tf2.modeling.question_answering import SpanModel
from bert_tf2.modeling.task_model import Batch
from bert_tf2.reports.page import Section
from bert_tf2.tasks.finetuning import runner
from bert_tf2.tasks.finetuning.latest import Latest
from bert_tf2.tasks.finetuning.outputs import OutputBatches, fingerprint
from bert_tf2.tasks.finetuning.row_files import write_rows
from bert_tf2.tasks.finetuning.task import Evaluation, FinetuningTask, Split
from bert_tf2.tasks.squad import logits, prediction_files, report, span_selection
from bert_tf2.tasks.squad.answers import Prediction, with_threshold
from bert_tf2.tasks.squad.config import SquadConfig
from bert_tf2.tasks.squad.data import Questions, encode, files_of, open_data
from bert_tf2.tasks.squad.evaluated import EvaluatedQuestion, evaluated_questions, scores_of
from bert_tf2.tasks.squad.task_description import TaskDescription
from bert_tf2.tasks.squad.windows import write_records

__all__ = ["SquadConfig", "SquadTask", "run"]

logger = logging.getLogger(__name__)

Answers = SpilledSequence[Prediction]

_RECORDS: Mapping[Split, str] = {"train": run_files.TRAIN_RECORDS, "test": run_files.EVAL_RECORDS}
_SUMMARIES: Mapping[Split, str] = {"train": "train", "dev": "dev", "test": "predict"}
_CHARACTERS_AT_ONCE = 1 << 22  # of contexts whose answers are chosen together


def run(config: SquadConfig) -> dict[str, float] | None:
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
      >>> from bert_tf2.tasks import squad
      >>> _ = Path("vocab.txt").write_text("[PAD]\\n[UNK]\\n[CLS]\\n[SEP]\\n[MASK]\\ngood\\nbad\\nfilm\\n")
      >>> config = BertConfig(8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
      >>> BertModel(config).save_pretrained("tiny", tokenizer=FullTokenizer("vocab.txt"))
      >>> line = '{"question": "good?", "context": "bad film", "answer": "film", "answer_start": 4}'
      >>> _ = Path("train.jsonl").write_text(f"{line}\\n" * 8)
      >>> results = squad.run(
      ...     squad.SquadConfig(
      ...         train_file="train.jsonl",
      ...         dev_file="train.jsonl",
      ...         init_checkpoint="tiny",
      ...         output_dir="model",
      ...         do_train=True,
      ...         do_eval=True,
      ...         train_batch_size=4,
      ...     )
      ... )
      >>> results["f1"] >= results["exact_match"]
      True
    """
    return runner.run(SquadTask, config)


class SquadTask(FinetuningTask[SquadConfig, Questions, Answers]):
    """Answers questions from their contexts; see `FinetuningTask`."""

    files = run_files.SQUAD
    dispensable = POOLER_VARIABLES
    prediction_file = prediction_files.PREDICTIONS
    scores_are_percentages = True
    segments = 2

    description: TaskDescription

    def __init__(self, config: SquadConfig, foundation: Pretrained) -> None:
        super().__init__(config, foundation)
        self.description, self.read = open_data(config, foundation)
        self._shared: Questions | None = None  # the questions of a file that is both evaluated and predicted
        self._best_threshold: tuple[float, str] | None = None  # of the latest evaluation; with the weights' fingerprint
        self._threshold = 0.0  # for the prediction
        self._reported, self._scores = Latest[report.Collected](), Latest[list[tuple[float, float]]]()

    @property
    def train_count(self) -> int:
        """The number of questions, which determines the number of steps; there may be more windows."""
        return len(self.read["train"].examples)

    def encode(self, split: Split) -> Questions:
        """Questions as windows."""
        if not self._is_shared(split):
            return self._encode(split)
        self._shared = self._shared or self._encode("test")
        return self._shared

    def _is_shared(self, split: Split) -> bool:
        return split != "train" and self.read.get("dev") is self.read.get("test")

    def _encode(self, split: Split) -> Questions:
        path, data = str(files_of(self.config)[split]), self.read[split]
        encoded = encode(data, path, self.tokenizer, self.description, split == "train", self.directory)
        if self.config.verbose_logging:
            for question_id in data.summary.not_found:
                logger.info("Left out of the training, as the answer is not in the context: %s.", question_id)
        return encoded

    def write_encoded(self, split: Split, encoded: Questions) -> None:
        """Writes the original's records, and statistics of the file."""
        output_dir = self.config.output_dir
        if self._is_shared(split):
            split = "test"
        if split in _RECORDS:
            write_records(encoded.windows, os.path.join(output_dir, _RECORDS[split]))
        encoded.save_summary(os.path.join(output_dir, run_files.summary_of(_SUMMARIES[split])))

    def make_model(self, skip_padding: bool) -> SpanModel:
        """The encoder with start and end logits for each token."""
        return SpanModel(
            self.foundation.bert_config,
            recompute=self.config.recompute,
            over_padding=self.config.trains_at_full_length,
            skip_padding=skip_padding,
        )

    def save_assets(self, directory: str) -> None:
        """Writes the description of the task, and the threshold of the latest evaluation."""
        self.description.save(directory)
        self._save_threshold(directory)

    def _save_threshold(self, directory: str) -> None:
        if self._best_threshold:
            path = os.path.join(directory, prediction_files.THRESHOLD)
            prediction_files.write_threshold(path, *self._best_threshold)

    # --- Evaluation and prediction -----------------------------------------------------------------------------------

    def outputs(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Start and end logits of each token, padded to the same width in all batches."""
        size, with_padding = self.description.max_seq_length, self.config.predicts_at_full_length
        return self.model.outputs(batch, size=size, with_padding=with_padding)

    def gather(self, encoded: Questions, outputs: OutputBatches) -> Answers:
        """The answers to all questions."""
        window_logits = logits.compute(outputs)
        parameters = self.config.answers(self.description.version_2_with_negative)
        answers: Answers = SpilledSequence(encoded.directory)
        first = 0
        for block in encoded.windows.blocks(_CHARACTERS_AT_ONCE):
            last = first + len(block)
            answers.extend(span_selection.predict(block, *window_logits.of_windows(first, last), parameters))
            first = last
        return answers

    @property
    def best_metric(self) -> str:
        """F1; on SQuAD 2.0, F1 with the best threshold."""
        return "best_f1" if self.description.version_2_with_negative else "f1"

    def result_names(self) -> list[str]:
        """The names of the results; checks that all questions have answers to compare with."""
        gold = self.read["dev"].gold
        no_answers = dict.fromkeys(gold, "")
        return list(self._evaluate(no_answers, dict.fromkeys(gold, 0.0), no_answers))

    def score(self, encoded: Questions, gathered: Answers) -> Evaluation:
        """Compares the answers with the true ones."""
        texts, null_odds, best_texts = {}, {}, {}
        for prediction in gathered:
            texts[prediction.id] = prediction.answer.text
            best_texts[prediction.id] = prediction.best.text if prediction.best else ""
            if prediction.null_odds is not None:
                null_odds[prediction.id] = prediction.null_odds
        results = self._evaluate(texts, null_odds, best_texts)
        if self.description.version_2_with_negative:
            self._best_threshold = results["best_f1_thresh"], fingerprint(self.model)
        return Evaluation(results)

    def write_evaluation(self, evaluation: Evaluation) -> None:
        """Saves the best threshold for later predictions."""
        self._save_threshold(self.config.weights_dir)

    def evaluation_rows(self, encoded: Questions, gathered: Answers) -> Iterator[dict[str, Any]]:
        """See `EvaluatedQuestion.row`."""
        return (question.row() for question in self._evaluated(encoded, gathered))

    def score_intervals(self, encoded: Questions, gathered: Answers) -> dict[str, tuple[float, float]]:
        """See `report.Collected.intervals`."""
        return self._collected(encoded, gathered).intervals()

    def report_sections(self, encoded: Questions, gathered: Answers, evaluation: Evaluation) -> list[Section]:
        """See `report.sections`."""
        threshold = self.config.answers(self.description.version_2_with_negative).null_score_diff_threshold
        return report.sections(self._collected(encoded, gathered), encoded.windows, threshold, evaluation.results)

    def length_section(self, encoded: Questions, gathered: Answers) -> Section:
        """See `report.windows_table`."""
        return Section("Length", [report.windows_table(encoded.windows)])

    def _collected(self, encoded: Questions, gathered: Answers) -> report.Collected:
        version_2, language = self.description.version_2_with_negative, encoded.data.language
        return self._reported.of(
            gathered, lambda: report.Collected.of(self._evaluated(encoded, gathered), version_2, language)
        )

    def _evaluated(self, encoded: Questions, gathered: Answers) -> Iterator[EvaluatedQuestion]:
        data, version_2 = encoded.data, self.description.version_2_with_negative
        scores = self._scores.of(gathered, lambda: scores_of(data.examples, gathered, version_2, data.language))
        return evaluated_questions(data.examples, gathered, scores)

    def before_prediction(self) -> None:
        """Finds the threshold now, so that a corrupt file is reported before the model runs."""
        self._threshold = self._find_threshold()

    def write_predictions(self, encoded: Questions, gathered: Answers) -> tuple[str, list[str]]:
        """Writes the original's files, `predictions.jsonl` and `predictions.csv`."""
        output_dir = self.config.output_dir
        paths = list(map(str, prediction_files.write(output_dir, gathered, self._threshold)))
        lines = os.path.join(output_dir, run_files.PREDICTION_LINES)
        table = os.path.join(output_dir, run_files.PREDICTION_TABLE)
        predictions = (with_threshold(prediction, self._threshold) for prediction in gathered)
        write_rows(lines, table, prediction_files.rows(encoded.data.examples, predictions, self.config.min_confidence))
        return counted(len(gathered), "answer"), [*paths, lines, table]

    def _find_threshold(self) -> float:
        """The threshold given by the flag, else the one found by an evaluation with the same weights, else 0.

        An evaluation of `--init_checkpoint` saves it in `output_dir`, one after its training next to the weights.
        """
        config = self.config
        if config.null_score_diff_threshold is not None or not self.description.version_2_with_negative:
            return config.null_score_diff_threshold or 0.0
        directory = config.weights_dir
        has_threshold = file_system.exists(os.path.join(directory, prediction_files.THRESHOLD))
        if config.init_checkpoint and not (has_threshold or listing.is_listed(directory)):
            directory = pretrained.model_directory(config.init_checkpoint)
        return prediction_files.find_threshold(directory, lambda: fingerprint(self.model))

    def _evaluate(
        self, texts: Mapping[str, str], null_odds: Mapping[str, float], best_texts: Mapping[str, str]
    ) -> dict[str, float]:
        """See `squad.evaluate`."""
        data, version_2 = self.read["dev"], self.description.version_2_with_negative
        return squad.evaluate(
            data.gold,
            texts,
            version_2_with_negative=version_2,
            language=data.language,
            null_odds=null_odds if version_2 else None,
            best_texts=best_texts if version_2 else None,
        )
