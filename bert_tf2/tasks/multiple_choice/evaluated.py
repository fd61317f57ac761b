"""Evaluated questions: the right and the predicted choice side by side; no TensorFlow.

Shapes: `N` questions, `C` the maximum number of choices.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bert_tf2.io.json_floats import as_printed
from bert_tf2.tasks.multiple_choice.examples import Example


def probabilities_of(scores: NDArray[np.float32], choices: int) -> list[float]:
    """The probabilities of the choices of a question, with as many digits as float32 needs.

    Args:
      scores: float32 [C], the logits of the choices.
      choices: the number of choices of the question.
    """
    probabilities: list[float] = as_printed(special.softmax(scores[:choices])).tolist()
    return probabilities


@dataclass(frozen=True, slots=True)
class EvaluatedQuestion:
    """A question with the right and the predicted choice.

    Attributes:
      number: the index of the question in the file.
      example: the question, read with its label.
      truth: the index of the right choice.
      prediction: the index of the predicted choice.
      probabilities: the probability of each choice.
      loss: the cross-entropy.
    """

    number: int
    example: Example
    truth: int
    prediction: int
    probabilities: Sequence[float]
    loss: float

    @property
    def is_right(self) -> bool:
        """Whether the right choice was predicted."""
        return self.truth == self.prediction

    @property
    def confidence(self) -> float:
        """The probability of the predicted choice."""
        return self.probabilities[self.prediction]

    def row(self) -> dict[str, Any]:
        """The row of `eval_predictions.jsonl`."""
        example = self.example
        return {
            "id": example.id,
            "context": example.context,
            "question": example.question,
            "choices": list(example.choices),
            "truth": self.truth,
            "prediction": self.prediction,
            "right": self.is_right,
            "right_choice": example.choices[self.truth],
            "predicted_choice": example.choices[self.prediction],
            "probabilities": list(self.probabilities),
            "confidence": self.confidence,
            "loss": round(self.loss, 8),
        }


def losses_of(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The cross-entropy of each question, float64 [N].

    Args:
      scores: float32 [N, C], the logits of the choices.
      labels: int [N], the indices of the right choices.
    """
    losses: NDArray[np.float64] = -special.log_softmax(scores.astype(np.float64), axis=1)
    return losses[np.arange(len(labels)), labels]


def evaluated_questions(examples: Sequence[Example], scores: NDArray[np.float32]) -> Iterator[EvaluatedQuestion]:
    """The questions of a file, in order.

    Args:
      examples: N questions, read with labels.
      scores: float32 [N, C], the logits of their choices.
    """
    labels = np.array([example.label for example in examples])
    losses = losses_of(scores, labels).tolist()
    for number, (example, logits, loss) in enumerate(zip(examples, scores, losses, strict=True)):
        probabilities = probabilities_of(logits, len(example.choices))
        yield EvaluatedQuestion(number, example, int(labels[number]), int(logits.argmax()), probabilities, loss)
