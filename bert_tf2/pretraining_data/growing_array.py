"""Arrays whose final size is not known in advance."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# An array grows to at most this many elements, or this many times those that are needed: if a document that is much
# longer than the others comes first, the estimate of the final size exceeds any memory.
_SMALL, _MOST_TIMES = 1 << 24, 8


class GrowingArray:
    """An array that grows at its end, initially empty.

    It is rarely copied, as touching new memory costs as much as filling it. Memory that is reserved but never filled is
    not touched, and so not used.

    Args:
      shape: the shape of an element.
      dtype: the type of the array.

    Attributes:
      size: the number of filled elements; callers that fill a `room` increase it.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self._array: NDArray[Any] = np.empty((0, *shape), dtype)
        self.size = 0

    def room(self, size: int, fraction: float) -> NDArray[Any]:
        """A view of the next `size` elements, to be filled.

        Args:
          size: the number of elements.
          fraction: the fraction of all work, from 0 to 1, that has filled the array so far; the final number of
            elements is estimated from it.
        """
        needed = self.size + size
        if needed > len(self._array):
            expected = min(1.05 * self.size / fraction if fraction else 0.0, max(_SMALL, _MOST_TIMES * needed))
            grown = np.empty((max(needed + self.size // 2, int(expected)), *self._array.shape[1:]), self._array.dtype)
            grown[: self.size] = self.filled()
            self._array = grown
        return self._array[self.size : needed]

    def append(self, values: NDArray[Any], fraction: float) -> None:
        """Fills the next elements; see `room` for `fraction`."""
        self.room(len(values), fraction)[:] = values
        self.size += len(values)

    def filled(self) -> NDArray[Any]:
        """A view of the filled elements."""
        return self._array[: self.size]
