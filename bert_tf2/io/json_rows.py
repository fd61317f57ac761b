"""Reads JSON files object by object: JSON Lines, or the elements of one array; no TensorFlow."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

from bert_tf2.errors import InputError
from bert_tf2.io import file_kinds, json_files, text_lines

_CHARACTERS_AT_ONCE = 1 << 16
_SPACE = re.compile(r"[ \t\n\r]*")


def read(
    path: str, expected: str, encoding: str | None = "utf-8", lines: Iterator[str] | None = None, first_line: int = 1
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The number of the line on which each object begins, and the object.

    A file whose first character that is not whitespace is `[` contains an array, unless its name ends in `.jsonl` or
    `.ndjson`. Arrays are read in parts, too, so that they need not fit into memory.

    Args:
      path: the file, which may be compressed.
      expected: the end of error messages, after "holds a list, ".
      encoding: see `text_lines.read_decoded`.
      lines: the lines of a part of the file; all by default.
      first_line: the number of the first of `lines`.

    Raises:
      InputError: the file cannot be read, is not JSON, or contains anything but objects.
    """
    lines = text_lines.read_decoded(path, encoding) if lines is None else lines
    empty_lines = 0
    for first in lines:
        if first.strip():
            break
        empty_lines += 1
    else:
        return
    lines = itertools.chain([first], lines)
    if first.lstrip().startswith("[") and file_kinds.kind_of(path) != "json lines":
        yield from _Array(path, lines, first_line + empty_lines, expected).objects()
        return
    for number, line in enumerate(lines, first_line + empty_lines):
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
      path: the path of the file, for errors.
      lines: the lines of the array.
      line: the number of the first one.
      expected: see `read`.
    """

    def __init__(self, path: str, lines: Iterator[str], line: int, expected: str) -> None:
        self._path, self._lines, self._expected = path, lines, expected
        self._text, self._position, self._line = "", 0, line

    def objects(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields line numbers and objects; see `read`."""
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
        if (character := self._next()) not in characters or not character:
            expected = " or ".join(map(repr, characters))
            self._refuse(f"{character!r} instead of {expected}" if character else f"it ends before {expected}")
        self._position += 1

    def _next(self) -> str:
        """Moves to the next character that is not whitespace and returns it; "" at the end."""
        while True:
            # The pattern always matches, if only the empty string.
            end = _SPACE.match(self._text, self._position).end()  # type: ignore[union-attr]
            self._go_to(end)
            if end < len(self._text):
                return self._text[end]
            if not self._read_more():
                return ""

    def _value(self) -> Any:
        while True:
            try:
                value, end = json_files.decode_from(self._text, self._position)
            except ValueError:  # it may be incomplete
                if not self._read_more():
                    return json_files.parse(self._text[self._position :], f"{self._path}, from line {self._line}", "")
            except RecursionError:
                self._refuse("lists or objects are nested too deeply")
            else:
                self._go_to(end)
                return value

    def _go_to(self, end: int) -> None:
        self._line += self._text.count("\n", self._position, end)
        self._position = end

    def _read_more(self) -> bool:
        """Doubles the unread text, so that a long element is not parsed again after each of its lines."""
        rest = self._text[self._position :]
        texts, characters = [rest], 0
        for line in self._lines:
            texts.append(f"{line}\n")
            characters += len(line) + 1
            if characters >= max(_CHARACTERS_AT_ONCE, len(rest)):
                break
        self._text, self._position = "".join(texts), 0
        return characters > 0

    def _refuse(self, reason: str) -> None:
        raise InputError(f"{self._path}, line {self._line} is not JSON ({reason}).")
