r"""Tables: CSV, TSV, JSON Lines, JSON, Parquet and Excel, by extension; gzip and Zstandard are decompressed.

* TSV: one row per line, cells split at tabs. Quotes are ordinary characters, as in GLUE's files.
* CSV: see `io.delimited`.
* JSON Lines: one object per line. `.json` may also be an array of objects.
* Parquet: by pyarrow, only the requested columns.
* Excel: see `io.spreadsheets`.
* Text: one text per line, or two separated by a tab.

Texts are UTF-8, with or without a byte order mark, unless a `Form` says otherwise. Empty lines are not rows.
"""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NoReturn

from bert_tf2.errors import MOST_NAMED, InputError, counted, some
from bert_tf2.io import delimited, file_kinds, json_rows, parquet_files, spreadsheets, text_lines
from bert_tf2.io.delimited import Form

_OTHER_SPREADSHEETS = (".xls", ".xlsb", ".xlsm", ".ods")
_ROWS_AT_ONCE = 1024
_CHARACTERS_AT_ONCE = 1 << 20
_EXPECTED = 'expected an object on each line, for example {"text": "...", "label": "..."}'


@dataclasses.dataclass(frozen=True)
class Block:
    """Some rows of a file.

    Attributes:
      lines: the number of the line on which each row begins, from 1.
      rows: the cells of each row: a list, in Parquet a tuple, in JSON a dict.
    """

    lines: list[int]
    rows: list[Any]


