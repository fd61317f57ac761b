"""Growing vocabularies: finding new pieces, initializing their rows, keeping old ones."""

import numpy as np
import pytest
from helpers.rounding import SUM, assert_close, largest
from helpers.tiny_huggingface import PIECES
from hypothesis import given
from hypothesis import strategies as st

from bert_tf2.conversion.vocab_growth import NewPiece, grow, plan
from bert_tf2.errors import InputError

pytestmark = pytest.mark.numeric


def write(path, pieces):
    path.write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")
    return path


def planned(tmp_path, new, old=PIECES):
    return plan(write(tmp_path / "old.txt", old), write(tmp_path / "new.txt", new))


def changed(**replacements):
    pieces = list(PIECES)
    for index, piece in replacements.items():
        pieces[int(index[1:])] = piece
    return pieces


def test_unused_slots_and_new_rows(tmp_path):
    new = [*changed(_6="covid"), "##vids", "a+co", "[NEW]", "##q"]
    assert planned(tmp_path, new) == [
        NewPiece(6, "covid", ("co", "##vid"), (7, 8)),
        NewPiece(12, "##vids", ("##vid", "##s"), (8, 10)),
        NewPiece(13, "a+co", ("a", "+", "co"), (9, 11, 7)),
        NewPiece(14, "[NEW]", ("[UNK]", "[UNK]", "[UNK]"), (1, 1, 1)),
        NewPiece(15, "##q", ("[UNK]",), (1,)),
    ]


def test_empty_lines_and_whitespace_are_ignored(tmp_path):
    old = [*PIECES, "\u2028"]  # as in Google's Chinese vocabulary
    path = write(tmp_path / "new.txt", [*changed(_5="s"), "\u2028", "", ""])
    assert [new.piece for new in plan(write(tmp_path / "old.txt", old), path)] == ["s"]


def test_moved_or_removed_pieces_are_errors(tmp_path):
    moved = [*PIECES[:7], PIECES[8], PIECES[7], *PIECES[9:]]
    with pytest.raises(
        InputError, match=r"new\.txt, line 8: '##vid' stands where .*old\.txt has 'co', which is now on"
    ):
        planned(tmp_path, moved)
    with pytest.raises(InputError, match=r"line 10: 'b' stands where .* has 'a', which is lost"):
        planned(tmp_path, changed(_9="b"))
    with pytest.raises(InputError, match=r"has 11 pieces, .* 12; a vocabulary can grow, but not shrink"):
        planned(tmp_path, PIECES[:-1])
    with pytest.raises(InputError, match=r"no piece that .* lacks; there is nothing to add"):
        planned(tmp_path, PIECES)
    with pytest.raises(InputError, match="lacks"):
        planned(tmp_path, changed(_4="mask"))


def test_grown_table():
    table = np.float32([[1, 10], [2, 20], [4, 40]])
    new = [NewPiece(1, "ab", ("a", "##b"), (0, 2)), NewPiece(4, "c", ("x",), (1,))]
    np.testing.assert_array_equal(grow(table, new, 5), [[1, 10], [2.5, 25], [4, 40], [0, 0], [2, 20]])
    np.testing.assert_array_equal(grow(table[:, 0], new, 6), [1, 2.5, 4, 0, 2, 0])
    np.testing.assert_array_equal(table, [[1, 10], [2, 20], [4, 40]])


@given(st.lists(st.text("abco+vids#", min_size=1, max_size=6), unique=True, min_size=1, max_size=6), st.integers(0, 2))
def test_old_rows_never_change(tmp_path_factory, words, slots):
    words = [word for word in words if word not in PIECES]
    if not words:
        return
    pieces = list(PIECES)
    for slot, word in zip(range(5, 5 + slots), words, strict=False):
        pieces[slot] = word
    pieces += words[slots:]
    new = planned(tmp_path_factory.mktemp("vocabularies"), pieces)
    assert [piece.piece for piece in new] == words
    assert all(pieces[piece.index] == piece.piece and piece.rows for piece in new)
    table = np.random.default_rng(0).normal(size=[12, 3]).astype(np.float32)
    grown = grow(table, new, max(12, len(pieces)))
    kept = [row for row in range(12) if pieces[row] == PIECES[row]]
    np.testing.assert_array_equal(grown[kept], table[kept])
    for piece in new:
        assert_close(grown[piece.index], np.mean([table[row] for row in piece.rows], axis=0), SUM, largest(table))
