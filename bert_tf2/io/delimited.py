"""Real-world CSV: detecting delimiter and encoding, reading and writing rows; and TSV. No TensorFlow.

A cell that contains delimiters, quotes or line breaks is quoted, with the quotes in it doubled (RFC 4180).
"""

import csv
import dataclasses
import itertools
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

from bert_tf2.errors import InputError
from bert_tf2.io import text_lines

logger = logging.getLogger(__name__)

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""The delimiters that are detected, and their names."""

_NAMED = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
# How much of a file the delimiter is detected from.
_SAMPLE_LINES = 200
_SAMPLE_CHARACTERS = 1 << 16


@dataclasses.dataclass(frozen=True)
class Form:
    """The format of a text file.

    Attributes:
      encoding: Python's name; None if it is not UTF-8 and unknown.
      delimiter: the delimiter of CSV.
    """

    encoding: str | None = "utf-8"
    delimiter: str = ","

    def describe(self, path: str, is_csv: bool, specified: "Form | None" = None) -> None:
        """Logs what was detected, not `specified` by flags, if it differs from UTF-8 with commas."""
        detected = {}
        if is_csv and self.delimiter != "," and not (specified and specified.delimiter):
            detected["--delimiter"] = f"{DELIMITERS.get(self.delimiter, repr(self.delimiter))} between the columns"
        if self.encoding not in (None, "utf-8") and not (specified and specified.encoding):
            detected["--encoding"] = f"encoding {self.encoding}"
        if detected:
            values, names = ", ".join(detected.values()), " and ".join(detected)
            logger.info("%s: read with %s; if that is wrong, give %s.", path, values, names)


def is_number(column: str) -> bool:
    """Whether a column is given by number, from 0, or from the end if negative."""
    return column.removeprefix("-").isdecimal() and column.isascii()


def delimiter_named(name: str) -> str:
    """The delimiter of `--delimiter`: a character, or "tab", "comma", "semicolon" or "pipe".

    Raises:
      InputError: it is none of these.
    """
    delimiter = _NAMED.get(name.lower(), name)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise InputError(
            f"--delimiter={name!r:.60} must be one character, for example ; or |, or the word tab, comma, semicolon "
            "or pipe."
        )
    return delimiter


def delimiter_hint(column: str, names: Sequence[str]) -> str:
    """The end of an error about a missing column: a hint at `--delimiter` if the header was perhaps not split."""
    if len(names) != 1 or column not in names[0]:
        return ""
    return " If a .csv file has another delimiter, give it as --delimiter."


def find_form(
    path: str, columns: Sequence[str], header: bool, is_csv: bool, specified: Form | None = None, is_logged: bool = True
) -> Form:
    """Detects the format of a file.

    Args:
      path: the file.
      columns: those that will be read, by name or number.
      header: whether the first row names the columns.
      is_csv: whether there is a delimiter to detect.
      specified: the format specified by flags; empty fields are detected.
      is_logged: whether to log what was detected, if it differs from UTF-8 with commas.

    Raises:
      InputError: the file cannot be read, or several delimiters fit it equally well.
    """
    encoding = specified.encoding if specified and specified.encoding else text_lines.detect_encoding(path)
    delimiter = specified.delimiter if specified and specified.delimiter else ","
    if is_csv and not (specified and specified.delimiter):
        delimiter = _find_delimiter(path, encoding, columns, header)
    form = Form(encoding, delimiter)
    if is_logged:
        form.describe(path, is_csv, specified)
    return form


def read_csv(
    path: str, form: Form | None = None, lines: Iterator[str] | None = None, first_line: int = 1
) -> Iterator[tuple[int, list[str]]]:
    """Reads CSV: the number of each row's first line, and its cells; empty rows are skipped.

    Args:
      path: the file; a first line such as `sep=;`, which Excel understands, is not a row.
      form: its format; UTF-8 with commas by default.
      lines: the lines of a part of the file; all by default.
      first_line: the number of the first of `lines`.

    Raises:
      InputError: the file cannot be read, is not in its encoding, or breaks CSV's rules for quotes.
    """
    form = form or Form()
    lines = text_lines.read_decoded(path, form.encoding) if lines is None else lines
    first = next(lines, None)
    if first is None:
        return
    if first_line == 1 and _delimiter_line(first) == form.delimiter:
        first_line = 2
    else:
        lines = itertools.chain([first], lines)
    yield from _rows(path, lines, form.delimiter, first_line)


class LineEnds:
    r"""A file for `csv.writer`, in which rows end in `\n`, and cells with any line break are quoted.

        csv.writer(LineEnds(file)).writerow(["a\rb", "c"])  # "a\rb",c

    With `lineterminator="\n"`, Python 3.11 leaves `\r` unquoted, which ends the row for most readers.

    Args:
      file: a text file that does not translate line ends.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, row: str) -> int:
        r"""Writes a row, which ends in `\r\n`."""
        return self._file.write(row.removesuffix("\r\n") + "\n")


