"""Growing the vocabulary of a trained model: finding and initializing the new rows; no TensorFlow.

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
    """A piece that the old vocabulary does not have.

    Attributes:
      index: its id, which is its row in the embedding table.
      piece: the piece.
      pieces: the pieces into which the old vocabulary splits it.
      rows: the ids of `pieces` in the old vocabulary.
    """

    index: int
    piece: str
    pieces: tuple[str, ...]
    rows: tuple[int, ...]


def plan(old_file: str | os.PathLike[str], new_file: str | os.PathLike[str]) -> list[NewPiece]:
    """The new pieces of a vocabulary, in the order of their ids.

    Args:
      old_file: the vocabulary that the model was trained with.
      new_file: the same vocabulary with `[unusedN]` slots replaced or pieces added at the end.

    Raises:
      InputError: an old piece is moved or removed, there are no new pieces, or a file is not a vocabulary.
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
        if new[index] != piece and not _is_unused_slot(piece):
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
    """The pieces in the order of their ids, as `load_vocab` reads them."""
    pieces = [line.strip() for line in read_lines(path)]
    while not pieces[-1]:
        pieces.pop()
    return pieces


def _is_unused_slot(piece: str) -> bool:
    return re.fullmatch(r"\[unused\d+\]", piece) is not None


class _ContinuationPieces:
    """The continuation pieces (`##...`) of a vocabulary, to be looked up with or without `##`."""

    def __init__(self, vocab: Mapping[str, int]) -> None:
        self._vocab = vocab

    def __contains__(self, piece: object) -> bool:
        return f"##{str(piece).removeprefix('##')}" in self._vocab


def _new_piece(index: int, piece: str, vocab: Mapping[str, int]) -> NewPiece:
    suffix = piece.removeprefix("##")
    if suffix != piece and suffix:
        parts = WordpieceTokenizer(_ContinuationPieces(vocab)).tokenize(suffix)
        pieces = [part if part == "[UNK]" else f"##{part.removeprefix('##')}" for part in parts]
    else:  # in the vocabulary's case already
        words = BasicTokenizer(do_lower_case=False).tokenize(piece)
        pieces = [part for word in words for part in WordpieceTokenizer(vocab).tokenize(word)]
    pieces = pieces or ["[UNK]"]
    return NewPiece(index, piece, tuple(pieces), tuple(vocab[part] for part in pieces))


def grow(table: NDArray[np.float32], new_pieces: Sequence[NewPiece], rows: int) -> NDArray[np.float32]:
    """Extends a table to the rows of a larger vocabulary: `[V, ...] -> float32 [rows, ...]`.

    Args:
      table: the table for the old vocabulary: embeddings `[V, H]` or a bias `[V]`.
      new_pieces: the pieces whose rows are set to the mean of their old pieces' rows; other rows are unchanged.
      rows: the number of rows of the result, at least `V`.
    """
    grown = np.zeros((rows, *table.shape[1:]), np.float32)
    grown[: len(table)] = table
    for new in new_pieces:
        grown[new.index] = table[list(new.rows)].mean(axis=0, dtype=np.float64)
    return grown
