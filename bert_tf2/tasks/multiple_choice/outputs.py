"""The rows of a prediction; no TensorFlow.

Shapes: `N` questions, `C` choices of the one that has most.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2.tasks.multiple_choice.evaluated import probabilities_of
from bert_tf2.tasks.multiple_choice.examples import Example


def prediction_rows(
    examples: Sequence[Example], scores: NDArray[np.float32], min_confidence: float = 0.0
) -> Iterator[dict[str, Any]]:
    """The id and texts of each question, the chosen choice, and the right one if the file has it.

        {"id": "q1", "context": "...", "question": "...", "truth": 1, "label": 1, "choice": "...", "confidence": 0.9,
         "probabilities": [0.1, 0.9]}

    Args:
      examples: N questions.
      scores: float32 [N, C], of their choices.
      min_confidence: `label` and `choice` become None if the probability is lower.
    """
    has_truths = any(example.label is not None for example in examples)
    for example, of_example in zip(examples, scores, strict=True):
        label = int(of_example.argmax())
        probabilities = probabilities_of(of_example, len(example.choices))
        is_sure = probabilities[label] >= min_confidence
        yield {
            "id": example.id,
            "context": example.context,
            "question": example.question,
            **({"truth": example.label} if has_truths else {}),
            "label": label if is_sure else None,
            "choice": example.choices[label] if is_sure else None,
            "confidence": probabilities[label],
            "probabilities": probabilities,
        }