@dataclasses.dataclass(frozen=True)
class Table:
    """A file that is read block by block, once.

    Attributes:
      path: the file.
      names: the names of the columns, for JSON Lines the keys of the first row; None if there is no header.
      width: the number of columns; None for JSON Lines, where each row has keys of its own.
      blocks: all rows, a bounded number of rows and characters at a time.
      unit: what `Block.lines` numbers: "line", or "row" in Parquet and Excel.
    """

    path: str
    names: list[str] | None
    width: int | None
    blocks: Iterator[Block]
    unit: str = "line"

    def may_have(self, column: str) -> bool:
        """Whether there is a column of this name; in JSON Lines, whether the first row has the key."""
        return self.names is not None and column in self.names

    def named_rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The position of each row, for errors, and its cells by the names of their columns.

        Raises:
          InputError: two columns have the same name; or an error of reading `blocks`.
        """
        if self.width is not None:
            for name, count in Counter(self.names or ()).items():
                if name and count > 1:
                    raise InputError(
                        f"{self.path} has {count} columns {name!r:.60}; rename or remove all but one of them."
                    )
        for block in self.blocks:
            for line, row in zip(block.lines, block.rows, strict=True):
                named = row if self.width is None else dict(zip(self.names or (), row, strict=True))
                yield f"{self.path}, {self.unit} {line}", named

    def column(self, column: str, flag: str) -> Callable[[Block], list[Any]]:
        """Selects one column.

        Args:
          column: its name, or its number from 0, from the end if negative; for JSON Lines, its key.
          flag: the flag that named the column, for errors.

        Returns:
          A function that takes a block and returns a cell for each row: a `str`, or any value in JSON Lines. It raises
          InputError if a JSON object lacks the key.

        Raises:
          InputError: there is no such column.
        """
        if self.width is None:
            return lambda block: self._values(block, column, flag)
        index = self.index(column, flag)
        return lambda block: [row[index] for row in block.rows]

    def optional_column(self, column: str) -> Callable[[Block], list[Any]] | None:
        """Like `column`, but None if there is no such column, and with None for each JSON object that lacks the key."""
        if self.width is None:
            return lambda block: [row.get(column) for row in block.rows]
        try:
            return self.column(column, "")
        except InputError:
            return None

    def _values(self, block: Block, key: str, flag: str) -> list[Any]:
        try:
            return [row[key] for row in block.rows]
        except KeyError:
            line, row = next((line, row) for line, row in zip(block.lines, block.rows, strict=True) if key not in row)
            raise InputError(
                f"{self.path}, {self.unit} {line} has no key {key!r} ({flag}); it has {_listed(row)}."
            ) from None

    def index(self, column: str, flag: str) -> int:
        """The index of a column of a table that is not JSON Lines; negative if it is counted from the end.

        Raises:
          InputError: there is no such column.
        """
        width = self.width or 0
        if self.names is not None:
            count = self.names.count(column)
            if count == 1:
                return self.names.index(column)
            if count:
                raise InputError(
                    f"{self.path} has {count} columns {column!r}; give {flag} the number of one of them, from 0."
                )
        if delimited.is_number(column) and -width <= int(column) < width:
            return int(column)
        header = "no header" if self.names is None else f"the columns {_listed(self.names)}"
        raise InputError(
            f"{self.path} has no column {column!r} ({flag}); it has {header}, and {counted(width, 'column')}, "
            f"which can be given by number from 0 to {width - 1}.{delimited.delimiter_hint(column, self.names or ())}"
        )


def find_form(
    path: str, columns: Sequence[str], header: bool, specified: Form | None = None, is_logged: bool = True
) -> Form:
    """The format of a table of any kind; see `delimited.find_form`.

    Raises:
      InputError: the file has an unknown extension or cannot be read, or several delimiters fit it equally well.
    """
    kind = kind_of(path)
    if kind in ("parquet", "xlsx"):
        return Form()
    return delimited.find_form(path, columns, header, kind == "csv", specified, is_logged)


def open_table(path: str, header: bool, form: Form | None = None, columns: Collection[str] = ()) -> Table:
    """Opens a file and reads its first row.

    Args:
      path: ends in .csv, .tsv, .jsonl, .ndjson, .json, .parquet or .txt, optionally followed by .gz or .zst; or in
        .xlsx, optionally followed by # and the name of a sheet.
      header: whether the first row of a CSV, TSV or Excel file names the columns.
      form: the format of a text file.
      columns: names or numbers of the columns that will be read, if not all. Parquet files are only read in these
        columns, and each line of a .txt file has as many texts.

    Raises:
      InputError: it cannot be read, has another extension or no rows; while `blocks` is read, also if a row does not
        fit the others.
    """
    kind = kind_of(path)
    form = form or Form()
    if kind == "parquet":
        return _open_parquet(path, columns)
    if kind == "text":
        return open_texts(path, form.encoding, len(columns))
    if kind in ("json", "json lines"):
        return _open_json(path, form.encoding)
    if kind == "xlsx":
        rows = spreadsheets.read(path)
    else:
        rows = delimited.read_csv(path, form) if kind == "csv" else delimited.read_tsv(path, form.encoding)
    unit = "row" if kind == "xlsx" else "line"
    first = next(rows, None)
    if first is None:
        raise InputError(f"{path} is empty; expected {'a header and ' if header else ''}a row for each text.")
    width = len(first[1])
    names = None
    following: tuple[int, Any] | None = first
    if header:
        names = [name.strip() for name in first[1]]
        following = next(rows, None)
        if following is None:
            raise InputError(f"{path} has a header ({_listed(names)}) but no rows; expected a row for each text.")
    checked = _checked(path, kind, (first[0], width), itertools.chain([following], rows))
    return Table(path, names, width, checked, unit)


def _open_json(path: str, encoding: str | None) -> Table:
    rows = json_rows.read(path, _EXPECTED, encoding)
    first = next(rows, None)
    if first is None:
        raise InputError(f"{path} is empty; expected one JSON object per line.")
    return Table(path, list(first[1]), None, _blocks(itertools.chain([first], rows)))


def open_texts(path: str, encoding: str | None, texts: int = 1) -> Table:
    """Opens a file, or standard input, with one text per line, or two separated by a tab; columns are numbered from 0.

    Raises:
      InputError: it cannot be read or has no text; while `blocks` is read, also if a line has another number of texts.
    """
    lines = text_lines.read_decoded(path, encoding)
    name = "standard input" if path == text_lines.STANDARD_INPUT else path
    rows = _text_rows(name, lines, max(1, texts))
    first = next(rows, None)
    if first is None:
        raise InputError(f"{name} is empty; expected a text on each line.")
    return Table(name, None, max(1, texts), _blocks(itertools.chain([first], rows)))


def _text_rows(path: str, lines: Iterator[str], texts: int) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r")
        if not line.strip():
            continue
        cells = line.split("\t") if texts > 1 else [line]
        if len(cells) != texts:
            raise InputError(
                f"{path}, line {number} has {counted(len(cells) - 1, 'tab')}; this task has two texts per row; "
                "expected one tab between them."
            )
        yield number, cells


def _open_parquet(path: str, columns: Collection[str]) -> Table:
    file = parquet_files.open_file(path)
    names = list(file.schema_arrow.names)
    if not file.metadata.num_rows:
        raise InputError(f"{path} has no rows; expected a row for each text.")
    indices = {int(column) % len(names) for column in columns if delimited.is_number(column) and column not in names}
    selected = [name for index, name in enumerate(names) if name in (*columns, "id") or index in indices or not columns]

    def rows() -> Iterator[tuple[int, tuple[Any, ...]]]:
        number = 0
        with file:
            for count, cells in parquet_files.batches(path, file, selected):
                nulls = [None] * count
                for row in zip(*(cells.get(name, nulls) for name in names), strict=True):
                    number += 1
                    yield number, row

    return Table(path, names, len(names), _blocks(rows()), "row")


def _checked(path: str, kind: str, first: tuple[int, int], rows: Iterator[Any]) -> Iterator[Block]:
    """Blocks of rows, checked to have as many columns as the first row, which is given as its line and that number."""
    for block in _blocks(rows):
        if set(map(len, block.rows)) != {first[1]}:
            numbered = zip(block.lines, map(len, block.rows), strict=True)
            _refuse_ragged(path, kind, next(row for row in numbered if row[1] != first[1]), first)
        yield block


def _blocks(rows: Iterator[tuple[int, Any]]) -> Iterator[Block]:
    lines: list[int] = []
    block: list[Any] = []
    characters = 0
    for line, row in rows:
        lines.append(line)
        block.append(row)
        characters += sum(map(len, row)) if isinstance(row, list) else _size(row)
        if len(block) == _ROWS_AT_ONCE or characters >= _CHARACTERS_AT_ONCE:
            yield Block(lines, block)
            lines, block, characters = [], [], 0
    if block:
        yield Block(lines, block)


def _size(row: tuple[Any, ...] | dict[str, Any]) -> int:
    """The approximate number of characters of a row whose cells may be of any type."""
    values = row.values() if isinstance(row, dict) else row
    return sum(len(value) for value in values if isinstance(value, str | list))


def kind_of(path: str) -> file_kinds.Kind:
    """The kind of a file by its extension; standard input is text.

    Raises:
      InputError: the extension is unknown.
    """
    kind: file_kinds.Kind | None = "text" if path == text_lines.STANDARD_INPUT else file_kinds.kind_of(path)
    if kind is None:
        is_other = file_kinds.ending(path) in _OTHER_SPREADSHEETS
        raise InputError(
            f"{path}: unknown kind of file; expected a name that ends in {', '.join(file_kinds.ENDINGS)} or one of "
            f"these and {' or '.join(file_kinds.PACKED)}.{' Save the table as .xlsx or .csv.' if is_other else ''}"
        )
    return kind


def _refuse_ragged(path: str, kind: str, row: tuple[int, int], first: tuple[int, int]) -> NoReturn:
    advice = {
        "csv": 'a cell that contains a comma or a line break must be in quotes (").',
        "tsv": "a text that contains a tab or a line break needs CSV or JSON Lines.",
        "xlsx": "clear the cells outside the table.",
    }[kind]
    unit = "row" if kind == "xlsx" else "line"
    raise InputError(
        f"{path}, {unit} {row[0]} has {counted(row[1], 'column')}, but {unit} {first[0]} has {first[1]}; {advice}"
    )


def _listed(names: Any) -> str:
    """Names of columns for a message; long lists and long names are truncated."""
    return some((repr(name if len(name) <= 40 else f"{name[:40]}...") for name in names), MOST_NAMED)
