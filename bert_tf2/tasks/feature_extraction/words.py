"""Vectors of words: the means of the vectors of their pieces.

Words are separated by whitespace and kept as they are in the line: `don't` and `mat.` are one word each. To separate
punctuation or Chinese words, put spaces around them.

Shapes: `N` lines, `W` words, `T` tokens of all lines, `U` words that have tokens, `D` size of a vector.
"""

import re
from collections.abc import Sequence

import numpy as np

from bert_tf2.configs.long_texts import TRUNCATE_TAIL
from bert_tf2.tasks.feature_extraction.data import SEPARATOR, Array, Sequences, Words, split_line
from bert_tf2.tokenization.auto import Tokenizer
from bert_tf2.tokenization.fast_wordpiece import Ragged
from bert_tf2.tokenization.sequences import CLS, SEP, join_rows

# The original's tokenizer splits text at these characters only: those that it converts to a space, and the separators
# of lines and paragraphs. It deletes the other control characters.
_WORD = re.compile("[^ \t\n\r\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
_NO_WORD = -1


def encode(
    lines: Sequence[str], tokenizer: Tokenizer, max_seq_length: int, long_text: str = TRUNCATE_TAIL
) -> Sequences:
    """As `data.encode`, but with `words`. Each word is tokenized separately, as for tagging.

    With WordPiece, the tokens are those of `data.encode`.

    Args:
      lines: texts and pairs.
      tokenizer: the model's.
      max_seq_length: see `data.encode`.
      long_text: see `data.encode`.
    """
    texts: list[str] = []
    offsets: list[tuple[int, int]] = []
    ends = [0]  # the number of words up to the end of each first text, then of each second text
    pairs = [split_line(line) for line in lines]
    for number in (0, 1):
        for line, pair in zip(lines, pairs, strict=True):
            begin = len(line) - len(line.lstrip()) + number * (len(pair[0]) + len(SEPARATOR))
            for word in _WORD.finditer(pair[number]):
                texts.append(word[0])
                offsets.append((begin + word.start(), begin + word.end()))
            ends.append(len(texts))
    pieces = tokenizer.encode_batch(texts)
    counts = np.diff(pieces.row_splits)
    # The indices of the pieces are joined and truncated instead of their ids, to know which piece each token is.
    total = len(pieces.values)
    splits = pieces.row_splits[np.array(ends)]
    first, second = splits[: len(lines) + 1], splits[len(lines) :]
    indices = np.arange(total, dtype=np.int32)
    rows = join_rows(
        Ragged(indices[: first[-1]], first),
        Ragged(indices[first[-1] :], second - second[0]),
        max_seq_length,
        total,
        total + 1,
        long_text,
    )
    ids = np.append(pieces.values, [tokenizer.vocab[CLS], tokenizer.vocab[SEP]]).astype(np.int32)
    words = np.append(np.repeat(np.arange(len(texts)), counts), [_NO_WORD, _NO_WORD])
    tokens = rows.input_ids.values
    spans = np.array(offsets, np.int32).reshape(-1, 2)
    return Sequences.of_rows(rows, ids[tokens], Words(texts, spans, words[tokens], int((counts == 0).sum())))


def starts(words: Words) -> Array:
    """The index of the first token of each word that has tokens, int64 [U], in the order of the tokens."""
    previous = np.concatenate([[_NO_WORD], words.of_tokens])[:-1]
    return np.flatnonzero((words.of_tokens != _NO_WORD) & (words.of_tokens != previous))


def means(vectors: Array, words: Words) -> Array:
    """The mean of the vectors of each word's tokens, float32 [U, D].

    Args:
      vectors: float32 [T, D], of all tokens; overwritten with zeros for special tokens.
      words: the words that the tokens are pieces of.
    """
    is_piece = words.of_tokens != _NO_WORD
    vectors[~is_piece] = 0.0
    firsts = starts(words)
    if not len(firsts):
        return vectors[:0]
    sums: Array = np.add.reduceat(vectors, firsts, axis=0)
    return sums / np.add.reduceat(is_piece.astype(np.float32), firsts)[:, None]
