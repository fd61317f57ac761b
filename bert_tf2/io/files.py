"""Finding, reading and opening files; no TensorFlow. `io.atomic` writes them, `io.file_system` is below both."""

import errno
import gzip
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from bert_tf2.errors import InputError
from bert_tf2.io import file_system, text_encoding


def expand(patterns: str | Iterable[str], what: str = "input") -> list[str]:
    """The files that a comma-separated list of paths and globs names.

    What exists is taken literally, whatever characters are in its path: commas do not divide it, and it is not a glob.

    Args:
      patterns: `"a.txt,b*.txt"`, or the patterns already split.
      what: how an error calls these files, for example `"--input_file"`.

    Returns:
      Paths in the order of the patterns, those of one glob sorted by name. A file named twice is there twice.

    Raises:
      InputError: a pattern matches nothing, or nothing was given.
    """
    split = patterns.split(",") if isinstance(patterns, str) else list(patterns)
    if isinstance(patterns, str) and file_system.exists(patterns):
        split = [patterns]
    wanted = [pattern for pattern in split if pattern.strip()]
    if not wanted:
        raise InputError(f"{what} does not name a file; give a path, a glob or a comma-separated list of them.")
    paths: list[str] = []
    while wanted:
        taken, matches = _first_matching(wanted)
        if not matches:
            pattern = wanted[0].strip()
            where = "" if file_system.is_remote(pattern) else f" (relative to {os.getcwd()})"
            raise InputError(f"{what}: no file matches {pattern!r}{where}; check the path.")
        for match in matches:
            if file_system.isdir(match):
                raise InputError(
                    f"{what}: {match!r} is a directory; name its files, for example {match.rstrip('/')}/*."
                )
        paths += matches
        del wanted[:taken]
    return paths


def _first_matching(parts: list[str]) -> tuple[int, list[str]]:
    """How many of the parts between commas make the first path or glob, and what it matches.

    More than one, where a path has commas in it: the fewest that match files, else a directory or nothing.
    """
    found: tuple[int, list[str]] = (1, [])
    for count in range(1, len(parts) + 1):
        pattern = ",".join(parts[:count])
        for path in dict.fromkeys((pattern, pattern.strip())):
            matches = [path] if file_system.exists(path) else file_system.glob(path)
            if matches and not any(map(file_system.isdir, matches)):
                return count, matches
            found = found if found[1] else (count, matches)
    return found


def read_lines(path: str | os.PathLike[str]) -> Iterator[str]:
    r"""The lines of a UTF-8 text file, unpacked if it is gzip or Zstandard, split at `\n` alone and without it.

    Python's other line ends (U+2028, form feed, a lone `\r`, ...) are ordinary characters here, as they were in the
    original.

    Raises:
      InputError: the file is missing, unreadable or not UTF-8; the message names the line.
    """
    number = 0
    try:
        with open_bytes(path) as file:
            for number, line in enumerate(file, 1):  # noqa: B007 (the number is for the error below)
                yield line.decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise not_utf8(f"{os.fspath(path)}, line {number}", error, _beginning(path)) from None
    except (OSError, EOFError) as error:
        raise cannot_read(path, error) from None


def not_utf8(where: str, error: UnicodeDecodeError, beginning: bytes) -> InputError:
    """The sentence for a line that is not UTF-8.

    Args:
      where: the file and the line.
      error: of the line's bytes.
      beginning: of the file, from which the encoding is guessed.
    """
    byte = f"byte {error.start + 1} of the line (0x{error.object[error.start]:02x})"
    return InputError(f"{where}: {text_encoding.sentence(byte, beginning)}.")


def _beginning(path: str | os.PathLike[str]) -> bytes:
    with open_bytes(path) as file:
        return bytes(file.read(text_encoding.SAMPLE))


def is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8: JSON can hold halves of surrogate pairs, which cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def cannot_read(path: str | os.PathLike[str], error: Exception) -> InputError:
    """The sentence for a file that is missing, unreadable, or compressed and damaged."""
    reason = getattr(error, "strerror", None) or f"{error}; it is corrupt or truncated"
    return InputError(f"Cannot read {os.fspath(path)}: {reason}.")


def compression(path: str | os.PathLike[str]) -> str | None:
    """How a file is compressed by its first bytes: "gzip", "zstd" or None."""
    with file_system.open(path, "rb") as file:
        start = file.read(4)
    return "gzip" if start[:2] == b"\x1f\x8b" else "zstd" if start == b"\x28\xb5\x2f\xfd" else None


@contextmanager
def open_bytes(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Opens a file for reading bytes; gzip and Zstandard are unpacked on the way.

    Raises:
      OSError, EOFError: it cannot be read, or is compressed and damaged; `cannot_read` makes a sentence of it.
    """
    kind = compression(path)
    if kind == "gzip":
        with file_system.open(path, "rb") as packed, gzip.open(packed) as file:
            yield file
    elif kind == "zstd":
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        try:
            with file_system.open(path, "rb") as packed, zstd.open(packed, "rb") as file:
                yield file
        except zstd.ZstdError as error:
            raise EOFError(str(error)) from None
    else:
        with file_system.open(path, "rb") as file:
            yield file


def open_regular(path: str | os.PathLike[str], flags: int = 0) -> int:
    """Opens a regular file for reading and writing; creates it if it is missing. Returns its descriptor.

    The file is known by its path alone: a link to another one, which would be written instead, is refused.

    Args:
      path: the file.
      flags: further flags of `os.open`.

    Raises:
      InputError: it is a symbolic link, a file of several names, or not a regular file.
      OSError: it cannot be opened.
    """
    refusal = InputError(f"{os.fspath(path)} is a link, or not a regular file, so it cannot be written; remove it.")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | flags, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise refusal from None
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise refusal
    return descriptor
