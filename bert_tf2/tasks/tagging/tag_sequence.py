"""A compact sequence of tags, which stores a number for each word; no TensorFlow."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

_TAGS_AT_ONCE = 1 << 16


class TagSequence(Sequence[str]):
    """Tags, 4 bytes each; slices are lists. It equals a list of the same tags.

    Args:
      names: the distinct tags.
      numbers: int32 [W], the index in `names` of each word's tag.
    """

    def __init__(self, names: Sequence[str], numbers: NDArray[np.int32]) -> None:
        self._names, self._numbers = tuple(names), numbers

    @classmethod
    def of(cls, tags: Iterable[str]) -> "TagSequence":
        """Creates a sequence from tags, which are consumed one by one."""
        numbers: dict[str, int] = {}
        of_words = array("i", (numbers.setdefault(tag, len(numbers)) for tag in tags))
        return cls(list(numbers), np.array(of_words, np.int32))

    @property
    def distinct(self) -> frozenset[str]:
        """The tags that may occur."""
        return frozenset(self._names)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self._names[number] for number in self._numbers[index].tolist()]
        return self._names[int(self._numbers[index])]

    def __iter__(self) -> Iterator[str]:
        for begin in range(0, len(self), _TAGS_AT_ONCE):
            yield from self[begin : begin + _TAGS_AT_ONCE]

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, TagSequence | list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]
