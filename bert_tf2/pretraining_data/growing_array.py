"""Arrays whose final size is not known in advance."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class GrowingArray:
    """An array that grows at its end, from nothing.

    It is copied seldom, as memory that is touched anew costs as much as what is put there. What is never filled is
    not touched, and so takes no memory.

    Args:
      shape: of an element.
      dtype: of the array.

    Attributes:
      size: how many elements are filled; for the caller to raise who fills a `room`.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self._array: NDArray[Any] = np.empty((0, *shape), dtype)
        self.size = 0

    def room(self, size: int, share: float) -> NDArray[Any]:
        """A view of the next `size` elements, to be filled.

        Args:
          size: how many.
          share: how much of all work, from 0 to 1, has filled the array so far: from it follows how many elements
            there will be.
        """
        needed = self.size + size
        if needed > len(self._array):
            expected = 1.05 * self.size / share if share else 0.0
            grown = np.empty((max(needed + self.size // 2, int(expected)), *self._array.shape[1:]), self._array.dtype)
            grown[: self.size] = self.filled()
            self._array = grown
        return self._array[self.size : needed]

    def append(self, values: NDArray[Any], share: float) -> None:
        """Fills the next elements; `share` is that of `room`."""
        self.room(len(values), share)[:] = values
        self.size += len(values)

    def filled(self) -> NDArray[Any]:
        """A view of what is filled."""
        return self._array[: self.size]
