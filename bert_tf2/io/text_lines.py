"""The lines of any input, files or standard input, some thousands at a time; no TensorFlow."""

import codecs
import contextlib
import gzip
import io
import itertools
import os
import select
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from bert_tf2.errors import InputError
from bert_tf2.io import file_system, files, text_encoding

STANDARD_INPUT = "-"

# Lines and characters of a block: enough to find some of like length, little enough to be held in memory.
_MOST_LINES = 8192
_MOST_CHARACTERS = 4_000_000
_READ_AT_ONCE = 1 << 16
_SOUGHT_AT_ONCE = 1 << 20  # bytes among which one beyond ASCII is looked for


def find(input_file: str, flag: str = "--input_file") -> list[str]:
    """The files that a flag names: standard input, a path taken literally, or paths and globs separated by commas.

    Raises:
      InputError: there are no such files.
    """
    return [input_file] if input_file == STANDARD_INPUT else files.expand(input_file, flag)


def count(paths: Sequence[str]) -> int | None:
    """How many lines there are; None where that cannot be told quickly.

    Raises:
      InputError: a file cannot be read.
    """
    lines = 0
    for path in paths:
        try:
            if path == STANDARD_INPUT or file_system.is_remote(path):
                return None  # not without reading all of it once more over a network
            if not os.path.isfile(path) or files.compression(path):
                return None
            last = b"\n"
            with open(path, "rb") as file:
                while text := file.read(1 << 20):
                    lines += text.count(b"\n")
                    last = text[-1:]
            lines += last != b"\n"
        except OSError as error:
            raise files.cannot_read(path, error) from None
    return lines


def read(paths: Sequence[str]) -> Iterator[list[str]]:
    r"""The lines of files, one file after the other, in blocks; without their `\n`.

    A block ends early where standard input, or another pipe, pauses: whoever writes there line by line gets answers.

    Args:
      paths: text files, which may be compressed; `-` is standard input, which may be gzip.

    Raises:
      InputError: a file is missing, damaged or not UTF-8; the message names file and line.
    """
    block: list[str] = []
    characters = 0
    for path in paths:
        for line in _lines(path):
            if line is not None:
                block.append(line)
                characters += len(line)
            full = len(block) >= _MOST_LINES or characters >= _MOST_CHARACTERS
            if block and (full or line is None):
                yield block
                block, characters = [], 0
    if block:
        yield block


def check_encoding(name: str) -> None:
    """Checks that Python knows an encoding of texts.

    Raises:
      InputError: it does not.
    """
    try:
        known = codecs.lookup(name)._is_text_encoding  # `rot13` and `zip` are codecs, too
    except (LookupError, ValueError):
        known = False
    if not known:
        raise InputError(
            f"--encoding={name!r:.60} is not an encoding known to Python; give, for example, utf-8, utf-16, cp1252, "
            "gb18030 or big5."
        )


def detect_encoding(path: str) -> str | None:
    """Python's name of the encoding of a file, from the first part of it that is not ASCII; None: it is not clear.

    Standard input, which can be read only once, is taken for UTF-8.

    Raises:
      InputError: the file cannot be read.
    """
    if path == STANDARD_INPUT:
        return "utf-8"
    try:
        with files.open_bytes(path) as file:
            sample = part = file.read(text_encoding.SAMPLE)
            while part and part.isascii() and b"\x00" not in part:
                part = file.read(_SOUGHT_AT_ONCE)
            if part and part is not sample:
                begin = next(place for place, byte in enumerate(part) if byte >= 0x80 or not byte)
                sample = part[begin:] + file.read(text_encoding.SAMPLE)
    except (OSError, EOFError) as error:
        raise files.cannot_read(path, error) from None
    return text_encoding.detect(sample)


def read_decoded(path: str, encoding: str | None) -> Iterator[str]:
    r"""The lines of a file, split at `\n` alone and without it; a byte order mark is not part of the first one.

    Args:
      path: the file, which may be compressed; `-` is standard input.
      encoding: Python's name; None: what `detect_encoding` found, nothing, so that the first line that is not UTF-8 is
        an error.

    Raises:
      InputError: the file cannot be read, or is not in this encoding; the message names the line.
    """
    is_utf8 = encoding is None or codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
    lines: Iterator[str]
    if not is_utf8:
        lines = _in_other_encoding(path, str(encoding))
    elif path == STANDARD_INPUT:
        lines = itertools.chain.from_iterable(read([path]))
    else:
        lines = files.read_lines(path)
    try:
        for first in lines:
            yield first.removeprefix("\ufeff")
            break
        yield from lines
    except InputError as error:
        if encoding is not None or "is not UTF-8" not in str(error):
            raise
        raise InputError(f"{error} Or give its encoding: --encoding=cp1252, for example.") from None


def _in_other_encoding(path: str, encoding: str) -> Iterator[str]:
    number = 0
    try:
        opened = files.open_bytes(path) if path != STANDARD_INPUT else contextlib.nullcontext(sys.stdin.buffer)
        with opened as file, io.TextIOWrapper(file, encoding, newline="\n") as text:
            for number, line in enumerate(text, 1):  # noqa: B007 (the number is for the error below)
                yield line.removesuffix("\n")
    except UnicodeError as error:
        raise InputError(
            f"{path} is not {encoding} after line {number} ({error.__class__.__name__}: {error!s:.100}); give its "
            "actual encoding as --encoding."
        ) from None
    except (OSError, EOFError) as error:
        raise files.cannot_read(path, error) from None


def _lines(path: str) -> Iterator[str | None]:
    """The lines of an input; None wherever nothing more is waiting to be read."""
    if path == STANDARD_INPUT:
        return _decoded(sys.stdin.buffer, "standard input")
    # What is not a file, a pipe for example, cannot be opened twice, once to see whether it is compressed.
    is_pipe = not file_system.is_remote(path) and os.path.exists(path) and not os.path.isfile(path)
    return _of_pipe(path) if is_pipe else files.read_lines(path)


def _of_pipe(path: str) -> Iterator[str | None]:
    try:
        with open(path, "rb") as file:
            yield from _decoded(file, path)
    except OSError as error:
        raise files.cannot_read(path, error) from None


def _decoded(file: Any, name: str) -> Iterator[str | None]:
    """The lines of a stream, UTF-8; None wherever nothing more is waiting to be read."""
    number = 0
    try:
        for line in _split(file):
            number += line is not None
            yield None if line is None else line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise files.not_utf8(f"{name}, line {number}", error, error.object) from None
    except (OSError, EOFError) as error:
        raise files.cannot_read(name, error) from None


def _split(file: Any) -> Iterator[bytes | None]:
    if file.peek(2)[:2] == b"\x1f\x8b":
        with gzip.open(file) as unpacked:
            for line in unpacked:
                yield line.removesuffix(b"\n")
        return
    begun: list[bytes] = []  # of a line
    while text := file.read1(_READ_AT_ONCE):
        *whole, rest = text.split(b"\n")
        for line in whole:
            yield b"".join([*begun, line])
            begun = []
        begun.append(rest)
        if not select.select([file], [], [], 0)[0]:
            yield None
    if last := b"".join(begun):
        yield last
