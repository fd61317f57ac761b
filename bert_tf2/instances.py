"""How pre-training instances are made: the parameters, and how many tokens of an instance are masked."""

from dataclasses import dataclass

from bert_tf2.bounds import check_most
from bert_tf2.errors import InputError
from bert_tf2.flag_values import check_floats
from bert_tf2.sequences import SPECIAL_IN_PAIR


@dataclass(frozen=True)
class InstanceParameters:
    """How instances are made; the flags of the same names.

    Attributes:
      max_seq_length: tokens of an instance at most, the three special ones counted.
      max_predictions_per_seq: masked positions of an instance at most.
      masked_lm_prob: share of the tokens that is masked; at least one is, where the limits allow it.
      short_seq_prob: share of the documents (drawn anew in each round) whose instances aim at a shorter, random length.
      dupe_factor: rounds over the documents, each with draws of its own.
      do_whole_word_mask: mask all pieces of a word or none.

    Raises:
      InputError: a value that cannot work.
    """

    max_seq_length: int = 128
    max_predictions_per_seq: int = 20
    masked_lm_prob: float = 0.15
    short_seq_prob: float = 0.1
    dupe_factor: int = 10
    do_whole_word_mask: bool = False

    def __post_init__(self) -> None:
        check_floats(self)
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
        check_most(self)
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
