"""Texts in a column of a table: CSV, TSV, JSON Lines, JSON, Parquet and Excel, by the file's extension; no TensorFlow.

A table is read in ranges of bytes, so that many processes can share the work on a large one. In a Parquet file, the
bytes are those of its row groups, one after another.
"""

import codecs
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

from bert_tf2.errors import MOST_NAMED, InputError, counted, some
from bert_tf2.io import delimited, file_kinds, file_system, files, json_rows, parquet_files, spreadsheets, text_lines
from bert_tf2.io.delimited import Form
from bert_tf2.io.file_kinds import Kind

UNPACKED = 3.5
"""The approximate ratio of decompressed to compressed text; for planning only."""

_KINDS = {"csv", "tsv", "json lines", "json", "parquet", "xlsx"}
_FLAG = "--text_column"
_ROWS_AT_ONCE = 1024
_CHARACTERS_AT_ONCE = 1 << 18
_EXPECTED = 'expected an object on each line, for example {"text": "..."}'


@dataclasses.dataclass(frozen=True)
class TextColumn:
    """The column of a table that contains the texts.

    Attributes:
      name: the name of the column or its number; in JSON, the key.
      kind: "csv", "tsv", "json lines", "json", "parquet" or "xlsx".
      index: the number of the column in CSV, TSV and Excel, from 0.
      width: the number of columns of these kinds.
      has_header: whether the first row of these kinds names the columns.
      form: the format of a text file.
    """

    name: str
    kind: str
    index: int = 0
    width: int = 0
    has_header: bool = False
    form: Form = dataclasses.field(default_factory=Form)

    @property
    def is_utf8(self) -> bool:
        """Whether the encoding is UTF-8, as which an unknown encoding is read."""
        return self.form.encoding is None or codecs.lookup(self.form.encoding).name in ("utf-8", "utf-8-sig")


def kind_of(path: str) -> Kind | None:
    """The kind of a table by its extension; None if it is not a table."""
    kind = file_kinds.kind_of(path)
    return kind if kind in _KINDS else None


def find(path: str, name: str, specified: Form | None = None) -> TextColumn:
    """Finds the column of a table.

    Args:
      path: the path of a table, whose kind its extension shows.
      name: the name of the column; in CSV, TSV and Excel without a header, its number from 0.
      specified: the format of text files as specified by flags; empty fields are detected.

    Raises:
      InputError: the file cannot be read, or has no such column.
    """
    kind = kind_of(path)
    if kind == "parquet":
        with parquet_files.open_file(path) as file:
            _index(path, name, list(file.schema_arrow.names))
        return TextColumn(name, kind)
    has_header = not delimited.is_number(name)
    is_csv = kind == "csv"
    if kind == "xlsx":
        first = next(spreadsheets.read(path, takes_sheet=False), None)
        return _in_first_row(path, TextColumn(name, kind, has_header=has_header), first)
    form = delimited.find_form(path, [name] if is_csv else [], has_header, is_csv, specified)
    column = TextColumn(name, str(kind), has_header=has_header, form=form)
    if kind in ("json", "json lines"):
        return column
    rows = _cells(path, column, text_lines.read_decoded(path, form.encoding), 1)
    return _in_first_row(path, column, next(rows, None))


def _in_first_row(path: str, column: TextColumn, first: tuple[int, list[str]] | None) -> TextColumn:
    """The column with its index in the first row of a table: a header, or a row that shows the number of columns."""
    if first is None:
        raise InputError(f"{path} is empty; expected a table with a column of texts.")
    names, name = [cell.strip() for cell in first[1]], column.name
    if not column.has_header:
        if not -len(names) <= int(name) < len(names):
            raise InputError(f"{path} has no column {name} ({_FLAG}); it has {len(names)}, numbered from 0.")
        return dataclasses.replace(column, index=int(name) % len(names), width=len(names))
    return dataclasses.replace(column, index=_index(path, name, names), width=len(names))


def boundary(path: str, column: TextColumn, start: int, min_bytes: int) -> int | None:
    """The end of a range of whole rows.

    Args:
      path: the table.
      column: the result of `find`.
      start: the first byte of the range.
      min_bytes: the least size of the range, for Parquet decompressed.

    Returns:
      A position between two rows or at the end. None if the table cannot be divided (it is compressed, in an encoding
      other than UTF-8, a JSON array or an Excel workbook), or, for Parquet, if the range extends to the end.
    """
    if column.kind == "xlsx" or files.compression(path) or not column.is_utf8:
        return None
    if column.kind == "parquet":
        size = 0
        for begin, unpacked, _ in _row_groups(path, column.name):
            if size >= min_bytes:
                return begin
            size += unpacked if begin >= start else 0
        return None
    if column.kind == "csv":
        return _after_csv_rows(path, column, start, min_bytes)
    if column.kind == "json":
        return None
    with file_system.open(path, "rb") as file:
        file.seek(start + min_bytes)
        file.readline()  # the rest of a row
        return file.tell()


