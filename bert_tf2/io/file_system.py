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
    """The used part of `os.stat_result`."""

    @property
    def st_size(self) -> int:
        """Bytes."""

    @property
    def st_mtime_ns(self) -> int:
        """When the file was changed."""

    @property
    def st_mode(self) -> int:
        """A file or a directory."""


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
    """Whether a path has a scheme (`gs://`, `hdfs://`, `ram://`, ...), and so is not the operating system's."""
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
    """Size, time and kind of a file.

    Raises:
      OSError: there is none.
    """
    return _of(path).stat(path)


def exists(path: PathLike) -> bool:
    """Whether there is a file or a directory.

    Raises:
      OSError: this and the next two cannot tell, for want of credentials or of a network.
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
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EINVAL):  # the last one: a path that nothing can have
            return None
        raise  # credentials or a network that is missing must not look like a file that is


def getsize(path: PathLike) -> int:
    """Bytes of a file.

    Raises:
      OSError: there is none.
    """
    return stat(path).st_size


def listdir(path: PathLike) -> list[str]:
    """The names in a directory, in any order.

    Raises:
      OSError: there is none.
    """
    return _of(path).listdir(path)


def glob(pattern: str) -> list[str]:
    """What matches a pattern, sorted; `**` stands for any directories, and `*` for no name that begins with a dot."""
    return sorted(_of(pattern).glob(pattern))


def open(path: PathLike, mode: str = "r", **options: Any) -> IO[Any]:
    """Opens a file as the built-in `open` does; remote ones in the modes `r`, `w` and `x`, binary or text.

    Raises:
      OSError: it cannot be opened.
    """
    return _of(path).open(path, mode, **options)


def makedirs(path: PathLike) -> None:
    """Makes a directory, and those above it; it may exist."""
    _of(path).makedirs(path)


def replace(source: PathLike, target: PathLike) -> None:
    """Moves a file, also from the local side to a remote one; the target appears whole, in place of what was there.

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
    """Deletes a directory and all in it.

    Raises:
      OSError: it is missing, or something cannot be deleted, unless errors are ignored.
    """
    _of(path).rmtree(path, ignore_errors)


def unfinished_prefix(path: PathLike) -> str:
    """How the hidden name begins under which a file is written until it is whole; a process id follows."""
    machine = f"{platform.node()}-" if is_remote(path) else ""  # a local directory has one
    return f".{os.path.basename(os.fspath(path))}.unfinished-{machine}"


def sync(path: PathLike) -> None:
    """Waits until what has been written to a file, or which files a directory has, is on disk."""
    _of(path).sync(path)


def sync_open(file: IO[Any]) -> None:
    """`sync` of a file that is open for writing."""
    file.flush()
    try:
        descriptor = file.fileno()
    except io.UnsupportedOperation:  # a remote one
        return
    os.fsync(descriptor)


def absolute(path: PathLike) -> str:
    """A path from the root; a remote one always is."""
    return _of(path).absolute(path)


def realpath(path: PathLike) -> str:
    """A path by which files can be compared: without links, `..` and slashes too many."""
    return _of(path).realpath(path)


def samefile(first: PathLike, second: PathLike) -> bool:
    """Whether two paths lead to one file.

    Raises:
      OSError: a local one leads nowhere.
    """
    if is_remote(first) or is_remote(second):
        return realpath(first) == realpath(second)
    return os.path.samefile(first, second)


def is_inside(path: PathLike, directory: PathLike) -> bool:
    """Whether a path, with its links followed, is a directory or in it."""
    home, place = realpath(directory), realpath(path)
    return place == home or place.startswith(home.rstrip("/") + "/")


def same_content(first: PathLike, second: PathLike) -> bool:
    """Whether two files have the same bytes.

    Raises:
      OSError: one cannot be read.
    """
    if not is_remote(first) and not is_remote(second):
        return filecmp.cmp(first, second, shallow=False)
    if getsize(first) != getsize(second):
        return False
    with open(first, "rb") as one, open(second, "rb") as other:
        return all(part == other.read(len(part)) for part in iter(lambda: one.read(1 << 20), b""))


def local_copy(path: PathLike) -> str:
    """A path under which the operating system has the file: a local file's own.

    A remote file is copied into a temporary directory, which lasts as long as the process. This is for readers that
    need a file of the operating system, to map it into memory or to jump about in it.

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
        return io.open(path, mode, **options)  # noqa: UP020 (`open` is another one here)

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
