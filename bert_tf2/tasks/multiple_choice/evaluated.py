"""Questions with the right choice and the chosen one side by side; no TensorFlow.

Shapes: `N` questions, `C` choices of the one that has most.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bert_tf2.tasks.multiple_choice.examples import Example


def probabilities_of(scores: NDArray[np.float32], choices: int) -> list[float]:
    """What the scores of a question say of its choices, as float32 prints itself: 0.1, not 0.10000000149011612.

    Args:
      scores: float32 [C].
      choices: how many the question has.
    """
    printed: list[float] = special.softmax(scores[:choices]).astype(str).astype(float).tolist()
    return printed


@dataclass(frozen=True, slots=True)
class EvaluatedQuestion:
    """A question that was evaluated.

    Attributes:
      number: of the question in the file, from 0.
      example: the question, which was read with its label.
      truth: the right choice, from 0.
      prediction: the chosen one.
      probabilities: of its choices.
      loss: the negative logarithm of the probability of the right one.
    """

    number: int
    example: Example
    truth: int
    prediction: int
    probabilities: Sequence[float]
    loss: float

    @property
    def is_right(self) -> bool:
        """Whether the right choice was chosen."""
        return self.truth == self.prediction

    @property
    def confidence(self) -> float:
        """The probability of the chosen one."""
        return self.probabilities[self.prediction]

    def row(self) -> dict[str, Any]:
        """The question as `eval_predictions.jsonl` has it."""
        one = self.example
        return {
            "id": one.id,
            "context": one.context,
            "question": one.question,
            "choices": list(one.choices),
            "truth": self.truth,
            "prediction": self.prediction,
            "right": self.is_right,
            "right_choice": one.choices[self.truth],
            "predicted_choice": one.choices[self.prediction],
            "probabilities": list(self.probabilities),
            "confidence": self.confidence,
            "loss": round(self.loss, 8),
        }


def losses_of(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The cross-entropy of each question, float64 [N].

    Args:
      scores: float32 [N, C].
      labels: int [N], the right choices.
    """
    losses: NDArray[np.float64] = -special.log_softmax(scores.astype(np.float64), axis=1)
    return losses[np.arange(len(labels)), labels]


def evaluated_questions(examples: Sequence[Example], scores: NDArray[np.float32]) -> Iterator[EvaluatedQuestion]:
    """The questions of a file, one after the other.

    Args:
      examples: N questions, read with labels.
      scores: float32 [N, C], of their choices.
    """
    labels = np.array([one.label for one in examples])
    losses = losses_of(scores, labels).tolist()
    for number, (one, of_one, loss) in enumerate(zip(examples, scores, losses, strict=True)):
        probabilities = probabilities_of(of_one, len(one.choices))
        yield EvaluatedQuestion(number, one, int(labels[number]), int(of_one.argmax()), probabilities, loss)
