"""Growing data that may exceed memory: kept in memory while it is small, then in a file.

The file has no name, so it disappears with the process, however that ends.
"""

import itertools
import math
import os
import pickle
import tempfile
import weakref
from array import array
from collections.abc import Iterator, Sequence
from typing import IO, Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")

MOST_IN_MEMORY = 64 << 20
"""Bytes that each of these objects keeps in memory; larger ones use a file."""

VALUES_AT_ONCE = 1 << 22
"""Numbers of a large array that are processed at once; see `row_ranges`."""

_ITEMS_AT_ONCE = 256
_CACHED_BLOCKS = 4


def directory_for_spilling(preferred: str | os.PathLike[str] | None) -> str | None:
    """The preferred directory if it exists; else None, which means the system's directory for temporary files."""
    return os.fspath(preferred) if preferred is not None and os.path.isdir(preferred) else None


def row_ranges(rows: int, width: int, most: int | None = None) -> Iterator[tuple[int, int]]:
    """Divides the rows of an array into ranges to be processed one after another: the start and end of each.

    Args:
      rows: the number of rows of the array.
      width: the number of values in a row.
      most: the maximum number of values in a range of several rows; by default `VALUES_AT_ONCE`.
    """
    step = max(1, (most or VALUES_AT_ONCE) // max(width, 1))
    for begin in range(0, rows, step):
        yield begin, min(begin + step, rows)


def empty(shape: tuple[int, ...], dtype: Any, directory: str | None = None) -> NDArray[Any]:
    """An array to be filled in any order: in memory, or a `numpy.memmap` if it is larger than `MOST_IN_MEMORY`.

    Args:
      shape: the shape of the array.
      dtype: the type of its elements.
      directory: the directory for the file; None: the system's directory for temporary files.

    Raises:
      OSError: the disk has no room for it.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size <= MOST_IN_MEMORY:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(dir=directory) as file:
        if hasattr(os, "posix_fallocate"):  # on a full disk, writing to a sparse file would kill the process
            os.posix_fallocate(file.fileno(), 0, size)
        return np.memmap(file, dtype, "r+" if hasattr(os, "posix_fallocate") else "w+", shape=shape)


class SpilledArray:
    """An array that grows at its end.

    Args:
      shape: the shape of an element.
      dtype: the type of the array.
      directory: the directory for the file; None: the system's directory for temporary files.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any, directory: str | None = None) -> None:
        self._shape, self._dtype = shape, np.dtype(dtype)
        self._directory = directory
        self._chunks: list[NDArray[Any]] = []
        self._bytes = 0
        self._file: IO[bytes] | None = None

    def append(self, values: NDArray[Any]) -> None:
        """Adds elements, `[n, *shape]`.

        Raises:
          OSError: the file cannot be written.
        """
        values = np.ascontiguousarray(values, self._dtype)
        self._bytes += values.nbytes
        if self._file is None and self._bytes > MOST_IN_MEMORY:
            self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115 (closed by `finish`)
            for chunk in self._chunks:
                self._file.write(chunk.data)
            self._chunks.clear()
        if not values.size:
            return
        if self._file is None:
            self._chunks.append(values)
        else:
            self._file.write(values.data)

    def finish(self) -> NDArray[Any]:
        """All elements, `[N, *shape]`: an array in memory, or a read-only `numpy.memmap`."""
        if self._file is None:
            chunks, self._chunks = self._chunks, []
            return np.concatenate([np.empty((0, *self._shape), self._dtype), *chunks])
        with self._file as file:
            file.flush()
            return np.memmap(file, self._dtype, "r").reshape(-1, *self._shape)


class SpilledTexts(Sequence[str]):
    """Texts, stored as UTF-8; more can be added until the first one is read.

    Args:
      directory: see `SpilledArray`.
    """

    def __init__(self, directory: str | None = None) -> None:
        self._ends = array("q", [0])
        self._growing = SpilledArray((), np.uint8, directory)
        self._content: NDArray[np.uint8] | None = None

    def extend(self, texts: Sequence[str]) -> None:
        """Adds texts.

        Raises:
          OSError: the file cannot be written.
          ValueError: a text has been read already, or is not valid Unicode.
        """
        if self._content is not None:
            raise ValueError("Texts cannot be added once reading has begun.")
        encoded = [text.encode() for text in texts]
        self._growing.append(np.frombuffer(b"".join(encoded), np.uint8))
        ends = itertools.accumulate(map(len, encoded), initial=self._ends.pop())
        self._ends.extend(ends)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The number of bytes of each text, int64 [N]."""
        ends = np.array(self._ends, np.int64)
        return ends[1:] - ends[:-1]

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return self._slice(*_bounds(index, len(self)))
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._slice(index, index + 1)[0]

    def __iter__(self) -> Iterator[str]:
        for begin in range(0, len(self), _ITEMS_AT_ONCE):
            yield from self[begin : begin + _ITEMS_AT_ONCE]

    def _slice(self, first: int, last: int) -> list[str]:
        if self._content is None:
            self._content = self._growing.finish()
        ends = self._ends[first : last + 1].tolist()
        content = self._content[ends[0] : ends[-1]].tobytes()
        return [content[begin - ends[0] : end - ends[0]].decode() for begin, end in itertools.pairwise(ends)]


def _bounds(index: slice, length: int) -> tuple[int, int]:
    first, last, step = index.indices(length)
    if step != 1:
        raise ValueError(f"Slices with step {step} are not supported.")
    return first, max(first, last)


class SpilledSequence(Sequence[Item]):
    """A sequence of objects that grows at its end, and is pickled once it is long. It equals a list of its objects.

    Args:
      directory: see `SpilledArray`.
    """

    def __init__(self, directory: str | None = None) -> None:
        self._directory = directory
        self._file: IO[bytes] | None = None
        self._offsets = array("q", [0])
        self._cache: dict[int, Sequence[Item]] = {}  # the blocks that were read last
        self._tail: list[Item] = []  # the last objects, which do not fill a block yet

    def __len__(self) -> int:
        return (len(self._offsets) - 1) * _ITEMS_AT_ONCE + len(self._tail)

    def extend(self, items: Sequence[Item]) -> None:
        """Adds objects.

        Raises:
          OSError: the file cannot be written.
        """
        self._tail += items
        complete = len(self._tail) // _ITEMS_AT_ONCE * _ITEMS_AT_ONCE
        for first in range(0, complete, _ITEMS_AT_ONCE):
            if self._file is None:
                self._file = tempfile.SpooledTemporaryFile(MOST_IN_MEMORY, dir=self._directory)  # noqa: SIM115
                weakref.finalize(self, self._file.close)
            self._file.seek(self._offsets[-1])
            content = pickle.dumps(self._tail[first : first + _ITEMS_AT_ONCE], pickle.HIGHEST_PROTOCOL)
            self._file.write(content)
            self._offsets.append(self._offsets[-1] + len(content))
        del self._tail[:complete]

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            first, last = _bounds(index, len(self))
            blocks = range(first // _ITEMS_AT_ONCE, -(-last // _ITEMS_AT_ONCE))
            items = [item for block in blocks for item in self._block(block)]
            begin = blocks.start * _ITEMS_AT_ONCE
            return items[first - begin : last - begin]
        if not 0 <= index < len(self):
            raise IndexError(index)
        block, offset = divmod(index, _ITEMS_AT_ONCE)
        return self._block(block)[offset]

    def __iter__(self) -> Iterator[Item]:
        for block in range(len(self._offsets)):
            yield from self._block(block)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, SpilledSequence | list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def _block(self, number: int) -> Sequence[Item]:
        if self._file is None or number == len(self._offsets) - 1:
            return self._tail
        if number not in self._cache:
            if len(self._cache) >= _CACHED_BLOCKS:
                del self._cache[next(iter(self._cache))]
            start, end = self._offsets[number : number + 2]
            self._file.seek(start)
            self._cache[number] = pickle.loads(self._file.read(end - start))
        return self._cache[number]
