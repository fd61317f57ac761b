"""Kinds of files by extension."""

from pathlib import Path

import pytest

from bert_tf2.io import file_kinds


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.csv", "csv"),
        ("a.CSV.GZ", "csv"),
        ("a.tsv", "tsv"),
        ("a.tsv.zst", "tsv"),
        ("a.jsonl", "json lines"),
        ("a.ndjson.gz", "json lines"),
        ("a.json.gz", "json"),
        ("a.parquet", "parquet"),
        ("A.Xlsx", "xlsx"),
        ("a.xlsx#dev.csv", "xlsx"),
        ("a.txt.zst", "text"),
        ("a.csv.old", None),
        ("a.gz", None),
        ("csv", None),
        ("-", None),
    ],
)
def test_kinds(name: str, kind: str | None) -> None:
    assert file_kinds.kind_of(f"/data.x/{name}") == kind
    assert file_kinds.kind_of(Path("data.json") / name) == kind


def test_an_existing_file_named_like_a_sheet_is_that_file(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx#b.csv"
    path.touch()
    assert file_kinds.kind_of(path) == "csv"
