"""Words of Chinese text, whose characters whole-word masking masks together; no TensorFlow.

Tokens of Chinese text are single characters, which do not show where words begin. So a character that continues a word
is *marked* while instances are created: its id is shifted by the size of the vocabulary, where Chinese-BERT-wwm adds
the prefix `##` (https://arxiv.org/abs/1906.08101). The records contain the ids without marks.

In segmented text, a word is a run of Chinese characters between spaces or other characters. With a word list, it is the
longest word of the list that begins where the previous word ends, or else a single character.
"""

import functools
import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bert_tf2.errors import InputError
from bert_tf2.io import file_system, files
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer, Ragged
from bert_tf2.tokenization.longest_words import LongestWords
from bert_tf2.tokenization.unicode_tables import CODE_POINTS, code_points
from bert_tf2.tokenization.wordpiece import CHINESE_BLOCKS

_CLASS = "".join(f"{chr(first)}-{chr(last)}" for first, last in CHINESE_BLOCKS)
_RUN = re.compile(f"[{_CLASS}]+")
_PART = re.compile(f"[{_CLASS}]|[^{_CLASS}]+")


def read_word_list(path: str) -> LongestWords:
    """Reads words, one per line; anything after a space or tab, such as a frequency, is ignored.

    Raises:
      InputError: the file cannot be read, or has no word of at least two Chinese characters.
    """
    try:
        return _read_word_list(path, file_system.stat(path).st_mtime_ns)
    except OSError as error:
        raise files.cannot_read(path, error) from None


@functools.lru_cache(maxsize=1)  # a worker processes many groups with one list
def _read_word_list(path: str, _: int) -> LongestWords:
    firsts = (line.removeprefix("\ufeff").split(maxsplit=1)[:1] for line in files.read_lines(path))
    words = {first[0] for first in firsts if first and len(first[0]) > 1 and _RUN.fullmatch(first[0])}
    if not words:
        raise InputError(
            f"--word_list: {path} has no word of at least two Chinese characters; expected a word on each line."
        )
    return LongestWords(words, [chr(code) for code in np.flatnonzero(_chinese_table()).tolist()])


def chinese_pieces(vocab: Mapping[str, int]) -> NDArray[np.bool_]:
    """Whether the piece of an id is a single Chinese character: bool `[highest id + 1]`."""
    is_chinese = np.zeros(max(vocab.values()) + 1, np.bool_)
    is_chinese[[number for piece, number in vocab.items() if len(piece) == 1 and _RUN.match(piece)]] = True
    return is_chinese


class WordMarker:
    """Marks the tokens of Chinese characters that continue a word.

    Args:
      tokenizer: the tokenizer of the text.
      words: the word list; None: the text is segmented.

    Attributes:
      shift: the number added to the id of a marked token.
      characters: the number of Chinese characters so far.
      marked: the number of marked characters so far.
    """

    def __init__(self, tokenizer: FastTokenizer, words: LongestWords | None) -> None:
        self._tokenizer, self._words = tokenizer, words
        self._is_chinese = chinese_pieces(tokenizer.vocab)
        self.shift = self._is_chinese.size
        self.characters = self.marked = 0

    def mark(self, lines: Sequence[str], encoded: Ragged) -> NDArray[np.int32]:
        """Marks the tokens of lines.

        Args:
          lines: the text.
          encoded: the ids of its tokens, a row for each line.

        Returns:
          int32, `encoded.values` with marks.
        """
        codes = code_points("\n".join(lines))
        is_chinese = _chinese_table()[codes]
        if not is_chinese.any():
            return encoded.values
        continues = self._continues(codes, is_chinese)
        # Each Chinese character is one token, whose piece is this character unless the vocabulary lacks it.
        line_ends = np.cumsum(np.fromiter(map(len, lines), np.int64, len(lines)) + 1) - 1
        # The end of each line, counting only Chinese characters.
        character_ends = np.concatenate([[0], np.cumsum(is_chinese)])[line_ends]
        is_token = self._is_chinese[encoded.values]
        token_ends = np.concatenate([[0], np.cumsum(is_token)])[encoded.row_splits]
        characters = np.diff(character_ends, prepend=0)
        agree = characters == np.diff(token_ends)
        is_token &= np.repeat(agree, np.diff(encoded.row_splits))
        is_marked = np.zeros(encoded.values.size, np.bool_)
        is_marked[is_token] = continues[np.repeat(agree, characters)]
        for line in np.flatnonzero(~agree).tolist():
            start, end = encoded.row_splits[line : line + 2]
            line_continues = continues[character_ends[line] - characters[line] : character_ends[line]]
            is_marked[start:end] = self._marks_of_line(lines[line], line_continues, int(end - start))
        self.characters += continues.size
        self.marked += int(np.count_nonzero(is_marked))
        return encoded.values + np.int32(self.shift) * is_marked

    def _continues(self, codes: NDArray[np.int32], is_chinese: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether each Chinese character of a text continues a word, bool [Chinese characters]."""
        if self._words is None:
            return np.concatenate([[False], is_chinese[:-1]])[is_chinese]
        lengths = self._words.lengths(codes, is_chinese)
        continues = np.ones(np.count_nonzero(is_chinese), np.bool_)
        if lengths.sum() != continues.size:
            return np.zeros_like(continues)
        continues[np.cumsum(lengths) - lengths] = False
        return continues

    def _marks_of_line(self, line: str, continues: NDArray[np.bool_], tokens: int) -> NDArray[np.bool_]:
        """Whether each token of a line is marked; slow, as each part of the line is tokenized separately."""
        parts = _PART.findall(line)
        counts = np.diff(self._tokenizer.encode_batch(parts).row_splits)
        is_character = np.array([_RUN.match(part) is not None for part in parts], np.bool_)
        marks = np.zeros(tokens, np.bool_)
        if counts.sum() == tokens and (counts[is_character] == 1).all():
            marks[(np.cumsum(counts) - counts)[is_character]] = continues
        return marks


@functools.cache
def _chinese_table() -> NDArray[np.bool_]:
    """Whether a code point is a Chinese character: bool `[0x110000]`."""
    table = np.zeros(CODE_POINTS, np.bool_)
    for first, last in CHINESE_BLOCKS:
        table[first : last + 1] = True
    return table
