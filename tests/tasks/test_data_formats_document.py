"""The samples of predictions in the documents have the keys that the commands write."""

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from helpers.repository import REPOSITORY

from bert_tf2.configs.choices import ProblemType
from bert_tf2.tasks.classification.examples import Examples
from bert_tf2.tasks.classification.outputs import prediction_rows
from bert_tf2.tasks.classification.task_description import TaskDescription
from bert_tf2.tasks.multiple_choice import examples as choices
from bert_tf2.tasks.multiple_choice.outputs import prediction_rows as choice_rows
from bert_tf2.tasks.tagging.outputs import sentence_row

PAGE = (REPOSITORY / "docs/data_formats.md").read_text(encoding="utf-8")


def samples(text: str) -> list[dict[str, Any]]:
    """The JSON objects in the code blocks of a text."""
    blocks = re.findall(r"^```(?:json|text)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [json.loads(line) for block in blocks for line in block.splitlines() if line.startswith("{")]


def written_by(script: str) -> list[dict[str, Any]]:
    return samples(PAGE.split(f"\n### `{script}.py`\n")[1].split("\n## ")[0].split("\n### ")[0])


def classified(kind: ProblemType, labels: tuple[str, ...], probabilities: list[float]) -> dict[str, Any]:
    """The row of a text with these probabilities, for regression with this value."""
    rows = Examples("a.csv", range(1), ["a1"], ["A delight."], None, None)
    (row,) = prediction_rows(TaskDescription("a", kind, labels), rows, np.array([probabilities], np.float32))
    return row


def expected_of_classification() -> Iterator[dict[str, Any]]:
    yield classified("single_label", ("bad", "good"), [0.1, 0.9])
    yield classified("multi_label", ("rude", "angry", "fair"), [0.8, 0.7, 0.1])
    yield classified("regression", (), [3.2])


def test_classification() -> None:
    assert [list(sample) for sample in written_by("run_classifier")] == [
        list(row) for row in expected_of_classification()
    ]


@pytest.mark.parametrize("page", ["README.md", "docs/own_data.md"])
def test_a_single_text(page: str) -> None:
    (sample,) = (one for one in samples((REPOSITORY / page).read_text(encoding="utf-8")) if "probabilities" in one)
    assert list(sample) == list(next(expected_of_classification()))
    assert sample["confidence"] == sample["probabilities"][sample["label"]] == max(sample["probabilities"].values())


def test_multiple_choice() -> None:
    question = choices.Example("q1", "It rains.", ("a", "b"), ("a", "b"), None, "Ida opens")
    (row,) = choice_rows([question], np.array([[0.0, 2.0]], np.float32))
    assert [list(sample) for sample in written_by("run_multiple_choice")] == [list(row)]


def test_tagging() -> None:
    row = sentence_row(["Peter", "ran"], ["B-PER", "O"], [0.99, 1.0])
    assert written_by("run_ner") == [{"line": 1, **row}]
