"""A column with 0 or 1 for each label: recognized or named, with one or several labels per row."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pyarrow
import pytest
from pyarrow import parquet

from bert_tf2.errors import InputError
from bert_tf2.tasks.classification.data import Data, DataConfig, open_data

NAMES = ("id", "text", "rude", "angry", "none", "likes")
ONE = [("a", "so rude", 1, 0, 0, 5), ("b", "angry!", 0, 1, 0, 1), ("c", "fine", 0, 0, 1, 0), ("d", "rude", 1, 0, 0, 0)]
SEVERAL = [*ONE, ("e", "rude and angry", 1, 1, 0, 2), ("f", "nothing", 0, 0, 0, 0)]


def write(directory: Path, rows: list[tuple[Any, ...]], ending: str = ".csv", names: tuple[str, ...] = NAMES) -> str:
    path = directory / f"a{ending}"
    if ending == ".jsonl":
        path.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))
    elif ending == ".xlsx":
        book = openpyxl.Workbook()
        for row in (names, *rows):
            book.active.append(row)
        book.save(path)
    elif ending == ".parquet":
        columns = [pyarrow.array(column) for column in zip(*rows, strict=True)]
        parquet.write_table(pyarrow.table(columns, names=list(names)), path)
    else:
        lines = [names, *rows] if names else rows
        path.write_text("".join(";".join(map(str, row)) + "\n" for row in lines))
    return str(path)


def opened(directory: Path, path: str, **flags: Any) -> Data:
    return open_data(DataConfig(str(directory / "model"), train_file=path, **flags), training=True)


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet", ".xlsx"])
def test_several_labels_are_recognized(tmp_path: Path, ending: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = write(tmp_path, SEVERAL, ending)
    data = opened(tmp_path, path)
    assert (data.description.problem_type, data.description.labels) == ("multi_label", ("rude", "angry", "none"))
    assert (data.description.label_column, data.description.label_columns) == (None, "rude,angry,none")
    encoded = np.asarray(data.labels(data.examples("train")))
    assert encoded.tolist() == [list(row[2:5]) for row in SEVERAL]
    assert list(data.examples("train").ids) == list("abcdef")
    message = f"{path}: there is no column 'label', so the columns of 0 and 1 are taken as labels: rude, angry, none."
    assert any(text.startswith(message) for text in caplog.messages)


def test_one_label_per_row_is_a_single_label(tmp_path: Path) -> None:
    data = opened(tmp_path, write(tmp_path, ONE))
    assert (data.description.problem_type, data.description.labels) == ("single_label", ("rude", "angry", "none"))
    assert np.asarray(data.labels(data.examples("train"))).tolist() == [0, 1, 2, 0]
    assert opened(tmp_path, write(tmp_path, ONE), problem_type="multi_label").description.problem_type == "multi_label"
    path = write(tmp_path, SEVERAL)
    data = opened(tmp_path, path, problem_type="single_label")
    with pytest.raises(InputError, match=r"line 6 has 1 in 2 columns of labels: rude, angry; expected exactly one"):
        data.labels(data.examples("train"))


def test_named_columns(tmp_path: Path) -> None:
    """Labels have the order in which columns are named, also when the trained model is evaluated."""
    path = write(tmp_path, SEVERAL)
    data = opened(tmp_path, path, label_columns="angry, rude")
    assert data.description.labels == ("angry", "rude")
    (tmp_path / "model").mkdir()
    data.save(str(tmp_path / "model"))
    reopened = open_data(DataConfig(str(tmp_path / "model"), dev_file=path), training=False)
    assert np.asarray(reopened.labels(reopened.examples("dev"))).tolist() == [[row[3], row[2]] for row in SEVERAL]


def test_numbered_columns_without_a_header(tmp_path: Path) -> None:
    flags = {"text_column": "1", "label_columns": "2,-2", "delimiter": ";"}
    data = opened(tmp_path, write(tmp_path, SEVERAL, names=()), **flags)
    assert (data.description.header, data.description.labels) == (False, ("2", "-2"))
    with pytest.raises(InputError, match=r'"rude", expected 0 or 1.*; if this is a header, give --header=true\.'):
        opened(tmp_path, write(tmp_path, SEVERAL), **flags)
    assert opened(tmp_path, write(tmp_path, SEVERAL), **flags, header=True).description.labels == ("rude", "none")


def test_label_column_takes_precedence(tmp_path: Path) -> None:
    path = write(tmp_path, ONE, names=("id", "text", "a", "b", "c", "label"))
    assert opened(tmp_path, path).description.label_column == "label"
    assert opened(tmp_path, write(tmp_path, ONE), label_column="likes").description.labels == ("0", "1", "5")


@pytest.mark.parametrize(
    ("rows", "flags", "sentence"),
    [
        (ONE, {"label_columns": "rude,likes"}, r"line 2, column 'likes' \(--label_columns\) is \"5\", expected 0 or 1"),
        (ONE, {"label_columns": "rude,sad"}, r"has no column 'sad' \(--label_columns\)"),
        (ONE, {"label_columns": "rude"}, "--label_columns='rude': expected the names of different columns"),
        (ONE, {"label_columns": "a,b", "label_column": "c"}, "--label_columns and --label_column exclude each other"),
        (ONE, {"label_columns": "a,b", "label_separator": ";"}, "--label_columns and --label_separator exclude"),
        (ONE, {"label_columns": "a,b", "problem_type": "regression"}, "--label_columns and --problem_type=regression"),
        (ONE, {"problem_type": "regression"}, r"has no column 'label' \(--label_column\)"),
        ([(*row[:3], 2, 2, *row[5:]) for row in ONE], {}, r"has no column 'label' \(--label_column\)"),
    ],
)
def test_invalid_columns(tmp_path: Path, rows: list[Any], flags: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        opened(tmp_path, write(tmp_path, rows), **flags)


def test_name_with_a_line_break(tmp_path: Path) -> None:
    names = ("id", "text", "is\nrude", "angry", "none", "likes")
    with pytest.raises(InputError, match=r"label 0, 'is\\nrude', contains a line break; .* Rename it\."):
        opened(tmp_path, write(tmp_path, ONE, ".jsonl", names))
