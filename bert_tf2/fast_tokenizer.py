"""The tokens of `tokenization.FullTokenizer`, fast; no TensorFlow.

`FullTokenizer` is the definition. This is the same function, rearranged: almost every character means the same wherever
it stands, so what it becomes is looked up (`unicode_tables`). The few that depend on their neighbours, capital sigma and
the marks that NFD reorders, go through the definition itself.
"""

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from bert_tf2.tokenization import (
    BasicTokenizer,
    convert_ids_to_tokens,
    convert_to_unicode,
    convert_tokens_to_ids,
    load_vocab,
)
from bert_tf2.unicode_tables import CONTEXT, replacement

UNKNOWN = "[UNK]"
LONGEST_WORD = 200


class Ragged(NamedTuple):
    """Rows of different lengths; row `i` is `values[row_splits[i]:row_splits[i + 1]]`.

    Attributes:
      values: int32 `[total]`, all rows one after the other.
      row_splits: int64 `[rows + 1]`, where each row begins, and the total.
    """

    values: np.ndarray
    row_splits: np.ndarray


class _Memo(dict[Any, Any]):
    """A dict that computes what it lacks, and starts again from nothing when it has become large."""

    def __init__(self, compute: Callable[[Any], Any], limit: int = 1 << 18) -> None:
        super().__init__()
        self._compute = compute
        self._limit = limit

    def __missing__(self, key: Any) -> Any:
        if len(self) >= self._limit:
            self.clear()
        value = self[key] = self._compute(key)
        return value


class FastTokenizer:
    """Text to WordPiece ids and tokens, equal to `FullTokenizer`'s for every text and vocabulary.

    Attributes:
      vocab: the id of each piece.
      inv_vocab: the piece of each id.
      do_lower_case: whether case and accents are stripped.
      is_continuation: bool `[max id + 1]`, whether the piece of an id begins with `##`.
    """

    def __init__(self, vocab_file: str, do_lower_case: bool = True) -> None:
        """Reads the vocabulary.

        Args:
          vocab_file: as in `load_vocab`, with its errors.
          do_lower_case: whether to lower the case and strip the accents, as was done for the checkpoint's training.
        """
        self._set_up(load_vocab(vocab_file), do_lower_case)

    def _set_up(self, vocab: dict[str, int], do_lower_case: bool) -> None:
        self.vocab = vocab
        self.do_lower_case = do_lower_case
        self.inv_vocab = {index: piece for piece, index in vocab.items()}
        self.is_continuation = np.zeros(max(self.inv_vocab) + 1, bool)
        self.is_continuation[[index for piece, index in vocab.items() if piece.startswith("##")]] = True

        self._basic_tokenizer = BasicTokenizer(do_lower_case)
        self._continuations = {piece[2:]: index for piece, index in vocab.items() if piece.startswith("##")}
        self._longest_piece = max(map(len, vocab))
        self._replacements = _Memo(lambda code: replacement(chr(code), self._basic_tokenizer))
        self._ids_of_part = _Memo(self._part)
        self._ids_of_word = _Memo(self._word)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self.vocab, self.do_lower_case)

    def tokenize(self, text: str | bytes) -> list[str]:
        """The pieces of the text, each in the vocabulary. Bytes are UTF-8, checked as in `convert_to_unicode`."""
        pieces = self.inv_vocab
        return [pieces[index] for index in self.encode(text)]

    def encode(self, text: str | bytes) -> list[int]:
        """The ids of the pieces of the text: `convert_tokens_to_ids(tokenize(text))`."""
        ids: list[int] = []
        parts = self._ids_of_part
        # U+0020 alone: `str.split()` also splits at control characters, which the rules delete.
        for part in convert_to_unicode(text).split(" "):
            ids += parts[part]
        return ids

    def encode_batch(self, texts: Sequence[str]) -> Ragged:
        """The ids of many texts, without a Python object for each token.

        Args:
          texts: strings of any length.

        Returns:
          A row of ids for each text, in their order; `encode(text)` each.
        """
        values = array("i")
        splits = np.zeros(len(texts) + 1, np.int64)
        for row, text in enumerate(texts, 1):
            values.extend(self.encode(text))
            splits[row] = len(values)
        return Ragged(np.array(values, np.int32), splits)

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """The ids of tokens; an unknown token raises `InputError`, it does not become `[UNK]`."""
        return convert_tokens_to_ids(self.vocab, tokens)

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """The tokens of ids; an unknown id raises `InputError`."""
        return convert_ids_to_tokens(self.inv_vocab, ids)

    def _part(self, part: str) -> tuple[int, ...]:
        """The ids of a text without blanks."""
        cleaned = part.translate(self._replacements)
        words = self._basic_tokenizer.tokenize(part) if CONTEXT in cleaned else cleaned.split()
        return tuple(index for word in words for index in self._ids_of_word[word])

    def _word(self, word: str) -> tuple[int, ...]:
        """The ids of a word: at each place the longest piece that fits, or `[UNK]` for the whole word."""
        if len(word) > LONGEST_WORD:
            return (self.vocab[UNKNOWN],)
        ids: list[int] = []
        start = 0
        while start < len(word):
            pieces = self._continuations if start else self.vocab
            for end in range(min(len(word), start + self._longest_piece), start, -1):
                index = pieces.get(word[start:end])
                if index is not None:
                    break
            else:
                return (self.vocab[UNKNOWN],)
            ids.append(index)
            start = end
        return tuple(ids)


def _unpickled(vocab: dict[str, int], do_lower_case: bool) -> FastTokenizer:
    tokenizer = FastTokenizer.__new__(FastTokenizer)
    tokenizer._set_up(vocab, do_lower_case)
    return tokenizer
