"""The flags for input tables: what they allow, and that none is ignored."""

from typing import Any

import pytest

from bert_tf2.configs.text_input import TextInput
from bert_tf2.errors import InputError


@pytest.mark.parametrize(
    ("changes", "paths"),
    [
        ({}, ["a.txt"]),
        ({"text_column": ""}, ["a.txt"]),
        ({"text_column": ""}, ["a.csv"]),
        ({"text_column": "0", "delimiter": ";", "encoding": "cp1252"}, ["a.txt", "a.csv.gz"]),
    ],
)
def test_valid_flags(changes: dict[str, Any], paths: list[str]) -> None:
    TextInput(**changes).check_tables(paths)


@pytest.mark.parametrize(
    ("changes", "paths", "sentence"),
    [
        ({"text_column": "x"}, ["a.txt"], "--text_column is for tables"),
        (
            {"text_column": ""},
            ["a.csv", "b.xlsx"],
            "^b.xlsx is an Excel workbook, not plain text; name the column",
        ),
        ({"delimiter": ";"}, ["a.txt", "a.jsonl"], "--delimiter is for .csv files; omit it"),
        ({"delimiter": ";", "text_column": ""}, ["a.csv"], "--delimiter is for .csv files"),
        (
            {"encoding": "utf-16"},
            ["a.txt", "a.parquet"],
            "--encoding is for CSV, TSV and JSON; plain text must be UTF-8",
        ),
        ({"encoding": "no"}, ["a.csv"], "--encoding='no' is not an encoding"),
        ({"delimiter": "ab"}, ["a.csv"], "--delimiter='ab' must be one character"),
    ],
)
def test_mistakes(changes: dict[str, Any], paths: list[str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        TextInput(**changes).check_tables(paths)
