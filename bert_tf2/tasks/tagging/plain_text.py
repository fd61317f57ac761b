"""Plain sentences: distinguishing them from columns, and splitting them into words. No TensorFlow."""

import dataclasses
import itertools
import re
from array import array
from collections import Counter
from collections.abc import Sequence

import numpy as np

from bert_tf2.configs.tokenizer import PLAIN, TokenizerOptions
from bert_tf2.errors import InputError
from bert_tf2.io import files
from bert_tf2.io.spilled import SpilledSequence
from bert_tf2.tasks.tagging.conll import COMMENTS, DOCUMENT, ONE_WORD_A_LINE, Collected, Sentences, cells_of
from bert_tf2.tasks.tagging.schemes import looks_like_tag
from bert_tf2.tokenization.wordpiece import BasicTokenizer

_MOST_READ = 1000  # words from which a file is judged
_LEAST_ALIKE = 0.8  # of lines of columns that have as many cells as most
_ENOUGH = 10  # of them, for what a column repeats to say something
_IS_SENTENCE, _HAS_NO_COLUMN = "is a sentence", "has no column"
_FEATURE = re.compile(r"[A-Z][A-Z0-9$]*(-.+)?|_|-")  # a part of speech, a chunk, a placeholder
_SENTENCE = re.compile(r".{3,}[。！？]", re.DOTALL)  # as Chinese and Japanese end, without spaces


def check(sentences: Sentences, token_column: int) -> None:
    """Rejects a prediction file whose lines are sentences rather than words.

    Lines with tabs are columns. So are lines with as many cells each, one of which looks like a column: it holds tags,
    or parts of speech and the like, or repeats itself. What is not clear counts as sentences: then it is the user who
    says which column the words are in.

    Args:
      sentences: the file.
      token_column: where the words are thought to be.

    Raises:
      InputError: they are sentences, or could be.
    """
    numbers = sentences.word_lines[:_MOST_READ].tolist()
    lines = [sentences.lines[number] for number in numbers]
    if any("\t" in line for line in lines):
        return
    rows = [cells_of(line) for line in lines]
    where = f"{sentences.path}, line {numbers[0] + 1}"
    reason = _reason(rows, token_column)
    if reason == _IS_SENTENCE:
        raise InputError(
            f"{where} is a sentence, {rows[0][0]!r:.60}; expected {ONE_WORD_A_LINE}. If all lines are sentences: "
            "--predict_format=text."
        )
    if reason:
        raise InputError(
            f"{where} has {len(rows[0])} words between spaces, {lines[0]!r:.60}, which looks like a sentence; expected "
            f"{ONE_WORD_A_LINE}. If they are sentences: --predict_format=text. If they are columns, name the one with "
            f"the words: --token_column={token_column}."
        )


def _reason(rows: Sequence[Sequence[str]], token_column: int) -> str | None:
    """Why lines of as many cells each look like sentences; None where they look like columns."""
    if len(rows[0]) == 1:
        return _IS_SENTENCE if 2 * sum(_SENTENCE.fullmatch(row[0]) is not None for row in rows) > len(rows) else None
    words = [row[token_column] for row in rows]
    columns = list(zip(*rows, strict=True))
    del columns[token_column % len(columns)]
    return None if any(_is_column(column, words) for column in columns) else _HAS_NO_COLUMN


def _is_column(cells: Sequence[str], words: Sequence[str]) -> bool:
    """Whether the cells under each other are something that words have, not words of sentences."""
    if all(map(looks_like_tag, cells)):
        return True
    if len(cells) >= _ENOUGH and 2 * len(set(cells)) <= len(cells):
        return True
    # The parts of speech of punctuation are punctuation.
    of_words = [cell for cell, word in zip(cells, words, strict=True) if word[:1].isalpha()]
    return len(of_words) > 1 and all(map(_FEATURE.fullmatch, of_words))


