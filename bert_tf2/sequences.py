"""Sequences in BERT's form: `[CLS] a [SEP] b [SEP]`, cut to fit and padded; no TensorFlow.

`S` is the sequence length.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

CLS = "[CLS]"
SEP = "[SEP]"


def _never() -> bool:
    return False


def truncate_pair(
    a: Sequence[T], b: Sequence[T], max_tokens: int, cut_front: Callable[[], bool] = _never
) -> tuple[list[T], list[T]]:
    """Shortens the longer of two sequences, token by token, until both together have at most `max_tokens`.

    Of two equally long ones `b` loses the token.

    Args:
      a: first sequence.
      b: second sequence.
      max_tokens: what both together may have, special tokens not counted.
      cut_front: asked once for each token to remove: true takes it from the front, false from the end.

    Returns:
      What is left of both.
    """
    (a_start, a_end), (b_start, b_end) = (0, len(a)), (0, len(b))
    for _ in range(len(a) + len(b) - max_tokens):
        if a_end - a_start > b_end - b_start:
            if cut_front():
                a_start += 1
            else:
                a_end -= 1
        elif cut_front():
            b_start += 1
        else:
            b_end -= 1
    return list(a[a_start:a_end]), list(b[b_start:b_end])


def join_pair(tokens_a: Sequence[str], tokens_b: Sequence[str] | None = None) -> tuple[list[str], list[int]]:
    """Puts one or two sequences into BERT's form.

    Args:
      tokens_a: first sequence.
      tokens_b: second sequence, or None where there is only one.

    Returns:
      tokens: `[CLS] a [SEP]`, then `b [SEP]`.
      segment_ids: 0 up to and including the first `[SEP]`, 1 after it; as long as the tokens.
    """
    first = [CLS, *tokens_a, SEP]
    second = [] if tokens_b is None else [*tokens_b, SEP]
    return first + second, [0] * len(first) + [1] * len(second)


def pad(values: Sequence[T], length: int, value: T) -> list[T]:
    """`values` followed by as many of `value` as `length` needs.

    Raises:
      ValueError: there are more than `length` values.
    """
    if len(values) > length:
        raise ValueError(f"{len(values)} values do not fit into {length}; truncate them first.")
    return [*values, *[value] * (length - len(values))]
