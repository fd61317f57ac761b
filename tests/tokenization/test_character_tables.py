"""The tables of the tokenizer in the graph: their contents, and that they are small."""

import numpy as np
import pytest

from bert_tf2.tokenization.character_tables import (
    BLOCK,
    CASED,
    IGNORED,
    OTHER,
    SELF,
    STARTER,
    Blocks,
    CharacterTables,
    make_tables,
)
from bert_tf2.tokenization.unicode_tables import CODE_POINTS


def number(blocks: Blocks, char: str) -> int:
    block, offset = divmod(ord(char), BLOCK)
    return int(blocks.rows[blocks.block_of[block], offset])


def replacement(tables: CharacterTables, char: str) -> list[int]:
    kind = number(tables.replacement, char)
    begin = tables.starts[kind]
    return tables.characters[begin : begin + tables.lengths[kind]].tolist()


@pytest.mark.parametrize("lower", [True, False])
def test_replacements_for_any_case(lower: bool):
    tables = make_tables(lower)
    assert replacement(tables, "a") == [SELF]
    assert replacement(tables, "中") == [32, SELF, 32]
    assert replacement(tables, "!") == [32, SELF, 32]
    assert replacement(tables, "\u3000") == [32]
    assert replacement(tables, "\ufffd") == replacement(tables, "\x07") == []


def test_case_and_accents():
    lower, cased = make_tables(True), make_tables(False)
    assert replacement(lower, "É") == [ord("e")]
    assert replacement(cased, "É") == [SELF]
    assert replacement(lower, "Σ") == [ord("σ")]
    assert replacement(lower, "각") == [0x1100, 0x1161, 0x11A8]
    # Nonspacing marks are removed; those of class 0 only after marks have been sorted.
    assert replacement(lower, "\u0301") == []
    assert replacement(lower, "\u0941") == [STARTER]
    assert replacement(lower, "\u302e") == [SELF]
    assert (cased.case, cased.combining) == (None, None)


def test_classes_around_a_sigma():
    case = make_tables(True).case
    assert case is not None
    classes = {char: number(case, char) for char in "aΣʼ'1 中\x07\u0301\u0345"}
    assert [char for char, kind in classes.items() if kind == CASED] == ["a", "Σ"]
    assert [char for char, kind in classes.items() if kind == OTHER] == ["1", " ", "中"]
    assert [char for char, kind in classes.items() if kind == IGNORED] == ["ʼ", "'", "\x07", "\u0301", "\u0345"]


def test_classes_of_marks_that_are_kept():
    combining = make_tables(True).combining
    assert combining is not None
    classes = combining.rows[combining.block_of].reshape(CODE_POINTS)
    assert classes[0x302E] == 224
    assert classes[0x0301] == 0
    assert 20 < np.count_nonzero(classes) < 60


def test_size():
    for lower in (True, False):
        tables = make_tables(lower)
        blocks = [part for part in (tables.replacement, tables.case, tables.combining) if part]
        arrays = [array for part in blocks for array in part] + [tables.starts, tables.lengths, tables.characters]
        assert sum(array.nbytes for array in arrays) < 1_000_000
