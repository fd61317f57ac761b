"""Rows of a file of one's own, with the columns that a task description names."""

import json
import math
from collections.abc import Callable
from typing import Any, TypeVar

from bert_tf2.errors import InputError
from bert_tf2.tasks.classification.examples import Examples, RawLabel
from bert_tf2.tasks.classification.tables import Table, read_table
from bert_tf2.tasks.classification.task_description import TaskDescription

Cell = TypeVar("Cell")

_ID = "id"


def read_own(path: str, task: TaskDescription, *, with_labels: bool) -> Examples:
    """The rows of a file of one's own.

    Args:
      path: a CSV, TSV or JSON Lines file.
      task: which columns are read.
      with_labels: whether the labels are among them.

    Raises:
      InputError: the file cannot be read, has no rows, or a cell is not what it has to be.
    """
    table = read_table(path, task.header)
    pair, named = task.text_pair_column, task.id_column or (_ID if table.has(_ID) else None)
    return Examples(
        path=path,
        lines=table.lines,
        ids=range(len(table.rows)) if named is None else _cells(table, named, "--id_column", _id),
        texts=_cells(table, str(task.text_column), "--text_column", _text),
        pairs=None if pair is None else _cells(table, pair, "--text_pair_column", _text),
        labels=_cells(table, str(task.label_column), "--label_column", _label) if with_labels else None,
    )


def _cells(table: Table, column: str, flag: str, convert: Callable[[Any], Cell]) -> list[Cell]:
    """A column, each cell checked and converted; `convert` raises ValueError with what it expects."""
    converted = []
    for line, cell in zip(table.lines, table.column(column, flag), strict=True):
        try:
            converted.append(convert(cell))
        except UnicodeEncodeError as error:
            raise InputError(
                f"{table.path}, line {line}, column {column!r}: \\u{ord(error.object[error.start]):04x} is half of a "
                "character; repair the text."
            ) from None
        except ValueError as error:
            raise InputError(
                f"{table.path}, line {line}, column {column!r} ({flag}) is {json.dumps(cell):.60}, expected {error}."
            ) from None
    return converted


def _text(cell: Any) -> str:
    if not isinstance(cell, str):
        raise ValueError("a text")
    if not cell.isascii():
        cell.encode()  # JSON can spell half a character (a lone surrogate), which no file can hold
    return cell


def _id(cell: Any) -> str | int:
    if isinstance(cell, int) and not isinstance(cell, bool):
        return cell
    if not isinstance(cell, str):
        raise ValueError("a text or a whole number")
    return _text(cell)


def _label(cell: Any) -> RawLabel:
    return tuple(map(_label_name, cell)) if isinstance(cell, list) else _label_name(cell)


def _label_name(cell: Any) -> str:
    """A label as text: truth values as JSON writes them, whole numbers without a decimal point."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, int | float) and math.isfinite(cell):
        return str(int(cell)) if cell == int(cell) else repr(cell)
    if not isinstance(cell, str):
        raise ValueError("a text, a number, or a list of them")
    return _text(cell)
