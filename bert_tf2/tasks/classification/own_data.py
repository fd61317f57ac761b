"""Reads custom files: the columns that a task description names."""

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from bert_tf2.errors import InputError
from bert_tf2.io.delimited import Form
from bert_tf2.io.spilled import SpilledSequence
from bert_tf2.io.tables import Block, Table, find_form, kind_of, open_table
from bert_tf2.tasks.classification.examples import Collected, Examples, RawLabel, Truth
from bert_tf2.tasks.classification.first_row import FirstRow
from bert_tf2.tasks.classification.labels import parse_number
from bert_tf2.tasks.classification.task_description import TaskDescription

Cell = TypeVar("Cell")

_ID = "id"


def read_own(
    path: str,
    task: TaskDescription,
    *,
    with_labels: bool,
    checks_first_row: bool = False,
    directory: str | None = None,
    form: Form | None = None,
) -> Examples:
    """Reads the rows of a custom file.

    Args:
      path: a file of a kind that `tables` reads.
      task: names the columns.
      with_labels: whether labels are required; otherwise, labels in the file become `Examples.truths`.
      checks_first_row: whether to reject a first row that is not read as a header but looks like one.
      directory: for data that exceeds memory; None: the system's directory for temporary files.
      form: delimiter and encoding, as far as flags set them; the rest is detected.

    Raises:
      InputError: the file cannot be read, has no rows, lacks a column, or a cell has an invalid value.
    """
    kind = kind_of(path)
    if kind == "text":
        if with_labels:
            raise InputError(
                f"{path} has only texts, without labels, and can only be predicted. Give CSV or JSON Lines."
            )
        task = dataclasses.replace(
            task, text_column="0", text_pair_column=task.text_pair_column and "1", id_column=None
        )
    columns = list(_columns(task, with_labels))
    read = columns if with_labels or kind == "text" else list(_columns(task, with_labels=True))
    table = open_table(path, task.header, find_form(path, columns, task.header, form), read)
    texts = _Column(table, str(task.text_column), "--text_column", _text)
    pairs = _Column(table, task.text_pair_column, "--text_pair_column", _text) if task.text_pair_column else None
    labels: _Column[RawLabel] | _LabelColumns | None = None
    if with_labels and task.label_columns is not None:
        labels = _LabelColumns(table, task.columns_of_labels)
    elif with_labels:
        labels = _Column(table, str(task.label_column), "--label_column", _label)
    truths = None if with_labels or kind == "text" else _Truths(table, task, directory)
    ids = _Ids(table, task.id_column, directory)
    check = FirstRow.of(table, task) if checks_first_row and kind != "text" else None
    collected = Collected(table.path, directory, pairs=pairs is not None, labels=with_labels, unit=table.unit)
    for block in table.blocks:
        if check:
            check.add(block)
        ids.add(block)
        if truths:
            truths.add(block)
        collected.add(
            block.lines,
            texts.of(block),
            pairs.of(block) if pairs else None,
            labels.of(block) if labels else None,
        )
    if check:
        check.refuse_header()
    examples = collected.finish(ids.finish(len(collected)))
    names = labels.names if isinstance(labels, _LabelColumns) else None
    return dataclasses.replace(examples, label_names=names, truths=truths.finish() if truths else None)


