"""Questions with their right and their predicted answers side by side; no TensorFlow."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bert_tf2.metrics import squad
from bert_tf2.tasks.squad.answers import Prediction
from bert_tf2.tasks.squad.examples import Example


@dataclass(frozen=True, slots=True)
class EvaluatedQuestion:
    """A question that was evaluated.

    Attributes:
      number: of the question in the file, from 0.
      example: the question with its context and the right answers.
      prediction: what the model says.
      context: number of the context among all different ones, from 1.
      exact: exact match, 0 or 1.
      f1: from 0 to 1.
    """

    number: int
    example: Example
    prediction: Prediction
    context: int
    exact: float
    f1: float

    @property
    def answers(self) -> Sequence[str]:
        """The right answers; none where there is no answer."""
        return self.example.gold or ()

    @property
    def predicted(self) -> str:
        """The text of the predicted answer; "" for none."""
        return "" if self.prediction.answer.start is None else self.prediction.answer.text

    @property
    def span(self) -> tuple[int, int] | None:
        """Where the predicted answer begins and ends in the context, in characters."""
        start, end = self.prediction.answer.start, self.prediction.answer.end
        return None if start is None or end is None else (start, end)

    @property
    def true_span(self) -> tuple[int, int] | None:
        """Likewise the right answer; of several the one that has most in common with the predicted one."""
        spans = [
            (start, start + len(text))
            for start, text in zip(self.example.gold_starts, self.answers, strict=True)
            if text and start >= 0
        ]
        begin, end = self.span or (0, 0)
        return max(spans, key=lambda span: min(span[1], end) - max(span[0], begin) if end else 0, default=None)

    def row(self) -> dict[str, Any]:
        """The question as `eval_predictions.jsonl` has it."""
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


def evaluated_questions(
    examples: Sequence[Example], predictions: Iterable[Prediction], version_2_with_negative: bool, language: str
) -> Iterator[EvaluatedQuestion]:
    """The questions of a file, one after the other.

    Args:
      examples: of a file that tells the right answers.
      predictions: one for each.
      version_2_with_negative: whether questions may have no answer, see `metrics.squad`.
      language: how answers are compared, see there.
    """
    contexts: dict[int, int] = {}
    for number, (example, prediction) in enumerate(zip(examples, predictions, strict=True)):
        context = contexts.setdefault(id(example.paragraph), len(contexts) + 1)
        exact, f1 = squad.answer_scores(
            example.gold or (),
            prediction.answer.text,
            version_2_with_negative=version_2_with_negative,
            language=language,
        )
        yield EvaluatedQuestion(number, example, prediction, context, exact, f1)
