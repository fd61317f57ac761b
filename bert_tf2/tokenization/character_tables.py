"""The rules of `tokenization.BasicTokenizer` as arrays, for a tokenizer inside a TensorFlow graph; no TensorFlow.

As in `unicode_tables`, most code points have a replacement that does not depend on their neighbours. For the others,
the tables contain what else is needed: their effect on a neighbouring capital sigma, and their combining class.
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
"""In a replacement: the character itself."""
STARTER = 0xFFFD
"""In a replacement: a nonspacing mark of combining class 0. It is removed, but only after marks have been sorted, as it
ends a run of them. (The rules delete U+FFFD itself, so that no replacement contains it.)"""

CAPITAL_SIGMA, FINAL_SIGMA = 0x3A3, 0x3C2
OTHER, CASED, IGNORED = 0, 1, 2
"""Classes of characters around a capital sigma. It ends a word if the nearest character before it that is not ignored
is cased, and the nearest one after it is not."""

BLOCK = 256


class Blocks(NamedTuple):
    """A number for each code point; equal blocks of code points share a row.

    The number of `c` is `rows[block_of[c // 256], c % 256]`.

    Attributes:
      block_of: int32 `[CODE_POINTS / BLOCK]`.
      rows: int32 `[R, BLOCK]`.
    """

    block_of: Ints
    rows: Ints


class CharacterTables(NamedTuple):
    """The replacement of each code point.

    Attributes:
      replacement: the number of each code point's replacement, below `K`.
      starts: int32 `[K]`, the start of each replacement in `characters`.
      lengths: int32 `[K]`, the length of each replacement.
      characters: int32 `[total]`, code points, `SELF` or `STARTER`; spaces separate words.
      case: `OTHER`, `CASED` or `IGNORED`; None if case is kept.
      combining: the combining class of characters that stay, 0 for nonspacing marks; None if accents are kept.
    """

    replacement: Blocks
    starts: Ints
    lengths: Ints
    characters: Ints
    case: Blocks | None
    combining: Blocks | None


def make_tables(do_lower_case: bool, options: TokenizerOptions = PLAIN) -> CharacterTables:
    """Computes the tables from the rules themselves and the Unicode tables of this Python.

    Args:
      do_lower_case: whether the text is lower-cased.
      options: the tokenizer's options; `never_split` has no effect.
    """
    return _make_tables(_Rules(do_lower_case, options.strips_accents(do_lower_case), options.tokenize_chinese_chars))


class _Rules(NamedTuple):
    """The options of the tokenizer that the tables depend on.

    Attributes:
      lower: whether words are lower-cased.
      strips_accents: whether accents are stripped.
      splits_chinese: whether Chinese characters are words of their own.
    """

    lower: bool
    strips_accents: bool
    splits_chinese: bool


@functools.cache
def _make_tables(rules: _Rules) -> CharacterTables:
    number_of: dict[tuple[int, ...], int] = {(SELF,): 0}
    numbers = np.zeros(CODE_POINTS, np.int32)
    replacements = load_replacements(rules.lower, TokenizerOptions(rules.strips_accents, rules.splits_chinese))
    characters, ends = replacements.characters.tolist(), replacements.ends.tolist()
    begin = 0
    for code, end in zip(replacements.changed.tolist(), ends, strict=True):
        replaced = "".join(map(chr, characters[begin:end]))
        begin = end
        if replaced == CONTEXT or (rules.strips_accents and _has_starter(code, rules)):
            replaced = _in_context(code, rules)
        codes = tuple(SELF if ord(char) == code else ord(char) for char in replaced)
        numbers[code] = number_of.setdefault(codes, len(number_of))
    lengths = np.array([len(codes) for codes in number_of], np.int32)
    return CharacterTables(
        replacement=blocks(numbers),
        starts=(np.cumsum(lengths) - lengths).astype(np.int32),
        lengths=lengths,
        characters=np.array([code for codes in number_of for code in codes], np.int32),
        case=blocks(_case_classes(numbers == number_of[()])) if rules.lower else None,
        combining=blocks(_combining_classes()) if rules.strips_accents else None,
    )


def blocks(numbers: Ints) -> Blocks:
    """Divides numbers for all code points, `[CODE_POINTS]`, into blocks."""
    rows, block_of = np.unique(numbers.reshape(-1, BLOCK), axis=0, return_inverse=True)
    return Blocks(block_of.reshape(-1).astype(np.int32), rows.astype(np.int32))


def _decomposed(code: int, rules: _Rules) -> str:
    char = chr(code).lower() if rules.lower else chr(code)
    return unicodedata.normalize("NFD", char) if rules.strips_accents else char


def _is_starter(char: str) -> bool:
    return unicodedata.category(char) == "Mn" and not unicodedata.combining(char)


def _has_starter(code: int, rules: _Rules) -> bool:
    return any(map(_is_starter, _decomposed(code, rules)))


def _in_context(code: int, rules: _Rules) -> str:
    """The replacement of a character that depends on its neighbours, before these are taken into account."""
    cased = BasicTokenizer(do_lower_case=False, tokenize_chinese_chars=rules.splits_chinese)
    replaced = []
    for char in _decomposed(code, rules):
        if rules.strips_accents and _is_starter(char):
            replaced.append(chr(STARTER))
        elif not rules.strips_accents or unicodedata.category(char) != "Mn":
            replaced.append(replacement(char, cased))
    return "".join(replaced)


def _case_classes(deleted: NDArray[np.bool_]) -> Ints:
    """The effect of each character on a sigma, as `str.lower` shows it; deleted characters are ignored."""
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
