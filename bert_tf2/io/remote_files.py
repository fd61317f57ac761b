"""The remote side of `file_system`: files of `tf.io.gfile` (`gs://`, `hdfs://`, `ram://`, ...), as if they were local.

TensorFlow is imported when the first path is used.
"""

import atexit
import contextlib
import errno
import fnmatch
import functools
import glob
import importlib
import io
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import PosixPath
from typing import IO, Any, NamedTuple

from bert_tf2.errors import InputError
from bert_tf2.io import file_system, standard_error

PathLike = file_system.PathLike

_BUFFER = 1 << 20  # bytes; every request takes a moment, however small
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_COLLAPSED = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*):/(?!/)")
_NO_HOST = "\0"  # between the second and the third slash of `hdfs:///directory`, in the parts of a `RemotePath`

# By the name of an exception in `tf.errors`.
_NUMBERS = {
    "NotFoundError": errno.ENOENT,
    "PermissionDeniedError": errno.EACCES,
    "UnauthenticatedError": errno.EACCES,
    "AlreadyExistsError": errno.EEXIST,
    "ResourceExhaustedError": errno.ENOSPC,
    "InvalidArgumentError": errno.EINVAL,
}


class Status(NamedTuple):
    """Like `os.stat_result`."""

    st_size: int
    st_mtime_ns: int
    st_mode: int


def _tensorflow() -> Any:
    if "tensorflow" in sys.modules:
        import tensorflow as tf

        return tf
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with standard_error.held_back():
        import tensorflow as tf
    return tf


def _gfile(path: PathLike) -> Any:
    """`tf.io.gfile`, after checking that it supports the scheme of a path.

    Raises:
      InputError: it does not.
    """
    match = _SCHEME.match(os.fspath(path))
    _check_scheme(match[1] if match else "", os.fspath(path))
    return _tensorflow().io.gfile


@functools.lru_cache(maxsize=16)  # exceptions are not cached
def _check_known(scheme: str) -> None:
    schemes = _tensorflow().io.gfile.get_registered_schemes
    if scheme not in schemes():
        with contextlib.suppress(ImportError):
            importlib.import_module("tensorflow_io")  # which adds file systems
    if scheme not in schemes():
        raise LookupError(scheme)


def _check_scheme(scheme: str, path: str) -> None:
    try:
        _check_known(scheme)
    except LookupError:
        raise InputError(
            f"{path}: this TensorFlow has no file system for {scheme}://; install one (python -m pip install "
            "tensorflow-io, where there is one for this TensorFlow), mount it, or copy the files."
        ) from None


@contextlib.contextmanager
def _errors(path: PathLike) -> Iterator[None]:
    """Turns TensorFlow's errors into Python's."""
    try:
        yield
    except _tensorflow().errors.OpError as error:
        number = _NUMBERS.get(type(error).__name__, errno.EIO)
        reason = "No such file or directory" if number == errno.ENOENT else str(error.message).strip().split("\n")[0]
        raise OSError(number, reason[:300], os.fspath(path)) from None


class RemotePath(PosixPath):
    """A remote path. Of the methods that access files, those defined here work, and those that only call them."""

    def __str__(self) -> str:
        return _COLLAPSED.sub(r"\1://", super().__str__()).replace(f"{_NO_HOST}/", "/").removesuffix(_NO_HOST)

    def __fspath__(self) -> str:
        return str(self)

    def stat(self, *, follow_symlinks: bool = True) -> Any:
        """See `Path`."""
        return FILES.stat(self)

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """See `Path`."""
        return file_system.exists(self)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """See `Path`."""
        return file_system.isfile(self)

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """See `Path`."""
        return file_system.isdir(self)

    def is_symlink(self) -> bool:
        """Never."""
        return False

    def absolute(self) -> "RemotePath":
        """The path itself."""
        return self

    def open(self, mode: str = "r", buffering: int = -1, *options: Any, **named: Any) -> Any:
        """See `Path`."""
        return FILES.open(self, mode, **dict(zip(("encoding", "errors", "newline"), options, strict=False)), **named)

    def iterdir(self) -> Generator["RemotePath", None, None]:
        """See `Path`."""
        yield from [self / name for name in FILES.listdir(self)]

    def glob(self, pattern: str, **_: Any) -> Iterator["RemotePath"]:  # type: ignore[override]
        """Files in this directory whose names match."""
        if not self.is_dir():
            return iter(())
        return iter([self / name for name in FILES.listdir(self) if fnmatch.fnmatchcase(name, pattern)])

    def rglob(self, pattern: str, **_: Any) -> Iterator["RemotePath"]:  # type: ignore[override]
        """Files in this directory and its subdirectories whose names match."""
        for path in _walk(self):
            if fnmatch.fnmatchcase(os.path.basename(path), pattern):
                yield _path(path)

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """See `Path`; parents are always created."""
        if not exist_ok and self.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self))
        FILES.makedirs(self)

    def unlink(self, missing_ok: bool = False) -> None:
        """See `Path`."""
        if not missing_ok:
            FILES.stat(self)
        FILES.remove(self)


