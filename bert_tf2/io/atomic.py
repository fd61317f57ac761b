"""Atomic writing of files and directories: to a temporary path, synced to disk, then renamed; no TensorFlow.

This holds for remote paths (`gs://...`), too: an object store renames a file by a copy that appears complete.

An existing file is kept until the new one is renamed, and an exception leaves it unchanged. A process that is killed
leaves `.<name>.unfinished-<process id>` behind, which the next process that writes `<name>` removes. In remote
directories, which several machines may share, this name also contains the name of the machine.
"""

import contextlib
import glob
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from bert_tf2.errors import InputError
from bert_tf2.io import file_system

PathLike = str | os.PathLike[str]

_CANNOT_BE_WRITTEN = "cannot be written"


@contextlib.contextmanager
def replacing(path: PathLike, mode: str = "w", **options: Any) -> Iterator[IO[Any]]:
    r"""Opens a file that becomes `path` at the end of the `with` block. Missing directories are created.

    Args:
      path: the file to write.
      mode: `"w"`, text in UTF-8 with `\n` line ends, or `"wb"`.
      **options: further arguments of `open`.

    Raises:
      InputError: see `check_output`.
      OSError: it cannot be written; names `path`.
    """
    if "b" not in mode:
        options = {"encoding": "utf-8", "newline": "\n", **options}
    with Files([path]) as files, files.naming(0):
        with file_system.open(files.unfinished[0], mode.replace("w", "x"), **options) as file:
            yield file
        files.commit()


class Files:
    """Files that all appear with `commit`; without it, none is left after the `with` block.

    Args:
      paths: the final paths, all different.

    Attributes:
      finals: the final paths.
      unfinished: the paths to write the files to until `commit`; none of them exists at first.

    Raises:
      InputError: see `check_output`.
    """

    def __init__(self, paths: Sequence[PathLike]) -> None:
        self.finals = [file_system.path(path) for path in paths]
        for path in self.finals:
            check_output(path)
        self.unfinished = [unfinished_path(path) for path in self.finals]

    def __enter__(self) -> "Files":
        """Creates the directories."""
        for path in self.finals:
            path.parent.mkdir(parents=True, exist_ok=True)
        return self

    def naming(self, number: int) -> contextlib.AbstractContextManager[None]:
        """Returns the function `naming`'s context for writing file `number`."""
        return naming(self.finals[number], self.unfinished[number])

    def commit(self) -> None:
        """Renames the files to their final paths, when all are written and closed."""
        for path in self.unfinished:
            file_system.sync(path)
        for path, final in zip(self.unfinished, self.finals, strict=True):
            file_system.replace(path, final)

    def __exit__(self, *_: object) -> None:
        for path in self.unfinished:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def directory(path: PathLike, replaces: bool = False) -> Iterator[Path]:
    """A new directory that becomes `path`, which must not exist or be empty, at the end of the `with` block.

    A remote one is made on this machine and copied file by file; the files that identify a model are copied last.

    Args:
      path: the directory.
      replaces: whether `path` may be a directory with content, which the new one replaces as a whole. A process that is
        killed at that moment may leave neither, but never a mixture.

    Raises:
      OSError: it cannot be written; names `path`, and the file in it that could not be written.
    """
    final = file_system.path(path)
    if file_system.is_remote(path):
        with tempfile.TemporaryDirectory() as local:
            yield Path(local)
            if replaces:
                file_system.rmtree(final, ignore_errors=True)
            _copy_directory(Path(local), final)
        return
    final.parent.mkdir(parents=True, exist_ok=True)
    with temporary_directory(final) as temporary:
        unfinished = temporary / "new" if replaces else temporary
        unfinished.mkdir(exist_ok=True)
        try:
            yield unfinished
            for file in unfinished.rglob("*"):
                if file.is_file():
                    file_system.sync(file)
            if replaces and final.exists():
                _exchange(unfinished, final, temporary / "old")
            else:
                os.replace(unfinished, final)
        except OSError as error:
            name = os.path.relpath(error.filename, unfinished) if error.filename else os.curdir
            if name.startswith(os.pardir):  # the error is about another file, which cannot be read
                raise
            reason = str(error.strerror or error)
            reason = reason if name == os.curdir else f"{name} {reason}"
            raise OSError(error.errno, reason, os.fspath(final)) from error


