"""Rows as JSON Lines and as a table: the same content, and both files or neither."""

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bert_tf2.tasks.finetuning.row_files import MAX_COLUMNS, write_rows

ROWS = [
    {"id": 1, "text": 'a, "b"\nc', "right": True, "labels": ["x", "y"], "probabilities": {"x": 0.1, "y": 0.9}},
    {"id": "ü", "text": "中\r文", "right": False, "labels": [], "probabilities": {"x": 0.5, "y": 1e-7}},
    {"id": None, "text": "", "right": None, "labels": ["a|b", "c"], "probabilities": {"x": 0.0, "y": 1.0}},
]


def test_both_files(tmp_path: Path) -> None:
    write_rows(str(tmp_path / "a.jsonl"), str(tmp_path / "a.csv"), iter(ROWS))
    assert [json.loads(line) for line in (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()] == ROWS
    with open(tmp_path / "a.csv", encoding="utf-8", newline="") as file:
        table = list(csv.reader(file))
    assert table == [
        ["id", "text", "right", "labels", "probabilities.x", "probabilities.y"],
        ["1", 'a, "b"\nc', "true", "x|y", "0.1", "0.9"],
        ["ü", "中\r文", "false", "", "0.5", "1e-07"],
        ["", "", "", '["a|b", "c"]', "0.0", "1.0"],
    ]


def test_table_omits_many_probabilities(tmp_path: Path) -> None:
    row = {"id": 1, "probabilities": dict.fromkeys(map(str, range(MAX_COLUMNS + 1)), 0.5)}
    write_rows(str(tmp_path / "a.jsonl"), str(tmp_path / "a.csv"), [row])
    assert (tmp_path / "a.csv").read_text() == "id\n1\n"
    assert json.loads((tmp_path / "a.jsonl").read_text()) == row


def test_existing_file_is_kept_after_an_error(tmp_path: Path) -> None:
    def failing() -> Iterator[dict[str, int]]:
        yield {"id": 1}
        yield {"id": 2, "other": 3}

    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(ValueError, match="other"):
        write_rows(str(tmp_path / "a.jsonl"), str(tmp_path / "a.csv"), failing())
    assert os.listdir(tmp_path) == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "old"


def test_unpaired_surrogates_are_escaped(tmp_path: Path) -> None:
    write_rows(str(tmp_path / "a.jsonl"), str(tmp_path / "a.csv"), [{"text": "a\ud800"}])
    assert (tmp_path / "a.jsonl").read_text() == '{"text": "a\\ud800"}\n'
    assert (tmp_path / "a.csv").read_text() == "text\na\\ud800\n"
