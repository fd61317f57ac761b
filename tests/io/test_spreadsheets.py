"""Excel workbooks: cells as text, sheets by name, and what is refused."""

import datetime
import importlib.util
import logging
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from bert_tf2.errors import InputError
from bert_tf2.io import spreadsheets
from bert_tf2.io.tables import open_table
from bert_tf2.tasks.multiple_choice import examples as choices
from bert_tf2.tasks.squad import examples as questions


def write(path: Path, **sheets: list[list[Any]]) -> str:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return str(path)


def test_cells_are_texts(tmp_path: Path) -> None:
    date = datetime.datetime(2026, 1, 31)
    path = write(
        tmp_path / "a.xlsx",
        One=[
            ["text", "label", None],
            ["a\nb", 3],
            [],
            ["ü", 3.5],
            [None, 4.0],
            [True, date],
            [1e20, date.replace(hour=5)],
            ["only"],
        ],
    )
    assert list(spreadsheets.read(path)) == [
        (1, ["text", "label"]),
        (2, ["a\nb", "3"]),
        (4, ["ü", "3.5"]),
        (5, ["", "4"]),
        (6, ["true", "2026-01-31"]),
        (7, ["1e+20", "2026-01-31 05:00:00"]),
        (8, ["only", ""]),
    ]


def test_sheets(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = write(tmp_path / "a#b.xlsx", train=[["x"]], dev=[["y"]])
    assert list(spreadsheets.read(path)) == [(1, ["x"])]
    assert caplog.messages == [f"{path}: reading the first sheet, 'train'; to read another one, give {path}#dev."]
    assert list(spreadsheets.read(f"{path}#dev")) == [(1, ["y"])]
    with pytest.raises(InputError, match=r"has no sheet 'test'; it has 'train', 'dev'"):
        list(spreadsheets.read(f"{path}#test"))


def test_a_workbook_with_corrupt_content(tmp_path: Path) -> None:
    """zlib's error about it is none of those that openpyxl and zipfile document."""
    path = Path(write(tmp_path / "a.xlsx", One=[[f"text {number}"] for number in range(999)]))
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        sheet = archive.getinfo("xl/worksheets/sheet1.xml")
    content[sheet.header_offset + 30 + len(sheet.filename)] = 0xFF  # its first block is of no type
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"Cannot read .*a\.xlsx as an Excel workbook: .*invalid block type\."):
        list(spreadsheets.read(str(path)))


def test_invalid_workbooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.xlsx").write_text("text,label\n")
    for path in (tmp_path / "a.xlsx", tmp_path / "none.xlsx"):
        with pytest.raises(InputError, match=rf"Cannot read {path} as an Excel workbook: .+\."):
            list(spreadsheets.read(str(path)))
    with pytest.raises(InputError, match=r"unknown kind of file; .* Save the table as \.xlsx or \.csv\."):
        open_table(str(tmp_path / "a.xls"), header=True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"need openpyxl, which is not installed: pip install 'bert-tf2\[excel\]'"):
        list(spreadsheets.read(str(tmp_path / "a.xlsx")))


def test_a_table(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.xlsx", One=[["text", "label"], ["a", 1], [], ["b", 2]], Two=[["a", "b"], ["a", "b", "c"]]
    )
    table = open_table(path, header=True)
    assert (table.names, table.width, table.unit) == (["text", "label"], 2, "row")
    assert [(block.lines, block.rows) for block in table.blocks] == [([2, 4], [["a", "1"], ["b", "2"]])]
    with pytest.raises(InputError, match=r"row 2 has 3 columns, but row 1 has 2; clear the cells outside the table"):
        list(open_table(f"{path}#Two", header=True).blocks)


def test_questions_and_choices(tmp_path: Path) -> None:
    rows = [["question", "context", "answer", "answer_start"], ["Who ran?", "Peter ran.", "Peter", 0]]
    data = questions.read(write(tmp_path / "a.xlsx", One=rows), training=True)
    assert data.gold == {"1": ("Peter",)}
    rows = [["sent1", "sent2", "ending0", "ending1", "label"], ["a", "b", "c", "d", 1]]
    examples = choices.read(write(tmp_path / "b.xlsx", One=rows), with_labels=True)
    assert [(example.choices, example.label) for example in examples] == [(("c", "d"), 1)]