def find_label_columns(path: str, task: TaskDescription, form: Form | None = None) -> tuple[str, ...]:
    """Finds the columns of a file that look like those of single labels: 0 or 1 in all of the first rows.

    Args:
      path: a file of a kind that `tables` reads.
      task: names the columns of texts and ids, which are not label columns.
      form: see `read_own`.

    Returns:
      The names of the columns; none if the file has a label column or no header, or fewer than two such columns.

    Raises:
      InputError: the file cannot be read.
    """
    if not task.header or kind_of(path) == "text":
        return ()
    table_form = find_form(path, list(_columns(task, with_labels=False)), True, form, is_logged=False)
    table = open_table(path, True, table_form)
    if table.may_have(str(task.label_column)):
        return ()
    others = {*_columns(task, with_labels=False), _ID}
    names = [name for name in table.names or () if name not in others and (table.names or []).count(name) == 1]
    block = next(table.blocks)

    def cells(name: str) -> list[Any]:
        index = None if table.width is None else (table.names or []).index(name)
        return [row.get(name) if index is None else row[index] for row in block.rows]

    columns = tuple(name for name in names if name and all(_is_zero_or_one(cell) for cell in cells(name)))
    has_any = any(_zero_or_one(cell) for name in columns for cell in cells(name))
    return columns if len(columns) > 1 and has_any else ()


def _columns(task: TaskDescription, with_labels: bool) -> Iterator[str]:
    """Yields the columns to read."""
    labels = task.columns_of_labels if with_labels else ()
    yield from (column for column in (task.text_column, task.text_pair_column) if column is not None)
    yield from labels
    yield from () if task.id_column is None else (task.id_column,)


class _Column(Generic[Cell]):
    """A column whose cells are checked and converted.

    Args:
      table: the table.
      column: name or number of the column.
      flag: the flag that sets the column, for errors.
      convert: converts a cell; raises ValueError with what it expects.
    """

    def __init__(self, table: Table, column: str, flag: str, convert: Callable[[Any], Cell]) -> None:
        self._path, self._column, self._flag, self._convert = table.path, column, flag, convert
        self._unit = table.unit
        self._cells = table.column(column, flag)

    def of(self, block: Block) -> list[Cell]:
        """The converted cells of a block of rows."""
        cells = self._cells(block)
        try:
            return list(map(self._convert, cells))
        except ValueError:
            return [self._convert_at(line, cell) for line, cell in zip(block.lines, cells, strict=True)]

    def _convert_at(self, line: int, cell: Any) -> Cell:
        try:
            return self._convert(cell)
        except UnicodeEncodeError as error:
            raise InputError(
                f"{self._path}, {self._unit} {line}, column {self._column!r}: "
                f"\\u{ord(error.object[error.start]):04x} is an unpaired surrogate; fix the text."
            ) from None
        except ValueError as error:
            raise InputError(
                f"{self._path}, {self._unit} {line}, column {self._column!r} ({self._flag}) is "
                f"{json.dumps(cell, default=str):.60}, "
                f"expected {error}."
            ) from None


class _LabelColumns:
    """Labels that have a column each, with 1 in the rows to which they apply.

    Attributes:
      names: the names of all labels.
    """

    def __init__(self, table: Table, columns: Sequence[str]) -> None:
        convert = _zero_or_one if table.names is not None else _zero_or_one_or_header
        self._columns = [_Column(table, column, "--label_columns", convert) for column in columns]
        self.names = _label_names(table, columns)

    def of(self, block: Block) -> list[RawLabel]:
        """The labels of a block of rows."""
        rows = zip(*(column.of(block) for column in self._columns), strict=True)
        return [tuple(name for name, applies in zip(self.names, row, strict=True) if applies) for row in rows]


def _label_names(table: Table, columns: Sequence[str]) -> tuple[str, ...]:
    """The names of labels whose columns may be given by number."""
    if table.width is None or table.names is None:
        return tuple(columns)
    return tuple(table.names[table.index(column, "--label_columns")] for column in columns)


