"""The sections of a report for question answering."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import drawings, tiny_squad

from bert_tf2.reports.page import Examples, Figures, Mark, Report, Section, Table, Text, render
from bert_tf2.tasks.squad import report, tokenized_examples
from bert_tf2.tasks.squad.answers import NBestEntry, Prediction
from bert_tf2.tasks.squad.evaluated import evaluated_questions, scores_of
from bert_tf2.tasks.squad.examples import Example
from bert_tf2.tasks.squad.report import Collected
from bert_tf2.tasks.squad.window_parameters import FeatureParameters
from bert_tf2.tasks.squad.windows import Windows, make_windows
from bert_tf2.tasks.squad.words import split
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer

SIZES = FeatureParameters(max_seq_length=12, doc_stride=4, max_query_length=2)
SHORT, LONG = "w1 Ada Hill w2", "w1 Ada Hill <b> " + "w3 " * 20

QUESTIONS = [
    # question, context, right answer, predicted answer, null odds
    ("who is it", SHORT, "Ada Hill", "Ada Hill", -3.0),
    ("who is", LONG, "Ada Hill", "Hill <b>", -1.0),
    ("where is it", LONG, None, "w3", -2.0),
    ("w1", SHORT, None, None, 2.0),
    ("when", SHORT, "Ada Hill", None, 1.0),
]


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Any, ...]]:
    return drawings.replace(monkeypatch)


def entry(context: str, text: str | None, probability: float = 0.5) -> NBestEntry:
    if text is None:
        return NBestEntry("", probability, 0.0, 0.0, None, None)
    start = context.index(text)
    return NBestEntry(text, probability, 0.0, 0.0, start, start + len(text))


def collected(
    examples: list[Example], predictions: list[Prediction], version_2: bool, language: str = "en"
) -> Collected:
    scores = scores_of(examples, predictions, version_2, language)
    return Collected.of(evaluated_questions(examples, predictions, scores), version_2, language)


def case(version_2: bool = True) -> tuple[Collected, list[Example]]:
    examples, predictions = [], []
    paragraphs = {context: split(context, "en", title="T") for context in (SHORT, LONG)}
    for number, (question, context, answer, predicted, odds) in enumerate(QUESTIONS):
        if not version_2 and answer is None:
            continue
        gold = () if answer is None else (answer,)
        starts = () if answer is None else (context.index(answer),)
        examples.append(Example(str(number), question, paragraphs[context], gold, gold_starts=starts))
        best = entry(context, predicted or "w1")
        answer_entry = entry(context, predicted)
        predictions.append(Prediction(str(number), answer_entry, best, odds if version_2 else None, [best]))
    return collected(examples, predictions, version_2), examples


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> FastTokenizer:
    directory = tmp_path_factory.mktemp("vocabulary")
    tiny_squad.write_model_files(directory)
    return FastTokenizer(str(directory / "vocab.txt"), True)


def windows(tokenizer: FastTokenizer, examples: list[Example]) -> Windows:
    return make_windows(tokenized_examples.tokenize(examples, tokenizer), SIZES, training=False)


def sections(tokenizer: FastTokenizer, version_2: bool = True) -> dict[str, Section]:
    all_questions, examples = case(version_2)
    results = {"best_exact_thresh": -1.5, "best_f1_thresh": -1.0}
    return {
        section.title: section for section in report.sections(all_questions, windows(tokenizer, examples), 0.0, results)
    }


def block_of(section: Section, kind: type, index: int = 0) -> Any:
    return [block for block in section.blocks if isinstance(block, kind)][index]


def test_intervals_are_percentages() -> None:
    all_questions, _ = case()
    names = ["exact", "f1", "HasAns_exact", "HasAns_f1", "NoAns_exact", "NoAns_f1"]
    assert list(all_questions.intervals()) == names
    assert np.round(all_questions.intervals()["exact"], 1).tolist() == [11.8, 76.9]  # of 2 of 5
    assert list(case(version_2=False)[0].intervals()) == ["exact_match", "f1"]


def test_by_question_word(tokenizer: FastTokenizer) -> None:
    table = block_of(sections(tokenizer)["Scores by question word"], Table)
    values = {row[0]: [value for value in row[1:] if not isinstance(value, str)] for row in table.rows}
    assert values == {
        "who": [2, 0.5, 0.75],
        "when": [1, 0.0, 0.0],
        "where": [1, 0.0, 0.0],
        "other": [1, 1.0, 1.0],
    }


def test_by_length(tokenizer: FastTokenizer) -> None:
    tables = [block for block in sections(tokenizer)["Scores by length"].blocks if isinstance(block, Table)]
    assert [table.headers[0] for table in tables] == [
        "context (tokens)",
        "windows of the context",
        "question (tokens)",
        "answer (words)",
    ]
    assert [row[:3] for row in tables[0].rows] == [["4", 3, pytest.approx(2 / 3)], ["26", 2, 0.0]]
    assert [row[:2] for row in tables[1].rows] == [["1", 3], ["6", 2]]
    assert [row[:2] for row in tables[3].rows] == [["2", 3]]


def test_no_answer(tokenizer: FastTokenizer, drawn: dict[str, tuple[Any, ...]]) -> None:
    section = sections(tokenizer)["Questions without an answer"]
    assert [value[:2] for value in block_of(section, Figures).values] == [
        ("precision of no answer", "50.0 %"),
        ("recall of no answer", "50.0 %"),
    ]
    assert drawn["matrix"][2] == [[2, 1], [1, 1]]
    rows = block_of(section, Table).rows
    assert [row[:2] for row in rows] == [["used", 0.0], ["best exact match", -1.5], ["best F1", -1.0]]
    assert rows[0][2:6] == pytest.approx([0.4, 0.5, 0.5, 0.5])
    assert rows[1][2:6] == pytest.approx([0.4, 0.4, 1 / 3, 0.5])
    assert "Questions without an answer" not in sections(tokenizer, version_2=False)


def test_worst_questions_and_their_marks(tokenizer: FastTokenizer) -> None:
    examples = block_of(sections(tokenizer)["Worst questions"], Examples).rows
    assert [example.title for example in examples] == [
        "unanswerable, but answered",
        "answerable, but not answered",
        "partly right",
    ]
    assert examples[0].marks == [Mark(LONG.index("w3"), LONG.index("w3") + 2, "predicted", "wrong")]
    assert examples[1].marks == [Mark(3, 11, "true", "missed")]
    assert examples[2].marks == [
        Mark(3, 7, "true", "missed"),
        Mark(7, 11, "predicted and true", "right"),
        Mark(11, 15, "predicted", "wrong"),
    ]
    facts = dict(examples[2].facts)
    assert facts["question"] == "who is"
    assert (facts["true"], facts["predicted"], facts["context"]) == ("Ada Hill", "Hill <b>", "2, T")


def test_right_answers_are_not_among_the_worst() -> None:
    example = Example("a", "who", split("Ada", "en"), ("Ada",), gold_starts=(0,))
    right = Prediction("a", entry("Ada", "Ada"), entry("Ada", "Ada"), None, [])
    assert collected([example], [right], version_2=False).worst == []


def test_the_page_is_escaped(tokenizer: FastTokenizer) -> None:
    page = render(Report("t", "", list(sections(tokenizer).values())))
    assert "<b> w3" not in page
    assert "&lt;b&gt;" in page


def test_windows_table(tokenizer: FastTokenizer) -> None:
    _, examples = case()
    table = report.windows_table(windows(tokenizer, examples))
    assert {row[0]: row[1] for row in table.rows} == {
        "questions": 5,
        "windows": 15,
        "questions with several windows": 2,
        "truncated questions": 2,
        "questions without windows": 0,
    }


def test_sizes_in_the_windows_table(tokenizer: FastTokenizer) -> None:
    _, examples = case()
    made = dataclasses.replace(windows(tokenizer, examples), parameters=FeatureParameters(4000, 1000, 1))
    notes = [row[2] for row in report.windows_table(made).rows]
    assert "of at most max_seq_length=4,000 tokens, every doc_stride=1,000 tokens" in notes
    assert "longer than max_query_length=1 token" in notes


def test_chinese_question_words_and_characters(tokenizer: FastTokenizer, tmp_path: Path) -> None:
    example = Example("a", "谁", split("王明", "zh"), ("王明",), gold_starts=(0,))
    predicted = Prediction("a", entry("王明", "王"), entry("王明", "王"), None, [])
    one_question = collected([example], [predicted], False, "zh")
    by_title = {
        section.title: section for section in report.sections(one_question, windows(tokenizer, [example]), 0.0, {})
    }
    assert block_of(by_title["Scores by question word"], Table).rows[0][0] == "谁 (who)"
    assert block_of(by_title["Scores by length"], Table, 3).headers[0] == "answer (characters)"
    assert not any(isinstance(block, Text) for block in by_title["Worst questions"].blocks)
