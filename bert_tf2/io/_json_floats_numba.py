"""Compiled code that writes float32 numbers as text, in the format that `json_floats` describes."""

from typing import Any, TypeAlias

import numpy as np

from bert_tf2.numba_support import compiled, inlined

Array: TypeAlias = np.ndarray[Any, Any]

MOST_CHARACTERS = 19  # a number below LIMIT, a comma and a space
LIMIT = 1e9  # numbers below it with six decimals have at most 15 digits, which float64 represents exactly
UNSUPPORTED = -1

_MINUS, _POINT, _COMMA, _SPACE, _ZERO, _E = (ord(character) for character in "-., 0e")
_TEN, _THOUSAND, _MILLION = np.uint64(10), np.uint64(1000), np.uint64(1_000_000)
# Each number below 1,000 as three digits, uint8 [1000, 3].
_DIGITS = np.array([list(f"{number:03}".encode()) for number in range(1000)], np.uint8)


@compiled
def write_rows(values: Array, text: Array, ends: Array) -> int:
    """Writes a matrix, `", "` between the numbers of a row.

    Args:
      values: float32 [R, C].
      text: uint8, room for R * C * MOST_CHARACTERS characters.
      ends: int64 [R], set to the end of each row's text.

    Returns:
      The number of characters written; UNSUPPORTED if a number is not finite or not below LIMIT.
    """
    position = 0
    rows, columns = values.shape
    for row in range(rows):
        for column in range(columns):
            value = np.float64(values[row, column])
            if not -LIMIT < value < LIMIT:
                return UNSUPPORTED
            if column:
                text[position], text[position + 1] = _COMMA, _SPACE
                position += 2
            position = _write(value, text, position)
        ends[row] = position
    return position


@inlined
def _write(value: Any, text: Array, position: int) -> int:
    # Exact, as 24 bits of the number and 14 of 1e6 fit into a float64, so that ties round to even as in `round`.
    millionths = np.int64(np.rint(abs(value) * 1e6))
    if np.signbit(value):
        text[position] = _MINUS
        position += 1
    if 0 < millionths < 100:
        return _write_tiny(millionths, text, position)
    # The number is not negative, and Numba divides unsigned numbers faster.
    whole, rest = np.uint64(millionths) // _MILLION, np.uint64(millionths) % _MILLION
    position = _write_whole(whole, text, position)
    text[position] = _POINT
    high, low = rest // _THOUSAND, rest % _THOUSAND
    for digit in range(3):
        text[position + 1 + digit] = _DIGITS[high, digit]
        text[position + 4 + digit] = _DIGITS[low, digit]
    last = position + 6
    while last > position + 1 and text[last] == _ZERO:
        last -= 1
    return last + 1


@inlined
def _write_whole(number: Any, text: Array, position: int) -> int:
    end = position + 1
    limit = _TEN
    while number >= limit:
        end += 1
        limit *= _TEN
    for index in range(end - 1, position - 1, -1):
        text[index] = _ZERO + np.uint8(number % _TEN)
        number //= _TEN
    return end


@inlined
def _write_tiny(millionths: Any, text: Array, position: int) -> int:
    """Writes a number below 0.0001, for which Python uses scientific notation: `1e-06`, `1.2e-05`."""
    exponent = 6
    first, second = millionths, 0
    if millionths >= 10:
        exponent, first, second = 5, millionths // 10, millionths % 10
    text[position] = _ZERO + first
    position += 1
    if second:
        text[position], text[position + 1] = _POINT, _ZERO + second
        position += 2
    text[position], text[position + 1], text[position + 2], text[position + 3] = _E, _MINUS, _ZERO, _ZERO + exponent
    return position + 4


def try_out() -> None:
    """Compiles, or loads, all that `json_floats` calls."""
    write_rows(np.zeros((1, 1), np.float32), np.empty(MOST_CHARACTERS, np.uint8), np.empty(1, np.int64))
