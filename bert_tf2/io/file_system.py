"""Local files and those of `gs://` and other schemes; the only place that distinguishes the two.

A local path goes to the operating system, a path with a scheme to `tf.io.gfile` (`remote_files`), and only then is
TensorFlow imported. Both sides have the same functions, behave alike, and raise `OSError` with the path in it.
"""

import errno
import filecmp
import glob as local_glob
import io
import os
import platform
import re
import shutil
import stat as modes
from pathlib import Path
from typing import IO, Any, Protocol

PathLike = str | os.PathLike[str]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class Status(Protocol):
    """The part of `os.stat_result` that is used."""

    @property
    def st_size(self) -> int:
        """Size in bytes."""

    @property
    def st_mtime_ns(self) -> int:
        """Time of the last change, in nanoseconds."""

    @property
    def st_mode(self) -> int:
        """File type and permissions."""


class _FileSystem(Protocol):
    """The interface of both sides; see the functions of the same names."""

    def path(self, path: PathLike) -> Path: ...
    def stat(self, path: PathLike) -> Status: ...
    def islink(self, path: PathLike) -> bool: ...
    def listdir(self, path: PathLike) -> list[str]: ...
    def glob(self, pattern: str) -> list[str]: ...
    def open(self, path: PathLike, mode: str, **options: Any) -> IO[Any]: ...
    def makedirs(self, path: PathLike) -> None: ...
    def replace(self, source: PathLike, target: PathLike) -> None: ...
    def remove(self, path: PathLike) -> None: ...
    def rmtree(self, path: PathLike, ignore_errors: bool) -> None: ...
    def sync(self, path: PathLike) -> None: ...
    def absolute(self, path: PathLike) -> str: ...
    def realpath(self, path: PathLike) -> str: ...
    def local_copy(self, path: PathLike) -> str: ...


def is_remote(path: PathLike) -> bool:
    """Whether a path has a scheme (`gs://`, `hdfs://`, `ram://`, ...), which the operating system does not know."""
    return _SCHEME.match(os.fspath(path)) is not None


def _of(path: PathLike) -> _FileSystem:
    if is_remote(path):
        from bert_tf2.io import remote_files

        return remote_files.FILES
    return _LOCAL


def path(path: PathLike) -> Path:
    """A path as a `Path`; a remote one keeps its `//`, and its methods work remotely."""
    return _of(path).path(path)


def stat(path: PathLike) -> Status:
    """Size, time and type of a file.

    Raises:
      OSError: it does not exist.
    """
    return _of(path).stat(path)


def exists(path: PathLike) -> bool:
    """Whether there is a file or a directory.

    Raises:
      OSError: credentials or the network are missing; `isfile` and `isdir` raise it, too.
    """
    return _status(path) is not None


def isfile(path: PathLike) -> bool:
    """Whether there is a regular file."""
    status = _status(path)
    return status is not None and modes.S_ISREG(status.st_mode)


def isdir(path: PathLike) -> bool:
    """Whether there is a directory."""
    status = _status(path)
    return status is not None and modes.S_ISDIR(status.st_mode)


def islink(path: PathLike) -> bool:
    """Whether a path is a symbolic link; remote ones never are."""
    return _of(path).islink(path)


def _status(path: PathLike) -> Status | None:
    if not is_remote(path):
        try:
            return stat(path)
        except (OSError, ValueError):
            return None
    try:
        return stat(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EINVAL):  # EINVAL: an impossible path
            return None
        raise  # missing credentials or a missing network must not look like a missing file


def getsize(path: PathLike) -> int:
    """The size of a file in bytes.

    Raises:
      OSError: it does not exist.
    """
    return stat(path).st_size


def listdir(path: PathLike) -> list[str]:
    """The names in a directory, in any order.

    Raises:
      OSError: it does not exist, or is not a directory.
    """
    return _of(path).listdir(path)


def glob(pattern: str) -> list[str]:
    """The paths that match a pattern, sorted; `**` matches any directories, and `*` no name that begins with a dot."""
    return sorted(_of(pattern).glob(pattern))


def open(path: PathLike, mode: str = "r", **options: Any) -> IO[Any]:
    """Opens a file as the built-in `open` does; remote ones in the modes `r`, `w` and `x`, binary or text.

    Raises:
      OSError: it cannot be opened.
    """
    return _of(path).open(path, mode, **options)


def makedirs(path: PathLike) -> None:
    """Creates a directory and its parents; it may exist already."""
    _of(path).makedirs(path)


