"""An index of record files, built while training reads them: how many records they have, and where these begin.

With it, a resumed run skips whole files and jumps into the middle of others without reading what comes before.
"""

import bisect
import dataclasses
import json
import logging
import os
import threading
import time
from typing import Any

from bert_tf2.io import atomic, file_system, files, run_files

logger = logging.getLogger(__name__)

INDEX_FILE = run_files.RECORD_INDEX

_FORMAT = 1
_RECORDS_BETWEEN_PLACES = 4096
_SECONDS_BETWEEN_WRITES = 5.0


@dataclasses.dataclass
class FileIndex:
    """The index of one file; its fields are those of the index file.

    Attributes:
      size: of the file, in bytes.
      modified: the file's modification time, in nanoseconds.
      skips: whether corrupt records are skipped and not counted.
      damaged: the number of corrupt records skipped so far.
      records: the number of records; None until the end of the file has been read.
      places: known positions, ascending: the number of a record, the byte at which it begins, and the number of corrupt
        records before it. Empty for compressed files.
    """

    size: int
    modified: int
    skips: bool
    damaged: int = 0
    records: int | None = None
    places: list[tuple[int, int, int]] = dataclasses.field(default_factory=list)

    def is_same_file(self, other: "FileIndex") -> bool:
        """Whether both describe the same content, read in the same way."""
        return (self.size, self.modified, self.skips) == (other.size, other.modified, other.skips)

    @property
    def min_records(self) -> int:
        """The number of records that the file is known to have at least."""
        return self.places[-1][0] if self.places else 0

    @property
    def completeness(self) -> tuple[bool, int]:
        """The greater, the more is known of the file."""
        return self.records is not None, self.min_records

    def before(self, record: int) -> tuple[int, int, int]:
        """The last known position at or before a record; see `places`."""
        count = bisect.bisect_right(self.places, record, key=lambda position: position[0])
        return self.places[count - 1] if count else (0, 0, 0)

    def add_position(self, record: int, byte: int, damaged: int) -> bool:
        """Adds a position unless there is one close to it; returns whether it was added."""
        if record - self.before(record)[0] < _RECORDS_BETWEEN_PLACES:
            return False
        bisect.insort(self.places, (record, byte, damaged))
        return True


class RecordIndex:
    """The indexes of several record files, saved in an index file; several threads may use it.

    Args:
      path: of the index file; None if nothing is to be saved.
      skips: whether corrupt records are skipped.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, skips: bool = False) -> None:
        self._path = None if path is None else file_system.path(path)
        self._skips = skips
        self._files: dict[str, FileIndex] = {}
        self._lock = threading.Lock()
        self._saved = self._read()
        self._is_changed, self._written = False, time.monotonic()

    def of(self, path: str) -> FileIndex:
        """The index of a file; empty if the file has changed since the index was saved.

        Raises:
          InputError: the file is missing.
        """
        with self._lock:
            if path not in self._files:
                try:
                    state = file_system.stat(path)
                except OSError as error:
                    raise files.cannot_read(path, error) from None
                fresh = FileIndex(state.st_size, state.st_mtime_ns, self._skips)
                saved = self._saved.get(file_system.absolute(path))
                self._files[path] = saved if saved and saved.is_same_file(fresh) else fresh
            return self._files[path]

    def mark_changed(self) -> None:
        """Notes that a file's index has changed; saves from time to time."""
        self._is_changed = True
        if time.monotonic() - self._written >= _SECONDS_BETWEEN_WRITES:
            self.save()

    def save(self) -> None:
        """Writes the index file; as training can do without it, a failure is only logged."""
        with self._lock:
            if not self._is_changed or self._path is None or not self._path.parent.is_dir():
                return
            content = {path: dataclasses.asdict(index) for path, index in self._merged().items()}
            try:
                with atomic.replacing(self._path) as file:
                    json.dump({"format": _FORMAT, "files": content}, file)
            except OSError as error:
                logger.warning("%s cannot be written (%s); training continues without it.", self._path, error.strerror)
            self._is_changed, self._written = False, time.monotonic()

    def _merged(self) -> dict[str, FileIndex]:
        """The indexes by absolute path, merged with what other processes of the run have written in the meantime."""
        merged = {file_system.absolute(path): index for path, index in self._files.items()}
        for path, other in self._read().items():
            own = merged.get(path)
            if own is None or (own.is_same_file(other) and other.completeness > own.completeness):
                merged[path] = other
        return merged

    def _read(self) -> dict[str, FileIndex]:
        if self._path is None or not self._path.exists():
            return {}
        try:
            content: Any = json.loads(self._path.read_text(encoding="utf-8"))
            if content["format"] != _FORMAT:
                return {}
            indexes = {path: FileIndex(**values) for path, values in content["files"].items()}
            for index in indexes.values():
                index.places = [(int(record), int(byte), int(damaged)) for record, byte, damaged in index.places]
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return {}  # a corrupt index is built again
        return indexes
