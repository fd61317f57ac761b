"""Vocabularies of cased and uncased models, and warnings if the case of the text does not match."""

import logging

import pytest

from bert_tf2.tokenization.vocab_case import fraction_with_capitals, looks_cased, warn_about_case

SPECIAL = ["[PAD]", "[UNK]", "<s>", "[unused1]"]


@pytest.mark.parametrize(
    ("pieces", "lower", "sentence"),
    [
        (["The", "Cat", "##s", "sat"], True, "50 % of the pieces of v.txt have capital letters"),
        (["The", "Cat", "##s", "sat"], False, None),
        (["the", "cat", "##s", "sat"], False, "No piece of v.txt has a capital letter"),
        (["the", "cat", "##s", "sat"], True, None),
        (["the"] * 19 + ["A"], True, None),
        (["京", "1"], False, None),
        ([], True, None),
    ],
)
def test_warnings(pieces: list[str], lower: bool, sentence: str | None, caplog) -> None:
    caplog.set_level(logging.WARNING)
    warn_about_case([*SPECIAL, *pieces], lower, "v.txt")
    assert (sentence or "") in caplog.text
    assert bool(sentence) == bool(caplog.records)


def test_special_pieces_do_not_count() -> None:
    assert fraction_with_capitals(["[UNK]", "<S>", "a", "B"]) == 0.5
    assert not looks_cased(["[UNK]", "<S>", "a"])
    assert looks_cased(["a", "B"])