def _path(path: PathLike) -> RemotePath:
    return RemotePath(os.fspath(path).replace(":///", f"://{_NO_HOST}/", 1))


def _walk(directory: PathLike) -> Iterator[str]:
    """All files in a directory and its subdirectories."""
    with _errors(directory):
        for parent, _, names in _gfile(directory).walk(os.fspath(directory)):
            yield from (os.path.join(parent, name) for name in names if name)


class _Raw(io.RawIOBase):
    """An unbuffered Python file that wraps one of TensorFlow."""

    def __init__(self, path: PathLike, mode: str) -> None:
        self.name, self._mode, self._size = os.fspath(path), mode, 0
        self._file: Any = None
        gfile = _gfile(path)
        if mode == "x" and file_system.exists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), self.name)
        if mode == "r":
            status = FILES.stat(path)
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), self.name)
            self._size = status.st_size
        elif self.name.startswith("ram:"):  # which would overwrite only the beginning of a longer file
            FILES.remove(path)
        with _errors(path):
            self._file = gfile.GFile(self.name, "rb" if mode == "r" else "wb")
            if mode != "r":
                self._file.write(b"")  # otherwise an empty file would not be created

    def readable(self) -> bool:
        return self._mode == "r"

    def writable(self) -> bool:
        return self._mode != "r"

    def seekable(self) -> bool:
        return self._mode == "r"

    def readinto(self, buffer: Any) -> int:
        with _errors(self.name):
            content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def write(self, content: Any) -> int:
        with _errors(self.name):
            self._file.write(bytes(content))
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._checkSeekable()  # type: ignore[attr-defined]
        start = self.tell() if whence == os.SEEK_CUR else self._size if whence == os.SEEK_END else 0
        position = max(0, start + offset)
        with _errors(self.name):
            self._file.seek(offset=position)
        return position

    def tell(self) -> int:
        with _errors(self.name):
            return int(self._file.tell())

    def close(self) -> None:
        if self.closed:
            return
        try:
            if self._file is not None:
                with _errors(self.name):  # object stores are only written here
                    self._file.close()
        finally:
            super().close()


