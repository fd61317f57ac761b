"""What a file is by the ending of its name; no TensorFlow."""

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
"""What may follow the ending of a compressed file."""


def ending(path: file_system.PathLike) -> str:
    """The ending of a name, in lower case and without that of the compression: `.csv` of `A.CSV.gz`."""
    name = os.path.basename(os.fspath(path)).lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    return os.path.splitext(name)[1]


def kind_of(path: file_system.PathLike) -> Kind | None:
    """The kind of a file, `reviews.xlsx#Sheet2` included; None: its ending says nothing.

    `kind_of("A.CSV.gz")` is "csv".
    """
    return "xlsx" if spreadsheets.Workbook.of(os.fspath(path)) else ENDINGS.get(ending(path))
