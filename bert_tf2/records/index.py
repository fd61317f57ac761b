"""An index of record files, built while training reads them: how many records there are, and where.

With it, a resumed run skips whole files, and jumps into the middle of others, without reading what comes before.
"""

import bisect
import dataclasses
import json
import logging
import os
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
    """What is known of a file.

    Attributes:
      size: of the file, in bytes.
      modified: when it was changed, in nanoseconds.
      skips: whether corrupt records were skipped, and are not counted.
      damaged: how many were, in what has been read.
      records: how many there are; None where its end has not been read.
      places: numbers of records and the bytes where they begin, ascending; none of compressed files.
    """

    size: int
    modified: int
    skips: bool
    damaged: int = 0
    records: int | None = None
    places: list[tuple[int, int, int]] = dataclasses.field(default_factory=list)

    def is_same_file(self, other: "FileIndex") -> bool:
        """Whether both are of the same content, read in the same way."""
        return (self.size, self.modified, self.skips) == (other.size, other.modified, other.skips)

    @property
    def reach(self) -> int:
        """As many records there are at least."""
        return self.places[-1][0] if self.places else 0

    @property
    def knowledge(self) -> tuple[bool, int]:
        """The greater, the more is known."""
        return self.records is not None, self.reach

    def before(self, record: int) -> tuple[int, int, int]:
        """The last known place that is not after a record: its number, its byte, and damaged records before it."""
        number = bisect.bisect_right(self.places, record, key=lambda place: place[0])
        return self.places[number - 1] if number else (0, 0, 0)

    def note(self, record: int, byte: int, damaged: int) -> bool:
        """Remembers where a record begins; whether that was worth it."""
        if record - self.before(record)[0] < _RECORDS_BETWEEN_PLACES:
            return False
        bisect.insort(self.places, (record, byte, damaged))
        return True


class RecordIndex:
    """What is known of some files; kept in a file of its own, where there is a place for it.

    Args:
      path: of that file; None: nothing is kept.
      skips: whether damaged records are left out.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, skips: bool = False) -> None:
        self._path = None if path is None else file_system.path(path)
        self._skips = skips
        self._files: dict[str, FileIndex] = {}
        self._kept = self._read()
        self._changed, self._written = False, time.monotonic()

    def of(self, path: str) -> FileIndex:
        """What is known of a file; nothing where it is not the one that was read.

        Raises:
          InputError: it is missing.
        """
        if path not in self._files:
            try:
                state = file_system.stat(path)
            except OSError as error:
                raise files.cannot_read(path, error) from None
            fresh = FileIndex(state.st_size, state.st_mtime_ns, self._skips)
            kept = self._kept.get(file_system.absolute(path))
            self._files[path] = kept if kept and kept.is_same_file(fresh) else fresh
        return self._files[path]

    def changed(self) -> None:
        """Something was learned: writes it down if it is time to."""
        self._changed = True
        if time.monotonic() - self._written >= _SECONDS_BETWEEN_WRITES:
            self.save()

    def save(self) -> None:
        """Writes down what is known; it is only a help, so that a failure is logged and no more."""
        if not self._changed or self._path is None or not self._path.parent.is_dir():
            return
        known = {path: dataclasses.asdict(found) for path, found in self._merged().items()}
        try:
            with atomic.replacing(self._path) as file:
                json.dump({"format": _FORMAT, "files": known}, file)
        except OSError as error:
            logger.warning("%s cannot be written (%s); training continues without it.", self._path, error.strerror)
        self._changed, self._written = False, time.monotonic()

    def _merged(self) -> dict[str, FileIndex]:
        """What is known by absolute path, with what other processes of the training have written meanwhile."""
        known = {file_system.absolute(path): found for path, found in self._files.items()}
        for path, other in self._read().items():
            own = known.get(path)
            if own is None or (own.is_same_file(other) and other.knowledge > own.knowledge):
                known[path] = other
        return known

    def _read(self) -> dict[str, FileIndex]:
        if self._path is None or not self._path.exists():
            return {}
        try:
            content: Any = json.loads(self._path.read_text(encoding="utf-8"))
            if content["format"] != _FORMAT:
                return {}
            found = {path: FileIndex(**values) for path, values in content["files"].items()}
            for one in found.values():
                one.places = [(int(record), int(byte), int(damaged)) for record, byte, damaged in one.places]
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return {}  # it is made again
        return found
