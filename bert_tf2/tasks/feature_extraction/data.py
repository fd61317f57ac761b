"""Lines of text as sequences of ids, in the form that `extract_features.py` reads.

A line is a text, or two with ` ||| ` between; an empty line is an empty text. Follows google-research/bert
`extract_features.py`.

Shapes: `N` lines, `T` tokens of all of them.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from bert_tf2.tokenization.auto import Tokenizer
from bert_tf2.tokenization.sequences import CLS, SEP, join_rows, ranges

Array = np.ndarray[Any, Any]

_SEPARATOR = " ||| "


@dataclasses.dataclass(frozen=True)
class Sequences:
    """Lines as `[CLS] a [SEP] b [SEP]`, one after the other.

    Attributes:
      row_splits: int64 [N + 1]; the tokens of line `i` are `row_splits[i]` to `row_splits[i + 1]` of all.
      input_ids: int32 [T].
      segment_ids: int32 [T], 1 in the second text.
    """

    row_splits: Array
    input_ids: Array
    segment_ids: Array

    def __len__(self) -> int:
        return len(self.row_splits) - 1

    @property
    def lengths(self) -> Array:
        """Tokens of each line, int64 [N]."""
        return np.diff(self.row_splits)

    def part(self, first: int, end: int) -> "Sequences":
        """Lines `first` to `end` alone."""
        splits = self.row_splits[first : end + 1]
        tokens = slice(int(splits[0]), int(splits[-1]))
        return Sequences(splits - splits[0], self.input_ids[tokens], self.segment_ids[tokens])


def split_line(line: str) -> tuple[str, str]:
    """The texts of a line; the second one is empty where there is one alone."""
    line = line.strip()
    first, separator, second = line.rpartition(_SEPARATOR)
    return (first, second) if separator else (line, "")


def encode(lines: Sequence[str], tokenizer: Tokenizer, max_seq_length: int) -> Sequences:
    """Cuts lines into tokens, and to length.

    Args:
      lines: texts and pairs.
      tokenizer: the model's.
      max_seq_length: tokens of a sequence at most, special ones included; at least 3.
    """
    first, second = zip(*map(split_line, lines), strict=True) if lines else ((), ())
    rows = join_rows(
        tokenizer.encode_batch(first),
        tokenizer.encode_batch(second),
        max_seq_length,
        tokenizer.vocab[CLS],
        tokenizer.vocab[SEP],
    )
    row_splits = rows.input_ids.row_splits
    within = ranges(0, np.diff(row_splits))
    is_second = within >= np.repeat(rows.first_lengths, np.diff(row_splits))
    return Sequences(row_splits, rows.input_ids.values, is_second.astype(np.int32))
