"""Questions of SWAG, HellaSwag, RACE and custom files; errors for invalid ones."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from bert_tf2.errors import InputError
from bert_tf2.io import spilled
from bert_tf2.io.delimited import Form
from bert_tf2.tasks.multiple_choice.examples import Example, read

CUSTOM = {"context": "It rains.", "question": "She", "endings": ["sings.", "takes an umbrella."], "label": 1}


def write(path: Path, *rows: Any) -> str:
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_swag(tmp_path: Path) -> None:
    path = write(
        tmp_path / "train.csv",
        ",video-id,fold-ind,startphrase,sent1,sent2,gold-source,ending0,ending1,ending2,ending3,label\n",
        '0,v1,3416,x,"Students, lowering their eyes.",He,gold,sits.,stands.,runs.,"sleeps, deeply.",3\n',
    )
    pairs = ("He sits.", "He stands.", "He runs.", "He sleeps, deeply.")
    choices = tuple(pair.removeprefix("He ") for pair in pairs)
    assert read(path, with_labels=True) == [Example(0, "Students, lowering their eyes.", pairs, choices, 3)]


def test_parquet(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.Table.from_pylist([CUSTOM]), tmp_path / "a.parquet")
    (expected,) = read(write(tmp_path / "a.jsonl", CUSTOM), with_labels=True)
    assert read(str(tmp_path / "a.parquet"), with_labels=True) == [expected]


def test_delimiter_and_encoding_are_detected(tmp_path: Path) -> None:
    text = "context;question;ending0;ending1;label\nIl a gelé, déjà.;Elle;chante;rit, fâchée;1\n"
    (tmp_path / "a.csv").write_bytes(text.encode("cp1252"))
    (example,) = read(str(tmp_path / "a.csv"), with_labels=True)
    assert (example.context, example.choices, example.label) == ("Il a gelé, déjà.", ("chante", "rit, fâchée"), 1)


def test_given_delimiter_and_encoding(tmp_path: Path) -> None:
    text = "context^question^ending0^ending1\nÉté^?^a^b\n"
    (tmp_path / "a.csv").write_bytes(text.encode("cp850"))
    (example,) = read(str(tmp_path / "a.csv"), with_labels=False, form=Form("cp850", "^"))
    assert (example.context, example.choices) == ("Été", ("a", "b"))


def test_hellaswag(tmp_path: Path) -> None:
    rows = [
        {"ind": 24, "ctx_a": "A man is on a roof.", "ctx_b": "he", "ctx": "x", "label": "1", "endings": ["a", "b"]},
        {"ind": 25, "ctx_a": "How to bake.", "ctx_b": "", "ctx": "x", "label": "0", "endings": ["Mix it.", "Run."]},
    ]
    assert read(write(tmp_path / "dev.jsonl", *rows), with_labels=True) == [
        Example(24, "A man is on a roof.", ("he a", "he b"), ("a", "b"), 1),
        Example(25, "How to bake.", ("Mix it.", "Run."), ("Mix it.", "Run."), 0),
    ]


def test_race(tmp_path: Path) -> None:
    article = {
        "id": "high1.txt",
        "article": "Tom is ill.",
        "questions": ["Why?", "Tom is _ today."],
        "options": [["Cold.", "Heat."], ["ill", "well"]],
        "answers": ["B", "A"],
    }
    expected = [
        Example("high1-0", "Tom is ill.", ("Why? Cold.", "Why? Heat."), ("Cold.", "Heat."), 1),
        Example("high1-1", "Tom is ill.", ("Tom is ill today.", "Tom is well today."), ("ill", "well"), 0),
    ]
    (tmp_path / "dev/high").mkdir(parents=True)
    write(tmp_path / "dev/high/1.txt", article)
    assert read(str(tmp_path / "dev"), with_labels=True) == expected
    assert read(str(tmp_path / "dev/high/1.txt"), with_labels=True) == expected
    flat = {"example_id": "high1-0", "article": "Tom is ill.", "question": "Why?", "answer": "B"}
    assert read(write(tmp_path / "a.jsonl", {**flat, "options": ["Cold.", "Heat."]}), with_labels=True) == expected[:1]
    del article["answers"]
    assert [example.label for example in read(write(tmp_path / "a.jsonl", article), with_labels=False)] == [None, None]


def test_labels_are_optional_for_prediction(tmp_path: Path) -> None:
    """Labels that are missing or invalid are None."""
    rows = [CUSTOM, {**CUSTOM, "label": 7}, {**CUSTOM, "label": ""}, {"context": "c", "endings": ["a", "b"]}]
    examples = read(write(tmp_path / "own.jsonl", *rows), with_labels=False)
    assert [example.label for example in examples] == [1, None, None, None]
    assert [example.question for example in examples] == ["She", "She", "She", ""]


def test_custom_data(tmp_path: Path) -> None:
    rows = [CUSTOM, {**CUSTOM, "label": "B", "id": "x"}, {"context": "c", "choices": ["a", "b", "c"], "answer": "c"}]
    examples = read(write(tmp_path / "own.jsonl", *rows), with_labels=True)
    assert [example.label for example in examples] == [1, 1, 2]
    assert [example.id for example in examples] == [0, "x", 2]
    assert examples[0].pairs == ("She sings.", "She takes an umbrella.")
    assert examples[2].pairs == ("a", "b", "c")
    path = write(
        tmp_path / "own.tsv", "context\tquestion\tchoice_1\tchoice_2\tchoice_10\n", "c\tq\ta\tb\tc\nc\tq\ta\tb\t\n"
    )
    assert [example.choices for example in read(path, with_labels=False)] == [("a", "b", "c"), ("a", "b")]


def test_memory_does_not_grow_with_the_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spilled, "MOST_IN_MEMORY", 1)
    rows = [{**CUSTOM, "context": f"{number} {'x' * 1000}"} for number in range(5000)]
    path = write(tmp_path / "own.jsonl", *rows)
    tracemalloc.start()
    try:
        examples = read(path, with_labels=True, directory=str(tmp_path))
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 2_000_000  # the contexts alone are 5 MB
    assert [(example.id, example.context, example.label) for example in examples] == [
        (number, row["context"], 1) for number, row in enumerate(rows)
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["own.jsonl"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"label": 2}, r"line 1 has 2 as label of 2 choices; it must be a number from 0 to 1 or a letter from A to B"),
        ({"label": "C"}, "line 1 has 'C' as label of 2 choices"),
        ({"label": True}, "line 1 has True as label of 2 choices"),
        ({"label": None}, "line 1 has null as label of 2 choices"),
        ({"endings": ["only"]}, "line 1 has 1 choice; there must be at least 2"),
        ({"endings": ["a", 3]}, "line 1 has the choice 3; each must be a text"),
        ({"endings": ["a", " "]}, "line 1 has the choice ' '; each must be a text"),
        ({"context": 3}, "line 1: context is a whole number"),
        ({"context": None}, "line 1 has no context; expected context and question"),
        ({"question": "\ud800"}, "line 1: question is not valid Unicode"),
    ],
)
def test_invalid_questions(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read(write(tmp_path / "own.jsonl", {**CUSTOM, **changes}), with_labels=True)


def test_files_without_questions(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 2 has 'text', 'label'; expected context and question with ending0"):
        read(write(tmp_path / "own.csv", "text,label\n", "a,b\n"), with_labels=True)
    with pytest.raises(InputError, match=r"has 1 question, 0 options and 1 answer; there must be as many of each"):
        read(write(tmp_path / "a.txt", {"article": "a", "questions": ["q"], "options": []}), with_labels=True)
    with pytest.raises(InputError, match=r"own\.csv has 2 columns 'ending1'; rename or remove all but one of them"):
        read(write(tmp_path / "own.csv", "context,ending0,ending1,ending1,label\n", "a,b,c,d,1\n"), with_labels=True)
    with pytest.raises(InputError, match="line 2 has 1 choice; there must be at least 2"):
        read(write(tmp_path / "own.csv", f"context,ending0,ending{'1' * 5000}\n", "a,b,c\n"), with_labels=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty is a directory without .txt files"):
        read(str(tmp_path / "empty"), with_labels=True)
