"""The rows of prediction files; no TensorFlow.

Shapes: `N` questions, `C` the maximum number of choices.
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
    """The rows of `predictions.jsonl`: each question with the predicted choice, and the right one if the file has it.

        {"id": "q1", "context": "...", "question": "...", "truth": 1, "label": 1, "choice": "...", "confidence": 0.9,
         "probabilities": [0.1, 0.9]}

    Args:
      examples: N questions.
      scores: float32 [N, C], the logits of their choices.
      min_confidence: `label` and `choice` become None if the probability of the choice is lower.
    """
    has_truths = any(example.label is not None for example in examples)
    for example, logits in zip(examples, scores, strict=True):
        label = int(logits.argmax())
        probabilities = probabilities_of(logits, len(example.choices))
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
