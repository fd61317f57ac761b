"""The parameters of pre-training instances, and the number of tokens to mask."""

from dataclasses import dataclass
from typing import Literal

from bert_tf2.configs.fields import MOST_LENGTH, check, setting
from bert_tf2.errors import InputError
from bert_tf2.tokenization.wordpiece import SPECIAL_IN_PAIR

Layout = Literal["pairs", "sentences", "lines"]
"""The content of an instance: two texts, as in the original; as many sentences as fit; or one line."""

LONG_LINES = ("truncate", "split")
"""How lines that are too long for an instance are handled if each line is an instance."""


@dataclass(frozen=True)
class InstanceParameters:
    """The parameters of instances, which are flags of the same names.

    Raises:
      InputError: a value is invalid.
    """

    max_seq_length: int = setting(
        128, help="Maximum tokens per instance, including three special ones.", original=True, at_most=MOST_LENGTH
    )
    max_predictions_per_seq: int = setting(
        20, help="Maximum masked tokens per instance.", original=True, at_most=MOST_LENGTH
    )
    masked_lm_prob: float = setting(
        0.15, help="Fraction of the tokens to mask; at least one, where the limits allow it.", original=True
    )
    short_seq_prob: float = setting(
        0.1,
        help="Probability that a document is split into instances shorter than max_seq_length, drawn in each pass.",
        original=True,
    )
    dupe_factor: int = setting(
        10,
        help="Number of passes over the input, each with different masks and pairs.",
        original=True,
        at_most=100_000,
    )
    do_whole_word_mask: bool = setting(
        False,
        help="Whether to mask all pieces of a word together rather than each on its own.",
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
                f"--max_predictions_per_seq={self.max_predictions_per_seq} masks nothing; give at least 1 (usually "
                "max_seq_length * masked_lm_prob)."
            )
        for name in ("masked_lm_prob", "short_seq_prob"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"--{name}={getattr(self, name)} must be between 0 and 1.")
        if self.dupe_factor < 1:
            raise InputError(f"--dupe_factor={self.dupe_factor} makes no instances; give at least 1.")

    @property
    def max_tokens(self) -> int:
        """Maximum tokens of both sentences together."""
        return self.max_seq_length - SPECIAL_IN_PAIR

    def number_to_mask(self, length: int) -> int:
        """The number of tokens to mask in an instance of `length` tokens, including special ones."""
        return min(self.max_predictions_per_seq, max(1, round(length * self.masked_lm_prob)))
