"""The lines of any input, files or standard input, some thousands at a time; no TensorFlow."""

import gzip
import os
import select
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from bert_tf2.io import files

STANDARD_INPUT = "-"

# Lines and characters of a block: enough to find some of like length, little enough to be held in memory.
_MOST_LINES = 8192
_MOST_CHARACTERS = 4_000_000
_READ_AT_ONCE = 1 << 16


def find(input_file: str, flag: str = "--input_file") -> list[str]:
    """The files that a flag names: standard input, a path taken literally, or paths and globs with commas between.

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
            if path == STANDARD_INPUT or not os.path.isfile(path) or files.compression(path):
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


def _lines(path: str) -> Iterator[str | None]:
    """The lines of an input; None wherever nothing more is waiting to be read."""
    if path == STANDARD_INPUT:
        return _decoded(sys.stdin.buffer, "standard input")
    # What is no file, a pipe for example, cannot be opened twice, once to see whether it is compressed.
    return _of_pipe(path) if os.path.exists(path) and not os.path.isfile(path) else files.read_lines(path)


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
