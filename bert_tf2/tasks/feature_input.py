"""Lines of text as sequences of ids, in the form that `extract_features.py` reads.

A line is a text, or two with ` ||| ` between; an empty line is an empty text. Follows google-research/bert
`extract_features.py`.

Shapes: `N` lines, `T` tokens of all of them.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from bert_tf2.fast_tokenizer import Ragged
from bert_tf2.sequences import CLS, SEP
from bert_tf2.tokenizer_choice import Tokenizer

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
    texts = [text for line in lines for text in split_line(line)]
    tokens = tokenizer.encode_batch(texts)
    return join(tokens, tokenizer.vocab[CLS], tokenizer.vocab[SEP], max_seq_length)


def join(tokens: Ragged, cls: int, sep: int, max_seq_length: int) -> Sequences:
    """Puts pairs into BERT's form, cut as `sequences.truncate_pair` cuts them; a pair without a second text is a text.

    Args:
      tokens: 2 N rows: first and second text of each line.
      cls: id of `[CLS]`.
      sep: id of `[SEP]`.
      max_seq_length: tokens of a sequence at most.
    """
    whole = np.diff(tokens.row_splits).reshape(-1, 2)  # [N, 2]
    is_pair = (whole[:, 1] > 0).astype(np.int64)
    room = max_seq_length - 2 - is_pair
    # The longer one is cut until both are equally long, then both in turn; the second one loses the odd token.
    second = np.minimum(whole[:, 1], np.maximum(room // 2, room - whole[:, 0]))
    first = np.minimum(whole[:, 0], room - second)

    row_splits = np.concatenate([[0], np.cumsum(first + second + 2 + is_pair)])
    starts, ends = row_splits[:-1], row_splits[1:]
    input_ids = np.full(row_splits[-1], sep, np.int32)
    segment_ids = np.zeros(row_splits[-1], np.int32)
    input_ids[starts] = cls
    for text, places, counts in ((0, starts + 1, first), (1, starts + 2 + first, second)):
        input_ids[_ranges(places, counts)] = tokens.values[_ranges(tokens.row_splits[text:-1:2], counts)]
    behind_first = starts + 2 + first
    segment_ids[_ranges(behind_first, ends - behind_first)] = 1
    return Sequences(row_splits, input_ids, segment_ids)


def _ranges(starts: Array, counts: Array) -> Array:
    """`starts[0], starts[0] + 1, ...`, `counts[0]` of them, then those of the next, int64 [sum of counts]."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(counts.sum())
