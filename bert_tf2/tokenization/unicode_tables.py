"""The rules of `wordpiece.BasicTokenizer` as a table of replacements for each code point; no TensorFlow.

For almost every character, the rules do not depend on its context: it is kept, deleted, replaced by a space, surrounded
by spaces, or lower-cased and decomposed. So the words of a text are the words of its characters' concatenated
replacements. These are computed by the rules themselves.
"""

import hashlib
import inspect
import logging
import os
import sys
import unicodedata
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bert_tf2.configs.tokenizer import PLAIN, TokenizerOptions
from bert_tf2.io.atomic import replacing
from bert_tf2.tokenization import wordpiece
from bert_tf2.tokenization.wordpiece import BasicTokenizer

CODE_POINTS = 0x110000
BLANK = " "
"""In a replacement: the end of a word. The output of the rules contains no other whitespace."""
CONTEXT = "\0"
"""The replacement of a character that needs the rules, as what it becomes depends on the text around it. (No other
replacement contains NUL: the rules delete it.)"""

# A letter that the rules keep and into which they convert no other character; it only speeds up `_replacements_of`.
_SEPARATOR = "ª"
_BLOCK = 256

_logger = logging.getLogger(__name__)


class Replacements(NamedTuple):
    """The code points that are replaced, and their replacements.

    Attributes:
      changed: int32 `[C]`, the code points, ascending.
      ends: int32 `[C]`, the end of each replacement in `characters`, where the next one begins.
      characters: int32 `[total]`, the replacements' code points.
    """

    changed: np.ndarray
    ends: np.ndarray
    characters: np.ndarray


def replacement(char: str, rules: BasicTokenizer) -> str:
    """The replacement of one character: characters, with spaces where words end, or `CONTEXT` alone."""
    between_letters = " ".join(rules.tokenize(f"a{char}b"))[1:-1]
    return CONTEXT if _needs_context(char, between_letters, rules) else between_letters


def load_replacements(do_lower_case: bool, options: TokenizerOptions = PLAIN) -> Replacements:
    """The replacements of all code points, from the user's cache or, some seconds slower, from the rules.

    The cache is the directory `bert_tf2` in `$XDG_CACHE_HOME` or `~/.cache`. The file's name contains the version of
    Python's Unicode tables and a digest of the rules' source, so that an old table is used neither with a new Python
    nor after a change of the rules. A corrupt file is replaced; if none can be written, the table is computed each
    time.

    Args:
      do_lower_case: whether the text is lower-cased.
      options: the tokenizer's options; `never_split` has no effect.
    """
    path = _cache_file(do_lower_case, options)
    replacements = _read(path) if path else None
    if replacements is None:
        replacements = make_replacements(BasicTokenizer.of(do_lower_case, options.of_characters))
        if path:
            _write(path, replacements)
    return replacements


def make_replacements(rules: BasicTokenizer) -> Replacements:
    """Computes the replacements of all code points by the rules."""
    changed: list[int] = []
    ends: list[int] = []
    characters: list[str] = []
    total = 0
    for first in range(0, CODE_POINTS, _BLOCK):
        block = [chr(code) for code in range(first, first + _BLOCK)]
        for char, replaced in zip(block, _replacements_of(block, rules), strict=True):
            if replaced != char:
                total += len(replaced)
                changed.append(ord(char))
                ends.append(total)
                characters.append(replaced)
    return Replacements(np.array(changed, np.int32), np.array(ends, np.int32), code_points("".join(characters)))


def code_points(text: str) -> np.ndarray:
    """The text's code points, int32 `[len(text)]`, read-only; lone surrogates are kept, as by the rules."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.int32)


def _replacements_of(chars: list[str], rules: BasicTokenizer) -> list[str]:
    """The `replacement` of each character, with a single call of the rules."""
    replacements = " ".join(rules.tokenize(_SEPARATOR + _SEPARATOR.join(chars) + _SEPARATOR)).split(_SEPARATOR)[1:-1]
    if len(replacements) != len(chars):  # the separator is one of them
        return [replacement(char, rules) for char in chars]
    pairs = zip(chars, replacements, strict=True)
    return [CONTEXT if _needs_context(char, replaced, rules) else replaced for char, replaced in pairs]


def _needs_context(char: str, between_letters: str, rules: BasicTokenizer) -> bool:
    """Whether the character's replacement depends on its neighbours, or theirs on it.

    For capital sigma, `str.lower` considers them. NFD sorts runs of characters whose combining class is not 0; this
    matters if such a character is kept, as some marks are not nonspacing and therefore not stripped.
    """
    if rules.do_lower_case and f"a{char}".lower() + "b" != f"a{char}b".lower():
        return True
    return rules.strips_accents and any(map(unicodedata.combining, between_letters))


def _cache_file(do_lower_case: bool, options: TokenizerOptions) -> Path | None:
    """The path of the cached table; None if there is no home directory, or no source code to identify the rules."""
    try:
        rules = inspect.getsource(wordpiece) + inspect.getsource(sys.modules[__name__])
        directory = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "bert_tf2")
    except (OSError, RuntimeError):
        return None
    version = f"{unicodedata.unidata_version}-{hashlib.sha256(rules.encode()).hexdigest()[:16]}"
    name = "lower" if do_lower_case else "cased"
    if options.strips_accents(do_lower_case) != do_lower_case:
        name += "-accents" if do_lower_case else "-no-accents"
    if not options.tokenize_chinese_chars:
        name += "-joined-chinese"
    return directory / f"unicode-{version}-{name}"


# The file: SHA-256 of the rest; then, as little-endian int32, the number of changed code points and the three arrays.


def _write(path: Path, replacements: Replacements) -> None:
    content = np.concatenate([[len(replacements.changed)], *replacements]).astype("<i4").tobytes()
    try:
        with replacing(path, "wb") as file:
            file.write(hashlib.sha256(content).digest() + content)
    except OSError as error:
        _logger.info("Cannot cache the table of Unicode replacements: %s", error)


def _read(path: Path) -> Replacements | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(content[32:]).digest() != content[:32]:
        return None
    numbers = np.frombuffer(content, "<i4", offset=32).astype(np.int32, copy=False)
    return Replacements(*np.split(numbers[1:], [numbers[0], 2 * numbers[0]]))
