"""Whole numbers of flags have an end."""

import dataclasses

import pytest

from bert_tf2.bounds import check_most
from bert_tf2.errors import InputError


@dataclasses.dataclass(frozen=True)
class Config:
    seed: int = 0
    max_seq_length: int | None = None
    steps: int = 1
    is_wanted: bool = True
    share: float = 1e300

    def __post_init__(self) -> None:
        check_most(self)


def test_what_is_taken():
    for values in ({}, {"seed": 2**32 - 1}, {"max_seq_length": 512}, {"steps": 2**31 - 1}, {"steps": -(2**31)}):
        Config(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seed": 2**32}, r"--seed=4294967296; it has to be at most 4294967295\."),
        ({"max_seq_length": 2**31}, r"--max_seq_length=2147483648; it has to be at most 131072\."),
        ({"steps": 2**31}, r"--steps=2147483648; it has to be at most 2147483647\."),
        ({"steps": -(2**40)}, r"--steps=-1099511627776; it has to be at least -2147483648\."),
        ({"steps": 10**5000}, r"--steps=a number of more than 38 digits; it has to be at most 2147483647\."),
    ],
)
def test_what_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        Config(**values)
