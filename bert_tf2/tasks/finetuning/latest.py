"""A result that is kept for as long as it is asked for with the same source."""

from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Latest(Generic[Result]):
    """The result for the latest source.

    latest.of(outputs, lambda: scores_of(outputs))  # computed
    latest.of(outputs, lambda: scores_of(outputs))  # not computed again
    """

    def __init__(self) -> None:
        self._pair: tuple[object, Result] | None = None

    def of(self, source: object, compute: Callable[[], Result]) -> Result:
        """What `compute` returns, or has returned if the latest source was the same object."""
        if self._pair is None or self._pair[0] is not source:
            self._pair = source, compute()
        return self._pair[1]
