"""What is made piece by piece and may be larger than memory: kept in memory while it is small, then in a file.

The file has no name: nothing is left of it when the process ends, however it ends.
"""

import os
import pickle
import tempfile
import weakref
from array import array
from collections.abc import Iterator, Sequence
from typing import IO, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")

MOST_IN_MEMORY = 64 << 20
"""Bytes of one of these that are kept in memory."""

_ITEMS_AT_ONCE = 256
_BLOCKS_HELD = 4


def directory_for_spilling(wanted: str | os.PathLike[str] | None) -> str | None:
    """The directory if it exists; else None, the system's directory for temporary files."""
    return os.fspath(wanted) if wanted is not None and os.path.isdir(wanted) else None


class SpilledArray:
    """An array that grows at its end.

    Args:
      shape: of an element.
      dtype: of the array.
      directory: for the file; None: the system's directory for temporary files.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any, directory: str | None = None) -> None:
        self._shape, self._dtype = shape, np.dtype(dtype)
        self._directory = directory
        self._parts: list[NDArray[Any]] = []
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
            for part in self._parts:
                self._file.write(part.data)
            self._parts.clear()
        if not values.size:
            return
        if self._file is None:
            self._parts.append(values)
        else:
            self._file.write(values.data)

    def finish(self) -> NDArray[Any]:
        """All elements, `[N, *shape]`: an array in memory, or a `numpy.memmap` that can only be read."""
        if self._file is None:
            return np.concatenate([np.empty((0, *self._shape), self._dtype), *self._parts])
        with self._file as file:
            file.flush()
            return np.memmap(file, self._dtype, "r").reshape(-1, *self._shape)


class SpilledSequence(Generic[Item]):
    """A sequence of objects that grows at its end; they are pickled once they are many.

    Args:
      directory: see `SpilledArray`.
    """

    def __init__(self, directory: str | None = None) -> None:
        self._directory = directory
        self._file: IO[bytes] | None = None
        self._offsets = array("q", [0])
        self._held: dict[int, Sequence[Item]] = {}  # the blocks read last
        self._end: list[Item] = []  # what is not a whole block yet

    def __len__(self) -> int:
        return (len(self._offsets) - 1) * _ITEMS_AT_ONCE + len(self._end)

    def extend(self, items: Sequence[Item]) -> None:
        """Adds objects.

        Raises:
          OSError: the file cannot be written.
        """
        self._end += items
        whole = len(self._end) // _ITEMS_AT_ONCE * _ITEMS_AT_ONCE
        for first in range(0, whole, _ITEMS_AT_ONCE):
            if self._file is None:
                self._file = tempfile.SpooledTemporaryFile(MOST_IN_MEMORY, dir=self._directory)  # noqa: SIM115
                weakref.finalize(self, self._file.close)
            self._file.seek(self._offsets[-1])
            content = pickle.dumps(self._end[first : first + _ITEMS_AT_ONCE], pickle.HIGHEST_PROTOCOL)
            self._file.write(content)
            self._offsets.append(self._offsets[-1] + len(content))
        del self._end[:whole]

    def __getitem__(self, index: int) -> Item:
        if not 0 <= index < len(self):
            raise IndexError(index)
        block, place = divmod(index, _ITEMS_AT_ONCE)
        return self._block(block)[place]

    def __iter__(self) -> Iterator[Item]:
        for block in range(len(self._offsets)):
            yield from self._block(block)

    def _block(self, number: int) -> Sequence[Item]:
        if self._file is None or number == len(self._offsets) - 1:
            return self._end
        if number not in self._held:
            if len(self._held) >= _BLOCKS_HELD:
                del self._held[next(iter(self._held))]
            start, end = self._offsets[number : number + 2]
            self._file.seek(start)
            self._held[number] = pickle.loads(self._file.read(end - start))
        return self._held[number]