def size_of(path: str, column: TextColumn, start: int, end: int) -> float:
    """The approximate number of decompressed bytes of text in a range of bytes."""
    if column.kind == "parquet":
        return sum(unpacked for begin, unpacked, _ in _row_groups(path, column.name) if start <= begin < end)
    return (end - start) * (UNPACKED if column.kind == "xlsx" or files.compression(path) else 1.0)


def read(path: str, start: int, end: int, column: TextColumn) -> Iterator[tuple[list[str], int]]:
    """Reads the rows of a range of bytes: some texts at a time, and the approximate number of bytes they take on disk.

    Empty cells and null are empty texts.

    Args:
      path: the table.
      start: 0, or a result of `boundary`.
      end: the next such position, or the size of the file.
      column: the result of `find`.

    Raises:
      InputError: the file cannot be read, or a row is invalid; the message names the row.
    """
    try:
        yield from _blocks(path, start, end, column, 1 if start == 0 else 2)
    except InputError:
        if start and column.kind != "parquet":  # raise it again, with the line's number in the file
            for _ in _blocks(path, start, end, column, 1 + _lines_before(path, start)):
                pass
        raise


def _blocks(path: str, start: int, end: int, column: TextColumn, first_line: int) -> Iterator[tuple[list[str], int]]:
    if column.kind == "parquet":
        yield from _parquet_texts(path, start, end, column)
        return
    if column.kind == "xlsx":
        yield _sheet_texts(path, column), end - start
        return
    lines = _Lines(path, start, end, column)
    texts: list[str] = []
    characters = reported = 0
    for text in _texts(path, column, iter(lines), first_line, has_header=column.has_header and start == 0):
        texts.append(text)
        characters += len(text)
        if len(texts) >= _ROWS_AT_ONCE or characters >= _CHARACTERS_AT_ONCE:
            yield texts, lines.bytes_read - reported
            texts, characters, reported = [], 0, lines.bytes_read
    yield texts, lines.bytes_read - reported


def _texts(path: str, column: TextColumn, lines: Iterator[str], first_line: int, has_header: bool) -> Iterator[str]:
    if column.kind in ("json", "json lines"):
        for number, row in json_rows.read(path, _EXPECTED, lines=lines, first_line=first_line):
            if column.name not in row:
                listed = some(map(repr, row), MOST_NAMED)
                raise InputError(f"{path}, line {number} has no key {column.name!r} ({_FLAG}); it has {listed}.")
            yield _text(row[column.name], path, f"line {number}", column)
        return
    rows = _cells(path, column, lines, first_line)
    if has_header:
        next(rows, None)
    advice = "a text that contains a tab needs CSV or JSON Lines."
    if column.kind == "csv":
        advice = "a text that contains the delimiter, quotes or line breaks must be in quotes."
    for number, cells in rows:
        if len(cells) != column.width:
            raise InputError(
                f"{path}, line {number} has {counted(len(cells), 'column')}, but the first row has {column.width}; "
                f"{advice}"
            )
        yield cells[column.index]


def _text(value: Any, path: str, where: str, column: TextColumn) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"{path}, {where}: {column.name} is {value!r:.60}; it must be a text.")
    if not files.is_unicode(value):
        raise InputError(f"{path}, {where}: {column.name} is not valid Unicode (it contains an unpaired surrogate).")
    return value


def _cells(path: str, column: TextColumn, lines: Iterator[str], first_line: int) -> Iterator[tuple[int, list[str]]]:
    if column.kind == "csv":
        yield from delimited.read_csv(path, column.form, lines, first_line)
        return
    yield from delimited.read_tsv(path, lines=lines, first_line=first_line)


def _index(path: str, name: str, names: list[str]) -> int:
    if names.count(name) != 1:
        what = f"{names.count(name)} columns {name!r}" if name in names else f"no column {name!r}"
        raise InputError(
            f"{path} has {what} ({_FLAG}); it has {some(map(repr, names), MOST_NAMED)}. Give the name of one of them, "
            f"or {_FLAG}= if this is plain text.{delimited.delimiter_hint(name, names)}"
        )
    return names.index(name)


