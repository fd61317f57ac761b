"""The pieces of a text, and the words that they belong to; no TensorFlow.

Shapes: `S` pieces of a sequence, including special ones.
"""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2.tokenization.auto import Tokenizer
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer
from bert_tf2.tokenization.sentencepiece import WORD_START
from bert_tf2.tokenization.sequences import MASK, join_pair
from bert_tf2.tokenization.wordpiece import UNKNOWN, BasicTokenizer


@dataclasses.dataclass(frozen=True)
class Piece:
    """A piece in its sequence.

    Attributes:
      token: the piece, as in the vocabulary.
      id: its id in the vocabulary.
      segment: 0 in the first text, 1 in the second.
      word: index into `TextPieces.words`; None for `[CLS]` and `[SEP]`.
    """

    token: str
    id: int
    segment: int
    word: int | None

    @property
    def is_special(self) -> bool:
        """Whether it is `[CLS]` or `[SEP]`."""
        return self.word is None

    @property
    def is_unknown(self) -> bool:
        """Whether it is `[UNK]` for a word that the vocabulary does not have."""
        return self.token == UNKNOWN and self.word is not None


@dataclasses.dataclass(frozen=True)
class TextPieces:
    """A text or a pair, as the model reads it: `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`.

    Attributes:
      text: the first text, unchanged.
      text_b: the second text, unchanged; None without one.
      words: the words of both texts after basic tokenization: lower-cased for an uncased model, punctuation separate.
      pieces: the `S` pieces.
    """

    text: str
    text_b: str | None
    words: tuple[str, ...]
    pieces: tuple[Piece, ...]

    @property
    def tokens(self) -> tuple[str, ...]:
        """The pieces as strings, `S`."""
        return tuple(piece.token for piece in self.pieces)

    @property
    def ids(self) -> NDArray[np.int32]:
        """The ids of the pieces, int32 `[S]`."""
        return np.array([piece.id for piece in self.pieces], np.int32)

    @property
    def segments(self) -> NDArray[np.int32]:
        """The segments of the pieces, int32 `[S]`."""
        return np.array([piece.segment for piece in self.pieces], np.int32)

    @property
    def masks(self) -> tuple[int, ...]:
        """The positions of `[MASK]`."""
        return tuple(position for position, piece in enumerate(self.pieces) if piece.token == MASK)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "text": self.text,
            **({} if self.text_b is None else {"text_b": self.text_b}),
            "words": list(self.words),
            "pieces": [
                {
                    "token": piece.token,
                    "id": piece.id,
                    "segment": piece.segment,
                    "word": piece.word,
                    "unknown": piece.is_unknown,
                }
                for piece in self.pieces
            ],
        }


def split(tokenizer: Tokenizer, text: str, text_b: str | None = None) -> TextPieces:
    """Splits a text or a pair into pieces; nothing is truncated.

    Args:
      tokenizer: the model's tokenizer.
      text: the text; `[MASK]` in it is the special token.
      text_b: the second text, likewise, or None.
    """
    words: list[str] = []
    texts = [text] if text_b is None else [text, text_b]
    text_pieces = [_pieces(tokenizer, each, words) for each in texts]
    tokens, segments = join_pair(*([token for token, _ in pieces] for pieces in text_pieces))
    word_indices = [None, *(word for pieces in text_pieces for word in (*(word for _, word in pieces), None))]
    ids = tokenizer.convert_tokens_to_ids(tokens)
    return TextPieces(text, text_b, tuple(words), tuple(map(Piece, tokens, ids, segments, word_indices)))


def _pieces(tokenizer: Tokenizer, text: str, words: list[str]) -> list[tuple[str, int]]:
    """The pieces of a text, each with the index of its word in `words`, to which the text's words are appended."""
    pieces: list[tuple[str, int]] = []
    for number, part in enumerate(text.split(MASK)):
        if number:
            pieces.append((MASK, len(words)))
            words.append(MASK)
        ids = tokenizer.encode(part)
        if not ids:
            continue
        begins = ~tokenizer.is_continuation[ids]
        begins[0] = True
        tokens, word_indices = tokenizer.convert_ids_to_tokens(ids), np.cumsum(begins) - 1
        pieces += zip(tokens, (len(words) + word_indices).tolist(), strict=True)
        words += _words(tokenizer, part, tokens, word_indices)
    return pieces


def _words(tokenizer: Tokenizer, text: str, tokens: list[str], word_indices: NDArray[np.int64]) -> list[str]:
    """The words of a text, given the index of the word of each piece."""
    count = int(word_indices[-1]) + 1
    if isinstance(tokenizer, FastTokenizer):
        # Each word becomes [UNK], or a piece that starts a word and continuation pieces.
        words = BasicTokenizer.of(tokenizer.do_lower_case, tokenizer.options).tokenize(text)
        if len(words) == count:
            return words
    joined = [""] * count
    for token, word in zip(tokens, word_indices.tolist(), strict=True):
        joined[word] += token.removeprefix("##").replace(WORD_START, " ")
    return [word.strip() or WORD_START for word in joined]


def text_positions(pieces: TextPieces) -> NDArray[np.int32]:
    """The positions of all pieces but `[CLS]` and `[SEP]`: int32 `[S - 2]`, or `[S - 3]` for a pair."""
    return np.array([position for position, piece in enumerate(pieces.pieces) if not piece.is_special], np.int32)
