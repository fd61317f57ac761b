"""The rows of prediction files."""

import numpy as np
import pytest

from bert_tf2.tasks.multiple_choice.examples import Example
from bert_tf2.tasks.multiple_choice.outputs import prediction_rows

EXAMPLES = [Example("a", "It rains.", ("She sings.", "She runs."), ("sings.", "runs."), None, "She")]
SCORES = np.array([[0.0, np.log(3)]], np.float32)


def test_rows() -> None:
    (row,) = prediction_rows(EXAMPLES, SCORES)
    assert row == {
        "id": "a",
        "context": "It rains.",
        "question": "She",
        "label": 1,
        "choice": "runs.",
        "confidence": pytest.approx(0.75),
        "probabilities": pytest.approx([0.25, 0.75]),
    }


def test_choices_below_min_confidence_are_null() -> None:
    (row,) = prediction_rows(EXAMPLES, SCORES, min_confidence=0.8)
    assert (row["label"], row["choice"]) == (None, None)
    assert row["confidence"] == pytest.approx(0.75)


def test_true_labels_if_the_file_has_any() -> None:
    labelled = Example("b", "c", ("x", "y"), ("x", "y"), 0)
    rows = list(prediction_rows([*EXAMPLES, labelled], np.repeat(SCORES, 2, axis=0)))
    assert [row["truth"] for row in rows] == [None, 0]
