"""Shuffled epochs of records from files, in an order that can be entered anywhere without reading what comes before.

An epoch takes the files in an order of its own. Up to 16 are open at a time, and a *segment* takes a run of records
from each in turn; a segment is shuffled as a whole. So to find a segment, only the number of records in each file must
be known. Segments are limited in records and bytes to fit into memory.

No TensorFlow.
"""

import collections
import concurrent.futures
import contextlib
import logging
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from bert_tf2.errors import InputError, counted
from bert_tf2.io import files
from bert_tf2.numba_support import kernel
from bert_tf2.records import reader as record_files
from bert_tf2.records.index import RecordIndex

logger = logging.getLogger(__name__)

SHUFFLE_BUFFER = 100_000
"""Maximum records of a segment. Smaller data is shuffled completely."""

_BYTES_OF_SEGMENT = 128 << 20  # the next one is read while one is used
_FILES_READ_AT_ONCE = 16
_CHUNK = 1 << 20  # bytes read at a time
_RECORDS_AT_ONCE = 4096
_HEADER, _FRAME = 12, 16  # bytes before a record, and all around it


class RecordSource:
    """How record files are read, and any error.

    Args:
      index_file: the file of the index, see `index`; None: none is kept.
      most_damaged: maximum number of corrupt records to skip, over all files.

    Attributes:
      index: what is known of the files.
      error: what ended the reading; TensorFlow tells of it in its own words.
    """

    def __init__(self, index_file: str | None = None, most_damaged: int = 0) -> None:
        self.skips = most_damaged > 0
        self.index = RecordIndex(index_file, self.skips)
        self.error: InputError | None = None
        self._most_damaged = most_damaged
        self._damaged: dict[str, int] = {}
        self._reported: set[str] = set()

    def count_damaged(self, path: str, damaged: int) -> None:
        """Records how many corrupt records of a file were skipped so far.

        Raises:
          InputError: they are too many, over all files.
        """
        self._damaged[path] = max(damaged, self._damaged.get(path, 0))
        total = sum(self._damaged.values())
        if total > self._most_damaged:
            where = ", ".join(f"{path} ({count})" for path, count in self._damaged.items() if count)
            raise InputError(
                f"{counted(total, 'corrupt record')} in {where}, more than --skip_bad_records={self._most_damaged}; "
                "make the files again, copy them again from where they are whole, or raise the number."
            )

    def report(self, path: str) -> None:
        """Warns, once, of what was left out of a file."""
        if self._damaged.get(path) and path not in self._reported:
            self._reported.add(path)
            logger.warning("Skipping corrupt records (%d): %s.", self._damaged[path], path)

    def count(self, path: str) -> int:
        """How many records a file has; it is read as far as that is not known.

        Raises:
          InputError: it cannot be read, or is corrupt.
        """
        known = self.index.of(path)
        if known.records is None:
            with contextlib.closing(RecordFile(path, self, known.places[-1][0] if known.places else 0)) as file:
                while file.skip(_RECORDS_AT_ONCE):
                    pass
                return file.number
        return known.records

    def at_least(self, path: str, number: int) -> int:
        """How many of the first `number` records a file has; it is read no further than these.

        Raises:
          InputError: it cannot be read, or is corrupt.
        """
        known = self.index.of(path)
        if known.records is None and files.compression(path):
            self.count(path)  # a place in it cannot be returned to
        if known.records is not None:
            return min(number, known.records)
        if known.reach < number:
            with contextlib.closing(RecordFile(path, self, number)) as file:
                return min(number, file.number)
        return number

    def records(self, paths: Sequence[str]) -> Iterator[bytes]:
        """All records of files, in order."""
        for path in paths:
            with contextlib.closing(RecordFile(path, self)) as file:
                while records := file.read(_RECORDS_AT_ONCE):
                    yield from records


