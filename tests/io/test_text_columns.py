"""Texts in columns of tables: every kind, in parts, and errors that name the row."""

import csv
import gzip
import json
import logging
import random
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pyarrow
import pytest
from pyarrow import parquet

from bert_tf2.errors import InputError
from bert_tf2.io import tables, text_columns, text_shards
from bert_tf2.io.delimited import Form

RNG = random.Random(1)
TEXTS = [
    "\n".join(
        " ".join(RNG.choices(["a", "bé", 'say "x"', "c,d", "e;f", "中文"], k=RNG.randint(1, 6))) for _ in range(rows)
    )
    for rows in RNG.choices([1, 1, 2, 4], k=200)
]
TEXTS[7] = ""
ONE_LINE = [text.replace("\n", " ") for text in TEXTS]


def write_csv(path: Path, texts: list[str], delimiter: str = ",", encoding: str = "utf-8") -> None:
    with open(path, "w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["id", "text"])
        writer.writerows(enumerate(texts))


def write_tsv(path: Path, texts: list[str]) -> None:
    path.write_text("id\ttext\n" + "".join(f"{n}\t{text}\n" for n, text in enumerate(texts)), encoding="utf-8")


def write_json_lines(path: Path, texts: list[str]) -> None:
    rows = ({"id": number, "text": text or None} for number, text in enumerate(texts))
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_array(path: Path, texts: list[str]) -> None:
    path.write_text(json.dumps([{"text": text} for text in texts], indent=1))


def write_parquet(path: Path, texts: list[str]) -> None:
    table = pyarrow.table({"id": range(len(texts)), "text": [text or None for text in texts]})
    parquet.write_table(table, path, row_group_size=16)


def write_sheet(path: Path, texts: list[str]) -> None:
    workbook = openpyxl.Workbook()
    workbook.active.append(["id", "text"])
    for row in enumerate(texts):
        workbook.active.append(row)
    workbook.save(path)


WRITERS: dict[str, tuple[Callable[[Path, list[str]], None], list[str]]] = {
    "csv": (write_csv, TEXTS),
    "tsv": (write_tsv, ONE_LINE),
    "jsonl": (write_json_lines, TEXTS),
    "ndjson": (write_json_lines, TEXTS),
    "json": (write_array, TEXTS),
    "parquet": (write_parquet, TEXTS),
    "xlsx": (write_sheet, TEXTS),
}


def texts_of(groups: list[text_shards.Group]) -> list[str]:
    return [text for group in groups for lines, _ in text_shards.read_lines(group, whole_rows=True) for text in lines]


@pytest.mark.parametrize("ending", WRITERS)
def test_all_rows_in_order_with_groups_of_any_size(tmp_path: Path, ending: str) -> None:
    write, texts = WRITERS[ending]
    path = tmp_path / f"a.{ending}"
    write(path, texts)
    expected = [text.replace("\n", " ") for text in texts]
    for group_bytes in (1 << 40, 1500, 200, 1):
        groups = text_shards.plan([str(path)], group_bytes, "text")
        assert texts_of(groups) == expected
        assert sum(group.size for group in groups) == path.stat().st_size
        assert (len(groups) > 3) == (group_bytes < 2000 and ending not in ("json", "xlsx"))
        for group in groups:
            assert 0 <= sum(size for _, size in text_shards.read_lines(group)) <= group.size


@pytest.mark.parametrize("ending", ["csv", "jsonl", "json", "tsv"])
def test_compressed(tmp_path: Path, ending: str) -> None:
    write, texts = WRITERS[ending]
    write(tmp_path / "plain", texts)
    path = tmp_path / f"a.{ending}.gz"
    path.write_bytes(gzip.compress((tmp_path / "plain").read_bytes()))
    (group,) = text_shards.plan([str(path)], 10**6, "text")
    assert texts_of([group]) == [text.replace("\n", " ") for text in texts]
    assert len(text_shards.plan([str(path)], 1, "text")) == 1


@pytest.mark.parametrize(("delimiter", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-16"), ("|", "gb18030")])
def test_delimiters_and_encodings_are_detected(tmp_path: Path, delimiter: str, encoding: str) -> None:
    texts = [f"第 {number} 句的文字，我们在这里说的是中国的大事" for number in range(50)]
    write_csv(tmp_path / "a.csv", texts, delimiter, encoding)
    assert texts_of(text_shards.plan([str(tmp_path / "a.csv")], 300, "text")) == texts


def test_specified_delimiter_and_encoding(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ["příliš žluťoučký", "kůň, a"], ";", "cp1250")
    groups = text_shards.plan([str(tmp_path / "a.csv")], 300, "text", Form("cp1250", ";"))
    assert texts_of(groups) == ["příliš žluťoučký", "kůň, a"]


def test_columns_by_number_have_no_header(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("1\tone\n2\ttwo\n")
    for column in ("1", "-1"):
        assert texts_of(text_shards.plan([str(tmp_path / "a.tsv")], 1, column)) == ["one", "two"]
    with pytest.raises(InputError, match=r"a\.tsv has no column 2 \(--text_column\); it has 2, numbered from 0"):
        text_columns.find(str(tmp_path / "a.tsv"), "2")


def test_rows_are_documents(tmp_path: Path) -> None:
    write_json_lines(tmp_path / "a.jsonl", ["one\n\n two \r\n\t\n", "", "three"])
    (tmp_path / "b.txt").write_text("four\nfive")
    (group,) = text_shards.plan([str(tmp_path / "b.txt"), str(tmp_path / "a.jsonl")], 10**6, "text")
    assert [line for lines, _ in text_shards.read_lines(group) for line in lines] == [
        *("four", "five", "", "one", " two \r", "", "", "three", "")
    ]


def test_tables_are_plain_text_without_a_column(tmp_path: Path) -> None:
    write_tsv(tmp_path / "a.tsv", ["one", "two"])
    assert texts_of(text_shards.plan([str(tmp_path / "a.tsv")], 10**6)) == ["id\ttext", "0\tone", "1\ttwo"]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jsonl", '{"text": "a"}\n' * 30 + '{"text": 5}\n', "a.jsonl, line 31: text is 5; it must be a text"),
        ("a.jsonl", '{"text": "a"}\n' * 30 + '{"text": "\\ud83d"}\n', "a.jsonl, line 31: text is not valid Unicode"),
        (
            "a.jsonl",
            '{"text": "a"}\n' * 30 + '{"txt": "a"}\n',
            r"line 31 has no key 'text' \(--text_column\); it has 'txt'",
        ),
        ("a.jsonl", '{"text": "a"}\n' * 30 + "[1]\n", "a.jsonl, line 31 holds a list"),
        ("a.jsonl", '{"text": "a"}\n' * 30 + "{\n", "a.jsonl, line 31 is not JSON"),
        ("a.json", '[{"text": "a"},\n{"text": []}]', r"a.json, line 2: text is \[\]; it must be a text"),
        (
            "a.csv",
            "text,b\n" + "x y,1\n" * 30 + "x,y,2\n",
            "line 32 has 3 columns, but the first row has 2; .* in quotes",
        ),
        ("a.csv", "text,b\n" + '"x\ny",1\n' * 30 + '"x"y,2\n', "a.csv, row from line 62: invalid CSV"),
        ("a.tsv", "text\tb\n" + "x\t1\n" * 30 + "x\n", "a.tsv, line 32 has 1 column, but the first row has 2; .*tab"),
        ("a.csv", "", "a.csv is empty; expected a table"),
        (
            "a.csv",
            "a,b\n1,2\n",
            r"a.csv has no column 'text' \(--text_column\); it has 'a', 'b'\. Give .*or --text_column= ",
        ),
        ("a.csv", "text,text\n1,2\n", "a.csv has 2 columns 'text'"),
        ("a.parquet", "no", "Cannot read .*a.parquet"),
    ],
)
@pytest.mark.parametrize("group_bytes", [1 << 40, 60])
def test_errors_name_the_row(tmp_path: Path, name: str, content: str, sentence: str, group_bytes: int) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=sentence):
        texts_of(text_shards.plan([str(tmp_path / name)], group_bytes, "text"))


@pytest.mark.parametrize("group_bytes", [1 << 40, 60])
def test_bytes_that_are_not_utf8(tmp_path: Path, group_bytes: int) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a"}\n' * 30 + b'{"text": "\xff"}\n')
    with pytest.raises(InputError, match=r"a\.jsonl, line 31: byte 11 of the line"):
        texts_of(text_shards.plan([str(tmp_path / "a.jsonl")], group_bytes, "text"))


@pytest.mark.parametrize("group_bytes", [1 << 40, 60])
def test_errors_name_the_row_of_parquet(tmp_path: Path, group_bytes: int) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"text": [["a"]] * 40, "other": ["x"] * 40}), path, row_group_size=10)
    with pytest.raises(InputError, match=r"a\.parquet, row 1: text is \['a'\]; it must be a text"):
        texts_of(text_shards.plan([str(path)], group_bytes, "text"))
    with pytest.raises(InputError, match=r"has no column 'txt' .*; it has 'text', 'other'"):
        text_shards.plan([str(path)], group_bytes, "txt")


