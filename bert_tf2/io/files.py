"""Finding, opening and reading files; no TensorFlow. `io.atomic` writes them; both build on `io.file_system`."""

import errno
import gzip
import os
import stat
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from bert_tf2.errors import InputError
from bert_tf2.io import file_system, text_encoding


def expand(patterns: str | Iterable[str], what: str = "input") -> list[str]:
    """The files named by a comma-separated list of paths and globs.

    A path that exists is taken literally, whatever characters it contains: it is not split at commas, and is not a
    glob.

    Args:
      patterns: `"a.txt,b*.txt"`, or the patterns already split.
      what: what error messages call these files, for example `"--input_file"`.

    Returns:
      Paths in the order of the patterns, those of one glob sorted by name. A file that is named twice is listed twice.

    Raises:
      InputError: a pattern matches nothing, or nothing was given.
    """
    split = patterns.split(",") if isinstance(patterns, str) else list(patterns)
    if isinstance(patterns, str) and file_system.exists(patterns):
        split = [patterns]
    remaining = [pattern for pattern in split if pattern.strip()]
    if not remaining:
        raise InputError(f"{what} does not name a file; give a path, a glob or a comma-separated list of them.")
    paths: list[str] = []
    while remaining:
        count, matches = _first_matching(remaining)
        if not matches:
            pattern = remaining[0].strip()
            where = "" if file_system.is_remote(pattern) else f" (relative to {os.getcwd()})"
            raise InputError(f"{what}: no file matches {pattern!r}{where}; check the path.")
        for match in matches:
            if file_system.isdir(match):
                raise InputError(
                    f"{what}: {match!r} is a directory; name its files, for example {match.rstrip('/')}/*."
                )
        paths += matches
        del remaining[:count]
    return paths


def _first_matching(parts: list[str]) -> tuple[int, list[str]]:
    """The number of parts between commas that make up the first path or glob, and the paths that it matches.

    It is more than 1 if a path contains commas: the smallest number that matches files; else directories or nothing.
    """
    fallback: tuple[int, list[str]] = (1, [])
    for count in range(1, len(parts) + 1):
        pattern = ",".join(parts[:count])
        for path in dict.fromkeys((pattern, pattern.strip())):
            matches = [path] if file_system.exists(path) else file_system.glob(path)
            if matches and not any(map(file_system.isdir, matches)):
                return count, matches
            fallback = fallback if fallback[1] else (count, matches)
    return fallback


def read_lines(path: str | os.PathLike[str]) -> Iterator[str]:
    r"""The lines of a UTF-8 text file, decompressed if necessary, split only at `\n` and without it.

    Python's other line breaks (U+2028, form feed, a lone `\r`, ...) are ordinary characters, as in the original.

    Raises:
      InputError: the file is missing, unreadable or not UTF-8; the message names the line.
    """
    number = 0
    try:
        with open_bytes(path) as file:
            for number, line in enumerate(file, 1):  # noqa: B007 (used in the error below)
                yield line.decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise not_utf8(f"{os.fspath(path)}, line {number}", error, _beginning(path)) from None
    except (OSError, EOFError) as error:
        raise cannot_read(path, error) from None


def not_utf8(where: str, error: UnicodeDecodeError, beginning: bytes) -> InputError:
    """The error for a line that is not UTF-8.

    Args:
      where: the file and the line.
      error: the error of decoding the line.
      beginning: the beginning of the file, from which the encoding is guessed.
    """
    byte = f"byte {error.start + 1} of the line (0x{error.object[error.start]:02x})"
    return InputError(f"{where}: {text_encoding.not_utf8_reason(byte, beginning)}.")


def _beginning(path: str | os.PathLike[str]) -> bytes:
    with open_bytes(path) as file:
        return bytes(file.read(text_encoding.SAMPLE))


def is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8: JSON may contain lone surrogates, which cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def cannot_read(path: str | os.PathLike[str], error: Exception) -> InputError:
    """The error for a file that is missing, unreadable, or compressed and corrupt."""
    reason = getattr(error, "strerror", None) or f"{error}; it is corrupt or truncated"
    return InputError(f"Cannot read {os.fspath(path)}: {reason}.")


def compression(path: str | os.PathLike[str]) -> str | None:
    """The compression of a file, recognized by its first bytes: "gzip", "zstd" or None.

    Raises:
      InputError: it is a pipe, which would lose these bytes.
      OSError: it cannot be read.
    """
    with file_system.open(path, "rb") as file:
        if not file.seekable():
            raise InputError(
                f"{os.fspath(path)} is a pipe or a terminal, which can be read only once; write its content to a file "
                "and give that."
            )
        start = file.read(4)
    return "gzip" if start[:2] == b"\x1f\x8b" else "zstd" if start == b"\x28\xb5\x2f\xfd" else None


@contextmanager
def open_bytes(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Opens a file for reading bytes; gzip and Zstandard are decompressed.

    Raises:
      OSError, EOFError: it cannot be read, or is compressed and corrupt; `cannot_read` turns this into an InputError.
    """
    kind = compression(path)
    if kind == "gzip":
        with file_system.open(path, "rb") as packed, gunzipped(packed) as file:
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


@contextmanager
def gunzipped(packed: IO[bytes]) -> Iterator[Any]:
    """Decompresses a gzip stream.

    Raises:
      OSError, EOFError: it is corrupt or truncated.
    """
    try:
        with gzip.open(packed) as file:
            yield file
    except zlib.error as error:  # of corrupt content; it is neither of these
        raise EOFError(str(error)) from None


def open_regular(path: str | os.PathLike[str], flags: int = 0) -> int:
    """Opens a regular file for reading and writing; creates it if it is missing. Returns its descriptor.

    Links are rejected, since writing through one would change another file.

    Args:
      path: the file.
      flags: further flags of `os.open`.

    Raises:
      InputError: it is a symbolic link, has several hard links, or is not a regular file.
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
