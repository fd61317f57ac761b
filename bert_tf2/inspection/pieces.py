"""The pieces of a text, and the words that they belong to; no TensorFlow.

`S` is the number of pieces of a sequence, special ones included.
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
      token: the piece, as the vocabulary has it.
      id: its number there.
      segment: 0 in the first text, 1 in the second.
      word: index into `TextPieces.words`; None of `[CLS]` and `[SEP]`.
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
        """Whether it stands for a word that the vocabulary does not have."""
        return self.token == UNKNOWN and self.word is not None


@dataclasses.dataclass(frozen=True)
class TextPieces:
    """A text or a pair, as the model reads it: `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`.

    Attributes:
      text: the first text, as it was given.
      text_b: the second one; None without it.
      words: the words of both, as the tokenizer sees them: lower-cased where it does that, punctuation by itself.
      pieces: `S` of them.
    """

    text: str
    text_b: str | None
    words: tuple[str, ...]
    pieces: tuple[Piece, ...]

    @property
    def tokens(self) -> tuple[str, ...]:
        """The pieces by name, `S`."""
        return tuple(piece.token for piece in self.pieces)

    @property
    def ids(self) -> NDArray[np.int32]:
        """Their ids, `[S]`."""
        return np.array([piece.id for piece in self.pieces], np.int32)

    @property
    def segments(self) -> NDArray[np.int32]:
        """Their segments, `[S]`."""
        return np.array([piece.segment for piece in self.pieces], np.int32)

    @property
    def masks(self) -> tuple[int, ...]:
        """The positions of `[MASK]`."""
        return tuple(place for place, piece in enumerate(self.pieces) if piece.token == MASK)

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
      tokenizer: the model's.
      text: in which `[MASK]` is the special token; so in `text_b`.
      text_b: the second text, or None.
    """
    words: list[str] = []
    texts = [text] if text_b is None else [text, text_b]
    parts = [_pieces(tokenizer, each, words) for each in texts]
    tokens, segments = join_pair(*([token for token, _ in part] for part in parts))
    places = [None, *(word for part in parts for word in (*(word for _, word in part), None))]
    ids = tokenizer.convert_tokens_to_ids(tokens)
    pieces = map(Piece, tokens, ids, segments, places)
    return TextPieces(text, text_b, tuple(words), tuple(pieces))


def _pieces(tokenizer: Tokenizer, text: str, words: list[str]) -> list[tuple[str, int]]:
    """The pieces of a text, each with the number of its word; the words are appended."""
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
        tokens, places = tokenizer.convert_ids_to_tokens(ids), np.cumsum(begins) - 1
        pieces += zip(tokens, (len(words) + places).tolist(), strict=True)
        words += _words(tokenizer, part, tokens, places)
    return pieces


def _words(tokenizer: Tokenizer, text: str, tokens: list[str], places: NDArray[np.int64]) -> list[str]:
    """The words of a text, one for each of the numbers that its pieces have."""
    count = int(places[-1]) + 1
    if isinstance(tokenizer, FastTokenizer):
        # Each word becomes a piece that begins one and pieces that do not, or [UNK].
        words = BasicTokenizer.of(tokenizer.do_lower_case, tokenizer.options).tokenize(text)
        if len(words) == count:
            return words
    joined = [""] * count
    for token, place in zip(tokens, places.tolist(), strict=True):
        joined[place] += token.removeprefix("##").replace(WORD_START, " ")
    return [word.strip() or WORD_START for word in joined]


def scored(pieces: TextPieces) -> NDArray[np.int32]:
    """The positions of all pieces that are text, not `[CLS]` or `[SEP]`: int32 `[S - 2]`, or `[S - 3]` of a pair."""
    return np.array([place for place, piece in enumerate(pieces.pieces) if not piece.is_special], np.int32)