def _exchange(new: Path, final: Path, old: Path) -> None:
    """Replaces a directory with another one; it is moved to `old`, and back if that fails."""
    os.replace(final, old)
    try:
        os.replace(new, final)
    except OSError:
        os.replace(old, final)
        raise


_LAST = re.compile(r"saved_model\.pb|.*\.onnx|.*\.index|(bert_)?config\.json")


def _copy_directory(local: Path, final: Path) -> None:
    names = sorted(os.fspath(file.relative_to(local)) for file in local.rglob("*") if file.is_file())
    try:
        for name in sorted(names, key=lambda name: _LAST.fullmatch(os.path.basename(name)) is not None):
            target = final / name
            with naming(final, target, local / name):
                target.parent.mkdir(parents=True, exist_ok=True)
                file_system.replace(local / name, target)
    except BaseException:
        file_system.rmtree(final, ignore_errors=True)  # it did not exist before
        raise


@contextlib.contextmanager
def temporary_directory(path: PathLike) -> Iterator[Path]:
    """A new directory next to `path`, on the same file system; it is removed at the end of the `with` block."""
    unfinished = unfinished_path(path)
    unfinished.mkdir()
    try:
        yield unfinished
    finally:
        file_system.rmtree(unfinished, ignore_errors=True)


@contextlib.contextmanager
def naming(path: PathLike, *hidden: PathLike) -> Iterator[None]:
    """Makes an `OSError` that names no file, as on a full disk, or a hidden file, name `path` instead.

    Args:
      path: the file that the `with` block writes.
      *hidden: the paths to which it is written until it is complete.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None and os.fspath(error.filename) not in [os.fspath(file) for file in hidden]:
            raise
        raise cannot_be_written(path, error) from error


def cannot_be_written(path: PathLike, error: OSError) -> OSError:
    """The same error about `path`, whichever file it names."""
    reason = str(error.strerror or error)
    if not reason.startswith(_CANNOT_BE_WRITTEN):
        reason = f"{_CANNOT_BE_WRITTEN} ({reason})"
    return OSError(error.errno, reason, os.fspath(path))


# --- Checks before writing -------------------------------------------------------------------------------------------

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def check_output(path: PathLike) -> None:
    """Checks that a file to be written does not exist, or may be replaced.

    Raises:
      InputError: there is a directory, a device or the like at its path.
    """
    try:
        kind = _KINDS.get(stat.S_IFMT(file_system.stat(path).st_mode))
    except OSError:  # it does not exist; or writing will fail with the same error
        return
    if file_system.islink(path) and os.readlink(path).startswith("/proc/"):  # such as /dev/stdout
        kind = kind or "a link to an open file"
    if kind:
        raise InputError(f"{os.fspath(path)} is {kind}, which cannot be replaced; give the path of a regular file.")


def check_writable(directory: PathLike) -> None:
    """Checks, without writing, that files can be written into a directory, which may not exist yet.

    Raises:
      InputError: they cannot.
    """
    if file_system.is_remote(directory):  # permissions only show when something is written
        file_system.exists(directory)
        return
    absolute = Path(directory).absolute()
    existing = next(path for path in (absolute, *absolute.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(
            f"{os.fspath(directory)} cannot be written: no permission in {existing}, or that is not a directory."
        )


# --- Unfinished files ------------------------------------------------------------------------------------------------


def unfinished_path(path: PathLike) -> Path:
    """The path under which `path` is written until it is complete: `.<name>.unfinished-<process id>` next to it.

    It does not exist: files that killed processes of this machine left behind are removed.
    """
    final = file_system.path(path)
    name = file_system.unfinished_prefix(final)
    for leftover in unfinished_files(final):
        process = leftover.name.removeprefix(name)
        if process.isdecimal() and (int(process) == os.getpid() or not _is_running(int(process))):
            _remove(leftover)
    return final.with_name(f"{name}{os.getpid()}")


def unfinished_files(path: PathLike) -> list[Path]:
    """Unfinished versions of `path` that killed processes left behind, or that other processes are writing now."""
    final = file_system.path(path)
    return list(final.parent.glob(f".{glob.escape(final.name)}.unfinished-*"))


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        file_system.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):  # another process was faster, or it is another user's
        path.unlink()