def test_parquet_with_texts_that_are_not_utf8(tmp_path: Path) -> None:
    """As programs write them that do not check their strings."""
    path = str(tmp_path / "a.parquet")
    parquet.write_table(pyarrow.table({"text": pyarrow.array([b"good", b"\xff"]).view(pyarrow.string())}), path)
    for read in (
        lambda: texts_of(text_shards.plan([path], 1 << 40, "text")),
        lambda: list(tables.open_table(path, header=True).blocks),
    ):
        with pytest.raises(InputError, match=r"^Cannot read .*a\.parquet: .* can't decode byte 0xff"):
            read()


def test_other_sheets_are_read_from_files_of_their_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """`--input_file` takes paths and globs, but no sheet of a workbook."""
    caplog.set_level(logging.INFO)
    write_sheet(tmp_path / "a.xlsx", ["one"])
    workbook = openpyxl.load_workbook(tmp_path / "a.xlsx")
    workbook.create_sheet("more").append(["text"])
    workbook.save(tmp_path / "a.xlsx")
    assert texts_of(text_shards.plan([str(tmp_path / "a.xlsx")], 1 << 40, "text")) == ["one"]
    (message,) = caplog.messages
    assert message.endswith("reading the first sheet, 'Sheet'; to read another one, save it as a file of its own.")
