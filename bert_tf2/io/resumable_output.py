"""Output files that take long to write, and can be continued after a kill.

Until it is complete, an output is a directory next to its path, `.<name>.unfinished`, with the growing files and
`state.json`, which says how far they are valid. A process that is killed leaves it; the next one with the same settings

continues. The files of a remote output grow in a local temporary directory, and additions to them are saved remotely.
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
_SECONDS_BETWEEN_STATES = 5.0  # the most work that a kill costs, beside that of a block
_SECONDS_BETWEEN_REMOTE_STATES = 60.0


def unfinished_folder(output_file: str) -> Path:
    """Where an output is kept until it is whole."""
    final = file_system.path(output_file)
    return final.with_name(f".{final.name}.unfinished")


def discard(output_file: str) -> None:
    """Removes what is kept of an output."""
    folder = unfinished_folder(output_file)
    if folder.exists():
        file_system.rmtree(folder, ignore_errors=True)


class UnfinishedOutput:
    """The growing files of an output, and how much of the work they contain.

    Args:
      output_file: what it is going to be.
      names: of the growing files.
      settings: JSON values that determine the content; files from other settings are discarded.

    Attributes:
      folder: where the files are, on this machine.
      done: what was given to `commit` last, by this process or an earlier one; empty where nothing is done.

    Raises:
      InputError: another process writes the same output, or what is there in its place cannot be replaced.
      OSError: nothing can be written there.
    """

    def __init__(self, output_file: str, names: tuple[str, ...], settings: Mapping[str, Any]) -> None:
        self.output_file, self._place = output_file, unfinished_folder(output_file)
        atomic.check_output(output_file)
        self._settings = json.loads(json.dumps(settings))
        self._last_commit = time.monotonic()
        if self._place.is_symlink():
            raise InputError(f"{self._place} is a symbolic link, so unfinished output cannot be kept there; remove it.")
        with atomic.naming(output_file, self._place):
            self._place.mkdir(parents=True, exist_ok=True)
        self._lock = locks.take(self._place / _LOCK, f"writes {output_file}", "write to another file")
        self._files: dict[str, IO[bytes]] = {}
        self._temporary = tempfile.TemporaryDirectory() if file_system.is_remote(output_file) else None
        self.folder = Path(self._temporary.name) if self._temporary else self._place
        self._additions = remote_growth.Additions(self._place, self.folder) if self._temporary else None
        try:
            self.done, sizes = self._read_state(names)
            if self._additions:
                self._additions.drop_others(sizes)
            for name in names:
                file = os.fdopen(files.open_regular(self.folder / name, os.O_APPEND), "ab")
                self._files[name] = file
                file.seek(file.truncate(sizes.get(name, 0)))
        except BaseException:
            self._close(is_given_up=False)
            raise

    def _read_state(self, names: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, int]]:
        try:
            state = json_files.read(self._place / _STATE)
            settings, done, sizes = state["settings"], dict(state["done"]), dict(state["sizes"])
            is_whole = all(sizes[name] >= 0 for name in names)
        except (OSError, ValueError, KeyError, TypeError):
            return {}, {}
        if self._additions and is_whole and settings == self._settings:
            self._additions.fetch(sizes)
        grown = {name: self.folder / name for name in names if (self.folder / name).is_file()}
        is_whole = is_whole and all(name in grown and grown[name].stat().st_size >= sizes[name] for name in names)
        if not is_whole or settings != self._settings:
            logger.info("%s was started with other settings; starting over.", self.output_file)
            return {}, {}
        return done, sizes

    def __enter__(self) -> Self:
        return self

    def append(self, name: str, content: bytes | memoryview) -> None:
        """Adds to a file.

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
        """Records what the files contain now; saved every few seconds, or at once.

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
                self._additions.keep(self._files)
            with atomic.replacing(self._place / _STATE) as state:
                json.dump({"settings": self._settings, "done": self.done, "sizes": sizes}, state)
        except OSError as error:
            raise atomic.cannot_be_written(self.output_file, error) from error
        self._last_commit = time.monotonic()

    def finish(self, name: str) -> None:
        """Turns a file of the directory into the output, and removes the directory.

        Raises:
          OSError: it cannot be written.
        """
        file_system.replace(self.folder / name, self.output_file)
        file_system.rmtree(self._place)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(is_given_up=kind is not None)
        hidden = (self.folder, self._place)
        if isinstance(error, OSError) and error.filename and file_system.path(error.filename).parent in hidden:
            raise atomic.cannot_be_written(self.output_file, error) from error  # nobody knows the hidden file

    def _close(self, is_given_up: bool) -> None:
        for file in self._files.values():
            with contextlib.suppress(OSError):  # what is still in its buffer is what could not be written
                file.close()
        if is_given_up and self._place.exists() and not (self._place / _STATE).exists():
            file_system.rmtree(self._place)  # there is nothing to go on with
        self._lock.close()
        if self._temporary:
            self._temporary.cleanup()
