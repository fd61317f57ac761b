"""Questions in rows: the same as in SQuAD's JSON, whatever the format of the file."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from helpers.repository import CASES
from pyarrow import parquet

from bert_tf2.errors import InputError
from bert_tf2.io.delimited import Form
from bert_tf2.tasks.squad.examples import Answer, Example, SquadData, read

CONTEXT = "Jim Henson, a puppeteer, was born in Greenville. Jim moved."
SQUAD = {
    "data": [
        {
            "paragraphs": [
                {
                    "context": CONTEXT,
                    "qas": [
                        {"id": "1", "question": "Where?", "answers": [{"text": "Greenville", "answer_start": 37}]},
                        {"id": "2", "question": "Who moved?", "answers": [{"text": "Jim", "answer_start": 49}]},
                    ],
                }
            ]
        }
    ]
}
ROWS = [
    {"question": "Where?", "context": CONTEXT, "answer": "Greenville"},
    {"question": "Who moved?", "context": CONTEXT, "answer": "Jim", "answer_start": 49},
]
SQUAD_ROWS = [
    {"question": question["question"], "context": CONTEXT, "answers": question["answers"]}
    for question in SQUAD["data"][0]["paragraphs"][0]["qas"]
]
HUGGING_FACE_ROWS = [
    {**row, "answers": {key: [answer[key] for answer in row["answers"]] for key in ("text", "answer_start")}}
    for row in SQUAD_ROWS
]


def write(path: Path, content: Any, delimiter: str = ",") -> Path:
    """Writes JSON, JSON Lines, CSV, TSV or Parquet, by the extension."""
    if path.suffix == ".parquet":
        names = dict.fromkeys(name for row in content for name in row)
        parquet.write_table(pyarrow.table({name: [row.get(name) for row in content] for name in names}), path)
        return path
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix in (".csv", ".tsv"):
            names = list(dict.fromkeys(name for row in content for name in row))
            writer = csv.DictWriter(file, names, delimiter=delimiter)
            writer.writeheader()
            writer.writerows(content)
        elif path.suffix == ".jsonl":
            file.writelines(json.dumps(row) + "\n" for row in content)
        else:
            json.dump(content, file)
    return path


def fields_of(data: SquadData) -> list[tuple[str, str, str, tuple[str, ...] | None, Answer | None, bool]]:
    def fields(each: Example) -> tuple[str, str, str, tuple[str, ...] | None, Answer | None, bool]:
        return each.id, each.question, each.paragraph.text, each.gold, each.answer, each.is_impossible

    return list(map(fields, data.examples))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("name", "content", "delimiter"),
    [
        ("a.jsonl", ROWS, ""),
        ("a.jsonl", SQUAD_ROWS, ""),
        ("a.jsonl", HUGGING_FACE_ROWS, ""),
        ("a.json", ROWS, ""),
        ("a.csv", ROWS, ","),
        ("a.csv", ROWS, ";"),
        ("a.csv", [{"id": index, **row} for index, row in enumerate(ROWS, 1)], "\t"),
        ("a.tsv", ROWS, "\t"),
        ("a.parquet", ROWS, ""),
        ("a.parquet", HUGGING_FACE_ROWS, ""),
    ],
)
def test_rows_equal_squad_json(tmp_path: Path, name: str, content: Any, delimiter: str, training: bool) -> None:
    expected = read(write(tmp_path / "squad.json", SQUAD), training=training)
    data = read(write(tmp_path / name, content, delimiter or ","), training=training)
    assert fields_of(data) == fields_of(expected)
    assert data.gold == expected.gold == {"1": ("Greenville",), "2": ("Jim",)}
    assert data.examples[0].paragraph is data.examples[1].paragraph


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_questions_without_an_answer(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, [*ROWS, {"question": "When?", "context": CONTEXT, "answer": ""}])
    data = read(path, training=True, version_2_with_negative=True)
    assert [each.is_impossible for each in data.examples] == [False, False, True]
    assert data.examples[2].gold == ()
    with pytest.raises(InputError, match=r"line 4 .* has no answer|line 3 .* has no answer"):
        read(path, training=True)
    explicit = write(tmp_path / "b.csv", [{**ROWS[0], "is_impossible": "no"}, {**ROWS[1], "is_impossible": "TRUE"}])
    data = read(explicit, training=True, version_2_with_negative=True)
    assert [each.is_impossible for each in data.examples] == [False, True]
    partial = write(
        tmp_path / "c.csv", [{**ROWS[0], "is_impossible": ""}, {**ROWS[1], "answer": "", "answer_start": ""}]
    )
    data = read(partial, training=True, version_2_with_negative=True)
    assert [each.is_impossible for each in data.examples] == [False, True]  # as if the column were missing


def test_answers_outside_the_context_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [*ROWS, {"question": "?", "context": "short", "answer": "much longer"}])
    assert read(path, training=True).summary.not_found == ["3"]
    assert read(path, training=False).gold["3"] == ("much longer",)


def test_prediction_needs_no_answers(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [{"context": row["context"], "question": row["question"]} for row in ROWS])
    data = read(path, training=False)
    assert [(each.id, each.gold) for each in data.examples] == [("1", None), ("2", None)]
    with pytest.raises(InputError, match="Question 1 has no answers to compare with"):
        _ = data.gold
    with pytest.raises(InputError, match=r"a\.csv, line 2 \(id 1\) has no answer: training needs one"):
        read(path, training=True)
    invalid = write(tmp_path / "b.jsonl", [{**ROWS[0], "answer": 5}, {**ROWS[1], "answer": ["Jim"]}])
    assert [each.gold for each in read(invalid, training=False).examples] == [None, None]
    assert len(read(CASES / "list_of_q.json", training=False).examples) == 1


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", [{"question": "?", "text": "b"}], "has no column 'context', but 'question', 'text'; the first row"),
        ("a.csv", [{**ROWS[0], "answer_start": "x"}], "line 2: answer_start is 'x'; it must be a whole number"),
        ("a.csv", [{**ROWS[0], "answer_start": "9" * 5000}], r"line 2: answer_start is '9+; it must be a whole number"),
        ("a.csv", [{**ROWS[0], "is_impossible": "x"}], "line 2: is_impossible is 'x'; it must be true or false"),
        ("a.csv", [{**ROWS[0], "answer_start": 99}], "line 2.*goes from character 99 to 109, beyond the context's 59"),
        ("a.jsonl", [{**ROWS[0], "answer": 5}], "line 1: 'answer' is a whole number; expected \"answer\": a string"),
        ("a.jsonl", [{**ROWS[0], "answers": "x"}], "line 1: 'answers' is a string; expected"),
        (
            "a.jsonl",
            [{**ROWS[0], "answers": {"text": ["a"]}}],
            "line 1: answers must have lists 'text' and 'answer_start'",
        ),
        ("a.jsonl", [{**ROWS[0], "answers": [{}]}], "line 1.* has no 'text'"),
        ("a.jsonl", [{"question": "?"}], "line 1 has no 'context', only 'question'"),
        ("a.jsonl", [[]], "line 1 is a list, expected an object with 'context'"),
    ],
)
def test_invalid_rows(tmp_path: Path, name: str, content: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read(write(tmp_path / name, content), training=True)


def test_given_delimiter_and_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("question^context\nWer?^Jürgen\n".encode("utf-16"))
    (example,) = read(path, training=False, form=Form("utf-16", "^")).examples
    assert (example.question, example.paragraph.text) == ("Wer?", "Jürgen")


def test_ragged_rows_and_empty_files(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for content, sentence in (
        ("question,context\na\n", r"a\.csv, line 2 has 1 column, but line 1 has 2; a cell that contains"),
        ("", r"a\.csv is empty; expected a header and a row"),
        ("question,context\n", r"a\.csv has a header \('question', 'context'\) but no rows"),
        ("question,context,context\na,b,c\n", r"a\.csv has columns of the same name"),
        ("question^context\na^b\n", r"has no column 'question', but 'question\^context'; .* give it as --delimiter"),
    ):
        path.write_text(content)
        with pytest.raises(InputError, match=sentence):
            read(path, training=False)
