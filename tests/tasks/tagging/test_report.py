"""The sections of a report for tagging."""

from typing import Any

import numpy as np
import pytest
from helpers import drawings

from bert_tf2.reports.page import Examples, Mark, Picture, Report, Section, Table, Text, render
from bert_tf2.tasks.tagging import report
from bert_tf2.tasks.tagging.evaluated import EvaluatedSentence
from bert_tf2.tasks.tagging.features import Features
from bert_tf2.tasks.tagging.report import Collected
from bert_tf2.tasks.tagging.task_description import TaggingDescription


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Any, ...]]:
    return drawings.replace(monkeypatch)


def sentence(line: int, words: str, true: str, predicted: str, loss: float = 1.0) -> EvaluatedSentence:
    ends = np.cumsum([len(word) + 1 for word in words.split()]).tolist()
    offsets = [(end - 1 - len(word), end - 1) for word, end in zip(words.split(), ends, strict=True)]
    count = len(offsets)
    tags = [tags.split() for tags in (true, predicted)]
    return EvaluatedSentence(line, words.split(), *tags, [0.5] * count, [loss] * count, words, offsets)


SENTENCES = [
    sentence(1, "Jim Henson saw Rome", "B-person I-person O B-place", "B-person I-person O B-place"),
    sentence(6, "Jim Henson saw Rome", "B-person I-person O B-place", "O B-person O B-person"),
    sentence(11, "he saw <b> Rome", "O O O B-place", "O B-place O B-place", loss=3),
    sentence(16, "Ann", "B-person", "O", loss=2),
]


def collected(sentences: list[EvaluatedSentence]) -> Collected:
    return Collected.of(iter(sentences), np.array([len(each.words) for each in sentences]))


def sections(sentences: list[EvaluatedSentence] = SENTENCES) -> dict[str, Section]:
    return {section.title: section for section in report.sections(collected(sentences))}


def block_of(section: Section, kind: type, index: int = 0) -> Any:
    return [block for block in section.blocks if isinstance(block, kind)][index]


def test_intervals() -> None:
    intervals = {
        name: [round(bound, 3) for bound in bounds] for name, bounds in collected(SENTENCES).intervals().items()
    }
    assert intervals == {
        "eval_f1": [0.215, 0.785],
        "eval_precision": [0.188, 0.812],
        "eval_recall": [0.188, 0.812],
        "eval_accuracy": [0.355, 0.823],
    }


def test_spans_by_type() -> None:
    table = block_of(sections()["Spans"], Table)
    values = {row[0]: [value for value in row[1:] if not isinstance(value, str)] for row in table.rows}
    assert list(values) == ["all", "person", "place"]
    assert values["all"] == pytest.approx([6, 6, 0.5, 0.5, 0.5])
    assert values["person"] == pytest.approx([3, 3, 1 / 3, 1 / 3, 1 / 3])
    assert values["place"] == pytest.approx([3, 3, 2 / 3, 2 / 3, 2 / 3])


def test_errors_by_kind() -> None:
    by_kind, by_type = (block_of(sections()["Errors by kind"], Table, number) for number in (0, 1))
    assert by_kind.caption == "4 errors"
    assert [row[:3] for row in by_kind.rows] == [
        ["missed", 1, 0.25],
        ["spurious", 1, 0.25],
        ["wrong type", 1, 0.25],
        ["wrong boundary", 1, 0.25],
        ["wrong type and boundary", 0, 0.0],
    ]
    assert by_type.rows == [["person", 1, 1, 0, 0, 1, 0], ["place", 2, 0, 1, 1, 0, 0]]


def test_scores_by_length() -> None:
    table = block_of(sections()["Scores by length"], Table)
    assert [row[:2] for row in table.rows] == [["1", 1], ["4", 3]]


def test_worst_sentences_and_their_marks() -> None:
    examples = block_of(sections()["Worst sentences"], Examples).rows
    assert [(example.title, example.facts[0][1]) for example in examples] == [
        ("several kinds of errors", "6"),
        ("spurious", "11"),
        ("missed", "16"),
    ]
    assert examples[0].marks == [
        Mark(0, 3, "person", "missed"),
        Mark(4, 10, "person", "wrong"),
        Mark(15, 19, "person, not place", "wrong"),
    ]
    assert examples[1].marks == [Mark(3, 6, "place", "wrong"), Mark(11, 15, "place", "right")]
    facts = dict(examples[0].facts)
    assert facts["errors"] == "wrong type 1, wrong boundary 1"
    assert facts["true"] == "Jim Henson (person), Rome (place)"
    assert facts["predicted"] == "Henson (person), Rome (person)"


def test_no_errors_and_no_spans() -> None:
    assert sections(SENTENCES[:1])["Worst sentences"].blocks == [Text("All spans are right.")]
    assert list(sections([sentence(1, "a b", "O O", "O O")])) == ["Spans"]


def test_only_the_most_frequent_types_are_shown(drawn: dict[str, tuple[Any, ...]]) -> None:
    many = [sentence(number, "a", f"B-t{number:03}", "O") for number in range(150)]
    assert len(block_of(sections(many)["Spans"], Table).rows) == 101
    assert (
        block_of(sections(many)["Spans"], Table).note
        == "The 100 most frequent types of 150; span_report.json has all of them."
    )
    assert drawn["matrix"][0] == [*(f"t{number:03}" for number in range(19)), "other types", "no span"]


def test_the_page_is_escaped_and_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # with real drawings, which contain the names of types
    long = sentence(1, "x " * 5000 + "<u>", "O " * 5000 + "B-<s>", "O " * 5001)
    page = render(Report("t", "", report.sections(collected([long] * 100))))
    assert "<u>" not in page
    assert "<s>" not in page
    assert len(page) < 200_000


def test_windows() -> None:
    features = Features(np.array([0, 3, 9]), *(np.zeros(9, np.int64),) * 2, 2, 1, 17, 3, 4)
    table = report.windows(features, TaggingDescription(labels=("O", "B-x", "I-x"), max_seq_length=12))
    assert {row[0]: row[1] for row in table.rows} == {
        "sentences": 2,
        "windows": 2,
        "tokens of the longest sentence": 17,
        "sentences in several windows": 1,
        "truncated words": 3,
        "words without tokens": 4,
    }


def test_pictures_have_alternative_texts() -> None:
    picture = block_of(sections()["Errors by kind"], Picture)
    assert picture.alt.startswith("Errors by kind: missed 1, spurious 1, wrong type 1")
