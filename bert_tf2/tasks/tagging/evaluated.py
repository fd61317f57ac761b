"""Evaluated sentences: true and predicted tags side by side; no TensorFlow.

Shapes: `W` words of a file.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2 import metrics
from bert_tf2.metrics.span_errors import RIGHT, Outcome, outcomes
from bert_tf2.metrics.spans import Span
from bert_tf2.tasks.tagging import schemes
from bert_tf2.tasks.tagging.conll import Sentences
from bert_tf2.tasks.tagging.schemes import Scheme


@dataclass(frozen=True)
class EvaluatedSentence:
    """A sentence with its true and predicted tags.

    Attributes:
      line: the line of the file where it begins, from 1.
      words: the words of the sentence.
      true: the true tag of each word, in BIO.
      predicted: the predicted tag of each word, in BIO.
      probabilities: the probability of each predicted tag; NaN for words without pieces, which have no prediction.
      losses: the cross-entropy of each true tag; NaN likewise.
      text: the text in the file, or the words separated by spaces.
      offsets: the character offsets of the beginning and end of each word in the text.
    """

    line: int
    words: Sequence[str]
    true: Sequence[str]
    predicted: Sequence[str]
    probabilities: Sequence[float]
    losses: Sequence[float]
    text: str
    offsets: Sequence[Sequence[int]]

    @cached_property
    def outcomes(self) -> list[Outcome]:
        """The comparison of true and predicted spans, see `metrics.span_errors`."""
        return outcomes(metrics.spans(self.true), metrics.spans(self.predicted))

    @property
    def errors(self) -> list[Outcome]:
        """The outcomes that are errors."""
        return [outcome for outcome in self.outcomes if outcome.kind != RIGHT]

    @property
    def confidence(self) -> float | None:
        """The lowest probability of a predicted tag; None if no word has pieces."""
        return min((value for value in self.probabilities if not math.isnan(value)), default=None)

    @property
    def loss(self) -> float | None:
        """The mean loss of its words; None if no word has pieces."""
        values = [value for value in self.losses if not math.isnan(value)]
        return math.fsum(values) / len(values) if values else None

    def probability(self, span: Span) -> float:
        """The probability of a predicted span: the product of the probabilities of its tags."""
        return math.prod(self.probabilities[span.begin : span.end + 1])

    def characters(self, span: Span) -> tuple[int, int]:
        """The character offsets of the beginning and end of a span."""
        return self.offsets[span.begin][0], self.offsets[span.end][1]

    def row(self, scheme: Scheme) -> dict[str, Any]:
        """The row of `eval_predictions.jsonl`.

        Args:
          scheme: the tagging scheme to write.
        """
        return {
            "line": self.line,
            "text": self.text,
            "words": list(self.words),
            "truth": schemes.from_bio(self.true, scheme),
            "prediction": schemes.from_bio(self.predicted, scheme),
            "true_spans": [self._span_row(outcome.true) for outcome in self.outcomes if outcome.true],
            "predicted_spans": [
                {**self._span_row(outcome.predicted), "probability": round(self.probability(outcome.predicted), 8)}
                for outcome in self.outcomes
                if outcome.predicted
            ],
            "right": not self.errors,
            "errors": len(self.errors),
            "confidence": _rounded(self.confidence),
            "loss": _rounded(self.loss),
        }

    def _span_row(self, span: Span) -> dict[str, Any]:
        begin, end = self.characters(span)
        return {"type": span.type, "begin": span.begin, "end": span.end + 1, "text": self.text[begin:end]}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 8)


def evaluated_sentences(
    sentences: Sentences, tags: Sequence[str], probabilities: NDArray[np.float32], losses: NDArray[np.float32]
) -> Iterator[EvaluatedSentence]:
    """The sentences of a file, in order.

    Args:
      sentences: the sentences, read with tags.
      tags: the W predicted tags, in BIO.
      probabilities: float32 [W], the probabilities of the predicted tags; NaN for words without pieces.
      losses: float32 [W], the cross-entropies of the true tags; NaN likewise.

    Raises:
      ValueError: the sentences were read without tags.
    """
    if sentences.tags is None:
        raise ValueError(f"{sentences.path} was read without tags.")
    columns: Sequence[Any] = (sentences.words, sentences.tags, tags, probabilities, losses)
    for index, values in enumerate(zip(*(sentences.split(column) for column in columns), strict=True)):
        words, true, predicted, *floats = values
        line, text, offsets = sentences.located_text(index, words)
        word_probabilities, word_losses = (np.asarray(column).tolist() for column in floats)
        yield EvaluatedSentence(line, words, true, predicted, word_probabilities, word_losses, text, offsets)