def read_tsv(
    path: str, encoding: str | None = "utf-8", lines: Iterator[str] | None = None, first_line: int = 1
) -> Iterator[tuple[int, list[str]]]:
    """Reads TSV: the number and the cells of each line that is not empty; quotes are plain characters.

    Args:
      path: the file.
      encoding: see `text_lines.read_decoded`.
      lines: the lines of a part of the file; all by default.
      first_line: the number of the first of `lines`.

    Raises:
      InputError: the file cannot be read or is not in this encoding.
    """
    lines = text_lines.read_decoded(path, encoding) if lines is None else lines
    for number, line in enumerate(lines, first_line):
        if line := line.rstrip("\r"):
            yield number, line.split("\t")


def _rows(path: str, lines: Iterable[str], delimiter: str, first_line: int = 1) -> Iterator[tuple[int, list[str]]]:
    # Cells may have any length; raising the limit harms nobody else.
    csv.field_size_limit(max(csv.field_size_limit(), sys.maxsize))
    reader = csv.reader((f"{line}\n" for line in lines), strict=True, delimiter=delimiter)
    row_line, skipped = first_line, first_line - 1
    try:
        for row in reader:
            if row:
                yield row_line, row
            row_line = skipped + reader.line_num + 1
    except csv.Error as error:
        reason = str(error).partition(" - ")[0]  # the rest is advice for programmers
        between = DELIMITERS.get(delimiter, f"the character {delimiter!r}")
        raise InputError(
            f"{path}, row from line {row_line}: invalid CSV ({reason}); a cell that holds {between}, quotes or line "
            'ends must stand in quotes ("), with each quote inside doubled ("").'
        ) from None


def _delimiter_line(line: str) -> str | None:
    """The delimiter that a first line such as `sep=;` names; None if it is another line."""
    line = line.rstrip("\r")
    return line[4] if len(line) == 5 and line.startswith("sep=") else None


def _find_delimiter(path: str, encoding: str | None, columns: Sequence[str], header: bool) -> str:
    lines, is_complete = _first_lines(path, encoding)
    if lines and (named := _delimiter_line(lines[0])):
        return named
    names = {column for column in columns if not is_number(column)}
    if header and names:
        # The first row alone, as a row of many lines may not end within the sample.
        present = {delimiter: len(names.intersection(_first_row(lines, delimiter))) for delimiter in DELIMITERS}
        best = max(present, key=lambda delimiter: present[delimiter])
        if present[best]:  # columns that are missing nevertheless are reported when the table is opened
            return best
    rows = {delimiter: _complete_rows(lines, delimiter, is_complete) for delimiter in DELIMITERS}
    needed = max([_width_for(column) for column in columns], default=1)
    fitting = [
        delimiter
        for delimiter, sample in rows.items()
        if sample and len(set(map(len, sample))) == 1 and len(sample[0]) >= max(needed, 1 if delimiter == "," else 2)
    ]
    if len(fitting) > 1 and len(rows[fitting[0]]) > 1 and not header:
        readings = " or ".join(f"{len(rows[each][0])} between {DELIMITERS[each]}" for each in fitting)
        raise InputError(
            f"{path}: is each row {readings}? Both fit all rows; give --delimiter, for example --delimiter=';'."
        )
    if fitting:
        return fitting[0]
    wide = [delimiter for delimiter, sample in rows.items() if sample and len(sample[0]) > 1]
    return wide[0] if wide else ","  # rows that do not fit are reported when they are read


def _width_for(column: str) -> int:
    if not is_number(column):
        return 1
    return -int(column) if column.startswith("-") else int(column) + 1


def _first_lines(path: str, encoding: str | None) -> tuple[list[str], bool]:
    """The first lines of a file, and whether these are all of its lines."""
    lines: list[str] = []
    characters = 0
    for line in text_lines.read_decoded(path, encoding):
        if len(lines) >= _SAMPLE_LINES or characters >= _SAMPLE_CHARACTERS:
            return lines, False
        lines.append(line)
        characters += len(line)
    return lines, True


def _first_row(lines: Sequence[str], delimiter: str) -> list[str]:
    """The cells of the first row, without whitespace around them; none if it breaks CSV's rules for quotes."""
    try:
        return next(([cell.strip() for cell in row] for _, row in _rows("", lines, delimiter)), [])
    except InputError:
        return []


def _complete_rows(lines: Sequence[str], delimiter: str, is_complete: bool) -> list[list[str]]:
    """The rows of the first lines; none if, with this delimiter, their quotes break CSV's rules.

    Args:
      lines: the first lines of a file.
      delimiter: the delimiter to try.
      is_complete: whether `lines` are all lines of the file.
    """
    rows = []
    try:
        for _, row in _rows("", lines, delimiter):
            rows.append(row)
    except InputError:
        # The last row of an incomplete file may continue beyond the sample.
        return [] if is_complete or not rows or len(rows) < len(lines) // 2 else rows
    return rows