class RecordFile:
    """The records of a file, plain or gzip, from one of them on.

    Args:
      path: the file.
      source: which knows what is known of it, and whether damaged records are left out.
      first: the number of the first record, from 0.

    Attributes:
      number: of the next record.

    Raises:
      InputError: the file cannot be read or, unless records may be skipped, is corrupt.
    """

    def __init__(self, path: str, source: RecordSource, first: int = 0) -> None:
        self._kernel: Any = kernel("bert_tf2.records._frames_numba")
        self._path, self._source = path, source
        self._known = source.index.of(path)
        self.number, self._base, self._damaged = self._known.before(first)
        self._content, self._at, self._ended = b"", 0, False
        self._open = contextlib.ExitStack()
        with self._reading():
            self._has_places = files.compression(path) is None
            self._file = self._open.enter_context(files.open_bytes(path))
            if self._base:
                self._file.seek(self._base)
        try:
            while self.number < first and self.skip(first - self.number):
                pass
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        self._open.close()

    def read(self, count: int) -> list[bytes]:
        """The next records; fewer than `count` only at the end of the file."""
        records: list[bytes] = []
        while len(records) < count and not self._ended:
            content = self._content
            for start, end in self._frame(min(count - len(records), _RECORDS_AT_ONCE), check=True).tolist():
                records.append(content[start:end])
        self._note()
        return records

    def skip(self, count: int) -> int:
        """Passes over records, whose checksums are compared only where damaged ones are left out; how many."""
        first = self.number
        while self.number - first < count and not self._ended:
            self._frame(min(count - self.number + first, _RECORDS_AT_ONCE), check=self._source.skips)
        self._note()
        return self.number - first

    def _frame(self, most: int, check: bool) -> np.ndarray[Any, Any]:
        """Start and end of the next records in `_content`; none where it had to be filled."""
        spans = np.empty((most, 2), np.int64)
        content = np.frombuffer(self._content, np.uint8)
        found, self._at, state = self._kernel.frame(content, self._at, check, spans)
        self.number += found
        if not found:
            if state == self._kernel.MORE:
                if not self._fill():
                    self._finish()
            elif state == self._kernel.DAMAGED_RECORD:
                self._leave_out()
                self._at += _FRAME + int.from_bytes(self._content[self._at : self._at + 8], "little")
            else:
                self._leave_out()
                self._seek_record()
        return spans[:found]

    def _fill(self) -> bool:
        """Reads on; whether there was anything."""
        rest = self._content[self._at :]
        with self._reading():
            more = self._file.read(max(_CHUNK, len(rest)))
        self._base += self._at
        self._content, self._at = rest + more, 0
        return bool(more)

    def _finish(self) -> None:
        if self._at < len(self._content):  # the last record is not whole
            self._leave_out()
            self._seek_record()
            return
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._known.records, self._known.damaged = self.number, self._damaged
        self._source.index.changed()
        self._source.report(self._path)

    def _leave_out(self) -> None:
        if not self._source.skips:
            raise InputError(record_files.damage(self._path, self.number + 1))
        self._damaged += 1
        self._source.count_damaged(self._path, self._damaged)

    def _seek_record(self) -> None:
        """Goes to the next place where a record seems to begin."""
        self._at += 1
        while True:
            at = self._kernel.next_header(np.frombuffer(self._content, np.uint8), self._at)
            if at >= 0:
                self._at = at
                return
            self._at = max(self._at, len(self._content) - _HEADER + 1)
            if not self._fill():
                self._end()
                return

    def _note(self) -> None:
        if self._has_places and self._known.note(self.number, self._base + self._at, self._damaged):
            self._source.index.changed()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError, zlib.error) as error:
            raise files.cannot_read(self._path, error) from None


