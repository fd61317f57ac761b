"""Finding, reading and safely writing files; no TensorFlow."""

import glob
import gzip
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from bert_tf2 import text_encoding
from bert_tf2.errors import InputError


def expand(patterns: str | Iterable[str], what: str = "input") -> list[str]:
    """The files that a comma-separated list of paths and globs names.

    Args:
      patterns: `"a.txt,b*.txt"`, or the patterns already split.
      what: how an error calls these files, for example `"--input_file"`.

    Returns:
      Paths in the order of the patterns, those of one glob sorted by name. A file named twice is there twice.

    Raises:
      InputError: a pattern matches nothing, or nothing was given.
    """
    split = patterns.split(",") if isinstance(patterns, str) else list(patterns)
    wanted = [pattern.strip() for pattern in split if pattern.strip()]
    if not wanted:
        raise InputError(f"{what} names no file; give a path, a glob or a comma-separated list of them.")
    paths: list[str] = []
    for pattern in wanted:
        matches = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern, recursive=True))
        if not matches:
            raise InputError(f"{what}: no file matches {pattern!r} (seen from {os.getcwd()}); check the path.")
        for match in matches:
            if os.path.isdir(match):
                raise InputError(f"{what}: {match!r} is a folder; name its files, for example {match.rstrip('/')}/*.")
        paths += matches
    return paths


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
    return not any("\ud800" <= char <= "\udfff" for char in text)


def cannot_read(path: str | os.PathLike[str], error: Exception) -> InputError:
    """The sentence for a file that is missing, unreadable, or compressed and damaged."""
    reason = getattr(error, "strerror", None) or f"{error}; it is damaged or cut short"
    return InputError(f"Cannot read {os.fspath(path)}: {reason}.")


def compression(path: str | os.PathLike[str]) -> str | None:
    """How a file is compressed by its first bytes: "gzip", "zstd" or None."""
    with open(path, "rb") as file:
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
        with gzip.open(path, "rb") as file:
            yield file
    elif kind == "zstd":
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        try:
            with zstd.open(path, "rb") as file:
                yield file
        except zstd.ZstdError as error:
            raise EOFError(str(error)) from None
    else:
        with open(path, "rb") as file:
            yield file


@contextmanager
def replacing(path: str | os.PathLike[str], mode: str = "w", **options: Any) -> Iterator[IO[Any]]:
    """Opens a file beside `path` for writing and renames it to `path` at the end.

    `path` holds its old content, or does not exist, until the whole new content is on disk. An exception removes the
    unfinished file. Missing folders are made. Text is UTF-8 with `\\n` line ends.

    Args:
      path: the file to write.
      mode: `"w"` or `"wb"`.
      **options: further arguments of `open`.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    unfinished = beside(final)
    if "b" not in mode:
        options = {"encoding": "utf-8", "newline": "\n", **options}
    try:
        with open(unfinished, mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, final)
    except OSError as error:
        if error.filename in (None, os.fspath(unfinished)):  # a full disk does not say whose
            raise OSError(error.errno, f"cannot be written ({error.strerror or error})", os.fspath(path)) from error
        raise
    finally:
        unfinished.unlink(missing_ok=True)


def check_writable(folder: str | os.PathLike[str]) -> None:
    """Raises `InputError` where files cannot be written into a folder that may not exist yet; writes nothing."""
    existing = next(path for path in (Path(folder).absolute(), *Path(folder).absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"{os.fspath(folder)} cannot be written: no permission in {existing}, or that is no folder.")


def unfinished(path: str | os.PathLike[str]) -> list[Path]:
    """What killed processes left of `path`, and what others are writing of it now."""
    final = Path(path)
    return list(final.parent.glob(f".{glob.escape(final.name)}.unfinished-*"))


def beside(path: str | os.PathLike[str]) -> Path:
    """The name under which `path` is written until it is whole: `.<name>.unfinished-<process id>` in its folder."""
    final = Path(path)
    return final.with_name(f".{final.name}.unfinished-{os.getpid()}")
