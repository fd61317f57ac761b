"""Contexts cut into words, the unit in which answers are aligned with the text; no TensorFlow.

The original cuts at white space alone. That makes one word of a whole Chinese sentence, so there is a second way, `zh`.
"""

import functools
import itertools
import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from bert_tf2.tokenization import BasicTokenizer

LANGUAGES = ("en", "zh", "auto")
"""`en`, words between white space, is for all languages that have white space between words."""

WHITE_SPACE = " \t\r\n\u202f"
"""What the original takes for white space; other characters (U+00A0, U+3000, ...) are parts of words."""

# A text whose characters are Chinese to this part at least is Chinese. Figures, Latin names and punctuation make up
# some 30 % of Chinese encyclopedia text; other languages quote a few characters.
_CHINESE_SHARE = 0.25

_WORD = re.compile(f"[^{WHITE_SPACE}]+")
_CHINESE = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f]")
_RULES = BasicTokenizer(do_lower_case=False)


@dataclass(frozen=True, slots=True, eq=False)
class Paragraph:
    """A context and its words. Questions about one context share one object.

    Attributes:
      text: the context as the file has it.
      words: its words, none empty, W of them.
      starts: where in `text` each word begins, `[W]`.
      language: `zh` is quoted as it is, `en` with one blank between words.
      verbatim: whether quotes are always what `text` has: it is `zh`, or has single blanks anyway.
    """

    text: str
    words: list[str]
    starts: list[int]
    language: str
    verbatim: bool

    def word_at(self, place: int) -> int:
        """The word that holds a character of `text`; for what is between words the one before, -1 before the first."""
        return bisect_right(self.starts, place) - 1

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Where in `text` words `first` to `last`, both included, begin and end."""
        return self.starts[first], self.starts[last] + len(self.words[last])

    def quote(self, start: int, end: int) -> str:
        """The characters from `start` to `end` (not included) as an answer."""
        return self.text[start:end] if self.verbatim else " ".join(_WORD.findall(self.text, start, end))


def split(text: str, language: str) -> Paragraph:
    """Cuts a context into words.

    Args:
      text: the context.
      language: `en`: words end at `WHITE_SPACE`, as in the original. `zh`: moreover, words end at all that is white
        space to the tokenizer, and each character that it sets off (Chinese characters and punctuation) is a word; what
        it removes is part of no word, unless it is inside of one.
    """
    if language == "en":
        words = _WORD.findall(text)
        has_single_blanks = " ".join(words) == text
        if has_single_blanks:
            starts = [0, *itertools.accumulate(len(word) + 1 for word in words[:-1])] if words else []
        else:
            starts = [match.start() for match in _WORD.finditer(text)]
        return Paragraph(text, words, starts, language, has_single_blanks)
    starts, ends = [], []
    inside = False
    for place, char in enumerate(text):
        becomes = _tokenized(char)
        if becomes == " ":
            inside = False
        elif becomes:
            is_alone = becomes != char
            if is_alone or not inside:
                starts.append(place)
                ends.append(place)
            ends[-1] = place + 1
            inside = not is_alone
    words = [text[start:end] for start, end in zip(starts, ends, strict=True)]
    return Paragraph(text, words, starts, language, verbatim=True)


def detect_language(texts: Iterable[str]) -> str:
    """`zh` where at least a quarter of the characters of all texts, white space aside, are Chinese; else `en`."""
    chinese = total = 0
    for text in texts:
        chinese += len(_CHINESE.findall(text))
        total += sum(map(len, text.split()))
    return "zh" if chinese and chinese >= _CHINESE_SHARE * total else "en"


@functools.cache
def _tokenized(char: str) -> str:
    """What the tokenizer makes of a character inside a word: itself, nothing, or " " or " <char> ", which end the word.

    The tokenizer's rules are asked.
    """
    return " ".join(_RULES.tokenize(f"a{char}b"))[1:-1]
