"""How pre-training instances are made: the parameters, and how many tokens of an instance are masked."""

from dataclasses import dataclass
from typing import Literal

from bert_tf2.configs.fields import MOST_LENGTH, check, setting
from bert_tf2.errors import InputError
from bert_tf2.tokenization.wordpiece import SPECIAL_IN_PAIR

Layout = Literal["pairs", "sentences", "lines"]
"""What an instance is made of: two texts, as in the original; as many sentences as fit; or one line."""

LONG_LINES = ("truncate", "split")
"""What is done with a line that an instance cannot hold, where each line is one."""


@dataclass(frozen=True)
class InstanceParameters:
    """How instances are made; the flags of the same names.

    Raises:
      InputError: a value that cannot work.
    """

    max_seq_length: int = setting(
        128, help="Tokens of an instance at most, the three special ones counted.", original=True, at_most=MOST_LENGTH
    )
    max_predictions_per_seq: int = setting(
        20, help="Masked tokens of an instance at most.", original=True, at_most=MOST_LENGTH
    )
    masked_lm_prob: float = setting(
        0.15, help="Share of the tokens that is masked; at least one is, where the limits allow it.", original=True
    )
    short_seq_prob: float = setting(
        0.1,
        help="Share of the documents that are cut into instances shorter than max_seq_length, drawn in each round.",
        original=True,
    )
    dupe_factor: int = setting(
        10,
        help="How often to go over the input, each time with other masks and pairs.",
        original=True,
        at_most=100_000,
    )
    do_whole_word_mask: bool = setting(
        False,
        help="Whether all pieces of a word are masked together, instead of each piece by itself.",
        original=True,
    )

    def __post_init__(self) -> None:
        check(self)
        if self.max_seq_length < SPECIAL_IN_PAIR + 2:
            raise InputError(
                f"--max_seq_length={self.max_seq_length} is too small: {SPECIAL_IN_PAIR} special tokens and one of "
                f"each sentence need at least {SPECIAL_IN_PAIR + 2}."
            )
        if self.max_predictions_per_seq < 1:
            raise InputError(
                f"--max_predictions_per_seq={self.max_predictions_per_seq} masks nothing; give at least 1 (usual is "
                "max_seq_length * masked_lm_prob)."
            )
        for name in ("masked_lm_prob", "short_seq_prob"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"--{name}={getattr(self, name)} is no share; give a number from 0 to 1.")
        if self.dupe_factor < 1:
            raise InputError(f"--dupe_factor={self.dupe_factor} makes no instances; give at least 1.")

    @property
    def max_tokens(self) -> int:
        """Tokens of both sentences together at most."""
        return self.max_seq_length - SPECIAL_IN_PAIR

    def number_to_mask(self, length: int) -> int:
        """How many of an instance's `length` tokens, special ones included, are to be masked."""
        return min(self.max_predictions_per_seq, max(1, round(length * self.masked_lm_prob)))
