"""The sections of a report for multiple choice."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from helpers import drawings

from bert_tf2.reports.page import Examples, Figures, Report, Section, Table, Text, render
from bert_tf2.tasks.multiple_choice import report
from bert_tf2.tasks.multiple_choice.evaluated import evaluated_questions
from bert_tf2.tasks.multiple_choice.examples import Example
from bert_tf2.tasks.multiple_choice.features import Features
from bert_tf2.tasks.multiple_choice.report import Collected

NO_CHOICE = -1e9  # the logit of a choice that a question does not have
SCORES = np.array([[2, 0, NO_CHOICE], [0, 1, NO_CHOICE], [3, 0, 0], [0, 5, 0]], np.float32)
RIGHT = [0, 0, 2, 1]
LENGTHS = np.array([[3, 4, 0], [9, 3, 0], [9, 9, 9], [4, 4, 4]], np.int32)
EMPTY = np.zeros(0, np.int32)
FEATURES = Features(np.zeros(5, np.int64), EMPTY, EMPTY, LENGTHS, truncated=2, longest=40)


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Any, ...]]:
    return drawings.replace(monkeypatch)


def collected(right: list[int] = RIGHT) -> Collected:
    examples = []
    for number, label in enumerate(right):
        choices = tuple("abc"[: int((SCORES[number] > NO_CHOICE).sum())])
        examples.append(Example(number, f"<b> {number}", choices, choices, label, "q"))
    return Collected.of(evaluated_questions(examples, SCORES))


def sections(right: list[int] = RIGHT) -> dict[str, Section]:
    return {section.title: section for section in report.sections(collected(right), FEATURES)}


def block_of(section: Section, kind: type, index: int = 0) -> Any:
    return [block for block in section.blocks if isinstance(block, kind)][index]


def test_interval() -> None:
    assert np.round(collected().intervals()["eval_accuracy"], 3).tolist() == [0.15, 0.85]


def test_by_choices_and_length() -> None:
    section = sections()["Accuracy by number of choices and length"]
    assert block_of(section, Figures).values[0][:2] == ("random guessing", "41.7 %")
    assert [row[:3] for row in block_of(section, Table).rows] == [["2", 2, 0.5], ["3", 2, 0.5]]
    assert [row[:3] for row in block_of(section, Table, 1).rows] == [["4", 2, 1.0], ["9", 2, 0.0]]


def test_positions(drawn: dict[str, tuple[Any, ...]]) -> None:
    rows = block_of(sections()["Positions"], Table).rows
    assert [row[:4] for row in rows] == [[0, 2, 2, 0.0], [1, 1, 2, 0.25], [2, 1, 0, -0.25]]
    assert [row[4] for row in rows] == [0.5, 1.0, 0.0]
    assert drawn["matrix"][2].tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert math.isnan(block_of(sections([1, 1, 1, 1])["Positions"], Table).rows[0][4])


def test_worst_questions() -> None:
    examples = block_of(sections()["Worst questions"], Examples).rows
    assert [example.title for example in examples] == ["0 instead of 2", "1 instead of 0"]
    assert examples[0].text == "<b> 2"
    facts = dict(examples[0].facts)
    assert facts["question"] == "q"
    assert facts["0 (chosen)"] == "a – 0.909"
    assert facts["2 (right)"] == "c – 0.045"
    assert sections([0, 1, 0, 1])["Worst questions"].blocks == [Text("All choices are right.")]


def test_right_and_predicted_of_many_choices_are_shown() -> None:
    choices = tuple(map(str, range(50)))
    scores = np.zeros((1, 50), np.float32)
    scores[0, 30] = 1
    many = Collected.of(evaluated_questions([Example(0, "c" * 5000, choices, choices, 40)], scores))
    features = dataclasses.replace(FEATURES, lengths=LENGTHS[:1])
    (example,) = block_of(report.sections(many, features)[-1], Examples).rows
    names = [name for name, _ in example.facts]
    assert names == [*map(str, range(10)), "30 (chosen)", "40 (right)", "choices", "loss", "id"]
    assert len(example.text) < 1000


def test_the_page_is_escaped() -> None:
    page = render(Report("t", "", list(sections().values())))
    assert "<b> 2" not in page
    assert "&lt;b&gt; 2" in page


def test_truncated() -> None:
    assert {row[0]: row[1] for row in report.truncated(FEATURES, 9).rows} == {
        "questions": 4,
        "choices": 10,
        "tokens of the longest sequence": 40,
        "truncated sequences": 2,
    }
