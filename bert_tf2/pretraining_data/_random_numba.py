"""`random.Random` in compiled code: takes over its state, makes the same draws, and returns the state.

The generator is MT19937 (Matsumoto and Nishimura, 1998). Its 32-bit words are turned into floats, ranges and shuffles
as in all versions of CPython since 3.2; a test compares each function with the running Python.

`state` is always one record of the type STATE. Numba would count references to arrays, or tuples of them, in every
call, which costs more than a draw.
"""

import random
from typing import Any, TypeAlias

import numpy as np

from bert_tf2.numba_support import compiled, inlined

Array: TypeAlias = np.ndarray[Any, Any]
State: TypeAlias = Any  # numpy.void, whose fields have no types

_SIZE = 624
_SHIFT = 397
_UPPER, _LOWER = 0x80000000, 0x7FFFFFFF
_MATRIX = 0x9908B0DF

STATE = np.dtype(
    [
        ("words", np.int64, _SIZE),  # of 32 bits; int64 avoids overflow
        ("output", np.int64, _SIZE),  # the tempered words that are drawn; computed all at once, which is much faster
        ("drawn", np.int64),  # the number of words that have been drawn
    ]
)


def take_over(rng: random.Random) -> State:
    """The state of a Python generator, for the functions below."""
    *words, drawn = rng.getstate()[1]
    state = np.zeros(1, STATE).view(np.recarray)[0]  # recarray: fields are attributes in plain Python, too
    state["words"], state["drawn"] = words, drawn
    _temper(state)
    return state


def hand_back(state: State, rng: random.Random) -> None:
    """Sets a Python generator to the state after the draws of the functions below."""
    version, _, next_gauss = rng.getstate()
    rng.setstate((version, (*state["words"].tolist(), int(state["drawn"])), next_gauss))


@inlined
def next_word(state: State) -> int:
    """32 random bits."""
    if state.drawn >= _SIZE:
        _renew(state)
    word = state.output[state.drawn]
    state.drawn += 1
    return word


@compiled
def _renew(state: State) -> None:
    words = state.words
    for index in range(_SIZE - _SHIFT):
        words[index] = words[index + _SHIFT] ^ _twist(words[index], words[index + 1])
    for index in range(_SIZE - _SHIFT, _SIZE - 1):
        words[index] = words[index + _SHIFT - _SIZE] ^ _twist(words[index], words[index + 1])
    words[_SIZE - 1] = words[_SHIFT - 1] ^ _twist(words[_SIZE - 1], words[0])
    _temper(state)
    state.drawn = 0


@inlined
def _twist(word: int, following: int) -> int:
    mixed = (word & _UPPER) | (following & _LOWER)
    return (mixed >> 1) ^ (_MATRIX * (mixed & 1))


@compiled
def _temper(state: State) -> None:
    for index in range(_SIZE):
        word = state.words[index]
        word ^= word >> 11
        word ^= (word << 7) & 0x9D2C5680
        word ^= (word << 15) & 0xEFC60000
        state.output[index] = word ^ (word >> 18)


@inlined
def random_float(state: State) -> float:
    """`Random.random()`: 53 random bits as a float in [0, 1)."""
    high = next_word(state) >> 5
    low = next_word(state) >> 6
    return ((high << 26) | low) * 2.0**-53


@compiled
def bit_length(number: int) -> int:
    """`int.bit_length()` for a number that is not negative."""
    bits = 0
    while number >> bits:
        bits += 1
    return bits


@inlined
def random_bits(state: State, bits: int) -> int:
    """`Random.getrandbits(bits)` for 1 to 32 bits."""
    return next_word(state) >> (32 - bits)


@inlined
def random_below(state: State, limit: int, bits: int) -> int:
    """`Random.randrange(limit)` for `limit` from 1 to 2**32 - 1; `bits` is its bit length."""
    drawn = random_bits(state, bits)
    while drawn >= limit:
        drawn = random_bits(state, bits)
    return drawn


@compiled
def random_int(state: State, low: int, high: int) -> int:
    """`Random.randint(low, high)`; both ends are included."""
    limit = high - low + 1
    return low + random_below(state, limit, bit_length(limit))


@compiled
def shuffle(state: State, values: Array) -> None:
    """`Random.shuffle(values)`, in place."""
    last = len(values) - 1
    for bits in range(bit_length(len(values)), 0, -1):
        lowest = max(1, (1 << (bits - 1)) - 1)
        while last >= lowest:  # while last + 1, the limit of the draw, has `bits` bits
            other = random_bits(state, bits)
            # A draw that is too high is repeated. As this is unpredictable, a branch would cost more than swapping an
            # element with itself.
            fits = other <= last
            other = other if fits else last
            values[last], values[other] = values[other], values[last]
            last -= fits
