"""The rules of `tokenization.BasicTokenizer` as arrays, for a tokenizer inside a TensorFlow graph; no TensorFlow.

Each code point has a replacement that does not depend on its neighbours, as in `unicode_tables`. Where it does, the
tables say what else must be known of a character: how it treats a capital sigma beside it, and its combining class.
"""

import functools
import unicodedata
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bert_tf2.configs.tokenizer import PLAIN, TokenizerOptions
from bert_tf2.tokenization.unicode_tables import CODE_POINTS, CONTEXT, load_replacements, replacement
from bert_tf2.tokenization.wordpiece import BasicTokenizer

Ints = NDArray[np.int32]

SELF = -1
"""Stands in a replacement for the character itself."""
STARTER = 0xFFFD
"""Stands in a replacement for a nonspacing mark of combining class 0. It goes, but only after marks have been put in
order, as it ends a run of them. (The rules delete U+FFFD itself, so that no replacement holds it.)"""

CAPITAL_SIGMA, FINAL_SIGMA = 0x3A3, 0x3C2
OTHER, CASED, IGNORED = 0, 1, 2
"""What a character beside a capital sigma is: the sigma ends a word where the nearest character before it that is not
ignored is cased, and the nearest after it is not."""

BLOCK = 256


class Blocks(NamedTuple):
    """A number for each code point; equal blocks of code points share a row. That of `c` is `rows[block_of[c // 256],
    c % 256]`.

    Attributes:
      block_of: int32 `[CODE_POINTS / BLOCK]`.
      rows: int32 `[R, BLOCK]`.
    """

    block_of: Ints
    rows: Ints


class CharacterTables(NamedTuple):
    """What becomes of each code point.

    Attributes:
      replacement: which replacement each code point has, of `K`.
      starts: int32 `[K]`, where in `characters` each replacement begins.
      lengths: int32 `[K]`, how long it is.
      characters: int32 `[total]`, code points, `SELF` or `STARTER`; words stand between spaces.
      case: `OTHER`, `CASED` or `IGNORED`; None where case is kept.
      combining: the combining class of characters that stay, 0 for nonspacing marks; None where accents are kept.
    """

    replacement: Blocks
    starts: Ints
    lengths: Ints
    characters: Ints
    case: Blocks | None
    combining: Blocks | None


def make_tables(do_lower_case: bool, options: TokenizerOptions = PLAIN) -> CharacterTables:
    """The tables, from the rules themselves and the Unicode tables of this Python.

    Args:
      do_lower_case: whether the text is lower-cased.
      options: of the tokenizer; `never_split` has no part in this.
    """
    return _make_tables(_Rules(do_lower_case, options.strips_accents(do_lower_case), options.tokenize_chinese_chars))


class _Rules(NamedTuple):
    """What of the tokenizer the tables depend on.

    Attributes:
      lower: whether words are lowered.
      strips: whether they lose their accents.
      sets_off: whether Chinese characters are words of their own.
    """

    lower: bool
    strips: bool
    sets_off: bool


@functools.cache
def _make_tables(rules: _Rules) -> CharacterTables:
    number_of: dict[tuple[int, ...], int] = {(SELF,): 0}
    numbers = np.zeros(CODE_POINTS, np.int32)
    found = load_replacements(rules.lower, TokenizerOptions(rules.strips, rules.sets_off))
    characters, ends = found.characters.tolist(), found.ends.tolist()
    begin = 0
    for code, end in zip(found.changed.tolist(), ends, strict=True):
        becomes = "".join(map(chr, characters[begin:end]))
        begin = end
        if becomes == CONTEXT or (rules.strips and _has_starter(code, rules)):
            becomes = _in_context(code, rules)
        own = tuple(SELF if ord(char) == code else ord(char) for char in becomes)
        numbers[code] = number_of.setdefault(own, len(number_of))
    lengths = np.array([len(own) for own in number_of], np.int32)
    return CharacterTables(
        replacement=blocks(numbers),
        starts=(np.cumsum(lengths) - lengths).astype(np.int32),
        lengths=lengths,
        characters=np.array([code for own in number_of for code in own], np.int32),
        case=blocks(_case_classes(numbers == number_of[()])) if rules.lower else None,
        combining=blocks(_combining_classes()) if rules.strips else None,
    )


def blocks(numbers: Ints) -> Blocks:
    """A number for each code point, `[CODE_POINTS]`, in blocks."""
    rows, block_of = np.unique(numbers.reshape(-1, BLOCK), axis=0, return_inverse=True)
    return Blocks(block_of.reshape(-1).astype(np.int32), rows.astype(np.int32))


def _decomposed(code: int, rules: _Rules) -> str:
    char = chr(code).lower() if rules.lower else chr(code)
    return unicodedata.normalize("NFD", char) if rules.strips else char


def _is_starter(char: str) -> bool:
    return unicodedata.category(char) == "Mn" and not unicodedata.combining(char)


def _has_starter(code: int, rules: _Rules) -> bool:
    return any(map(_is_starter, _decomposed(code, rules)))


def _in_context(code: int, rules: _Rules) -> str:
    """The replacement of a character whose neighbours matter, before they are looked at."""
    cased = BasicTokenizer(do_lower_case=False, tokenize_chinese_chars=rules.sets_off)
    parts = []
    for char in _decomposed(code, rules):
        if rules.strips and _is_starter(char):
            parts.append(chr(STARTER))
        elif not rules.strips or unicodedata.category(char) != "Mn":
            parts.append(replacement(char, cased))
    return "".join(parts)


def _case_classes(deleted: NDArray[np.bool_]) -> Ints:
    """Asks `str.lower` what each character does to a sigma; the rules have deleted some before it looks."""
    classes = np.full(CODE_POINTS, OTHER, np.int32)
    for code in range(CODE_POINTS):
        char = chr(code)
        if f"{char}Σ".lower()[-1] == "ς":
            classes[code] = CASED
        elif f"A{char}Σ".lower()[-1] == "ς":
            classes[code] = IGNORED
    classes[deleted] = IGNORED
    return classes


def _combining_classes() -> Ints:
    classes = np.zeros(CODE_POINTS, np.int32)
    for code in range(CODE_POINTS):
        char = chr(code)
        if unicodedata.combining(char) and unicodedata.category(char) != "Mn":
            classes[code] = unicodedata.combining(char)
    return classes