class _Truths:
    """The true labels in a file to predict; cells that are not labels of the task become None and are never errors."""

    def __init__(self, table: Table, task: TaskDescription, directory: str | None) -> None:
        columns = [table.optional_column(name) for name in task.columns_of_labels]
        self._columns = [column for column in columns if column is not None] if None not in columns else []
        has_names = self._columns and task.label_columns is not None
        self._names = _label_names(table, task.columns_of_labels) if has_names else ()
        self._task = task
        self._known = frozenset(task.labels)
        self._truths: SpilledSequence[Truth] = SpilledSequence(directory)
        self._has_any = False

    def add(self, block: Block) -> None:
        if not self._columns:
            return
        truths = [self._truth(cells) for cells in zip(*(column(block) for column in self._columns), strict=True)]
        self._has_any = self._has_any or any(truth not in (None, ()) for truth in truths)
        self._truths.extend(truths)

    def finish(self) -> Sequence[Truth] | None:
        return self._truths if self._has_any else None

    def _truth(self, cells: Sequence[Any]) -> Truth:
        if self._task.label_columns is None:
            try:
                label = _label(cells[0])
            except ValueError:
                return None
        elif all(map(_is_zero_or_one, cells)):
            label = tuple(name for name, cell in zip(self._names, cells, strict=True) if _zero_or_one(cell))
        else:
            return None
        if self._task.problem_type == "regression":
            return parse_number(label)
        if self._task.problem_type == "multi_label":
            names = label if isinstance(label, tuple) else label.split(self._task.label_separator)
            names = tuple(name.strip() for name in names if name.strip())
            return names if self._known.issuperset(names) else None
        if isinstance(label, tuple):
            label = label[0] if len(label) == 1 else ""
        return label.strip() if label.strip() in self._known else None


class _Ids:
    """The ids of rows: the cells of a column, by default those of `id` if every row has one, else the row numbers."""

    def __init__(self, table: Table, column: str | None, directory: str | None) -> None:
        self._is_optional = column is None and table.width is None
        name = column or (_ID if table.may_have(_ID) else None)
        self._column = None if name is None else _Column(table, name, "--id_column", _id)
        self._ids: SpilledSequence[str | int] = SpilledSequence(directory)
        self._error: InputError | None = None

    def add(self, block: Block) -> None:
        if self._is_optional and not all(_ID in row for row in block.rows):
            self._column = self._error = None
        if self._column is None or self._error:
            return
        try:
            self._ids.extend(self._column.of(block))
        except InputError as error:
            if not self._is_optional:
                raise
            self._error = error  # raised at the end, unless a later row has no id

    def finish(self, rows: int) -> Sequence[str | int]:
        if self._error:
            raise self._error
        return range(rows) if self._column is None else self._ids


def _text(cell: Any) -> str:
    if not isinstance(cell, str):
        raise ValueError("a text")
    if not cell.isascii():
        cell.encode()  # JSON can contain unpaired surrogates, which cannot be encoded
    return cell


def _id(cell: Any) -> str | int:
    if isinstance(cell, int) and not isinstance(cell, bool):
        return cell
    if not isinstance(cell, str):
        raise ValueError("a text or a whole number")
    return _text(cell)


_ZERO_OR_ONE = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}


def _is_zero_or_one(cell: Any) -> bool:
    return isinstance(cell, str | int | float) and str(cell).strip().lower() in _ZERO_OR_ONE


def _zero_or_one(cell: Any) -> bool:
    if not _is_zero_or_one(cell):
        raise ValueError("0 or 1 in each column of labels; give --label_columns or --label_column to name others")
    return _ZERO_OR_ONE[str(cell).strip().lower()]


def _zero_or_one_or_header(cell: Any) -> bool:
    try:
        return _zero_or_one(cell)
    except ValueError as error:
        raise ValueError(f"{error}; if this is a header, give --header=true") from None


def _label(cell: Any) -> RawLabel:
    return tuple(map(_label_text, cell)) if isinstance(cell, list) else _label_text(cell)


def _label_text(cell: Any) -> str:
    """A label as text: Booleans as in JSON, integers without a decimal point."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, int):  # of any size
        return str(cell)
    if isinstance(cell, float) and math.isfinite(cell):
        return str(int(cell)) if cell.is_integer() else repr(cell)
    if not isinstance(cell, str):
        raise ValueError("a text, a number, or a list of them")
    return _text(cell)
