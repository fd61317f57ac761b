"""The flags for the format of output tables: what they mean, and that none is ignored."""

from typing import Any

import pytest

from bert_tf2.configs.table_form import TableForm
from bert_tf2.errors import InputError
from bert_tf2.io.delimited import Form
from bert_tf2.io.file_kinds import Kind


def test_form() -> None:
    assert TableForm().form == Form(None, "")
    assert TableForm(delimiter="tab", encoding="cp1250").form == Form("cp1250", "\t")


@pytest.mark.parametrize(
    ("flags", "kinds"),
    [
        ({}, []),
        ({}, [None]),
        ({"delimiter": ";"}, [None, "csv"]),
        ({"encoding": "cp1252"}, ["parquet", "json"]),
    ],
)
def test_flags_with_an_effect(flags: dict[str, Any], kinds: list[Kind | None]) -> None:
    TableForm(**flags).check_form(kinds)


@pytest.mark.parametrize(
    ("flags", "kinds", "sentence"),
    [
        ({"delimiter": ";"}, ["tsv", None], r"^--delimiter is for \.csv files; omit it\.$"),
        ({"encoding": "cp1252"}, ["xlsx", "text"], "^--encoding is for CSV, TSV and JSON; omit it"),
        ({"delimiter": "::"}, ["csv"], "^--delimiter='::' must be one character"),
        ({"encoding": "none"}, ["csv"], "^--encoding='none' is not an encoding"),
    ],
)
def test_flags_without_effect(flags: dict[str, Any], kinds: list[Kind | None], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        TableForm(**flags).check_form(kinds)


def test_kinds_that_may_have_any_encoding() -> None:
    TableForm(encoding="cp1252").check_form(["text"], ("text",))
    with pytest.raises(InputError, match="--encoding is for prose"):
        TableForm(encoding="cp1252").check_form(["csv"], ("text",), "is for prose")
