r"""Tables in text files: CSV, TSV and JSON Lines, told by the ending; gzip and Zstandard are unpacked.

* TSV: a row a line, cells split at tabs. Quotes are plain characters, as in GLUE's files.
* CSV: commas; a cell with commas, quotes or line ends stands in quotes, with the quotes in it doubled (RFC 4180).
* JSON Lines: an object a line.

All are UTF-8, with or without a byte order mark. Blank lines are no rows.
"""

import csv
import dataclasses
import os
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

from bert_tf2 import files, json_files
from bert_tf2.errors import MOST_NAMED, InputError, some

_KINDS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "json", ".ndjson": "json", ".json": "json"}
_PACKED = (".gz", ".zst")
_EXPECTED = 'expected an object on each line, for example {"text": "...", "label": "..."}'


@dataclasses.dataclass(frozen=True)
class Table:
    """A file's rows.

    Attributes:
      path: the file.
      names: of the columns; None where there is no header.
      rows: the cells of each row: a list, or in JSON Lines a dict.
      lines: the line that each row begins on, from 1.
    """

    path: str
    names: list[str] | None
    rows: list[Any]
    lines: list[int]

    def has(self, column: str) -> bool:
        """Whether there is a column of this name, in JSON Lines in every row."""
        if isinstance(self.rows[0], dict):
            return all(column in row for row in self.rows)
        return self.names is not None and column in self.names

    def column(self, column: str, flag: str) -> list[Any]:
        """The cells of one column.

        Args:
          column: its name, or its number from 0, from the end if negative. Of JSON Lines, its key.
          flag: where the choice comes from, for errors.

        Returns:
          A cell for each row: `str`, and anything in JSON Lines.

        Raises:
          InputError: there is no such column, or a JSON object lacks the key.
        """
        if isinstance(self.rows[0], dict):
            return [self._value(row, column, flag) for row in range(len(self.rows))]
        index = self._index(column, flag)
        return [row[index] for row in self.rows]

    def _value(self, row: int, key: str, flag: str) -> Any:
        try:
            return self.rows[row][key]
        except KeyError:
            raise InputError(
                f"{self.path}, line {self.lines[row]} has no key {key!r} ({flag}); it has {_listed(self.rows[row])}."
            ) from None

    def _index(self, column: str, flag: str) -> int:
        width = len(self.rows[0])
        if self.names is not None:
            count = self.names.count(column)
            if count == 1:
                return self.names.index(column)
            if count:
                raise InputError(
                    f"{self.path} has {count} columns {column!r}; give {flag} the number of the one, from 0."
                )
        if is_number(column) and -width <= int(column) < width:
            return int(column)
        there = "no header" if self.names is None else f"the columns {_listed(self.names)}"
        raise InputError(
            f"{self.path} has no column {column!r} ({flag}); it has {there}, and {width} column{'s' * (width > 1)}, "
            f"which can be given by number from 0 to {width - 1}."
        )


def is_number(column: str) -> bool:
    """Whether a column is given by number."""
    return column.removeprefix("-").isdecimal() and column.isascii()


def read_table(path: str, header: bool) -> Table:
    """Reads a whole file.

    Args:
      path: ends in .csv, .tsv, .jsonl, .ndjson or .json, and then perhaps .gz or .zst.
      header: whether the first row of a CSV or TSV file names the columns.

    Raises:
      InputError: it cannot be read, has another ending, has no rows, or a row that does not fit the others.
    """
    kind = kind_of(path)
    if kind == "json":
        lines, rows = _split(_read_json_lines(path))
        if not rows:
            raise InputError(f"{path} is empty; expected a JSON object a line.")
        return Table(path, list(rows[0]), rows, lines)
    lines, cells = _split(read_csv(path) if kind == "csv" else read_tsv(path))
    if not cells:
        raise InputError(f"{path} is empty; expected {'a header and ' if header else ''}a row for each text.")
    for line, row in zip(lines, cells, strict=True):
        if len(row) != len(cells[0]):
            _refuse_ragged(path, kind, (line, len(row)), (lines[0], len(cells[0])))
    if not header:
        return Table(path, None, cells, lines)
    names = [name.strip() for name in cells[0]]
    if len(cells) == 1:
        raise InputError(f"{path} has a header ({_listed(names)}) and nothing below it; expected a row for each text.")
    return Table(path, names, cells[1:], lines[1:])


def kind_of(path: str) -> str:
    """What a file is by its ending: "csv", "tsv" or "json".

    Raises:
      InputError: another ending.
    """
    name = os.path.basename(path).lower()
    for packed in _PACKED:
        name = name.removesuffix(packed)
    kind = _KINDS.get(os.path.splitext(name)[1])
    if kind is None:
        raise InputError(
            f"{path}: unknown kind of file; expected a name that ends in {', '.join(_KINDS)} or one of these and "
            f"{' or '.join(_PACKED)}."
        )
    return kind


def read_tsv(path: str) -> Iterator[tuple[int, list[str]]]:
    """The number and the cells of each line that is not blank; quotes are plain characters.

    Raises:
      InputError: the file cannot be read or is not UTF-8.
    """
    for number, line in _lines(path):
        if line := line.rstrip("\r"):
            yield number, line.split("\t")


def read_csv(path: str) -> Iterator[tuple[int, list[str]]]:
    """The number of the first line of each row that is not blank, and its cells.

    Raises:
      InputError: the file cannot be read, is not UTF-8, or breaks CSV's rules for quotes.
    """
    csv.field_size_limit(max(csv.field_size_limit(), sys.maxsize))  # a cell of any length; it never harms others
    reader = csv.reader((f"{line}\n" for _, line in _lines(path)), strict=True)
    begin = 1
    try:
        for row in reader:
            if row:
                yield begin, row
            begin = reader.line_num + 1
    except csv.Error as error:
        what = str(error).partition(" - ")[0]  # the rest is advice to programmers
        raise InputError(
            f"{path}, row from line {begin}: this is no CSV ({what}); a cell that holds commas, quotes or line ends "
            'has to stand in quotes ("), with each quote inside doubled ("").'
        ) from None


def _read_json_lines(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        value = json_files.parse(line, f"{path}, line {number}", _EXPECTED)
        if not isinstance(value, dict):
            raise InputError(f"{path}, line {number} holds {_called(value)}, {_EXPECTED}.")
        yield number, value


def _called(value: Any) -> str:
    return "a list" if isinstance(value, list) else f"{value!r:.40}"


def _lines(path: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(files.read_lines(path), 1):
        yield number, line.removeprefix("\ufeff") if number == 1 else line


def _split(numbered: Iterator[tuple[int, Any]]) -> tuple[list[int], list[Any]]:
    lines, rows = [], []
    for line, row in numbered:
        lines.append(line)
        rows.append(row)
    return lines, rows


def _refuse_ragged(path: str, kind: str, found: tuple[int, int], first: tuple[int, int]) -> NoReturn:
    advice = (
        'a cell that holds a comma or a line end has to stand in quotes (").'
        if kind == "csv"
        else "a text that holds a tab or a line end needs CSV or JSON Lines."
    )
    raise InputError(
        f"{path}, line {found[0]} has {found[1]} column{'s' * (found[1] != 1)}, but line {first[0]} has {first[1]}; "
        + advice
    )


def _listed(names: Any) -> str:
    """Names of columns, cut where they are many or long."""
    return some((repr(name if len(name) <= 40 else f"{name[:40]}...") for name in names), MOST_NAMED)
