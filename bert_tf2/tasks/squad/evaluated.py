"""Evaluated questions: true and predicted answers side by side; no TensorFlow."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bert_tf2.metrics import squad
from bert_tf2.tasks.squad.answers import Prediction
from bert_tf2.tasks.squad.examples import Example


@dataclass(frozen=True, slots=True)
class EvaluatedQuestion:
    """A question with its true and predicted answers.

    Attributes:
      number: the index of the question in the file.
      example: the question with its context and the true answers.
      prediction: the predicted answer.
      context: the number of its context, from 1; questions about the same context have the same number.
      exact: exact match, 0 or 1.
      f1: F1, from 0 to 1.
    """

    number: int
    example: Example
    prediction: Prediction
    context: int
    exact: float
    f1: float

    @property
    def answers(self) -> Sequence[str]:
        """The true answers; empty if there is no answer."""
        return self.example.gold or ()

    @property
    def predicted(self) -> str:
        """The text of the predicted answer; "" for no answer."""
        return "" if self.prediction.answer.start is None else self.prediction.answer.text

    @property
    def span(self) -> tuple[int, int] | None:
        """The character offsets of the predicted answer in the context; None for no answer."""
        start, end = self.prediction.answer.start, self.prediction.answer.end
        return None if start is None or end is None else (start, end)

    @property
    def true_span(self) -> tuple[int, int] | None:
        """The character offsets of the true answer that overlaps most with the predicted one, or is nearest to it.

        Without a predicted span, that of the first true answer; None if no true answer has an offset.
        """
        spans = [
            (start, start + len(text))
            for start, text in zip(self.example.gold_starts, self.answers, strict=True)
            if text and start >= 0
        ]
        begin, end = self.span or (0, 0)
        return max(spans, key=lambda span: min(span[1], end) - max(span[0], begin) if end else 0, default=None)

    def row(self) -> dict[str, Any]:
        """The row of `eval_predictions.jsonl`."""
        answer, example = self.prediction.answer, self.example
        return {
            "id": example.id,
            "question": example.question,
            "title": example.paragraph.title,
            "context": self.context,
            "truth": list(self.answers),
            "prediction": self.predicted,
            "start": answer.start,
            "end": answer.end,
            "confidence": answer.probability,
            "exact": self.exact,
            "f1": self.f1,
        }


def scores_of(
    examples: Sequence[Example], predictions: Iterable[Prediction], version_2_with_negative: bool, language: str
) -> list[tuple[float, float]]:
    """Exact match and F1 of each question, from 0 to 1.

    Args:
      examples: the questions, with true answers.
      predictions: the prediction for each question.
      version_2_with_negative: see `metrics.squad.evaluate`.
      language: see `metrics.squad.evaluate`.
    """
    options: Any = {"version_2_with_negative": version_2_with_negative, "language": language}
    pairs = zip(examples, predictions, strict=True)
    return [squad.answer_scores(example.gold or (), prediction.answer.text, **options) for example, prediction in pairs]


def evaluated_questions(
    examples: Sequence[Example], predictions: Iterable[Prediction], scores: Iterable[tuple[float, float]]
) -> Iterator[EvaluatedQuestion]:
    """The questions of a file, in order.

    Args:
      examples: the questions, with true answers.
      predictions: the prediction for each question.
      scores: exact match and F1 of each, see `scores_of`.
    """
    contexts: dict[int, int] = {}
    columns = zip(examples, predictions, scores, strict=True)
    for number, (example, prediction, (exact, f1)) in enumerate(columns):
        context = contexts.setdefault(id(example.paragraph), len(contexts) + 1)
        yield EvaluatedQuestion(number, example, prediction, context, exact, f1)
