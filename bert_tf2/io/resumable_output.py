"""Output files that take long to write and can be resumed after the process is killed.

Until it is complete, an output is a directory next to its path, `.<name>.unfinished`, with the growing files and
`state.json`, which records how many bytes of them are valid. A killed process leaves this directory behind, and the
next one with the same settings resumes from it. The files of a remote output grow in a local temporary directory, and
what is added to them is saved remotely.
"""

import contextlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from bert_tf2.errors import InputError
from bert_tf2.io import atomic, file_system, files, json_files, locks, remote_growth

logger = logging.getLogger(__name__)

_STATE = "state.json"
_LOCK = "lock"
_SECONDS_BETWEEN_STATES = 5.0  # a kill loses at most this much work, and a block
_SECONDS_BETWEEN_REMOTE_STATES = 60.0


def unfinished_directory(output_file: str) -> Path:
    """The directory that contains an output until it is complete."""
    final = file_system.path(output_file)
    return final.with_name(f".{final.name}.unfinished")


def discard(output_file: str) -> None:
    """Removes an unfinished output."""
    directory = unfinished_directory(output_file)
    if directory.exists():
        file_system.rmtree(directory, ignore_errors=True)


class UnfinishedOutput:
    """The growing files of an output, and the work that they contain.

    Args:
      output_file: the path of the output.
      names: the names of the growing files.
      settings: JSON values that determine the content; files from other settings are discarded.

    Attributes:
      directory: the local directory of the files.
      done: the last argument of `commit`, in this process or an earlier one; empty if nothing is done.

    Raises:
      InputError: another process writes the same output, or something that cannot be replaced is at its path.
      OSError: the directory cannot be written.
    """

    def __init__(self, output_file: str, names: tuple[str, ...], settings: Mapping[str, Any]) -> None:
        self.output_file, self._unfinished = output_file, unfinished_directory(output_file)
        atomic.check_output(output_file)
        self._settings = json.loads(json.dumps(settings))
        self._last_commit = time.monotonic()
        if self._unfinished.is_symlink():
            raise InputError(
                f"{self._unfinished} is a symbolic link, so unfinished output cannot be kept there; remove it."
            )
        with atomic.naming(output_file, self._unfinished):
            self._unfinished.mkdir(parents=True, exist_ok=True)
        self._lock = locks.take(self._unfinished / _LOCK, f"writes {output_file}", "write to another file")
        self._files: dict[str, IO[bytes]] = {}
        self._temporary = tempfile.TemporaryDirectory() if file_system.is_remote(output_file) else None
        self.directory = Path(self._temporary.name) if self._temporary else self._unfinished
        self._additions = remote_growth.Additions(self._unfinished, self.directory) if self._temporary else None
        try:
            self.done, sizes = self._read_state(names)
            if self._additions:
                self._additions.drop_others(sizes)
            for name in names:
                file = os.fdopen(files.open_regular(self.directory / name, os.O_APPEND), "ab")
                self._files[name] = file
                file.seek(file.truncate(sizes.get(name, 0)))
        except BaseException:
            self._close(has_failed=False)
            raise

    def _read_state(self, names: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, int]]:
        try:
            state = json_files.read(self._unfinished / _STATE)
            settings, done, sizes = state["settings"], dict(state["done"]), dict(state["sizes"])
            is_valid = all(sizes[name] >= 0 for name in names)
        except (OSError, ValueError, KeyError, TypeError):
            return {}, {}
        if self._additions and is_valid and settings == self._settings:
            self._additions.fetch(sizes)
        grown = {name: self.directory / name for name in names if (self.directory / name).is_file()}
        is_valid = is_valid and all(name in grown and grown[name].stat().st_size >= sizes[name] for name in names)
        if not is_valid or settings != self._settings:
            logger.info("%s was started with other settings; starting over.", self.output_file)
            # If this process is killed before its first commit, the state would seem to be that of the new files.
            (self._unfinished / _STATE).unlink(missing_ok=True)
            return {}, {}
        return done, sizes

    def __enter__(self) -> Self:
        return self

    def append(self, name: str, content: bytes | memoryview) -> None:
        """Appends to a file.

        Raises:
          OSError: it cannot be written.
        """
        try:
            self._files[name].write(content)
        except OSError as error:
            raise atomic.cannot_be_written(self.output_file, error) from error

    def is_empty(self, name: str) -> bool:
        """Whether nothing has been written to a file."""
        return self._files[name].tell() == 0

    def commit(self, done: Mapping[str, Any], *, at_once: bool = False) -> None:
        """Records that the files contain the work `done`; this is saved every few seconds, or at once.

        Raises:
          OSError: it cannot be written.
        """
        self.done = dict(done)
        seconds = _SECONDS_BETWEEN_REMOTE_STATES if self._additions else _SECONDS_BETWEEN_STATES
        if not at_once and time.monotonic() - self._last_commit < seconds:
            return
        try:
            for file in self._files.values():
                file_system.sync_open(file)
            sizes = {name: file.tell() for name, file in self._files.items()}
            if self._additions:
                self._additions.save(self._files)
            with atomic.replacing(self._unfinished / _STATE) as state:
                json.dump({"settings": self._settings, "done": self.done, "sizes": sizes}, state)
        except OSError as error:
            raise atomic.cannot_be_written(self.output_file, error) from error
        self._last_commit = time.monotonic()

    def finish(self, name: str) -> None:
        """Moves a file of the directory to the output path, and removes the directory.

        Raises:
          OSError: it cannot be written.
        """
        file_system.replace(self.directory / name, self.output_file)
        file_system.rmtree(self._unfinished)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(has_failed=kind is not None)
        hidden = (self.directory, self._unfinished)
        if isinstance(error, OSError) and error.filename and file_system.path(error.filename).parent in hidden:
            raise atomic.cannot_be_written(self.output_file, error) from error  # the user does not know the hidden file

    def _close(self, has_failed: bool) -> None:
        for file in self._files.values():
            with contextlib.suppress(OSError):  # its buffer contains what could not be written
                file.close()
        if has_failed and self._unfinished.exists() and not (self._unfinished / _STATE).exists():
            file_system.rmtree(self._unfinished)  # there is nothing to resume from
        self._lock.close()
        if self._temporary:
            self._temporary.cleanup()