class _Turns:
    """Which files of an epoch are open, and whose turn it is.

    Args:
      order: the files.
      most: records of a segment.
    """

    def __init__(self, order: Sequence[str], most: int) -> None:
        self._waiting = collections.deque(order)
        self._open: list[list[Any] | None] = [None] * min(len(order), _FILES_READ_AT_ONCE)
        self._turn, self._most = 0, most
        self._run = -(-most // len(self._open))

    def segment(self, take: Callable[[int, str, int, int], int]) -> int:
        """Takes the records of the next segment.

        Args:
          take: takes `count` records of a file, of which some have been taken before, and says how many it had:
            `take(slot, path, before, count)`.

        Returns:
          How many; fewer than there may be at the end of the epoch.
        """
        have = 0
        while have < self._most and (self._waiting or any(self._open)):
            wanted = min(self._run, self._most - have)
            have += wanted - self._take(self._turn, wanted, take)
            self._turn = (self._turn + 1) % len(self._open)
        return have

    def _take(self, slot: int, wanted: int, take: Callable[[int, str, int, int], int]) -> int:
        """How many of the wanted records there were not."""
        while wanted:
            entry = self._open[slot]
            if entry is None:
                if not self._waiting:
                    break
                entry = self._open[slot] = [self._waiting.popleft(), 0]
            taken = take(slot, entry[0], entry[1], wanted)
            entry[1] += taken
            wanted -= taken
            if wanted:
                self._open[slot] = None
        return wanted


class _OpenFiles:
    """The files of an epoch that are being read, one in each slot of `_Turns`; see `RecordStream`."""

    def __init__(self, source: RecordSource, part: int, parts: int) -> None:
        self._source, self._part, self._parts = source, part, parts
        self._files: dict[int, RecordFile] = {}
        self._records: list[bytes] = []

    def close(self) -> None:
        """Closes them."""
        for file in self._files.values():
            file.close()

    def segment(self, turns: _Turns) -> list[bytes]:
        """The records of the next segment, in the order of the files."""
        self._records = []
        turns.segment(self._take)
        return self._records

    def _take(self, slot: int, path: str, before: int, count: int) -> int:
        if slot not in self._files or before == 0:
            if slot in self._files:
                self._files[slot].close()
            self._files[slot] = RecordFile(path, self._source, before * self._parts)
        found = self._own(self._files[slot], count)
        self._records += found
        return len(found)

    def _own(self, file: RecordFile, count: int) -> list[bytes]:
        """The next records of a file that are for this part."""
        if self._parts == 1:
            return file.read(count)
        found: list[bytes] = []
        while len(found) < count:
            first = (self._part - file.number) % self._parts
            records = file.read(first + (count - len(found) - 1) * self._parts + 1)
            if not records:
                break
            found += records[first :: self._parts]
        return found


class RecordStream:
    """Shuffled epochs of records without end.

    Args:
      paths: record files; at least one has a record.
      source: reads them.
      seed: of the order.
      most: records of a segment at most.
      part: of each file, every `parts`-th record is taken, from number `part` on.
      parts: see there.
    """

    def __init__(
        self,
        paths: Sequence[str],
        source: RecordSource,
        seed: int,
        most: int = SHUFFLE_BUFFER,
        part: int = 0,
        parts: int = 1,
    ) -> None:
        self._paths, self._source, self._seed = list(paths), source, seed
        self._part, self._parts = part, parts
        size = record_files.first_size(paths) + _FRAME
        self._most = max(1, min(most, _BYTES_OF_SEGMENT // size))

    def blocks(self, rows: int, done: int = 0) -> Iterator[np.ndarray[Any, Any]]:
        """Records in blocks, bytes `[rows]`, after the first `done`; the next segment is read ahead.

        Raises:
          InputError: a file is corrupt, or there is no record.
        """
        block = np.empty(rows, object)
        filled = 0
        with contextlib.ExitStack() as stack:
            stack.callback(self._source.index.save)
            reader = stack.enter_context(concurrent.futures.ThreadPoolExecutor(1, "records"))
            segments = self._segments(done)
            segment = reader.submit(next, segments)
            while True:
                records = segment.result()
                segment = reader.submit(next, segments)
                records.reverse()
                while records:  # what is given away is held no longer
                    count = min(rows - filled, len(records))
                    block[filled : filled + count] = records[: -count - 1 : -1]
                    del records[-count:]
                    filled += count
                    if filled == rows:
                        yield block
                        block, filled = np.empty(rows, object), 0

    def _segments(self, done: int) -> Iterator[list[bytes]]:
        """Each segment in its shuffled order; of the first one what is left after so many records of all."""
        epoch, number, within = self._place(done)
        while True:
            turns = _Turns(self._order(epoch), self._most)
            for _ in range(number):
                turns.segment(self._count_only)
            with contextlib.closing(_OpenFiles(self._source, self._part, self._parts)) as open_files:
                total = number
                while records := open_files.segment(turns):
                    order = np.random.default_rng([self._seed, epoch, number]).permutation(len(records))
                    total += len(records)
                    yield [records[index] for index in order[within:].tolist()]
                    number, within = number + 1, 0
            if not total:
                raise InputError(f"{', '.join(self._paths)}: no file holds a record for this process.")
            epoch, number = epoch + 1, 0

    def _order(self, epoch: int) -> list[str]:
        return [
            self._paths[index] for index in np.random.default_rng([self._seed, epoch]).permutation(len(self._paths))
        ]

    def _place(self, done: int) -> tuple[int, int, int]:
        """Epoch, segment, and records of it, after so many records.

        Within the first epoch, files that the training has not come to stay unread.
        """
        if not done:
            return 0, 0, 0
        if any(self._source.index.of(path).records is None for path in self._paths):
            turns, number, left = _Turns(self._order(0), self._most), 0, done
            while size := turns.segment(self._count_only):
                if left < size:
                    return 0, number, left
                number, left = number + 1, left - size
        total = sum(map(self._own, self._paths))
        if not total:
            raise InputError(f"{', '.join(self._paths)}: no file holds a record for this process.")
        epoch, done = divmod(done, total)
        return epoch, *divmod(done, self._most)

    def _own(self, path: str) -> int:
        return len(range(self._part, self._source.count(path), self._parts))

    def _count_only(self, slot: int, path: str, before: int, count: int) -> int:
        end = self._part + (before + count - 1) * self._parts + 1  # the number after the last one that is taken
        return len(range(self._part, self._source.at_least(path, end), self._parts)) - before
