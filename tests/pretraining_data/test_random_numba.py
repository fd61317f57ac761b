"""The same draws, one by one, as the running Python's `random.Random`."""

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf2.pretraining_data._random_numba import (
    bit_length,
    hand_back,
    next_word,
    random_below,
    random_bits,
    random_float,
    random_int,
    shuffle,
    take_over,
)

SEEDS = st.integers(0, 2**64)
DRAWN = st.integers(0, 1300)  # up to the third time that the words are renewed


def pair(seed: int, drawn: int = 0) -> tuple[random.Random, Any]:
    rng = random.Random(seed)
    for _ in range(drawn):
        rng.getrandbits(32)
    return rng, take_over(rng)


def check_end(rng: random.Random, state: Any) -> None:
    other = random.Random(0)
    hand_back(state, other)
    assert other.getstate() == rng.getstate()


@given(SEEDS, DRAWN)
@settings(max_examples=50)
def test_words_and_floats(seed: int, drawn: int) -> None:
    rng, state = pair(seed, drawn)
    assert [next_word(state) for _ in range(700)] == [rng.getrandbits(32) for _ in range(700)]
    assert [random_float(state) for _ in range(700)] == [rng.random() for _ in range(700)]
    check_end(rng, state)


@pytest.mark.parametrize("bits", range(1, 33))
def test_bits(bits: int) -> None:
    rng, state = pair(bits)
    assert [random_bits(state, bits) for _ in range(50)] == [rng.getrandbits(bits) for _ in range(50)]
    check_end(rng, state)


LIMITS = sorted({*range(1, 70), *(2**k + d for k in range(6, 32) for d in (-1, 0, 1)), 28_996, 30_522, 2**32 - 1})


def test_ranges() -> None:
    rng, state = pair(1)
    for limit in LIMITS:
        assert bit_length(limit) == limit.bit_length()
        drawn = [random_below(state, limit, bit_length(limit)) for _ in range(20)]
        assert drawn == [rng.randrange(limit) for _ in range(20)], limit
        assert [random_int(state, 3, limit + 2) for _ in range(20)] == [rng.randint(3, limit + 2) for _ in range(20)]
    check_end(rng, state)


@given(SEEDS, DRAWN, st.integers(0, 600))
@settings(max_examples=100)
def test_shuffle(seed: int, drawn: int, length: int) -> None:
    rng, state = pair(seed, drawn)
    values, expected = np.arange(length), list(range(length))
    shuffle(state, values)
    rng.shuffle(expected)
    assert values.tolist() == expected
    check_end(rng, state)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 127, 128, 129, 255, 256, 257, 70_000])
def test_shuffle_of_every_kind_of_length(length: int) -> None:
    rng, state = pair(length)
    values, expected = np.arange(length), list(range(length))
    shuffle(state, values)
    rng.shuffle(expected)
    assert values.tolist() == expected
    check_end(rng, state)


@given(SEEDS, st.integers(0, 3), DRAWN)
@settings(max_examples=50)
def test_state_round_trip(seed: int, normal: int, drawn: int) -> None:
    """Also after an odd number of normal draws: Python makes two at a time and keeps the second."""
    rng, expected = random.Random(seed), random.Random(seed)
    for _ in range(normal):
        assert rng.gauss(0, 1) == expected.gauss(0, 1)
    state = take_over(rng)
    assert [next_word(state) for _ in range(drawn)] == [expected.getrandbits(32) for _ in range(drawn)]
    hand_back(state, rng)
    assert rng.getstate() == expected.getstate()
    assert [rng.gauss(0, 1), rng.random()] == [expected.gauss(0, 1), expected.random()]
