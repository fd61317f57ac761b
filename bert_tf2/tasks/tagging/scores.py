"""Evaluation results: scores of spans as in seqeval and conlleval, in total and for each type; no TensorFlow."""

import dataclasses
import json
import os
from collections.abc import Sequence

from bert_tf2 import metrics
from bert_tf2.io import atomic, run_files
from bert_tf2.metrics.spans import SpanScores
from bert_tf2.tasks.finetuning.evaluation_files import short, table
from bert_tf2.tasks.tagging.conll import Sentences

RESULT_NAMES = tuple(f"eval_{name}" for name in ("f1", "precision", "recall", "macro_f1", "accuracy", "loss"))


@dataclasses.dataclass(frozen=True)
class Scores:
    """The results of an evaluation.

    Attributes:
      spans: precision, recall and F1.
      accuracy: share of all words whose tag is right.
      loss: mean loss of the words that have pieces, without class weights.
    """

    spans: SpanScores
    accuracy: float
    loss: float

    @classmethod
    def of(cls, sentences: Sentences, predicted: Sequence[str], loss: float) -> "Scores":
        """The scores of predicted tags, one for each word of a file that was read with tags."""
        if sentences.tags is None:
            raise ValueError(f"{sentences.path} was read without tags.")
        right = sum(tag == found for tag, found in zip(sentences.tags, predicted, strict=True))
        spans = metrics.span_scores(sentences.split(sentences.tags), sentences.split(predicted))
        return cls(spans, right / len(predicted), loss)

    def results(self) -> dict[str, float]:
        """By `RESULT_NAMES`. Precision, recall and F1 are over all spans; `macro_f1` is the mean over types."""
        total = self.spans.micro
        values = (total.f1, total.precision, total.recall, self.spans.macro.f1, self.accuracy, self.loss)
        return dict(zip(RESULT_NAMES, values, strict=True))

    def text(self) -> str:
        """A table for the log: a row for each type, and all together."""
        rows = {short(kind): score for kind, score in self.spans.per_type.items()}
        rows |= {"all spans": self.spans.micro, "mean of types": self.spans.macro}
        cells = [[name, *(f"{value:.4f}" for value in score[:3]), f"{score.support:,}"] for name, score in rows.items()]
        return table([["type", "precision", "recall", "F1", "spans"], *cells])

    def save(self, folder: str) -> str:
        """Writes the table as `span_report.json`; returns its path."""
        path = os.path.join(folder, run_files.SPAN_REPORT)
        content = {
            "per_type": {kind: score._asdict() for kind, score in self.spans.per_type.items()},
            "micro": self.spans.micro._asdict(),
            "macro": self.spans.macro._asdict(),
            "accuracy": self.accuracy,
        }
        with atomic.replacing(path) as file:
            json.dump(content, file, indent=1, ensure_ascii=False)
            file.write("\n")
        return path
