"""A fast implementation of `tokenization.FullTokenizer`; no TensorFlow.

`FullTokenizer` defines the rules; this computes the same results in another way. Almost every character has the same
effect in any context, so a text is a string of replacements from a table (`unicode_tables`). Only text with one of the
few characters that depend on their neighbours, capital sigma and the marks that NFD sorts, goes through the rules.

There are two implementations with the same results. Plain Python, with a cache of the ids of words, is for small
amounts of text, and for text that needs the rules. A kernel compiled with Numba (`_wordpiece_numba`) is many times
faster, but loading it takes longer than tokenizing a little text; so it is only loaded once there has been enough text.
"""

import codecs
import functools
import itertools
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from bert_tf2.configs.tokenizer import PLAIN, TokenizerOptions
from bert_tf2.numba_support import kernel
from bert_tf2.tokenization.unicode_tables import CONTEXT, load_replacements, replacement
from bert_tf2.tokenization.vocab_file import check_in_vocab
from bert_tf2.tokenization.wordpiece import (
    UNKNOWN,
    BasicTokenizer,
    WordpieceTokenizer,
    convert_ids_to_tokens,
    convert_to_unicode,
    convert_tokens_to_ids,
    load_vocab,
)

# Characters after which a tokenizer loads the kernel. Importing it takes half a second, compiling it for the first time
# a few seconds; plain Python tokenizes this many characters in that time.
_PATIENCE = 2_000_000
# Looking up texts up to this length in the cache is faster than a call of the kernel.
_SHORT = 32
# Characters per call of the kernel: enough to make the cost of a call negligible, few enough for the processor's cache.
_CHUNK = 1 << 16


class Ragged(NamedTuple):
    """Rows of different lengths; row `i` is `values[row_splits[i]:row_splits[i + 1]]`.

    Attributes:
      values: int32 `[total]`, the concatenated rows.
      row_splits: int64 `[rows + 1]`, the start of each row, and the total.
    """

    values: np.ndarray
    row_splits: np.ndarray


def ragged(rows: Sequence[Sequence[int]]) -> Ragged:
    """Concatenates rows of ids."""
    splits = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=splits[1:])
    return Ragged(np.fromiter(itertools.chain.from_iterable(rows), np.int32, int(splits[-1])), splits)


