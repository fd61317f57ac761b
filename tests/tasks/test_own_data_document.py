"""The examples of docs/own_data.md are read as it says."""

import re
from pathlib import Path

import pytest
from helpers.repository import REPOSITORY

from bert_tf2.io import text_shards
from bert_tf2.tasks.classification.data import DataConfig, open_data
from bert_tf2.tasks.multiple_choice import examples as choices
from bert_tf2.tasks.squad import examples
from bert_tf2.tasks.tagging import conll, plain_text, span_rows

TEXT = (REPOSITORY / "docs" / "own_data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
CSV, TSV, JSON_LINES, WORDS, SENTENCES, QUESTIONS, QUESTION_TABLE, CHOICES = [text for kind, text in BLOCKS if not kind]
(LABEL_COLUMNS,), (SPANS, DOCUMENTS) = ([text for kind, text in BLOCKS if kind == wanted] for wanted in ("csv", "json"))


def write(folder: Path, name: str, content: str) -> str:
    (folder / name).write_text(content, encoding="utf-8")
    return str(folder / name)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.csv", CSV, "good movie, i loved it"),
        (
            "a.csv",
            CSV.replace(",pos", ";pos").replace(",neg", ";neg").replace("text,", "text;"),
            "good movie, i loved it",
        ),
        ("a.tsv", TSV, 'a "delight"'),
        ("a.jsonl", JSON_LINES, "good movie"),
        ("a.json", f"[{JSON_LINES}]", "good movie"),
    ],
)
def test_texts_with_labels(tmp_path: Path, name: str, content: str, text: str) -> None:
    labels = write(tmp_path, "labels.txt", "neg\npos\n")
    config = DataConfig(str(tmp_path), train_file=write(tmp_path, name, content), labels_file=labels)
    rows = open_data(config, training=True).examples("train")
    assert rows.labels is not None
    assert (rows.texts[0], rows.labels[0]) == (text, "pos")


def test_the_first_ten_minutes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is shown of the table, and what the command says of it."""
    caplog.set_level("INFO")
    table = REPOSITORY / "examples" / "tickets.csv"
    config = DataConfig(str(tmp_path), train_file=str(table), validation_split=0.2)
    assert len(open_data(config, training=True).examples("train")) == 48
    shown, said, *_ = [text for kind, text in BLOCKS if kind == "text"]
    assert table.read_text(encoding="utf-8").startswith(shown)
    assert [message.replace(f"{REPOSITORY}/", "") for message in caplog.messages] == said.splitlines()[:2]


def test_columns_of_labels(tmp_path: Path) -> None:
    config = DataConfig(str(tmp_path), train_file=write(tmp_path, "a.csv", LABEL_COLUMNS))
    data = open_data(config, training=True)
    assert (data.description.problem_type, data.description.labels) == ("multi_label", ("rude", "angry"))
    assert list(data.examples("train").labels or ()) == [("rude", "angry"), ()]


def test_spans(tmp_path: Path) -> None:
    found = span_rows.read(write(tmp_path, "a.jsonl", SPANS), with_spans=True)
    assert found.words == ["Peter", "Blackburn", "ran", "to", "Rome", "."]
    assert found.tags == ["B-PER", "I-PER", "O", "O", "B-LOC", "O"]


def test_words_and_sentences(tmp_path: Path) -> None:
    found = conll.read(write(tmp_path, "a.conll", WORDS), 0, -1)
    assert (found.words, found.tags) == (["Peter", "Blackburn", "ran"], ["B-PER", "I-PER", "O"])
    path = write(tmp_path, "a.txt", SENTENCES)
    assert plain_text.looks_like_text(path, 0)
    assert plain_text.read(path).words == ["Peter", "Blackburn", "flew", "to", "Rome", "."]


@pytest.mark.parametrize(("name", "content"), [("a.jsonl", QUESTIONS), ("a.csv", QUESTION_TABLE)])
def test_questions(tmp_path: Path, name: str, content: str) -> None:
    data = examples.read(write(tmp_path, name, content), training=True)
    assert data.gold == {"q1": ("Peter",)}


def test_questions_with_choices(tmp_path: Path) -> None:
    (question,) = choices.read(write(tmp_path, "a.jsonl", CHOICES), with_labels=True)
    assert question.pairs == ("Ida opens her umbrella.", "Ida opens the oven.")
    assert (question.context, question.label) == ("It starts to rain.", 0)


@pytest.mark.parametrize(("kind", "name"), [("text", "a.txt"), ("json", "a.jsonl")])
def test_text_to_pre_train_on(tmp_path: Path, kind: str, name: str) -> None:
    content = next(text for of_kind, text in BLOCKS if of_kind == kind and "first sentence of a document" in text)
    (group,) = text_shards.plan([write(tmp_path, name, content)], 10**6, "text")
    text = "\n".join(line for lines, _ in text_shards.read_lines(group) for line in lines)
    first, second = (document.split("\n") for document in text.strip("\n").split("\n\n"))
    assert first == ["The first sentence of a document.", "The second one."]
    assert second == ["Another document."]
