"""Lock files: only one process may write an output. A lock ends with its process, however it ends; no TensorFlow.

The operating system guarantees that, except in remote directories, for which `remote_locks` comes close to it.
"""

import contextlib
import errno
import fcntl
import logging
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from bert_tf2.errors import InputError
from bert_tf2.io import file_system, remote_locks
from bert_tf2.io.files import open_regular

logger = logging.getLogger(__name__)

_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
_MOST_CHARACTERS = 200
_MOST_ATTEMPTS = 10  # some file systems have no stable inode numbers


def take(path: str | os.PathLike[str], doing: str, instead: str) -> IO[str] | remote_locks.RemoteLock:
    """Locks a file, which is created if it is missing; closing the result releases the lock.

    The file then contains which process holds the lock. It is never opened through a symbolic link.

    Args:
      path: the lock file.
      doing: what the other process is doing, for the error message: "trains in DIRECTORY".
      instead: an alternative to waiting, for the error message: "give another --output_dir".

    Raises:
      InputError: another process holds the lock, or the file is not a regular one.
      OSError: it cannot be created.
    """
    if file_system.is_remote(path):
        return remote_locks.RemoteLock(path, doing, instead)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, _MOST_ATTEMPTS + 1):
        file = os.fdopen(open_regular(path), "r+", encoding="utf-8", errors="replace")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = " ".join(file.read(_MOST_CHARACTERS).split()) or "unknown"
            file.close()
            raise InputError(f"Another process ({owner}) {doing}; wait for it, stop it, or {instead}.") from None
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                file.close()
                raise
            logger.warning("%s: the file system does not support locks; make sure that only one process writes.", path)
        if _is_still_at(file, path) or attempt == _MOST_ATTEMPTS:
            break
        file.close()  # the process that held the lock before has removed it
    file.truncate(0)
    file.write(f"process {os.getpid()} on {platform.node()}")
    file.flush()
    return file


def _is_still_at(file: IO[str], path: str | os.PathLike[str]) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.lstat(path))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def held(path: str | os.PathLike[str], doing: str, instead: str, *, remove: bool = False) -> Iterator[None]:
    """Holds a lock for the duration of a `with` block; see `take`.

    Args:
      path, doing, instead: see `take`.
      remove: whether to delete the lock file at the end.

    Raises:
      InputError, OSError: see `take`.
    """
    with take(path, doing, instead):
        try:
            yield
        finally:
            if remove:
                file_system.remove(path)
