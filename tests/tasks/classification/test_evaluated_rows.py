"""The rows of eval_predictions.jsonl, number for number."""

import dataclasses
import math

import numpy as np
import pytest
from helpers.evaluations import made_up, of_logits

from bert_tf2.tasks.classification import evaluated_rows as rows_module
from bert_tf2.tasks.classification.evaluated import Evaluated
from bert_tf2.tasks.classification.evaluated_rows import evaluated_rows


def rows_of(evaluated: Evaluated) -> list[dict]:
    return list(evaluated_rows(evaluated.description, evaluated.examples, evaluated.labels, evaluated.logits))


def test_single_label() -> None:
    evaluated = of_logits("single_label", ("bad", "good"), [1, 1], [[math.log(3), 0], [0, math.log(9)]])
    evaluated = dataclasses.replace(evaluated, examples=dataclasses.replace(evaluated.examples, pairs=["b", "c"]))
    first, second = rows_of(evaluated)
    assert first == {
        "id": 0,
        "text": "text 0",
        "text_pair": "b",
        "truth": "good",
        "prediction": "bad",
        "right": False,
        "confidence": pytest.approx(0.75),
        "loss": pytest.approx(math.log(4)),
        "probabilities": {"bad": pytest.approx(0.75), "good": pytest.approx(0.25)},
    }
    assert (second["prediction"], second["right"], second["confidence"]) == ("good", True, pytest.approx(0.9))
    assert list(first)[:6] == ["id", "text", "text_pair", "truth", "prediction", "right"]


def test_several_labels() -> None:
    logits = [[math.log(9), -math.log(9), math.log(3)]]
    (row,) = rows_of(of_logits("multi_label", ("x", "y", "z"), [[1, 1, 0]], logits))
    assert (row["truth"], row["prediction"], row["right"]) == (["x", "y"], ["x", "z"], False)
    assert row["confidence"] == pytest.approx(0.75), "of z, the least certain"
    assert row["loss"] == pytest.approx((math.log(10 / 9) + math.log(10) + math.log(4)) / 3)
    (row,) = rows_of(of_logits("multi_label", ("x", "y"), [[0, 0]], [[-1, -1]]))
    assert (row["truth"], row["prediction"], row["right"]) == ([], [], True)


def test_values() -> None:
    (row,) = rows_of(of_logits("regression", (), [1.5], [[1.25]]))
    assert row == {"id": 0, "text": "text 0", "truth": 1.5, "prediction": 1.25, "error": -0.25, "loss": 0.0625}


def test_probabilities_of_many_labels_are_omitted() -> None:
    evaluated = made_up("single_label", 30, tuple(map(str, range(21))))
    assert not any("probabilities" in row for row in rows_of(evaluated))


@pytest.mark.parametrize("kind", ["single_label", "multi_label", "regression"])
def test_blocks_of_rows_give_the_same(kind, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated = made_up(kind, 20, () if kind == "regression" else ("a", "b", "c"))
    expected = rows_of(evaluated)
    monkeypatch.setattr(rows_module, "VALUES_AT_ONCE", 7)
    assert rows_of(evaluated) == expected
    assert [row["id"] for row in expected] == list(range(20))
    assert np.mean([row["loss"] for row in expected]) == pytest.approx(evaluated.scores.losses.mean(), rel=1e-5)
