"""Splits text without spaces into words of a list; no TensorFlow.

At each position, the longest word of the list that matches is taken, as WordPiece does with pieces, by the same kernel.
"""

import functools
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2.numba_support import kernel
from bert_tf2.tokenization.unicode_tables import BLANK, Replacements

_UNKNOWN = "[UNK]"
_LONGEST_RUN = 1 << 20


class LongestWords:
    """Splits runs of characters into words.

    Args:
      words: the list.
      alphabet: the characters that words consist of; each is a word, too.

    Attributes:
      words: the list.
    """

    def __init__(self, words: Collection[str], alphabet: Collection[str]) -> None:
        self.words, self._alphabet = words, alphabet

    @functools.cached_property
    def _kernel(self) -> tuple[Any, Any]:
        """The kernel and its tables, in which the id of each word is its length."""
        compiled: Any = kernel("bert_tf2.tokenization._wordpiece_numba")
        lengths = {word: len(word) for word in (*self._alphabet, *self.words)}
        pieces = {_UNKNOWN: 0, **lengths, **{f"##{word}": length for word, length in lengths.items()}}
        empty = np.empty(0, np.int32)
        return compiled, compiled.make_tables(pieces, Replacements(empty, empty, empty), _UNKNOWN, _LONGEST_RUN)

    def lengths(self, codes: NDArray[np.int32], is_letter: NDArray[np.bool_]) -> NDArray[np.int32]:
        """The lengths of the words, in order.

        Args:
          codes: code points of a text, int32 [characters].
          is_letter: whether each is in the alphabet, bool [characters]; words end at all others.

        Returns:
          int32 [words]; their sum is the number of letters, except that runs of more than a million letters count as 0.
        """
        compiled, tables = self._kernel
        text = np.where(is_letter, codes, np.int32(ord(BLANK))).astype("<i4").tobytes()
        lengths, _ = compiled.encode_texts(text, np.array([codes.size], np.int64), *tables)
        return lengths
