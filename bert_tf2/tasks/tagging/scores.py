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
      accuracy: the fraction of words with the right tag.
      loss: the mean loss of the words that have pieces, without class weights.
    """

    spans: SpanScores
    accuracy: float
    loss: float

    @classmethod
    def of(cls, sentences: Sentences, predicted: Sequence[str], loss: float) -> "Scores":
        """Scores predicted tags.

        Args:
          sentences: the sentences, read with tags.
          predicted: the predicted tag of each word, in BIO.
          loss: the mean loss.

        Raises:
          ValueError: the sentences were read without tags.
        """
        if sentences.tags is None:
            raise ValueError(f"{sentences.path} was read without tags.")
        right = sum(true == tag for true, tag in zip(sentences.tags, predicted, strict=True))
        spans = metrics.span_scores(sentences.split(sentences.tags), sentences.split(predicted))
        return cls(spans, right / len(predicted), loss)

    def results(self) -> dict[str, float]:
        """The results, named as in `RESULT_NAMES`.

        Precision, recall and F1 are over all spans; `eval_macro_f1` is the mean F1 of the types.
        """
        total = self.spans.micro
        values = (total.f1, total.precision, total.recall, self.spans.macro.f1, self.accuracy, self.loss)
        return dict(zip(RESULT_NAMES, values, strict=True))

    def text(self) -> str:
        """A table for the log, with a row for each type, one for all spans and one for the mean of the types."""
        rows = [(short(kind), score) for kind, score in self.spans.per_type.items()]
        rows += [("all spans", self.spans.micro), ("mean of types", self.spans.macro)]
        cells = [[name, *(f"{value:.4f}" for value in score[:3]), f"{score.support:,}"] for name, score in rows]
        return table([["type", "precision", "recall", "F1", "spans"], *cells])

    def save(self, directory: str) -> str:
        """Writes the scores to `span_report.json` in a directory; returns its path."""
        path = os.path.join(directory, run_files.SPAN_REPORT)
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