class _RemoteFiles:
    """The functions of `file_system` for remote paths."""

    def path(self, path: PathLike) -> RemotePath:
        return _path(path)

    def stat(self, path: PathLike) -> Status:
        gfile = _gfile(path)
        with _errors(path):
            status = gfile.stat(os.fspath(path))
            if status.is_directory and _is_only_prefix(gfile, os.fspath(path)):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
        return Status(status.length, status.mtime_nsec, stat.S_IFDIR if status.is_directory else stat.S_IFREG)

    def islink(self, path: PathLike) -> bool:
        return False

    def listdir(self, path: PathLike) -> list[str]:
        gfile = _gfile(path)
        with _errors(path):
            names = [name.strip("/") for name in gfile.listdir(os.fspath(path))]  # object stores list `directory/`
        return [name for name in dict.fromkeys(names) if name]

    def glob(self, pattern: str) -> list[str]:
        gfile = _gfile(pattern)
        if "**" in pattern:
            base = re.split(r"[*?[]", pattern, maxsplit=1)[0].rpartition("/")[0]
            matches = [path for path in _walk(base) if _matches(path, pattern)]
        else:
            with _errors(pattern):
                matches = [path.rstrip("/") for path in gfile.glob(pattern)]
        return [path for path in matches if "**" in pattern or not _is_hidden(path, pattern)]

    def open(self, path: PathLike, mode: str = "r", **options: Any) -> IO[Any]:
        kind = mode.replace("b", "").replace("t", "")
        if kind not in ("r", "w", "x"):
            raise ValueError(f"{os.fspath(path)} cannot be opened with mode {mode!r}: a remote file is written whole.")
        raw = _Raw(path, kind)
        file: Any = io.BufferedReader(raw, _BUFFER) if kind == "r" else io.BufferedWriter(raw, _BUFFER)
        return file if "b" in mode else io.TextIOWrapper(file, **{"encoding": "utf-8", **options})

    def makedirs(self, path: PathLike) -> None:
        gfile = _gfile(path)
        with _errors(path):
            gfile.makedirs(os.fspath(path))

    def replace(self, source: PathLike, target: PathLike) -> None:
        gfile, target = _gfile(target), os.fspath(target)
        if _SCHEME.match(os.fspath(source)):
            with _errors(target):
                gfile.rename(os.fspath(source), target, overwrite=True)
            return
        name = f"{file_system.unfinished_prefix(target)}{os.getpid()}"
        temporary = os.path.join(os.path.dirname(target), name)
        try:
            with _errors(target):
                gfile.copy(os.fspath(source), temporary, overwrite=True)
                gfile.rename(temporary, target, overwrite=True)
        except BaseException:
            with contextlib.suppress(OSError):
                self.remove(temporary)
            raise
        os.unlink(source)

    def remove(self, path: PathLike) -> None:
        gfile = _gfile(path)
        with contextlib.suppress(FileNotFoundError), _errors(path):
            gfile.remove(os.fspath(path))

    def rmtree(self, path: PathLike, ignore_errors: bool) -> None:
        gfile = _gfile(path)
        with contextlib.suppress(*[OSError] if ignore_errors else []), _errors(path):
            gfile.rmtree(os.fspath(path))

    def sync(self, path: PathLike) -> None:
        """Nothing to do: files are written when they are closed."""

    def absolute(self, path: PathLike) -> str:
        return os.fspath(path)

    def realpath(self, path: PathLike) -> str:
        scheme, _, rest = os.fspath(path).partition("://")
        return f"{scheme.lower()}://{os.path.normpath(rest) if rest else ''}"

    def local_copy(self, path: PathLike) -> str:
        status = self.stat(path)
        return _download(os.fspath(path), status.st_size, status.st_mtime_ns)


def _is_only_prefix(gfile: Any, path: str) -> bool:
    """Whether a directory does not really exist: for `ram://`, the prefix of any name is a directory."""
    if not path.startswith("ram:"):
        return False
    parent, name = os.path.split(path.rstrip("/"))
    is_root = parent.endswith(":/")
    return not gfile.glob(f"{glob.escape(path.rstrip('/'))}/*") and not is_root and name not in gfile.listdir(parent)


def _is_hidden(path: str, pattern: str) -> bool:
    """Whether a component of the path begins with a dot where the pattern's does not."""
    pairs = zip(path.split("/"), pattern.split("/"), strict=False)
    return any(name.startswith(".") and not part.startswith(".") for name, part in pairs)


def _matches(path: str, pattern: str) -> bool:
    parts = ["(?:[^/.][^/]*/)*" if part == "**/" else _regex(part) for part in re.findall(r"[^/]*/|[^/]+$", pattern)]
    return re.fullmatch("".join(parts), path) is not None


def _regex(part: str) -> str:
    """The regular expression of a part of a glob; `*` does not match slashes, nor a dot at the beginning."""
    return r"(?!\.)" * (part[0] in "*?[") + "".join(map(_regex_of_token, re.findall(r"\[!?\]?[^]]*\]|.", part)))


def _regex_of_token(token: str) -> str:
    if token in "*?":
        return "[^/]*" if token == "*" else "[^/]"
    if len(token) == 1:
        return re.escape(token)
    body = token[1:-1].replace("\\", r"\\")
    return f"[^{body[1:]}]" if body.startswith("!") else f"[{body}]"


@functools.cache
def _temporary_directory() -> str:
    directory = tempfile.mkdtemp(prefix="bert_tf2-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


@functools.cache
def _download(path: str, _size: int, _modified: int) -> str:
    """Downloads a file into a new directory; returns the local path. Size and time are only part of the cache key."""
    local = os.path.join(tempfile.mkdtemp(dir=_temporary_directory()), os.path.basename(path))
    with FILES.open(path, "rb") as source, open(local, "wb") as file:
        shutil.copyfileobj(source, file, _BUFFER)
    return local


FILES = _RemoteFiles()
