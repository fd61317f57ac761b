"""Splits contexts into words, the units in which answers are aligned with the text; no TensorFlow.

The original splits at whitespace only, which makes a whole Chinese sentence one word; for Chinese there is therefore a
second method, `zh`.
"""

import functools
import itertools
import operator
import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from bert_tf2.configs.tokenizer import PLAIN, TokenizerOptions
from bert_tf2.tokenization.wordpiece import BasicTokenizer

WHITESPACE = " \t\r\n\u202f"
"""The characters that are whitespace in the original; others (U+00A0, U+3000, ...) belong to words."""

# A text is Chinese if at least this fraction of its characters is Chinese. Digits, Latin names and punctuation make up
# some 30 % of Chinese encyclopedia text; texts in other languages quote a few Chinese characters.
_MIN_CHINESE_FRACTION = 0.25

_WORD = re.compile(f"[^{WHITESPACE}]+")
_CHINESE = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f]")


class Words(Sequence[str]):
    """The words of a text, created on access: two offsets are stored for each, no strings.

    Args:
      text: the text.
      starts: the character offset of the first character of each word, `[W]`.
      ends: the offset after its last character, `[W]`.
    """

    __slots__ = ("_ends", "_starts", "_text")

    def __init__(self, text: str, starts: "array[int]", ends: "array[int]") -> None:
        self._text, self._starts, self._ends = text, starts, ends

    @property
    def lengths(self) -> NDArray[np.int32]:
        """The number of characters of each word, int32 `[W]`."""
        return np.asarray(self._ends) - np.asarray(self._starts)

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            spans = map(slice, self._starts[index], self._ends[index])
            return [self._text[span] for span in spans]
        return self._text[self._starts[index] : self._ends[index]]

    def __iter__(self) -> Iterator[str]:
        return map(self._text.__getitem__, map(slice, self._starts, self._ends))

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Words | list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True, eq=False)
class Paragraph:
    """A context and its words. Questions about the same context share one object.

    Attributes:
      text: the context, unchanged.
      words: its W words; none is empty.
      starts: the character offset of each word in `text`, `[W]`.
      language: `zh` or `en`; answers in `en` have one space between words.
      verbatim: whether every quote occurs in `text`: always for `zh`; for `en`, if `text` is its words with
        single spaces between them.
      title: the title of its article; "" if the file has none.
    """

    text: str
    words: Words
    starts: "array[int]"
    language: str
    verbatim: bool
    title: str = ""

    def word_at(self, offset: int) -> int:
        """The index of the word that contains a character of `text`.

        For a character between words, the index of the word before it; -1 before the first word.
        """
        return bisect_right(self.starts, offset) - 1

    def span(self, first: int, last: int) -> tuple[int, int]:
        """The character offsets in `text` of the beginning and end of words `first` to `last` (inclusive)."""
        return self.starts[first], self.starts[last] + len(self.words[last])

    def quote(self, start: int, end: int) -> str:
        """The characters from `start` to `end` (exclusive) as the text of an answer."""
        return self.text[start:end] if self.verbatim else " ".join(_WORD.findall(self.text, start, end))


def split(text: str, language: str, options: TokenizerOptions = PLAIN, title: str = "") -> Paragraph:
    """Splits a context into words.

    Args:
      text: the context.
      language: `en`: words end at `WHITESPACE`, as in the original. `zh`: words also end at everything else that is
        whitespace to the tokenizer, and each character that the tokenizer separates (Chinese characters, punctuation)
        is a word; characters that it removes belong to a word only if they are inside it.
      options: the options of the tokenizer; they have no effect for `en`.
      title: the title of the article.
    """
    if language == "en":
        words = _WORD.findall(text)
        has_single_spaces = " ".join(words) == text
        lengths = map(len, words)
        if has_single_spaces:
            starts = array(
                "i", itertools.accumulate((len(word) + 1 for word in words[:-1]), initial=0) if words else ()
            )
        else:
            starts = array("i", (match.start() for match in _WORD.finditer(text)))
        ends = array("i", map(operator.add, starts, lengths))
        return Paragraph(text, Words(text, starts, ends), starts, language, has_single_spaces, title)
    starts, ends = array("i"), array("i")
    in_word = False
    pattern = options.pattern()
    # The tokens that the tokenizer never splits: their ends by their starts.
    unsplit = {match.start(): match.end() for match in re.finditer(pattern, text)} if pattern else {}
    unsplit_end = 0
    for offset, char in enumerate(text):
        if offset < unsplit_end:
            continue
        if offset in unsplit:
            unsplit_end = unsplit[offset]
            starts.append(offset)
            ends.append(unsplit_end)
            in_word = False
            continue
        output = _tokenizer_output(char, options.tokenize_chinese_chars)
        if output == " ":
            in_word = False
        elif output:
            is_alone = output != char
            if is_alone or not in_word:
                starts.append(offset)
                ends.append(offset)
            ends[-1] = offset + 1
            in_word = not is_alone
    return Paragraph(text, Words(text, starts, ends), starts, language, verbatim=True, title=title)


def detect_language(texts: Iterable[str]) -> str:
    """`zh` if at least a quarter of the characters of all texts, excluding whitespace, are Chinese; else `en`."""
    chinese = total = 0
    for text in texts:
        chinese += len(_CHINESE.findall(text))
        total += sum(map(len, text.split()))
    return "zh" if chinese and chinese >= _MIN_CHINESE_FRACTION * total else "en"


@functools.cache
def _tokenizer_output(char: str, tokenize_chinese_chars: bool) -> str:
    """The output of `BasicTokenizer` for a character in a word: itself, nothing, or " " or " <char> ", which end it."""
    return " ".join(_basic_tokenizer(tokenize_chinese_chars).tokenize(f"a{char}b"))[1:-1]


@functools.cache
def _basic_tokenizer(tokenize_chinese_chars: bool) -> BasicTokenizer:
    return BasicTokenizer(do_lower_case=False, tokenize_chinese_chars=tokenize_chinese_chars)