def replace(source: PathLike, target: PathLike) -> None:
    """Moves a file, also from a local path to a remote one; the complete target replaces an earlier file at once.

    Raises:
      OSError: it cannot be moved.
    """
    _of(target).replace(source, target)


def copy(source: PathLike, target: PathLike) -> None:
    """Copies the content of a file."""
    with open(source, "rb") as original, open(target, "wb") as file:
        shutil.copyfileobj(original, file, 1 << 20)


def remove(path: PathLike) -> None:
    """Deletes a file that may be missing."""
    _of(path).remove(path)


def rmtree(path: PathLike, ignore_errors: bool = False) -> None:
    """Deletes a directory and everything in it.

    Raises:
      OSError: it is missing, or something cannot be deleted, unless errors are ignored.
    """
    _of(path).rmtree(path, ignore_errors)


def unfinished_prefix(path: PathLike) -> str:
    """The beginning of the hidden name under which a file is written until it is complete; a process id follows."""
    machine = f"{platform.node()}-" if is_remote(path) else ""  # local files are written by one machine only
    return f".{os.path.basename(os.fspath(path))}.unfinished-{machine}"


def sync(path: PathLike) -> None:
    """Waits until the content of a file, or the list of files in a directory, is on disk."""
    _of(path).sync(path)


def sync_open(file: IO[Any]) -> None:
    """Like `sync`, for a file that is open for writing."""
    file.flush()
    try:
        descriptor = file.fileno()
    except io.UnsupportedOperation:  # a remote one
        return
    os.fsync(descriptor)


def absolute(path: PathLike) -> str:
    """The absolute path; remote paths are always absolute."""
    return _of(path).absolute(path)


def realpath(path: PathLike) -> str:
    """The canonical path, by which files can be compared: without links, `..` and redundant slashes."""
    return _of(path).realpath(path)


def samefile(first: PathLike, second: PathLike) -> bool:
    """Whether two paths refer to the same file.

    Raises:
      OSError: a local one does not exist.
    """
    if is_remote(first) or is_remote(second):
        return realpath(first) == realpath(second)
    return os.path.samefile(first, second)


def is_inside(path: PathLike, directory: PathLike) -> bool:
    """Whether a path, after following links, is a directory itself or within it."""
    parent, child = realpath(directory), realpath(path)
    return child == parent or child.startswith(parent.rstrip("/") + "/")


def same_content(first: PathLike, second: PathLike) -> bool:
    """Whether two files have the same bytes.

    Raises:
      OSError: one of them cannot be read.
    """
    if not is_remote(first) and not is_remote(second):
        return filecmp.cmp(first, second, shallow=False)
    if getsize(first) != getsize(second):
        return False
    with open(first, "rb") as one, open(second, "rb") as other:
        return all(block == other.read(len(block)) for block in iter(lambda: one.read(1 << 20), b""))


def local_copy(path: PathLike) -> str:
    """A local path to the file: its own path if it is local.

    A remote file is copied into a temporary directory that lasts as long as the process. This is for readers that need
    a local file, to map it into memory or to seek in it.

    Raises:
      OSError: it cannot be read, or the disk is full.
    """
    return _of(path).local_copy(path)


class _Local:
    """The operating system's files."""

    def path(self, path: PathLike) -> Path:
        return Path(path)

    def stat(self, path: PathLike) -> os.stat_result:
        return os.stat(path)

    def islink(self, path: PathLike) -> bool:
        return os.path.islink(path)

    def listdir(self, path: PathLike) -> list[str]:
        return os.listdir(path)

    def glob(self, pattern: str) -> list[str]:
        return local_glob.glob(pattern, recursive=True)

    def open(self, path: PathLike, mode: str, **options: Any) -> IO[Any]:
        return io.open(path, mode, **options)  # noqa: UP020 (`open` is redefined here)

    def makedirs(self, path: PathLike) -> None:
        os.makedirs(path, exist_ok=True)

    def replace(self, source: PathLike, target: PathLike) -> None:
        os.replace(source, target)

    def remove(self, path: PathLike) -> None:
        Path(path).unlink(missing_ok=True)

    def rmtree(self, path: PathLike, ignore_errors: bool) -> None:
        shutil.rmtree(path, ignore_errors)

    def sync(self, path: PathLike) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def absolute(self, path: PathLike) -> str:
        return os.path.abspath(os.fspath(path))

    def realpath(self, path: PathLike) -> str:
        return os.path.realpath(os.fspath(path))

    def local_copy(self, path: PathLike) -> str:
        return os.fspath(path)


_LOCAL = _Local()
