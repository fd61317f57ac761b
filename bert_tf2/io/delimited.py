"""Real-world CSV: detecting delimiter and encoding, and reading rows; and TSV. No TensorFlow.

A cell with delimiters, quotes or line ends stands in quotes, with the quotes in it doubled (RFC 4180).
"""

import csv
import dataclasses
import itertools
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence

from bert_tf2.errors import InputError
from bert_tf2.io import text_lines

logger = logging.getLogger(__name__)

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""The delimiters that are detected, and their names."""

_NAMED = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
_LINES_SEEN = 200
_CHARACTERS_SEEN = 1 << 16


@dataclasses.dataclass(frozen=True)
class Form:
    """The format of a text file.

    Attributes:
      encoding: Python's name; None if it is not UTF-8 and unknown.
      delimiter: the delimiter of CSV.
    """

    encoding: str | None = "utf-8"
    delimiter: str = ","

    def describe(self, path: str, is_csv: bool, given: "Form | None" = None) -> None:
        """Logs what was detected rather than `given` by flags, if it differs from UTF-8 with commas."""
        said = {}
        if is_csv and self.delimiter != "," and not (given and given.delimiter):
            said["--delimiter"] = f"{DELIMITERS.get(self.delimiter, repr(self.delimiter))} between the columns"
        if self.encoding not in (None, "utf-8") and not (given and given.encoding):
            said["--encoding"] = f"encoding {self.encoding}"
        if said:
            parts = path, ", ".join(said.values()), " and ".join(said)
            logger.info("%s: read with %s; if that is wrong, give %s.", *parts)


def is_number(column: str) -> bool:
    """Whether a column is given by number, from 0, or from the end if negative."""
    return column.removeprefix("-").isdecimal() and column.isascii()


def delimiter_named(given: str) -> str:
    """The delimiter of `--delimiter`: a character, or "tab", "comma", "semicolon" or "pipe".

    Raises:
      InputError: it is neither.
    """
    delimiter = _NAMED.get(given.lower(), given)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise InputError(
            f"--delimiter={given!r:.60} must be one character, for example ; or |, or the word tab, comma, semicolon "
            "or pipe."
        )
    return delimiter


def delimiter_hint(column: str, names: Sequence[str]) -> str:
    """The end of an error about a missing column: a hint at `--delimiter` if the header was perhaps not split."""
    if len(names) != 1 or column not in names[0]:
        return ""
    return " If a .csv file has another delimiter, give it as --delimiter."


def find_form(
    path: str, columns: Sequence[str], header: bool, is_csv: bool, given: Form | None = None, is_logged: bool = True
) -> Form:
    """Detects the format of a file.

    Args:
      path: the file.
      columns: those that will be read, by name or number.
      header: whether the first row names the columns.
      is_csv: whether cells stand between delimiters.
      given: the format given by flags; empty fields are detected.
      is_logged: whether to log what was detected, if it differs from UTF-8 with commas.

    Raises:
      InputError: the file cannot be read, or several delimiters make columns of it.
    """
    encoding = given.encoding if given and given.encoding else text_lines.detect_encoding(path)
    delimiter = given.delimiter if given and given.delimiter else ","
    if is_csv and not (given and given.delimiter):
        delimiter = _find_delimiter(path, encoding, columns, header)
    form = Form(encoding, delimiter)
    if is_logged:
        form.describe(path, is_csv, given)
    return form


def read_csv(
    path: str, form: Form | None = None, lines: Iterator[str] | None = None, begin: int = 1
) -> Iterator[tuple[int, list[str]]]:
    """The number of the first line of each row that is not blank, and its cells.

    Args:
      path: the file; a first line `sep=;`, as Excel takes it, is not a row.
      form: how it is written.
      lines: those of a part of the file; all by default.
      begin: the number of the first of them.

    Raises:
      InputError: the file cannot be read, is not in its encoding, or breaks CSV's rules for quotes.
    """
    form = form or Form()
    lines = text_lines.read_decoded(path, form.encoding) if lines is None else lines
    first = next(lines, None)
    if first is None:
        return
    if begin == 1 and _delimiter_line(first) == form.delimiter:
        begin = 2
    else:
        lines = itertools.chain([first], lines)
    yield from _rows(path, lines, form.delimiter, begin)


def read_tsv(
    path: str, encoding: str | None = "utf-8", lines: Iterator[str] | None = None, begin: int = 1
) -> Iterator[tuple[int, list[str]]]:
    """The number and the cells of each line of TSV that is not blank; quotes are plain characters.

    Args:
      path: the file.
      encoding: see `text_lines.read_decoded`.
      lines: those of a part of the file; all by default.
      begin: the number of the first of them.

    Raises:
      InputError: the file cannot be read or is not in this encoding.
    """
    lines = text_lines.read_decoded(path, encoding) if lines is None else lines
    for number, line in enumerate(lines, begin):
        if line := line.rstrip("\r"):
            yield number, line.split("\t")


def _rows(path: str, lines: Iterable[str], delimiter: str, begin: int = 1) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(max(csv.field_size_limit(), sys.maxsize))  # a cell of any length; it never harms others
    reader = csv.reader((f"{line}\n" for line in lines), strict=True, delimiter=delimiter)
    skipped = begin - 1
    try:
        for row in reader:
            if row:
                yield begin, row
            begin = skipped + reader.line_num + 1
    except csv.Error as error:
        what = str(error).partition(" - ")[0]  # the rest is advice to programmers
        between = DELIMITERS.get(delimiter, f"the character {delimiter!r}")
        raise InputError(
            f"{path}, row from line {begin}: invalid CSV ({what}); a cell that holds {between}, quotes or line "
            'ends must stand in quotes ("), with each quote inside doubled ("").'
        ) from None


def _delimiter_line(line: str) -> str | None:
    """The delimiter that a first line `sep=;` names."""
    line = line.rstrip("\r")
    return line[4] if len(line) == 5 and line.startswith("sep=") else None


def _find_delimiter(path: str, encoding: str | None, columns: Sequence[str], header: bool) -> str:
    lines, is_whole = _first_lines(path, encoding)
    if lines and (named := _delimiter_line(lines[0])):
        return named
    rows = {delimiter: _complete_rows(lines, delimiter, is_whole) for delimiter in DELIMITERS}
    names = [column for column in columns if not is_number(column)]
    if header and names:
        present = {
            delimiter: len(set(names) & {name.strip() for name in found[0]}) if found else 0
            for delimiter, found in rows.items()
        }
        most = max(present, key=lambda delimiter: present[delimiter])
        if present[most]:  # a column that is missing is said of the columns that there are
            return most
    needed = max([_width_for(column) for column in columns], default=1)
    fitting = [
        delimiter
        for delimiter, found in rows.items()
        if found and len(set(map(len, found))) == 1 and len(found[0]) > (delimiter != ",") and len(found[0]) >= needed
    ]
    if len(fitting) > 1 and len(rows[fitting[0]]) > 1 and not header:
        readings = " or ".join(f"{len(rows[each][0])} between {DELIMITERS[each]}" for each in fitting)
        raise InputError(
            f"{path}: is each row {readings}? Both fit all rows; give --delimiter, for example --delimiter=';'."
        )
    if fitting:
        return fitting[0]
    wide = [delimiter for delimiter, found in rows.items() if found and len(found[0]) > 1]
    return wide[0] if wide else ","  # what does not fit will be said of the row where it is


def _width_for(column: str) -> int:
    if not is_number(column):
        return 1
    return -int(column) if column.startswith("-") else int(column) + 1


def _first_lines(path: str, encoding: str | None) -> tuple[list[str], bool]:
    """Some lines, and whether they are all."""
    lines: list[str] = []
    characters = 0
    for line in text_lines.read_decoded(path, encoding):
        if len(lines) >= _LINES_SEEN or characters >= _CHARACTERS_SEEN:
            return lines, False
        lines.append(line)
        characters += len(line)
    return lines, True


def _complete_rows(lines: Sequence[str], delimiter: str, is_whole: bool) -> list[list[str]]:
    """The rows of the first lines; none where quotes are not as CSV has them with this delimiter."""
    rows = []
    try:
        for _, row in _rows("", lines, delimiter):
            rows.append(row)
    except InputError:
        # The last row of what is not the whole file may go on.
        return [] if is_whole or not rows or len(rows) < len(lines) // 2 else rows
    return rows
