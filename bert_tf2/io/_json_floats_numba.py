"""Compiled code that writes float32 numbers as text; `json_floats` says which text."""

from typing import Any, TypeAlias

import numpy as np

from bert_tf2.numba_support import compiled, inlined

Array: TypeAlias = np.ndarray[Any, Any]

MOST_CHARACTERS = 19  # of a number below LIMIT and the comma and space after it
LIMIT = 1e9  # below it, six decimals are at most 15 digits: as many as every float64 keeps
CANNOT = -1

_MINUS, _POINT, _COMMA, _BLANK, _ZERO, _E = (ord(character) for character in "-., 0e")
_TEN, _THOUSAND, _MILLION = np.uint64(10), np.uint64(1000), np.uint64(1_000_000)
# The three digits of each number below 1,000 as characters, uint8 [1000, 3].
_DIGITS = np.array([list(f"{number:03}".encode()) for number in range(1000)], np.uint8)


@compiled
def write_rows(values: Array, text: Array, ends: Array) -> int:
    """Writes a matrix, `", "` between the numbers of a row.

    Args:
      values: float32 [R, C].
      text: uint8, room for R * C * MOST_CHARACTERS characters.
      ends: int64 [R], where the text of each row is to end.

    Returns:
      Characters written; or CANNOT, where a number is not finite or reaches LIMIT.
    """
    at = 0
    rows, columns = values.shape
    for row in range(rows):
        for column in range(columns):
            value = np.float64(values[row, column])
            if not -LIMIT < value < LIMIT:
                return CANNOT
            if column:
                text[at], text[at + 1] = _COMMA, _BLANK
                at += 2
            at = _write(value, text, at)
        ends[row] = at
    return at


@inlined
def _write(value: Any, text: Array, at: int) -> int:
    # Exact, as 24 bits of the number and 14 of 1e6 fit into a float64; so halves are rounded to even as by `round`.
    millionths = np.int64(np.rint(abs(value) * 1e6))
    if np.signbit(value):
        text[at] = _MINUS
        at += 1
    if 0 < millionths < 100:
        return _write_tiny(millionths, text, at)
    # The number is not negative, and Numba divides unsigned numbers faster.
    whole, rest = np.uint64(millionths) // _MILLION, np.uint64(millionths) % _MILLION
    at = _write_whole(whole, text, at)
    text[at] = _POINT
    high, low = rest // _THOUSAND, rest % _THOUSAND
    for place in range(3):
        text[at + 1 + place] = _DIGITS[high, place]
        text[at + 4 + place] = _DIGITS[low, place]
    last = at + 6
    while last > at + 1 and text[last] == _ZERO:
        last -= 1
    return last + 1


@inlined
def _write_whole(number: Any, text: Array, at: int) -> int:
    end = at + 1
    limit = _TEN
    while number >= limit:
        end += 1
        limit *= _TEN
    for place in range(end - 1, at - 1, -1):
        text[place] = _ZERO + np.uint8(number % _TEN)
        number //= _TEN
    return end


@inlined
def _write_tiny(millionths: Any, text: Array, at: int) -> int:
    """Below 0.0001 Python writes powers: `1e-06`, `1.2e-05`."""
    exponent = 6
    first, second = millionths, 0
    if millionths >= 10:
        exponent, first, second = 5, millionths // 10, millionths % 10
    text[at] = _ZERO + first
    at += 1
    if second:
        text[at], text[at + 1] = _POINT, _ZERO + second
        at += 2
    text[at], text[at + 1], text[at + 2], text[at + 3] = _E, _MINUS, _ZERO, _ZERO + exponent
    return at + 4


def try_out() -> None:
    """Compiles, or loads, all that `json_floats` calls."""
    write_rows(np.zeros((1, 1), np.float32), np.empty(MOST_CHARACTERS, np.uint8), np.empty(1, np.int64))
