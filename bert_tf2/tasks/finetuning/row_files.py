"""Rows of predictions as JSON Lines and as a table that any spreadsheet opens."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bert_tf2.io import atomic, json_files
from bert_tf2.io.delimited import LineEnds

MAX_COLUMNS = 20
"""Objects with more keys, such as the probabilities of many labels, are omitted from the table."""

_SEPARATOR = "|"


def write_rows(lines_path: str, table_path: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes both files; they appear when both are complete.

    In the table, a list of texts is one cell, `rude|angry`, or JSON if a text has a `|`; an object becomes a column for
    each of its keys, `probabilities.rude`; null becomes an empty cell.

    Args:
      lines_path: the path of the JSON Lines file.
      table_path: the path of the CSV file.
      rows: JSON objects with the same keys, also in nested objects.

    Raises:
      InputError, OSError: see `atomic.replacing`.
      ValueError: a row has a key that the first one lacks.
    """
    with atomic.replacing(lines_path) as lines, atomic.replacing(table_path, errors="backslashreplace") as table:
        writer = None
        for row in rows:
            lines.write(json_files.line(row))
            cells = dict(_cells(row))
            if writer is None:
                writer = csv.DictWriter(LineEnds(table), list(cells))
                writer.writeheader()
            writer.writerow(cells)


def _cells(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if not isinstance(value, Mapping):
            yield name, _cell(value)
        elif len(value) <= MAX_COLUMNS:
            yield from ((f"{name}.{key}", _cell(item)) for key, item in value.items())


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, list | tuple):
        return value
    is_plain = all(isinstance(item, str) and _SEPARATOR not in item for item in value)
    return _SEPARATOR.join(value) if is_plain else json.dumps(value, ensure_ascii=False)
