"""Questions with the right and the predicted choice."""

import math

import numpy as np
import pytest

from bert_tf2.tasks.multiple_choice.evaluated import evaluated_questions, losses_of, probabilities_of
from bert_tf2.tasks.multiple_choice.examples import Example

EXAMPLES = [
    Example("a", "It rains.", ("She sings.", "She runs."), ("sings.", "runs."), 1, "She"),
    Example(7, "c", ("x", "y", "z"), ("x", "y", "z"), 2),
]
NO_CHOICE = -1e9  # the logit of a choice that a question does not have
SCORES = np.array([[math.log(3), 0, NO_CHOICE], [0, 0, math.log(2)]], np.float32)


def test_rows() -> None:
    first, second = evaluated_questions(EXAMPLES, SCORES)
    assert first.row() == {
        "id": "a",
        "context": "It rains.",
        "question": "She",
        "choices": ["sings.", "runs."],
        "truth": 1,
        "prediction": 0,
        "right": False,
        "right_choice": "runs.",
        "predicted_choice": "sings.",
        "probabilities": pytest.approx([0.75, 0.25]),
        "confidence": pytest.approx(0.75),
        "loss": pytest.approx(math.log(4)),
    }
    assert not first.is_right
    assert second.is_right
    assert second.probabilities == pytest.approx([0.25, 0.25, 0.5])


def test_probabilities_print_as_float32() -> None:
    assert probabilities_of(np.zeros(5, np.float32), 3) == [0.33333334] * 3


def test_losses() -> None:
    assert losses_of(SCORES, np.array([1, 2])).tolist() == pytest.approx([math.log(4), math.log(2)])