def looks_like_text(path: str, token_column: int) -> bool:
    """Whether a file has plain sentences rather than one word per line.

    It does where no line has a tab and lines differ in how many cells they have, or `check` takes them for sentences.

    Raises:
      InputError: the file cannot be read.
    """
    lines = [line.removesuffix("\r") for line in itertools.islice(files.read_lines(path), _MOST_READ)]
    rows = [cells_of(line) for line in lines if not line.startswith((*COMMENTS, DOCUMENT))]
    rows = [row for row in rows if row]
    if not rows or any("\t" in line for line in lines):
        return False
    most_common, count = Counter(map(len, rows)).most_common(1)[0]
    if count < _LEAST_ALIKE * len(rows):
        return True
    rows = [row for row in rows if len(row) == most_common]
    return -most_common <= token_column < most_common and _reason(rows, token_column) is not None


def read(path: str, options: TokenizerOptions = PLAIN, directory: str | None = None) -> Sentences:
    """Reads plain sentences, one per line, as words to be tagged.

    Words are those of the original's `BasicTokenizer` for cased text: between whitespace, punctuation and Chinese
    characters each a word. `lines` are made of them: a word a line, an empty line after each sentence.

    Args:
      path: the file.
      options: of the model's tokenizer, by which Chinese characters may be joined and tokens stay whole.
      directory: for what is large; None: the system's directory for temporary files.

    Raises:
      InputError: the file cannot be read, or has no words.
    """
    texts = Texts(options, directory)
    for number, line in enumerate(files.read_lines(path), 1):
        text = line.removeprefix("\ufeff").removesuffix("\r") if number == 1 else line.removesuffix("\r")
        texts.add(number, text)
    return texts.sentences(path, "a sentence on each line")


class Texts:
    """Texts that become sentences, one after the other.

    Args:
      options: of the model's tokenizer, by which Chinese characters may be joined and tokens stay whole.
      directory: for what is large; None: the system's directory for temporary files.
    """

    def __init__(self, options: TokenizerOptions, directory: str | None) -> None:
        self._tokenizer = BasicTokenizer.of(False, dataclasses.replace(options, strip_accents=None))
        self._collected = Collected(directory)
        self._texts = SpilledSequence[str](directory)
        self._offsets, self._numbers = array("q"), array("q")

    def add(self, number: int, text: str) -> list[tuple[int, int]]:
        """Adds a text, unless it has no words.

        Args:
          number: of its line in the file, from 1.
          text: the text.

        Returns:
          Where each of its words begins and ends in it, in characters.
        """
        words = self._tokenizer.tokenize(text)
        offsets = _offsets(text, words)
        if words:
            for word in words:
                self._collected.add_line(word)
                self._collected.add_word(word)
            self._collected.add_line("")
            self._collected.end_sentence()
            self._offsets.extend(itertools.chain.from_iterable(offsets))
            self._texts.extend([text])
            self._numbers.append(number)
        return offsets

    def sentences(self, path: str, expected: str, tags: Sequence[str] | None = None) -> Sentences:
        """All of them.

        Args:
          path: of the file.
          expected: what it should have, for the error.
          tags: of all words, in BIO.

        Raises:
          InputError: there are no words.
        """
        if not self._numbers:
            raise InputError(f"{path} has no words; expected {expected}.")
        return dataclasses.replace(
            self._collected.sentences(path),
            tags=tags,
            texts=self._texts,
            text_lines=self._numbers,
            offsets=np.array(self._offsets, np.int64).reshape(-1, 2),
        )


def _offsets(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Where each word begins and ends in the text; between its characters may be some that the tokenizer drops."""
    found = []
    end = 0
    for word in words:
        begin = text.find(word, end)
        if begin >= 0 and not text[end:begin].strip():
            end = begin + len(word)
        else:  # what the tokenizer drops is never a character of a word
            begin = text.index(word[0], end)
            end = begin
            for character in word:
                end = text.index(character, end) + 1
        found.append((begin, end))
    return found
