"""Objects of a JSON file, one after the other: a line each, or the elements of one array; no TensorFlow."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

from bert_tf2.errors import InputError
from bert_tf2.io import file_kinds, json_files, text_lines

_CHARACTERS_AT_ONCE = 1 << 16
_SPACE = re.compile(r"[ \t\n\r]*")


def read(
    path: str, expected: str, encoding: str | None = "utf-8", lines: Iterator[str] | None = None, begin: int = 1
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file and the number of the line on which each begins.

    A file whose first line that is not blank begins with `[` is an array, unless its name ends in `.jsonl` or
    `.ndjson`. Of an array, too, only a part is in memory at a time.

    Args:
      path: the file, which may be compressed.
      expected: the end of an error, after "holds a list, ".
      encoding: see `text_lines.read_decoded`.
      lines: those of a part of the file; all by default.
      begin: the number of the first of them.

    Raises:
      InputError: it cannot be read, is not JSON, or has something else than objects.
    """
    lines = text_lines.read_decoded(path, encoding) if lines is None else lines
    blank = 0
    for first in lines:
        if first.strip():
            break
        blank += 1
    else:
        return
    lines = itertools.chain([first], lines)
    if first.lstrip().startswith("[") and file_kinds.kind_of(path) != "json lines":
        yield from _Array(path, lines, begin + blank, expected).objects()
        return
    for number, line in enumerate(lines, begin + blank):
        if line.strip():
            where = f"{path}, line {number}"
            yield number, _object(json_files.parse(line, where, expected), where, expected)


def _object(value: Any, where: str, expected: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where} holds {'a list' if isinstance(value, list) else f'{value!r:.40}'}, {expected}.")
    return value


class _Array:
    """The elements of an array, from its lines.

    Args:
      path: of the file.
      lines: of the text.
      line: the number of the first one.
      expected: see `read`.
    """

    def __init__(self, path: str, lines: Iterator[str], line: int, expected: str) -> None:
        self._path, self._lines, self._expected = path, lines, expected
        self._text, self._at, self._line = "", 0, line

    def objects(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """See `read`."""
        self._take("[")
        if self._next() == "]":
            self._take("]")
        else:
            separator = ","
            while separator == ",":
                self._next()
                line = self._line
                yield line, _object(self._value(), f"{self._path}, line {line}", self._expected)
                separator = self._next()
                self._take(",]")
        if self._next():
            self._refuse("there is text after the array")

    def _take(self, characters: str) -> None:
        if (found := self._next()) not in characters or not found:
            wanted = " or ".join(map(repr, characters))
            self._refuse(f"{found!r} instead of {wanted}" if found else f"it ends before {wanted}")
        self._at += 1

    def _next(self) -> str:
        """The next character that is not whitespace, at which reading then goes on; "" at the end."""
        while True:
            end = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # it matches nothing, too
            self._go_to(end)
            if end < len(self._text):
                return self._text[end]
            if not self._read_more():
                return ""

    def _value(self) -> Any:
        while True:
            try:
                value, end = json_files.decode_from(self._text, self._at)
            except ValueError:  # it may not be whole
                if not self._read_more():
                    return json_files.parse(self._text[self._at :], f"{self._path}, from line {self._line}", "")
            except RecursionError:
                self._refuse("lists or objects are nested too deeply")
            else:
                self._go_to(end)
                return value

    def _go_to(self, end: int) -> None:
        self._line += self._text.count("\n", self._at, end)
        self._at = end

    def _read_more(self) -> bool:
        """Reads as much again as there is, so that a long element is not tried for each of its lines."""
        rest = self._text[self._at :]
        parts, characters = [rest], 0
        for line in self._lines:
            parts.append(f"{line}\n")
            characters += len(line) + 1
            if characters >= max(_CHARACTERS_AT_ONCE, len(rest)):
                break
        self._text, self._at = "".join(parts), 0
        return characters > 0

    def _refuse(self, reason: str) -> None:
        raise InputError(f"{self._path}, line {self._line} is not JSON ({reason}).")
