"""The result of a computation, cached until it is requested for another source."""

from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Latest(Generic[Result]):
    """Caches the result for the latest source.

    latest.of(outputs, lambda: scores_of(outputs))  # computed
    latest.of(outputs, lambda: scores_of(outputs))  # not computed again
    """

    def __init__(self) -> None:
        self._pair: tuple[object, Result] | None = None

    def of(self, source: object, compute: Callable[[], Result]) -> Result:
        """The result of `compute`, which is called only if the latest source was another object."""
        if self._pair is None or self._pair[0] is not source:
            self._pair = source, compute()
        return self._pair[1]
