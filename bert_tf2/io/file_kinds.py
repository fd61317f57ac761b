"""Kinds of files by extension; no TensorFlow."""

import os
from typing import Literal

from bert_tf2.io import file_system, spreadsheets

Kind = Literal["csv", "tsv", "json lines", "json", "parquet", "xlsx", "text"]

ENDINGS: dict[str, Kind] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "json lines",
    ".ndjson": "json lines",
    ".json": "json",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
    ".txt": "text",
}
PACKED = (".gz", ".zst")
"""Extensions of compressed files."""


def ending(path: file_system.PathLike) -> str:
    """The extension of a path in lower case, ignoring that of the compression: `.csv` for `A.CSV.gz`."""
    name = os.path.basename(os.fspath(path)).lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    return os.path.splitext(name)[1]


def kind_of(path: file_system.PathLike) -> Kind | None:
    """The kind of a file, also for `reviews.xlsx#Sheet2`; None if its extension is unknown.

    `kind_of("A.CSV.gz")` is "csv".
    """
    return "xlsx" if spreadsheets.Workbook.of(os.fspath(path)) else ENDINGS.get(ending(path))
