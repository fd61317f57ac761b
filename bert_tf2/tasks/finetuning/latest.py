"""What was made last, kept so that it is not made again."""

from collections.abc import Callable
from typing import Generic, TypeVar

Made = TypeVar("Made")


class Latest(Generic[Made]):
    """What was made of the latest source.

    latest.of(outputs, lambda: scores_of(outputs))  # computed
    latest.of(outputs, lambda: scores_of(outputs))  # not again
    """

    def __init__(self) -> None:
        self._pair: tuple[object, Made] | None = None

    def of(self, source: object, make: Callable[[], Made]) -> Made:
        """What `make` returns, or has returned if the latest source was the same object."""
        if self._pair is None or self._pair[0] is not source:
            self._pair = source, make()
        return self._pair[1]
