"""Plain sentences: distinguishing them from columns, and splitting them into words; no TensorFlow."""

import dataclasses
import itertools
import re
from array import array
from collections import Counter
from collections.abc import Sequence

import numpy as np

from bert_tf2.configs.tokenizer import PLAIN, TokenizerOptions
from bert_tf2.errors import InputError
from bert_tf2.io.spilled import SpilledSequence
from bert_tf2.tasks.tagging.conll import (
    COMMENT_PREFIXES,
    DOCUMENT,
    ONE_WORD_PER_LINE,
    Collected,
    Sentences,
    cells_of,
    lines_of,
)
from bert_tf2.tasks.tagging.schemes import looks_like_tag
from bert_tf2.tokenization.wordpiece import BasicTokenizer

_MAX_LINES = 1000  # that are examined
_MIN_EQUAL_FRACTION = 0.8  # of lines in columns that have the most common number of cells
_MIN_REPETITIVE_CELLS = 10  # for repetition in a column to be significant
_IS_SENTENCE, _HAS_NO_COLUMN = "is a sentence", "has no column"
_FEATURE = re.compile(r"[A-Z][A-Z0-9$]*(-.+)?|_|-")  # a part of speech, a chunk, a placeholder
_SENTENCE = re.compile(r".{3,}[。！？]", re.DOTALL)  # a Chinese or Japanese sentence, which has no spaces


def check(sentences: Sentences, token_column: int) -> None:
    """Rejects a prediction file whose lines are sentences rather than words.

    Lines with tabs are columns, and so are lines with equal numbers of cells if another column than that of the words
    looks like one: it consists of tags, or of parts of speech and the like, or has many repetitions. Unclear lines
    count as sentences unless the user gives the column of the words.

    Args:
      sentences: the sentences of the file.
      token_column: the assumed index of the column of the words.

    Raises:
      InputError: the lines are, or may be, sentences.
    """
    numbers = sentences.word_lines[:_MAX_LINES].tolist()
    lines = [sentences.lines[number] for number in numbers]
    if any("\t" in line for line in lines):
        return
    rows = [cells_of(line) for line in lines]
    where = f"{sentences.path}, line {numbers[0] + 1}"
    reason = _reason(rows, token_column)
    if reason == _IS_SENTENCE:
        raise InputError(
            f"{where} is a sentence, {rows[0][0]!r:.60}; expected {ONE_WORD_PER_LINE}. If all lines are sentences: "
            "--predict_format=text."
        )
    if reason:
        raise InputError(
            f"{where} has {len(rows[0])} words between spaces, {lines[0]!r:.60}, which looks like a sentence; expected "
            f"{ONE_WORD_PER_LINE}. If they are sentences: --predict_format=text. If they are columns, name the one "
            f"with the words: --token_column={token_column}."
        )


def _reason(rows: Sequence[Sequence[str]], token_column: int) -> str | None:
    """The reason why lines with equal numbers of cells look like sentences; None if they look like columns."""
    if len(rows[0]) == 1:
        return _IS_SENTENCE if 2 * sum(_SENTENCE.fullmatch(row[0]) is not None for row in rows) > len(rows) else None
    words = [row[token_column] for row in rows]
    columns = list(zip(*rows, strict=True))
    del columns[token_column % len(columns)]
    return None if any(_is_column(column, words) for column in columns) else _HAS_NO_COLUMN


def _is_column(cells: Sequence[str], words: Sequence[str]) -> bool:
    """Whether the cells of a column are annotations of words rather than words of sentences."""
    if all(map(looks_like_tag, cells)):
        return True
    if len(cells) >= _MIN_REPETITIVE_CELLS and 2 * len(set(cells)) <= len(cells):
        return True
    # Cells of punctuation are ignored, as its part of speech may be the punctuation itself.
    word_cells = [cell for cell, word in zip(cells, words, strict=True) if word[:1].isalpha()]
    return len(word_cells) > 1 and all(map(_FEATURE.fullmatch, word_cells))


def looks_like_text(path: str, token_column: int) -> bool:
    """Whether a file has plain sentences rather than one word per line.

    That is the case if no line has a tab, and lines differ in number of cells or look like sentences; see `check`.

    Args:
      path: the path of the file.
      token_column: the index of the column of the words, if it has columns.

    Raises:
      InputError: the file cannot be read.
    """
    lines = [line.removesuffix("\r") for line in itertools.islice(lines_of(path), _MAX_LINES)]
    rows = [cells_of(line) for line in lines if not line.startswith((*COMMENT_PREFIXES, DOCUMENT))]
    rows = [row for row in rows if row]
    if not rows or any("\t" in line for line in lines):
        return False
    most_common, count = Counter(map(len, rows)).most_common(1)[0]
    if count < _MIN_EQUAL_FRACTION * len(rows):
        return True
    rows = [row for row in rows if len(row) == most_common]
    return -most_common <= token_column < most_common and _reason(rows, token_column) is not None


def read(path: str, options: TokenizerOptions = PLAIN, directory: str | None = None) -> Sentences:
    """Reads plain sentences, one per line, as words to be tagged.

    Words are those of the original's `BasicTokenizer` for cased text: they are separated by whitespace, and each
    punctuation mark and Chinese character is a word. `lines` has one word per line and an empty line after each
    sentence.

    Args:
      path: the path of the file.
      options: the options of the model's tokenizer, which may join Chinese characters and keep tokens whole.
      directory: the directory for large data; None: the system's directory for temporary files.

    Raises:
      InputError: the file cannot be read, or has no words.
    """
    texts = Texts(options, directory)
    for number, line in enumerate(lines_of(path), 1):
        texts.add(number, line.removesuffix("\r"))
    return texts.sentences(path, "a sentence on each line")


class Texts:
    """Collects texts, each of which becomes a sentence.

    Args:
      options: the options of the model's tokenizer, see `read`.
      directory: the directory for large data; None: the system's directory for temporary files.
    """

    def __init__(self, options: TokenizerOptions, directory: str | None) -> None:
        self._tokenizer = BasicTokenizer.of(False, dataclasses.replace(options, strip_accents=None))
        self._collected = Collected(directory)
        self._texts = SpilledSequence[str](directory)
        self._offsets, self._numbers = array("q"), array("q")

    def add(self, number: int, text: str) -> list[tuple[int, int]]:
        """Adds a text, unless it has no words.

        Args:
          number: the number of its line in the file, from 1.
          text: the text.

        Returns:
          The character offsets of the beginning and end of each of its words.
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
        """The collected sentences.

        Args:
          path: the path of the file.
          expected: the expected content of the file, for the error.
          tags: the tags of all words, in BIO.

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
    """The character offsets of the beginning and end of each word; a word may contain characters that were removed."""
    offsets = []
    end = 0
    for word in words:
        begin = text.find(word, end)
        if begin >= 0 and not text[end:begin].strip():
            end = begin + len(word)
        else:  # the tokenizer removes only characters that no word contains
            begin = text.index(word[0], end)
            end = begin
            for character in word:
                end = text.index(character, end) + 1
        offsets.append((begin, end))
    return offsets
