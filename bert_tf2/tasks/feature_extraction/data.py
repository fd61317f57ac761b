"""Lines of text as sequences of ids, in the form that `extract_features.py` reads.

A line is a text, or two texts separated by ` ||| `; an empty line is an empty text. Follows google-research/bert
`extract_features.py`.

Shapes: `N` lines, `T` tokens of all of them, `W` words.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from bert_tf2.configs.long_texts import TRUNCATE_TAIL
from bert_tf2.tokenization.auto import Tokenizer
from bert_tf2.tokenization.sequences import CLS, SEP, JoinedRows, join_rows, ranges

Array = np.ndarray[Any, Any]

SEPARATOR = " ||| "


@dataclasses.dataclass(frozen=True)
class Words:
    """The words of lines.

    Attributes:
      texts: W words as they occur in the lines, in any order.
      offsets: int32 [W, 2], the start and end of each word in its line, in characters.
      of_tokens: int64 [T], the index of the word that each token is a piece of; -1 for special tokens.
      without_pieces: the number of words without pieces, because the tokenizer removes all their characters.
    """

    texts: Sequence[str]
    offsets: Array
    of_tokens: Array
    without_pieces: int = 0


@dataclasses.dataclass(frozen=True)
class Sequences:
    """Lines as `[CLS] a [SEP] b [SEP]`, one after the other.

    Attributes:
      row_splits: int64 [N + 1]; the tokens of line `i` are `row_splits[i]` to `row_splits[i + 1]` of all.
      input_ids: int32 [T].
      segment_ids: int32 [T], 1 in the second text.
      whole_lengths: int64 [N], tokens of each line before truncation; None if unknown.
      words: the words that the tokens are pieces of; None if not needed.
    """

    row_splits: Array
    input_ids: Array
    segment_ids: Array
    whole_lengths: Array | None = None
    words: Words | None = None

    @classmethod
    def of_rows(cls, rows: JoinedRows, input_ids: Array, words: Words | None = None) -> "Sequences":
        """Creates sequences from the boundaries of joined rows.

        Args:
          rows: the boundaries.
          input_ids: int32 [T].
          words: the words that the tokens are pieces of.
        """
        row_splits = rows.input_ids.row_splits
        lengths = np.diff(row_splits)
        is_second = ranges(0, lengths) >= np.repeat(rows.first_lengths, lengths)
        return cls(row_splits, input_ids, is_second.astype(np.int32), rows.whole_lengths, words)

    def __len__(self) -> int:
        return len(self.row_splits) - 1

    @property
    def lengths(self) -> Array:
        """Tokens of each line, int64 [N]."""
        return np.diff(self.row_splits)

    @property
    def first_lengths(self) -> Array:
        """Tokens of each line before its second text, int64 [N]."""
        second_tokens = np.concatenate([[0], np.cumsum(self.segment_ids, dtype=np.int64)])[self.row_splits]
        return self.lengths - np.diff(second_tokens)

    def part(self, first: int, end: int) -> "Sequences":
        """Lines `first` to `end`, without `whole_lengths`."""
        splits = self.row_splits[first : end + 1]
        tokens = slice(int(splits[0]), int(splits[-1]))
        words = self.words and dataclasses.replace(self.words, of_tokens=self.words.of_tokens[tokens])
        return Sequences(splits - splits[0], self.input_ids[tokens], self.segment_ids[tokens], words=words)


def split_line(line: str) -> tuple[str, str]:
    """Splits a line into its texts; the second one is empty if there is only one."""
    line = line.strip()
    first, separator, second = line.rpartition(SEPARATOR)
    return (first, second) if separator else (line, "")


def encode(
    lines: Sequence[str], tokenizer: Tokenizer, max_seq_length: int, long_text: str = TRUNCATE_TAIL
) -> Sequences:
    """Tokenizes and truncates lines.

    Args:
      lines: texts and pairs.
      tokenizer: the model's.
      max_seq_length: maximum tokens of a sequence, special ones included; at least 3.
      long_text: see `sequences.join_rows`; for windows only second texts are truncated.
    """
    first, second = zip(*map(split_line, lines), strict=True) if lines else ((), ())
    rows = join_rows(
        tokenizer.encode_batch(first),
        tokenizer.encode_batch(second),
        max_seq_length,
        tokenizer.vocab[CLS],
        tokenizer.vocab[SEP],
        long_text,
    )
    return Sequences.of_rows(rows, rows.input_ids.values)
