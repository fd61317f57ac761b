"""How questions are split into windows that fit the model; no TensorFlow.

A window is `[CLS] question [SEP] span of the context [SEP]`. A long context is split into overlapping spans, each of
which starts `doc_stride` tokens after the previous one.
"""

from dataclasses import dataclass

from bert_tf2.configs.fields import MOST_LENGTH, check, setting
from bert_tf2.errors import InputError
from bert_tf2.tokenization.wordpiece import SPECIAL_IN_PAIR

FIRST_UNIQUE_ID = 1_000_000_000
"""The id of the first window of a file, as in the original; the ids of the others follow."""


@dataclass(frozen=True)
class FeatureParameters:
    """How questions are split into windows; names and defaults are the original's flags.

    Attributes:
      max_seq_length: the number of tokens per window, including padding.
      doc_stride: the number of tokens from the start of one span of the context to the start of the next.
      max_query_length: the maximum number of tokens per question; longer ones are truncated.

    Raises:
      InputError: a value is out of range, or a long question would leave no room for the context.
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
