"""Reads lines from files or standard input, some thousands at a time; no TensorFlow."""

import codecs
import contextlib
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

# The limits of a block: large enough to contain lines of similar length, small enough for memory.
_MOST_LINES = 8192
_MOST_CHARACTERS = 4_000_000
_READ_AT_ONCE = 1 << 16
_SEARCHED_AT_ONCE = 1 << 20  # bytes, in the search for the first non-ASCII one


def find(input_file: str, flag: str = "--input_file") -> list[str]:
    """The inputs that a flag names: standard input, a path taken literally, or paths and globs separated by commas.

    Raises:
      InputError: a path or glob matches no file.
    """
    return [input_file] if input_file == STANDARD_INPUT else files.expand(input_file, flag)


def count(paths: Sequence[str]) -> int | None:
    """The number of lines of the inputs; None if it cannot be determined quickly.

    Raises:
      InputError: a file cannot be read.
    """
    lines = 0
    for path in paths:
        try:
            if path == STANDARD_INPUT or file_system.is_remote(path):
                return None  # counting would read everything twice over a network
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
    r"""Reads the lines of the inputs, one input after another, in blocks; without their `\n`.

    A block ends early when standard input, or another pipe, pauses, so that interactive input is answered at once.

    Args:
      paths: text files, which may be compressed; `-` is standard input, which may be gzip.

    Raises:
      InputError: a file is missing, corrupt or not UTF-8; the message names the file and the line.
    """
    block: list[str] = []
    characters = 0
    for path in paths:
        for line in _lines(path):
            if line is not None:
                block.append(line)
                characters += len(line)
            is_full = len(block) >= _MOST_LINES or characters >= _MOST_CHARACTERS
            if block and (is_full or line is None):
                yield block
                block, characters = [], 0
    if block:
        yield block


def check_encoding(name: str) -> None:
    """Checks that Python knows a text encoding.

    Raises:
      InputError: it does not.
    """
    try:
        is_known = codecs.lookup(name)._is_text_encoding  # `rot13` and `zip` are codecs, too
    except (LookupError, ValueError):
        is_known = False
    if not is_known:
        raise InputError(
            f"--encoding={name!r:.60} is not an encoding known to Python; give, for example, utf-8, utf-16, cp1252, "
            "gb18030 or big5."
        )


def detect_encoding(path: str) -> str | None:
    """Python's name of the encoding of a file, guessed from its first non-ASCII characters; None if unknown.

    Standard input, which can be read only once, is assumed to be UTF-8.

    Raises:
      InputError: the file cannot be read.
    """
    if path == STANDARD_INPUT:
        return "utf-8"
    try:
        with files.open_bytes(path) as file:
            sample = block = file.read(text_encoding.SAMPLE)
            while block and block.isascii() and b"\x00" not in block:
                block = file.read(_SEARCHED_AT_ONCE)
            if block and block is not sample:
                begin = next(index for index, byte in enumerate(block) if byte >= 0x80 or not byte)
                sample = block[begin:] + file.read(text_encoding.SAMPLE)
    except (OSError, EOFError) as error:
        raise files.cannot_read(path, error) from None
    return text_encoding.detect(sample)


def read_decoded(path: str, encoding: str | None) -> Iterator[str]:
    r"""The lines of a file, split only at `\n` and without it; a byte order mark is removed.

    Args:
      path: the file, which may be compressed; `-` is standard input.
      encoding: Python's name; None if `detect_encoding` found none: the file is read as UTF-8, and the error about the
        first line that is not suggests `--encoding`.

    Raises:
      InputError: the file cannot be read, or is not in this encoding; the message names the line.
    """
    is_utf8 = encoding is None or codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
    lines: Iterator[str]
    if not is_utf8:
        lines = _read_other_encoding(path, str(encoding))
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


def _read_other_encoding(path: str, encoding: str) -> Iterator[str]:
    number = 0
    try:
        opened = files.open_bytes(path) if path != STANDARD_INPUT else contextlib.nullcontext(_standard_input())
        with opened as file, io.TextIOWrapper(file, encoding, newline="\n") as text:
            for number, line in enumerate(text, 1):  # noqa: B007 (used in the error below)
                yield line.removesuffix("\n")
    except UnicodeError as error:
        raise InputError(
            f"{path} is not {encoding} after line {number} ({error.__class__.__name__}: {error!s:.100}); give its "
            "actual encoding as --encoding."
        ) from None
    except (OSError, EOFError) as error:
        raise files.cannot_read(path, error) from None


def _standard_input() -> Any:
    """The bytes of standard input.

    Raises:
      InputError: it is closed, as in some services.
    """
    if sys.stdin is None:
        raise InputError("Standard input is closed; connect it to a file or a pipe, or name a file.")
    return sys.stdin.buffer


def _lines(path: str) -> Iterator[str | None]:
    """The lines of an input; None whenever no more input is waiting."""
    if path == STANDARD_INPUT:
        return _decode_stream(_standard_input(), "standard input")
    # A pipe, for example, cannot be opened twice, which detecting the compression would need.
    is_pipe = not file_system.is_remote(path) and os.path.exists(path) and not os.path.isfile(path)
    return _read_pipe(path) if is_pipe else files.read_lines(path)


def _read_pipe(path: str) -> Iterator[str | None]:
    try:
        with open(path, "rb") as file:
            yield from _decode_stream(file, path)
    except OSError as error:
        raise files.cannot_read(path, error) from None


def _decode_stream(file: Any, name: str) -> Iterator[str | None]:
    """The lines of a UTF-8 stream; None whenever no more input is waiting."""
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
    """The lines of a stream, which may be gzip; None whenever no more input is waiting."""
    if file.peek(2)[:2] == b"\x1f\x8b":
        with files.gunzipped(file) as decompressed:
            for line in decompressed:
                yield line.removesuffix(b"\n")
        return
    incomplete: list[bytes] = []  # the beginning of a line
    while text := file.read1(_READ_AT_ONCE):
        *complete, rest = text.split(b"\n")
        for line in complete:
            yield b"".join([*incomplete, line])
            incomplete = []
        incomplete.append(rest)
        if not select.select([file], [], [], 0)[0]:
            yield None
    if last := b"".join(incomplete):
        yield last
