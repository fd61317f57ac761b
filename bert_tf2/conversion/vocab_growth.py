"""Growing the vocabulary of a trained model: which rows are new, and how they are initialized; no TensorFlow.

A new piece is initialized to the mean of the pieces into which the old vocabulary splits it, as in FVT (Gee et al.
2022, arXiv:2402.09977).
"""

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bert_tf2.errors import InputError
from bert_tf2.io.files import read_lines
from bert_tf2.tokenization.wordpiece import BasicTokenizer, WordpieceTokenizer, load_vocab


@dataclasses.dataclass(frozen=True)
class NewPiece:
    """A piece that the old vocabulary did not have.

    Attributes:
      index: its id, the row of the embedding table.
      piece: the piece.
      pieces: the pieces into which the old vocabulary splits it.
      rows: the ids of those.
    """

    index: int
    piece: str
    pieces: tuple[str, ...]
    rows: tuple[int, ...]


def plan(old_file: str | os.PathLike[str], new_file: str | os.PathLike[str]) -> list[NewPiece]:
    """The new pieces of a vocabulary, in the order of their ids.

    Args:
      old_file: the vocabulary that the model was trained with.
      new_file: the same with `[unusedN]` slots replaced or pieces added at the end.

    Raises:
      InputError: an old piece would move or be lost, nothing is new, or a file is not a vocabulary.
    """
    old_vocab, new_vocab = load_vocab(old_file), load_vocab(new_file)
    old, new = _pieces(old_file), _pieces(new_file)
    names = os.fspath(old_file), os.fspath(new_file)
    if len(new) < len(old):
        raise InputError(
            f"{names[1]} has {len(new):,} pieces, {names[0]} {len(old):,}; a vocabulary can grow, but not shrink: the "
            "ids of all old pieces must stay the same."
        )
    for index, piece in enumerate(old):
        if new[index] != piece and not _is_slot(piece):
            now = new_vocab.get(piece)
            raise InputError(
                f"{names[1]}, line {index + 1}: {new[index]!r} stands where {names[0]} has {piece!r}, which is "
                f"{'lost' if now is None else f'now on line {now + 1}'}. The ids of trained pieces must not change; "
                "put new pieces in place of [unusedN] or at the end (build_vocab.py --extend does)."
            )
    added = [
        _new_piece(index, piece, old_vocab)
        for index, piece in enumerate(new)
        if index >= len(old) or piece != old[index]
    ]
    if not added:
        raise InputError(f"{names[1]} has no piece that {names[0]} lacks; there is nothing to add.")
    return added


def _pieces(path: str | os.PathLike[str]) -> list[str]:
    """The piece of each id, as `load_vocab` reads them."""
    pieces = [line.strip() for line in read_lines(path)]
    while not pieces[-1]:
        pieces.pop()
    return pieces


def _is_slot(piece: str) -> bool:
    return re.fullmatch(r"\[unused\d+\]", piece) is not None


class _InsideWords:
    """The pieces of a vocabulary that go on with a word, under their names and without `##`."""

    def __init__(self, vocab: Mapping[str, int]) -> None:
        self._vocab = vocab

    def __contains__(self, piece: object) -> bool:
        return f"##{str(piece).removeprefix('##')}" in self._vocab


def _new_piece(index: int, piece: str, vocab: Mapping[str, int]) -> NewPiece:
    inside = piece.removeprefix("##")
    if inside != piece and inside:
        cut = WordpieceTokenizer(_InsideWords(vocab)).tokenize(inside)
        pieces = [part if part == "[UNK]" else f"##{part.removeprefix('##')}" for part in cut]
    else:  # the case is the vocabulary's already
        words = BasicTokenizer(do_lower_case=False).tokenize(piece)
        pieces = [part for word in words for part in WordpieceTokenizer(vocab).tokenize(word)]
    pieces = pieces or ["[UNK]"]
    return NewPiece(index, piece, tuple(pieces), tuple(vocab[part] for part in pieces))


def grow(table: NDArray[np.float32], new_pieces: Sequence[NewPiece], rows: int) -> NDArray[np.float32]:
    """A table with a row for each piece under the new vocabulary: `[V, ...] -> [rows, ...]`.

    Args:
      table: of the old vocabulary: embeddings `[V, H]` or a bias `[V]`.
      new_pieces: whose rows are set to the mean of their old pieces' rows; all other rows stay.
      rows: of the result; at least `V`.
    """
    grown = np.zeros((rows, *table.shape[1:]), np.float32)
    grown[: len(table)] = table
    for new in new_pieces:
        grown[new.index] = table[list(new.rows)].mean(axis=0, dtype=np.float64)
    return grown
