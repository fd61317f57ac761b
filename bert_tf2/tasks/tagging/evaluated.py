"""Sentences with their true and their predicted tags side by side; no TensorFlow.

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
    """A sentence that was evaluated.

    Attributes:
      line: where it begins in the file, from 1.
      words: of the sentence.
      true: the true tag of each word, in BIO.
      predicted: the predicted ones.
      probabilities: of the predicted tags; NaN for words without pieces, of which the model says nothing.
      losses: of the true tags, likewise.
      text: the words with spaces between them, or the text that the file has.
      offsets: where each word begins and ends in it, in characters.
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
        """What became of its spans, see `metrics.span_errors`."""
        return outcomes(metrics.spans(self.true), metrics.spans(self.predicted))

    @property
    def errors(self) -> list[Outcome]:
        """Those that are not right."""
        return [outcome for outcome in self.outcomes if outcome.kind != RIGHT]

    @property
    def confidence(self) -> float | None:
        """The probability of the tag that the model is least sure of; None where no word has pieces."""
        return min((value for value in self.probabilities if not math.isnan(value)), default=None)

    @property
    def loss(self) -> float | None:
        """The mean loss of its words; None where no word has pieces."""
        values = [value for value in self.losses if not math.isnan(value)]
        return math.fsum(values) / len(values) if values else None

    def probability(self, span: Span) -> float:
        """Of a predicted span: the product of the probabilities of its tags."""
        return math.prod(self.probabilities[span.begin : span.end + 1])

    def characters(self, span: Span) -> tuple[int, int]:
        """Where a span begins and ends in the text."""
        return self.offsets[span.begin][0], self.offsets[span.end][1]

    def row(self, scheme: Scheme) -> dict[str, Any]:
        """The sentence as `eval_predictions.jsonl` has it.

        Args:
          scheme: in which tags are written.
        """
        return {
            "line": self.line,
            "text": self.text,
            "words": list(self.words),
            "truth": schemes.from_bio(self.true, scheme),
            "prediction": schemes.from_bio(self.predicted, scheme),
            "true_spans": [self._described(one.true) for one in self.outcomes if one.true],
            "predicted_spans": [
                {**self._described(one.predicted), "probability": round(self.probability(one.predicted), 8)}
                for one in self.outcomes
                if one.predicted
            ],
            "right": not self.errors,
            "errors": len(self.errors),
            "confidence": _rounded(self.confidence),
            "loss": _rounded(self.loss),
        }

    def _described(self, span: Span) -> dict[str, Any]:
        begin, end = self.characters(span)
        return {"type": span.type, "begin": span.begin, "end": span.end + 1, "text": self.text[begin:end]}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 8)


def evaluated_sentences(
    sentences: Sentences, tags: Sequence[str], probabilities: NDArray[np.float32], losses: NDArray[np.float32]
) -> Iterator[EvaluatedSentence]:
    """The sentences of a file, one after the other.

    Args:
      sentences: the file, which was read with tags.
      tags: W of them, predicted, in BIO.
      probabilities: float32 [W], of these tags; NaN for words without pieces.
      losses: float32 [W], of the true tags; likewise.
    """
    if sentences.tags is None:
        raise ValueError(f"{sentences.path} was read without tags.")
    columns: Sequence[Any] = (sentences.words, sentences.tags, tags, probabilities, losses)
    for number, parts in enumerate(zip(*(sentences.split(column) for column in columns), strict=True)):
        words, true, predicted, sure_of, lost = parts
        line, text, offsets = sentences.place_of(number, words)
        probability, loss = np.asarray(sure_of).tolist(), np.asarray(lost).tolist()
        yield EvaluatedSentence(line, words, true, predicted, probability, loss, text, offsets)
