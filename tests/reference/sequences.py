"""Truncation of a pair, token by token, as in google-research/bert."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def _never() -> bool:
    return False


def truncate_pair(
    a: Sequence[T], b: Sequence[T], max_tokens: int, from_front: Callable[[], bool] = _never
) -> tuple[list[T], list[T]]:
    """Shortens the longer of two sequences, token by token, until both together have at most `max_tokens`.

    If they are equally long, `b` is shortened. `from_front` is called once for each token to remove, and returns
    whether to remove it from the front rather than from the end.
    """
    (a_start, a_end), (b_start, b_end) = (0, len(a)), (0, len(b))
    for _ in range(len(a) + len(b) - max_tokens):
        if a_end - a_start > b_end - b_start:
            if from_front():
                a_start += 1
            else:
                a_end -= 1
        elif from_front():
            b_start += 1
        else:
            b_end -= 1
    return list(a[a_start:a_end]), list(b[b_start:b_end])
