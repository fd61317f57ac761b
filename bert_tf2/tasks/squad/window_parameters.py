"""How questions are split into windows that fit the model; no TensorFlow.

A window is `[CLS] question [SEP] part of the context [SEP]`. A long context is cut into parts that overlap, each
`doc_stride` tokens after the one before.
"""

from dataclasses import dataclass

from bert_tf2.configs.fields import MOST_LENGTH, check, setting
from bert_tf2.errors import InputError
from bert_tf2.tokenization.wordpiece import SPECIAL_IN_PAIR

FIRST_UNIQUE_ID = 1_000_000_000
"""The original's, of the first window of a file; the others are numbered on from it."""


@dataclass(frozen=True)
class FeatureParameters:
    """How questions are split into windows; names and defaults are the original's flags.

    Attributes:
      max_seq_length: tokens of a window, padding included.
      doc_stride: tokens from the beginning of one window's part of the context to the next one's.
      max_query_length: tokens that are kept of a question.

    Raises:
      InputError: a value is impossible.
    """

    max_seq_length: int = setting(384, at_most=MOST_LENGTH)
    doc_stride: int = setting(128, at_least=1)
    max_query_length: int = setting(64, at_least=1, at_most=MOST_LENGTH)

    def __post_init__(self) -> None:
        check(self)
        if self.max_seq_length <= self.max_query_length + SPECIAL_IN_PAIR:
            raise InputError(
                f"--max_seq_length={self.max_seq_length} must be greater than --max_query_length="
                f"{self.max_query_length} + {SPECIAL_IN_PAIR}, or a long question leaves no room for the context."
            )