class _Lines:
    r"""The lines of a part of a text file, without their `\n`.

    Attributes:
      bytes_read: the approximate number of bytes read from disk, never more than the range has.
    """

    def __init__(self, path: str, start: int, end: int, column: TextColumn) -> None:
        self._path, self._start, self._end, self._column = path, start, end, column
        self._bytes = 0
        self._compression_ratio = UNPACKED if files.compression(path) else 1.0

    @property
    def bytes_read(self) -> int:
        return min(self._end - self._start, round(self._bytes / self._compression_ratio))

    def __iter__(self) -> Iterator[str]:
        if not self._column.is_utf8:
            for line in text_lines.read_decoded(self._path, self._column.form.encoding):
                self._bytes += len(line) + 1
                yield line
            return
        try:
            with files.open_bytes(self._path) as file:
                if self._start:
                    file.seek(self._start)
                for content in file:
                    byte_order_mark = codecs.BOM_UTF8 if self._start + self._bytes == 0 else b""
                    self._bytes += len(content)
                    yield content.removeprefix(byte_order_mark).decode("utf-8").removesuffix("\n")
                    if self._compression_ratio == 1.0 and self._bytes >= self._end - self._start:
                        return
        except UnicodeDecodeError:
            # Reading from the beginning raises an error that names the line.
            for _ in text_lines.read_decoded(self._path, self._column.form.encoding):
                pass
            raise InputError(f"{self._path} is not UTF-8.") from None
        except (OSError, EOFError) as error:
            raise files.cannot_read(self._path, error) from None


def _lines_before(path: str, end: int) -> int:
    count = 0
    with file_system.open(path, "rb") as file:
        while end > 0 and (content := file.read(min(1 << 20, end))):
            count += content.count(b"\n")
            end -= len(content)
    return count


def _after_csv_rows(path: str, column: TextColumn, start: int, min_bytes: int) -> int:
    """`boundary` for CSV, where cells may contain line breaks; the end of the file if a row is invalid."""
    position = start

    def lines() -> Iterator[str]:
        nonlocal position
        with file_system.open(path, "rb") as file:
            file.seek(start)
            for content in file:
                position += len(content)
                yield content.decode("utf-8", errors="replace").removesuffix("\n")

    try:
        for _ in delimited.read_csv(path, column.form, lines(), first_line=1 if start == 0 else 2):
            if position >= start + min_bytes:
                return position
    except InputError:  # it will be raised again when the row is read
        pass
    return file_system.getsize(path)


def _sheet_texts(path: str, column: TextColumn) -> list[str]:
    """The texts of a sheet, which has a million rows at most."""
    rows = spreadsheets.read(path, takes_sheet=False)
    if column.has_header:
        next(rows, None)
    return [cells[column.index] for _, cells in rows]


# --- Parquet ---------------------------------------------------------------------------------------------------------


def _row_groups(path: str, name: str) -> list[tuple[int, int, int]]:
    """For each row group: its first byte, the decompressed bytes of the column, and the number of rows before it."""
    return _row_groups_of(path, name, file_system.stat(path).st_mtime_ns)


@functools.lru_cache(maxsize=8)  # called for each range of a file
def _row_groups_of(path: str, name: str, _: int) -> list[tuple[int, int, int]]:
    row_groups, begin, rows = [], 0, 0
    with parquet_files.open_file(path) as file:
        for index in range(file.metadata.num_row_groups):
            group = file.metadata.row_group(index)
            chunks = [group.column(number) for number in range(group.num_columns)]
            unpacked = sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema == name)
            row_groups.append((begin, unpacked, rows))
            begin += sum(chunk.total_compressed_size for chunk in chunks)
            rows += group.num_rows
    return row_groups


def _parquet_texts(path: str, start: int, end: int, column: TextColumn) -> Iterator[tuple[list[str], int]]:
    groups = _row_groups(path, column.name)
    ends = [*(begin for begin, _, _ in groups[1:]), file_system.getsize(path)]
    with parquet_files.open_file(path) as file:
        for index, (begin, _, number) in enumerate(groups):
            if not start <= begin < end:
                continue
            left, rows_left = ends[index] - begin, file.metadata.row_group(index).num_rows
            for count, cells in parquet_files.batches(path, file, [column.name], [index]):
                size = left * count // rows_left
                left, rows_left = left - size, rows_left - count
                values = cells[column.name]
                yield [_text(value, path, f"row {number + n}", column) for n, value in enumerate(values, 1)], size
                number += count