class _Memo(dict[Any, Any]):
    """A dict that computes missing values, and is cleared when it gets too large."""

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
    """Converts text to WordPiece ids and tokens, equal to `FullTokenizer`'s for every text and vocabulary.

    Attributes:
      vocab: the id of each piece.
      inv_vocab: the piece of each id.
      do_lower_case: whether text is lower-cased and, by default, accents are stripped.
      options: the tokenizer's other options.
      is_continuation: bool `[max id + 1]`, whether the piece of an id begins with `##`.
    """

    def __init__(self, vocab_file: str, do_lower_case: bool = True, options: TokenizerOptions = PLAIN) -> None:
        """Reads the vocabulary.

        Args:
          vocab_file: as in `load_vocab`, with its errors.
          do_lower_case: whether to lower-case and strip accents, as in the checkpoint's training.
          options: options that differ from the original.

        Raises:
          InputError: a `never_split` token is not in the vocabulary.
        """
        vocab = load_vocab(vocab_file)
        check_in_vocab(options, vocab, vocab_file)
        self._set_up(vocab, do_lower_case, options)

    @classmethod
    def of_vocab(cls, vocab: dict[str, int], do_lower_case: bool, options: TokenizerOptions = PLAIN) -> Self:
        """A tokenizer with a vocabulary that has been loaded and contains all `never_split` tokens."""
        tokenizer = cls.__new__(cls)
        tokenizer._set_up(vocab, do_lower_case, options)
        return tokenizer

    def __call__(
        self,
        texts: str | Sequence[str],
        pairs: str | Sequence[str] | None = None,
        max_length: int | None = None,
        pad_to_max_length: bool = False,
    ) -> dict[str, Any]:
        """A model's inputs; see `sequences.make_batch`."""
        from bert_tf2.tokenization import sequences

        return sequences.make_batch(self.encode_batch, self.vocab, texts, pairs, max_length, pad_to_max_length)

    def _set_up(self, vocab: dict[str, int], do_lower_case: bool, options: TokenizerOptions = PLAIN) -> None:
        self.vocab = vocab
        self.do_lower_case = do_lower_case
        self.options = options
        pattern = options.pattern()
        self._never_split = re.compile(pattern) if pattern else None
        self.inv_vocab = {index: piece for piece, index in vocab.items()}
        self.is_continuation = np.zeros(max(self.inv_vocab) + 1, bool)
        self.is_continuation[[index for piece, index in vocab.items() if piece.startswith("##")]] = True

        self._words = BasicTokenizer.of(do_lower_case, options.of_characters)
        self._pieces = WordpieceTokenizer(vocab, UNKNOWN)
        self._replacement_of = _Memo(lambda code: replacement(chr(code), self._words))
        self._ids_of_part = _Memo(self._encode_part)
        self._ids_of_word = _Memo(self._encode_word)

        self._kernel: Any = None
        self._tables: tuple[Any, ...] = ()
        self._patience: float = _PATIENCE  # characters, until the kernel is loaded

    @functools.cached_property
    def _continuations(self) -> dict[str, int]:
        return {piece[2:]: index for piece, index in self.vocab.items() if piece.startswith("##")}

    @functools.cached_property
    def _longest_piece(self) -> int:
        return max(map(len, self.vocab))

    def __getstate__(self) -> dict[str, Any]:
        # Without the tables: another process may run another version of Python, with other Unicode tables.
        return {"vocab": self.vocab, "do_lower_case": self.do_lower_case, "options": self.options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._set_up(**state)

    def tokenize(self, text: str | bytes) -> list[str]:
        """The pieces of the text, each in the vocabulary. Bytes are UTF-8, checked as in `convert_to_unicode`."""
        return list(map(self.inv_vocab.__getitem__, self.encode(text)))

    def encode(self, text: str | bytes) -> list[int]:
        """The ids of the pieces of the text: `convert_tokens_to_ids(tokenize(text))`."""
        if not isinstance(text, str):
            text = convert_to_unicode(text)
        if self._never_split is not None:
            return self._encode_with_never_split(text, self._never_split)
        return self._encode_text(text)

    def _encode_with_never_split(self, text: str, never_split: re.Pattern[str]) -> list[int]:
        """The ids of a text that may contain `never_split` tokens."""
        ids: list[int] = []
        for number, part in enumerate(never_split.split(text)):  # every second part is such a token
            ids += [self.vocab[part]] if number % 2 else self._encode_text(part)
        return ids

    def _encode_text(self, text: str) -> list[int]:
        """The ids of a text without `never_split` tokens."""
        if len(text) > _SHORT and (self._kernel is not None or self._use_kernel(len(text))):
            ids = self._kernel.encode_text(_utf_32(text), *self._tables)
            if ids is not None:
                return ids
        return self._encode(text)

    def expect(self, characters: int) -> None:
        """Announces an amount of text to come; if it is large enough, the kernel is loaded now."""
        self._use_kernel(characters)

    def encode_batch(self, texts: Sequence[str]) -> Ragged:
        """The ids of many texts, without a Python object for each token.

        Args:
          texts: strings of any length; `bytes` are not accepted.

        Returns:
          A row for each text, in order, equal to `encode(text)`.

        Raises:
          TypeError: `texts` is a single text, or contains something other than `str`.
        """
        if isinstance(texts, str | bytes):
            raise TypeError("encode_batch takes a sequence of texts; for a single one, use encode.")
        if self._never_split is None:
            return self._encode_texts(texts)
        return self._encode_batch_with_never_split(texts, self._never_split)

    def _encode_batch_with_never_split(self, texts: Sequence[str], never_split: re.Pattern[str]) -> Ragged:
        """`encode_batch` for texts that may contain `never_split` tokens; the parts between them are one batch."""
        parts: list[str] = []
        tokens: list[int] = []
        preceding: list[int] = []  # the index of the part before each token
        ends = np.zeros(len(texts) + 1, np.int64)  # the number of parts in all texts up to each one
        counts = np.zeros(len(texts) + 1, np.int64)  # the number of tokens in them
        for row, text in enumerate(texts):
            segments = never_split.split(text)  # every second part is such a token
            preceding += range(len(parts), len(parts) + len(segments) // 2)
            parts += segments[::2]
            tokens += [self.vocab[token] for token in segments[1::2]]
            ends[row + 1], counts[row + 1] = len(parts), len(tokens)
        encoded = self._encode_texts(parts)
        offsets = encoded.row_splits[np.array(preceding, np.int64) + 1]
        ids = np.insert(encoded.values, offsets, np.array(tokens, np.int32))
        return Ragged(ids, encoded.row_splits[ends] + counts)

    def _encode_texts(self, texts: Sequence[str]) -> Ragged:
        """`encode_batch` for texts without `never_split` tokens."""
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        encode = self._encode_with_kernel if self._use_kernel(int(lengths.sum())) else self._encode_in_python
        ids = [np.empty(0, np.int32)]
        splits = np.zeros(len(texts) + 1, np.int64)
        for begin, end in _chunks(lengths):
            chunk_ids, counts = encode(texts[begin:end], lengths[begin:end])
            ids.append(chunk_ids)
            splits[begin + 1 : end + 1] = counts
        return Ragged(np.concatenate(ids), np.cumsum(splits))

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """The ids of tokens; an unknown token raises `InputError` and does not become `[UNK]`."""
        return convert_tokens_to_ids(self.vocab, tokens)

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """The tokens of ids; an unknown id raises `InputError`."""
        return convert_ids_to_tokens(self.inv_vocab, ids)

    def _use_kernel(self, characters: int) -> bool:
        """Whether to use the kernel for this many more characters; loads it once there have been enough."""
        if self._kernel is None:
            self._patience -= characters
            if self._patience < 0:
                self._load_kernel()
        return self._kernel is not None

    def _load_kernel(self) -> None:
        loaded = kernel("bert_tf2.tokenization._wordpiece_numba")
        replacements = load_replacements(self.do_lower_case, self.options)
        longest = self._pieces.max_input_chars_per_word
        self._tables = loaded.make_tables(self.vocab, replacements, UNKNOWN, longest)
        self._kernel = loaded  # Set last, as another thread may check it.

    def _encode_with_kernel(self, texts: Sequence[str], lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The ids of texts, int32 `[total]`, and the number of ids of each, int64 `[rows]`."""
        ids, counts = self._kernel.encode_texts(_utf_32("".join(texts)), lengths, *self._tables)
        remaining = np.flatnonzero(counts == self._kernel.NEEDS_RULES)
        if not len(remaining):
            return ids, counts
        counts[remaining] = 0
        offsets = np.cumsum(counts)[remaining]
        remaining_ids, counts[remaining] = self._encode_in_python(
            [texts[row] for row in remaining.tolist()], lengths[remaining]
        )
        return np.insert(ids, np.repeat(offsets, counts[remaining]), remaining_ids), counts

    def _encode_in_python(self, texts: Sequence[str], _: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Like `_encode_with_kernel`, in plain Python."""
        ids = array("i")
        counts = np.empty(len(texts), np.int64)
        for row, text in enumerate(texts):
            row_ids = self._encode(text)
            ids.extend(row_ids)
            counts[row] = len(row_ids)
        return np.array(ids, np.int32), counts

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = []
        cache = self._ids_of_part
        # Only at spaces: `str.split()` also splits at control characters, which the rules delete.
        for part in text.split(" "):
            ids += cache[part] if len(part) <= _SHORT else self._encode_part(part)
        return ids

    def _encode_part(self, part: str) -> tuple[int, ...]:
        """The ids of a part of a text between spaces."""
        cleaned = part.translate(self._replacement_of)
        words = self._words.tokenize(part) if CONTEXT in cleaned else cleaned.split()
        return tuple(index for word in words for index in self._ids_of_word[word])

    def _encode_word(self, word: str) -> tuple[int, ...]:
        """The ids of a word, as by `WordpieceTokenizer`, without trying more characters than the longest piece has."""
        if len(word) > self._pieces.max_input_chars_per_word:
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


def _utf_32(text: str) -> bytes:
    # Twice as fast as `text.encode`, which first looks up the codec. The rules keep lone surrogates.
    return codecs.utf_32_le_encode(text, "surrogatepass")[0]


def _chunks(lengths: np.ndarray) -> Iterator[tuple[int, int]]:
    """Consecutive ranges of rows, each of about `_CHUNK` characters, or a single longer row."""
    if not len(lengths):
        return
    ends = np.cumsum(lengths)
    full = np.searchsorted(ends, np.arange(_CHUNK, ends[-1], _CHUNK)) + 1
    bounds = np.unique([0, *full, len(lengths)]).tolist()
    yield from itertools.pairwise(bounds)
