"""`random.Random` in compiled code: takes over its state, makes the same draws, and returns the state.

The generator is MT19937 (Matsumoto and Nishimura, 1998). How floats, ranges and shuffles are made of its 32-bit words
is CPython's way, the same in all versions since 3.2; a test compares each with the running Python.

`state` is one record of the type STATE everywhere. Arrays, or tuples of them, would have their references counted at
every call, which costs more than a draw.
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
        ("words", np.int64, _SIZE),  # of 32 bits; with 64, nothing overflows
        ("output", np.int64, _SIZE),  # the words as they are drawn; made all at once, which is much faster
        ("drawn", np.int64),  # how many of them have been
    ]
)


def take_over(rng: random.Random) -> State:
    """The state of a generator, for the functions below."""
    *words, drawn = rng.getstate()[1]
    state = np.zeros(1, STATE).view(np.recarray)[0]  # a record, whose fields are attributes in plain Python, too
    state["words"], state["drawn"] = words, drawn
    _temper(state)
    return state


def hand_back(state: State, rng: random.Random) -> None:
    """Sets a generator to the state in which the functions below left it."""
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
    for at in range(_SIZE - _SHIFT):
        words[at] = words[at + _SHIFT] ^ _twisted(words[at], words[at + 1])
    for at in range(_SIZE - _SHIFT, _SIZE - 1):
        words[at] = words[at + _SHIFT - _SIZE] ^ _twisted(words[at], words[at + 1])
    words[_SIZE - 1] = words[_SHIFT - 1] ^ _twisted(words[_SIZE - 1], words[0])
    _temper(state)
    state.drawn = 0


@inlined
def _twisted(word: int, following: int) -> int:
    mixed = (word & _UPPER) | (following & _LOWER)
    return (mixed >> 1) ^ (_MATRIX * (mixed & 1))


@compiled
def _temper(state: State) -> None:
    for at in range(_SIZE):
        word = state.words[at]
        word ^= word >> 11
        word ^= (word << 7) & 0x9D2C5680
        word ^= (word << 15) & 0xEFC60000
        state.output[at] = word ^ (word >> 18)


@inlined
def random_float(state: State) -> float:
    """`Random.random()`: 53 random bits as a float in [0, 1)."""
    high = next_word(state) >> 5
    low = next_word(state) >> 6
    return ((high << 26) | low) * 2.0**-53


@compiled
def bit_length(number: int) -> int:
    """`int.bit_length()` of a number that is not negative."""
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
    """What `Random.randrange(limit)` draws; `limit` is from 1 to 2**32 - 1 and `bits` is its bit length."""
    drawn = random_bits(state, bits)
    while drawn >= limit:
        drawn = random_bits(state, bits)
    return drawn


@compiled
def random_int(state: State, low: int, high: int) -> int:
    """`Random.randint(low, high)`; both ends are possible."""
    limit = high - low + 1
    return low + random_below(state, limit, bit_length(limit))


@compiled
def shuffle(state: State, values: Array) -> None:
    """`Random.shuffle(values)`, in place."""
    last = len(values) - 1
    for bits in range(bit_length(len(values)), 0, -1):
        lowest = max(1, (1 << (bits - 1)) - 1)
        while last >= lowest:  # while last + 1, the limit of the draw, has so many bits
            other = random_bits(state, bits)
            # A draw that is too high is followed by another. Whether one is cannot be foreseen, so that a branch would
            # cost more than exchanging an element with itself.
            fits = other <= last
            other = other if fits else last
            values[last], values[other] = values[other], values[last]
            last -= fits
