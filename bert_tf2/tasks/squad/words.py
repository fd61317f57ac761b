"""Splits contexts into words, the units in which answers are aligned with the text; no TensorFlow.

The original cuts at whitespace alone. That makes one word of a whole Chinese sentence, so there is a second way, `zh`.
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

WHITE_SPACE = " \t\r\n\u202f"
"""What the original takes for whitespace; other characters (U+00A0, U+3000, ...) are parts of words."""

# A text whose characters are Chinese to this part at least is Chinese. Figures, Latin names and punctuation make up
# some 30 % of Chinese encyclopedia text; other languages quote a few characters.
_CHINESE_SHARE = 0.25

_WORD = re.compile(f"[^{WHITE_SPACE}]+")
_CHINESE = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f]")


class Words(Sequence[str]):
    """The words of a text, which are made when they are asked for: two numbers for each are kept, no strings.

    Args:
      text: the text.
      starts: where each word begins, `[W]`.
      ends: where each word ends, `[W]`.
    """

    __slots__ = ("_ends", "_starts", "_text")

    def __init__(self, text: str, starts: "array[int]", ends: "array[int]") -> None:
        self._text, self._starts, self._ends = text, starts, ends

    @property
    def lengths(self) -> NDArray[np.int32]:
        """Characters of each word, `[W]`."""
        return np.asarray(self._ends) - np.asarray(self._starts)

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            places = map(slice, self._starts[index], self._ends[index])
            return [self._text[place] for place in places]
        return self._text[self._starts[index] : self._ends[index]]

    def __iter__(self) -> Iterator[str]:
        return map(self._text.__getitem__, map(slice, self._starts, self._ends))

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Words | list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True, eq=False)
class Paragraph:
    """A context and its words. Questions about one context share one object.

    Attributes:
      text: the context as the file has it.
      words: its words, none empty, W of them.
      starts: where in `text` each word begins, `[W]`.
      language: `zh` is quoted as it is, `en` with one space between words.
      verbatim: whether quotes are always what `text` has: it is `zh`, or has single spaces anyway.
      title: of its article; "" if the file has none.
    """

    text: str
    words: Words
    starts: "array[int]"
    language: str
    verbatim: bool
    title: str = ""

    def word_at(self, place: int) -> int:
        """The word that holds a character of `text`; for what is between words the one before, -1 before the first."""
        return bisect_right(self.starts, place) - 1

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Where in `text` words `first` to `last`, both included, begin and end."""
        return self.starts[first], self.starts[last] + len(self.words[last])

    def quote(self, start: int, end: int) -> str:
        """The characters from `start` to `end` (not included) as an answer."""
        return self.text[start:end] if self.verbatim else " ".join(_WORD.findall(self.text, start, end))


def split(text: str, language: str, options: TokenizerOptions = PLAIN, title: str = "") -> Paragraph:
    """Splits a context into words.

    Args:
      text: the context.
      language: `en`: words end at `WHITE_SPACE`, as in the original. `zh`: moreover, words end at all that is white
        space to the tokenizer, and each character that it sets off (Chinese characters and punctuation) is a word; what
        it removes is part of no word, unless it is inside of one.
      options: of the tokenizer. (For `en` they make no difference.)
      title: of the paragraph's article.
    """
    if language == "en":
        words = _WORD.findall(text)
        has_single_blanks = " ".join(words) == text
        lengths = map(len, words)
        if has_single_blanks:
            starts = array(
                "i", itertools.accumulate((len(word) + 1 for word in words[:-1]), initial=0) if words else ()
            )
        else:
            starts = array("i", (match.start() for match in _WORD.finditer(text)))
        ends = array("i", map(operator.add, starts, lengths))
        return Paragraph(text, Words(text, starts, ends), starts, language, has_single_blanks, title)
    starts, ends = array("i"), array("i")
    inside = False
    pattern = options.pattern()
    tokens = {match.start(): match.end() for match in re.finditer(pattern, text)} if pattern else {}
    after_token = 0
    for place, char in enumerate(text):
        if place < after_token:
            continue
        if place in tokens:
            after_token = tokens[place]
            starts.append(place)
            ends.append(after_token)
            inside = False
            continue
        becomes = _tokenized(char, options.tokenize_chinese_chars)
        if becomes == " ":
            inside = False
        elif becomes:
            is_alone = becomes != char
            if is_alone or not inside:
                starts.append(place)
                ends.append(place)
            ends[-1] = place + 1
            inside = not is_alone
    return Paragraph(text, Words(text, starts, ends), starts, language, verbatim=True, title=title)


def detect_language(texts: Iterable[str]) -> str:
    """`zh` where at least a quarter of the characters of all texts, whitespace aside, are Chinese; else `en`."""
    chinese = total = 0
    for text in texts:
        chinese += len(_CHINESE.findall(text))
        total += sum(map(len, text.split()))
    return "zh" if chinese and chinese >= _CHINESE_SHARE * total else "en"


@functools.cache
def _tokenized(char: str, tokenize_chinese_chars: bool) -> str:
    """The tokenizer's output for a character inside a word: itself, nothing, or " " or " <char> ", which end the word.

    The tokenizer's rules are asked.
    """
    return " ".join(_rules(tokenize_chinese_chars).tokenize(f"a{char}b"))[1:-1]


@functools.cache
def _rules(tokenize_chinese_chars: bool) -> BasicTokenizer:
    return BasicTokenizer(do_lower_case=False, tokenize_chinese_chars=tokenize_chinese_chars)
