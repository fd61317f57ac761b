"""Shuffled epochs of records from files, in an order that can be entered anywhere without reading what comes before.

Each epoch reads the files in a different order. Up to 16 are open at a time, and a *segment* takes a run of records
from each in turn; a segment is shuffled as a whole. So to find a segment, only the number of records in each file must
be known. Segments are limited in records and bytes to fit into memory.

TensorFlow is not needed.
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

_MAX_SEGMENT_BYTES = 128 << 20  # two are held: the next one is read while one is used
_FILES_READ_AT_ONCE = 16
_CHUNK = 1 << 20  # bytes read at a time
_RECORDS_AT_ONCE = 4096
_HEADER, _FRAME = 12, 16  # bytes before a record, and before and after it together


class RecordSource:
    """How record files are read, and the error that ended the reading.

    Args:
      index_file: the path of the index, see `index`; None if it is not to be saved.
      max_damaged: maximum number of corrupt records to skip, over all files.

    Attributes:
      skips: whether corrupt records are skipped.
      index: of the files.
      error: the error that ended the reading, which TensorFlow would report in its own words; None if there is none.
    """

    def __init__(self, index_file: str | None = None, max_damaged: int = 0) -> None:
        self.skips = max_damaged > 0
        self.index = RecordIndex(index_file, self.skips)
        self.error: InputError | None = None
        self._max_damaged = max_damaged
        self._damaged: dict[str, int] = {}
        self._reported: set[str] = set()

    def count_damaged(self, path: str, damaged: int) -> None:
        """Records the number of corrupt records of a file that have been skipped so far.

        Raises:
          InputError: too many have been skipped, over all files.
        """
        self._damaged[path] = max(damaged, self._damaged.get(path, 0))
        total = sum(self._damaged.values())
        if total > self._max_damaged:
            where = ", ".join(f"{path} ({count})" for path, count in self._damaged.items() if count)
            raise InputError(
                f"{counted(total, 'corrupt record')} in {where}, more than --skip_bad_records={self._max_damaged}; "
                "make the files again, copy them again from where they are whole, or raise the number."
            )

    def report(self, path: str) -> None:
        """Warns, once per file, of corrupt records that were skipped."""
        if self._damaged.get(path) and path not in self._reported:
            self._reported.add(path)
            logger.warning("Skipping corrupt records (%d): %s.", self._damaged[path], path)

    def count(self, path: str) -> int:
        """The number of records in a file, of which only the part that the index does not cover is read.

        Raises:
          InputError: the file cannot be read, or is corrupt.
        """
        index = self.index.of(path)
        if index.records is None:
            with contextlib.closing(RecordFile(path, self, index.min_records)) as file:
                while file.skip(_RECORDS_AT_ONCE):
                    pass
                return file.number
        return index.records

    def count_up_to(self, path: str, limit: int) -> int:
        """The number of records in a file, or `limit` if it has more; no more than `limit` records are read.

        Raises:
          InputError: the file cannot be read, or is corrupt.
        """
        index = self.index.of(path)
        if index.records is None and files.compression(path):
            self.count(path)  # read only once: a compressed file cannot be entered in the middle later
        if index.records is not None:
            return min(limit, index.records)
        if index.min_records < limit:
            with contextlib.closing(RecordFile(path, self, limit)) as file:
                return min(limit, file.number)
        return limit

    def records(self, paths: Sequence[str]) -> Iterator[bytes]:
        """All records of files, in order.

        Raises:
          InputError: a file cannot be read, or is corrupt.
        """
        for path in paths:
            with contextlib.closing(RecordFile(path, self)) as file:
                while records := file.read(_RECORDS_AT_ONCE):
                    yield from records


class RecordFile:
    """The records of a file, plain or gzip, from one of them on.

    Args:
      path: of the file.
      source: has its index, and decides whether corrupt records are skipped.
      first: the number of the first record to read, from 0.

    Attributes:
      number: of the next record.

    Raises:
      InputError: the file cannot be read or, unless records may be skipped, is corrupt.
    """

    def __init__(self, path: str, source: RecordSource, first: int = 0) -> None:
        self._kernel: Any = kernel("bert_tf2.records._frames_numba")
        self._path, self._source = path, source
        self._index = source.index.of(path)
        self.number, self._content_start, self._damaged = self._index.before(first)
        self._content, self._offset, self._is_at_end = b"", 0, False
        self._resources = contextlib.ExitStack()
        with self._converting_errors():
            self._is_seekable = files.compression(path) is None
            self._file = self._resources.enter_context(files.open_bytes(path))
            if self._content_start:
                self._file.seek(self._content_start)
        try:
            while self.number < first and self.skip(first - self.number):
                pass
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        self._resources.close()

    def read(self, count: int) -> list[bytes]:
        """The next `count` records; fewer only at the end of the file.

        Raises:
          InputError: the file cannot be read or, unless records may be skipped, is corrupt.
        """
        records: list[bytes] = []
        while len(records) < count and not self._is_at_end:
            content = self._content
            for start, end in self._next_spans(min(count - len(records), _RECORDS_AT_ONCE), check=True).tolist():
                records.append(content[start:end])
        self._update_index()
        return records

    def skip(self, count: int) -> int:
        """Skips up to `count` records; verifies their checksums only if corrupt ones are not to be counted.

        Returns:
          The number of records skipped; fewer than `count` only at the end of the file.

        Raises:
          InputError: the file cannot be read or, unless records may be skipped, is corrupt.
        """
        first = self.number
        while self.number - first < count and not self._is_at_end:
            self._next_spans(min(count - self.number + first, _RECORDS_AT_ONCE), check=self._source.skips)
        self._update_index()
        return self.number - first

    def _next_spans(self, limit: int, check: bool) -> np.ndarray[Any, Any]:
        """Start and end of the next records in `_content`, int64 `[records, 2]`; may be empty before the end."""
        spans = np.empty((limit, 2), np.int64)
        content = np.frombuffer(self._content, np.uint8)
        count, self._offset, state = self._kernel.frame(content, self._offset, check, spans)
        self.number += count
        if not count:
            if state == self._kernel.MORE:
                if not self._fill():
                    self._finish()
            elif state == self._kernel.DAMAGED_RECORD:
                self._count_damaged()
                self._offset += _FRAME + int.from_bytes(self._content[self._offset : self._offset + 8], "little")
            else:
                self._count_damaged()
                self._seek_record()
        return spans[:count]

    def _fill(self) -> bool:
        """Reads the next chunk into `_content`; returns False at the end of the file."""
        rest = self._content[self._offset :]
        with self._converting_errors():
            chunk = self._file.read(max(_CHUNK, len(rest)))
        self._content_start += self._offset
        self._content, self._offset = rest + chunk, 0
        return bool(chunk)

    def _finish(self) -> None:
        """Ends at the end of the file, or skips an incomplete last record."""
        if self._offset < len(self._content):
            self._count_damaged()
            self._seek_record()
            return
        self._end()

    def _end(self) -> None:
        self._is_at_end = True
        self._index.records, self._index.damaged = self.number, self._damaged
        self._source.index.mark_changed()
        self._source.report(self._path)

    def _count_damaged(self) -> None:
        if not self._source.skips:
            raise InputError(record_files.damage(self._path, self.number + 1))
        self._damaged += 1
        self._source.count_damaged(self._path, self._damaged)

    def _seek_record(self) -> None:
        """Moves to the next offset at which a record seems to begin."""
        self._offset += 1
        while True:
            offset = self._kernel.next_header(np.frombuffer(self._content, np.uint8), self._offset)
            if offset >= 0:
                self._offset = offset
                return
            self._offset = max(self._offset, len(self._content) - _HEADER + 1)
            if not self._fill():
                self._end()
                return

    def _update_index(self) -> None:
        start = self._content_start + self._offset
        if self._is_seekable and self._index.add_position(self.number, start, self._damaged):
            self._source.index.mark_changed()

    @contextlib.contextmanager
    def _converting_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError, zlib.error) as error:
            raise files.cannot_read(self._path, error) from None


class _FileRotation:
    """The files of an epoch: which are open, and which is next.

    Args:
      order: the paths of the files.
      segment_size: maximum records of a segment.
    """

    def __init__(self, order: Sequence[str], segment_size: int) -> None:
        self._waiting = collections.deque(order)
        self._open: list[list[Any] | None] = [None] * min(len(order), _FILES_READ_AT_ONCE)
        self._next_slot, self._segment_size = 0, segment_size
        self._run_length = -(-segment_size // len(self._open))

    def segment(self, take: Callable[[int, str, int, int], int]) -> int:
        """Takes the records of the next segment.

        Args:
          take: `take(slot, path, before, count)` takes `count` records of a file of which `before` have already been
            taken, and returns how many it took: fewer only at the end of the file.

        Returns:
          The number of records; less than `segment_size` only at the end of the epoch.
        """
        size = 0
        while size < self._segment_size and (self._waiting or any(self._open)):
            size += self._take(self._next_slot, min(self._run_length, self._segment_size - size), take)
            self._next_slot = (self._next_slot + 1) % len(self._open)
        return size

    def _take(self, slot: int, count: int, take: Callable[[int, str, int, int], int]) -> int:
        """Takes `count` records in one slot, from several files if need be; returns how many it took."""
        remaining = count
        while remaining:
            entry = self._open[slot]
            if entry is None:
                if not self._waiting:
                    break
                entry = self._open[slot] = [self._waiting.popleft(), 0]
            taken = take(slot, entry[0], entry[1], remaining)
            entry[1] += taken
            remaining -= taken
            if remaining:
                self._open[slot] = None
        return count - remaining


class _OpenFiles:
    """The files of an epoch that are being read, one in each slot of `_FileRotation`; see `RecordStream`."""

    def __init__(self, source: RecordSource, shard_index: int, shard_count: int) -> None:
        self._source, self._shard_index, self._shard_count = source, shard_index, shard_count
        self._files: dict[int, RecordFile] = {}
        self._records: list[bytes] = []

    def close(self) -> None:
        """Closes all files."""
        for file in self._files.values():
            file.close()

    def segment(self, rotation: _FileRotation) -> list[bytes]:
        """The records of the next segment, in the order of the files."""
        self._records = []
        rotation.segment(self._take)
        return self._records

    def _take(self, slot: int, path: str, before: int, count: int) -> int:
        if slot not in self._files or before == 0:
            if slot in self._files:
                self._files[slot].close()
            self._files[slot] = RecordFile(path, self._source, before * self._shard_count)
        records = self._read_shard(self._files[slot], count)
        self._records += records
        return len(records)

    def _read_shard(self, file: RecordFile, count: int) -> list[bytes]:
        """The next `count` records of a file that belong to this shard; fewer only at the end of the file."""
        if self._shard_count == 1:
            return file.read(count)
        shard: list[bytes] = []
        while len(shard) < count:
            first = (self._shard_index - file.number) % self._shard_count
            records = file.read(first + (count - len(shard) - 1) * self._shard_count + 1)
            if not records:
                break
            shard += records[first :: self._shard_count]
        return shard


class RecordStream:
    """An endless stream of shuffled epochs of records.

    Args:
      paths: record files; at least one has a record.
      source: reads them.
      seed: of the order.
      segment_size: maximum records of a segment.
      shard_index: the first record of each file to take, from 0; then every `shard_count`-th one is taken.
      shard_count: the number of processes that share the records of each file.

    Raises:
      InputError: the first file with a record is not a TFRecord file.
    """

    def __init__(
        self,
        paths: Sequence[str],
        source: RecordSource,
        seed: int,
        segment_size: int = SHUFFLE_BUFFER,
        shard_index: int = 0,
        shard_count: int = 1,
    ) -> None:
        self._paths, self._source, self._seed = list(paths), source, seed
        self._shard_index, self._shard_count = shard_index, shard_count
        record_size = record_files.first_size(paths) + _FRAME
        self._segment_size = max(1, min(segment_size, _MAX_SEGMENT_BYTES // record_size))

    def blocks(self, rows: int, done: int = 0) -> Iterator[np.ndarray[Any, Any]]:
        """Yields the records in blocks, bytes `[rows]`; the next segment is read ahead.

        Args:
          rows: records of a block.
          done: the number of records that an earlier run has already taken.

        Raises:
          InputError: a file cannot be read or is corrupt, or there is no record.
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
                while records:  # those that have been yielded are freed
                    count = min(rows - filled, len(records))
                    block[filled : filled + count] = records[: -count - 1 : -1]
                    del records[-count:]
                    filled += count
                    if filled == rows:
                        yield block
                        block, filled = np.empty(rows, object), 0

    def _segments(self, done: int) -> Iterator[list[bytes]]:
        """Yields each segment in its shuffled order, after the first `done` records."""
        epoch, number, within = self._position(done)
        while True:
            rotation = _FileRotation(self._order(epoch), self._segment_size)
            for _ in range(number):
                rotation.segment(self._count)
            with contextlib.closing(_OpenFiles(self._source, self._shard_index, self._shard_count)) as open_files:
                total = number
                while records := open_files.segment(rotation):
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

    def _position(self, done: int) -> tuple[int, int, int]:
        """The epoch, the segment in it, and the number of records of the segment, after `done` records.

        In the first epoch, files that training has not reached are not read.
        """
        if not done:
            return 0, 0, 0
        if any(self._source.index.of(path).records is None for path in self._paths):
            rotation, number, remaining = _FileRotation(self._order(0), self._segment_size), 0, done
            while size := rotation.segment(self._count):
                if remaining < size:
                    return 0, number, remaining
                number, remaining = number + 1, remaining - size
        total = sum(map(self._shard_size, self._paths))
        if not total:
            raise InputError(f"{', '.join(self._paths)}: no file holds a record for this process.")
        epoch, done = divmod(done, total)
        return epoch, *divmod(done, self._segment_size)

    def _shard_size(self, path: str) -> int:
        return len(range(self._shard_index, self._source.count(path), self._shard_count))

    def _count(self, slot: int, path: str, before: int, count: int) -> int:
        """As `take` of `_FileRotation.segment`, but only counts the records."""
        end = self._shard_index + (before + count - 1) * self._shard_count + 1  # after the last record to take
        return len(range(self._shard_index, self._source.count_up_to(path, end), self._shard_count)) - before
