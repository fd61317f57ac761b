"""A fast implementation of `tokenization.FullTokenizer`; no TensorFlow.

`FullTokenizer` is the definition of the rules; this is the same function, rearranged. Almost every character means the
same wherever it stands, so a text is a string of replacements that are looked up (`unicode_tables`). Text with one of
the few characters that depend on their neighbours, capital sigma and the marks that NFD sorts, goes through the rules.

There are two implementations with the same results. Plain Python caches the ids of words: for small amounts of text,
and for text that needs the rules. A kernel compiled with Numba (`_wordpiece_numba`) caches nothing and is many times
faster, but loading it takes longer than tokenizing a little text; so it is loaded when there has been enough text.
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

# To import Numba and the kernel takes half a second, to compile it for the first time a few: as long as plain Python
# takes for this many characters. So that is when a tokenizer turns to the kernel.
_PATIENCE = 2_000_000
# A text this short is found among the remembered words more quickly than a call of the kernel takes.
_SHORT = 32
# Characters that the kernel gets at a time: enough that a call costs nothing, few enough for the processor's cache.
_CHUNK = 1 << 16


class Ragged(NamedTuple):
    """Rows of different lengths; row `i` is `values[row_splits[i]:row_splits[i + 1]]`.

    Attributes:
      values: int32 `[total]`, all rows one after the other.
      row_splits: int64 `[rows + 1]`, where each row begins, and the total.
    """

    values: np.ndarray
    row_splits: np.ndarray


def ragged(rows: Sequence[Sequence[int]]) -> Ragged:
    """Rows of ids as one array."""
    splits = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=splits[1:])
    return Ragged(np.fromiter(itertools.chain.from_iterable(rows), np.int32, int(splits[-1])), splits)


class _Memo(dict[Any, Any]):
    """A dict that computes missing values, and is cleared when it has become large."""

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
      do_lower_case: whether case and, by default, accents are stripped.
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
          InputError: a token that is never split is not in the vocabulary.
        """
        vocab = load_vocab(vocab_file)
        check_in_vocab(options, vocab, vocab_file)
        self._set_up(vocab, do_lower_case, options)

    @classmethod
    def of_vocab(cls, vocab: dict[str, int], do_lower_case: bool, options: TokenizerOptions = PLAIN) -> Self:
        """A tokenizer of a vocabulary that has been read, and that has all tokens that are never split."""
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
        self._whole = re.compile(pattern) if pattern else None
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
        # Not the tables: another process may run another Python, with other Unicode tables.
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
        if self._whole is not None:
            return self._encode_around(text, self._whole)
        return self._encode_text(text)

    def _encode_around(self, text: str, whole: re.Pattern[str]) -> list[int]:
        """The ids of a text that may have tokens that are never split."""
        ids: list[int] = []
        for number, part in enumerate(whole.split(text)):  # every second one is a token
            ids += [self.vocab[part]] if number % 2 else self._encode_text(part)
        return ids

    def _encode_text(self, text: str) -> list[int]:
        """The ids of a text without such tokens."""
        if len(text) > _SHORT and (self._kernel is not None or self._use_kernel(len(text))):
            ids = self._kernel.encode_text(_utf_32(text), *self._tables)
            if ids is not None:
                return ids
        return self._encode(text)

    def expect(self, characters: int) -> None:
        """Announces how much text is to come: if it is enough, the kernel is loaded now."""
        self._use_kernel(characters)

    def encode_batch(self, texts: Sequence[str]) -> Ragged:
        """The ids of many texts, without a Python object for each token.

        Args:
          texts: strings of any length, none of them `bytes`.

        Returns:
          A row of ids for each text, in their order: that of `encode(text)`.

        Raises:
          TypeError: `texts` is a single text, or contains something other than `str`.
        """
        if isinstance(texts, str | bytes):
            raise TypeError("encode_batch takes a sequence of texts; for a single one, use encode.")
        return self._encode_texts(texts) if self._whole is None else self._encode_all_around(texts, self._whole)

    def _encode_all_around(self, texts: Sequence[str], whole: re.Pattern[str]) -> Ragged:
        """`encode_batch` of texts that may have tokens that are never split: the texts around them are a batch, too."""
        parts: list[str] = []
        tokens: list[int] = []
        places: list[int] = []  # the part that each token comes after
        ends = np.zeros(len(texts) + 1, np.int64)  # parts of the texts up to each
        counts = np.zeros(len(texts) + 1, np.int64)  # tokens in them
        for row, text in enumerate(texts):
            found = whole.split(text)  # every second one is a token
            places += range(len(parts), len(parts) + len(found) // 2)
            parts += found[::2]
            tokens += [self.vocab[token] for token in found[1::2]]
            ends[row + 1], counts[row + 1] = len(parts), len(tokens)
        around = self._encode_texts(parts)
        ids = np.insert(around.values, around.row_splits[np.array(places, np.int64) + 1], np.array(tokens, np.int32))
        return Ragged(ids, around.row_splits[ends] + counts)

    def _encode_texts(self, texts: Sequence[str]) -> Ragged:
        """`encode_batch` of texts without such tokens."""
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        encode = self._encode_by_kernel if self._use_kernel(int(lengths.sum())) else self._encode_by_memory
        ids = [np.empty(0, np.int32)]
        splits = np.zeros(len(texts) + 1, np.int64)
        for begin, end in _chunks(lengths):
            chunk_ids, counts = encode(texts[begin:end], lengths[begin:end])
            ids.append(chunk_ids)
            splits[begin + 1 : end + 1] = counts
        return Ragged(np.concatenate(ids), np.cumsum(splits))

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """The ids of tokens; an unknown token raises `InputError`, it does not become `[UNK]`."""
        return convert_tokens_to_ids(self.vocab, tokens)

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """The tokens of ids; an unknown id raises `InputError`."""
        return convert_ids_to_tokens(self.inv_vocab, ids)

    def _use_kernel(self, characters: int) -> bool:
        """Whether this many characters are for the kernel, which is loaded when there have been enough."""
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
        self._kernel = loaded  # Last, as another thread may ask for it.

    def _encode_by_kernel(self, texts: Sequence[str], lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The ids of texts, int32 `[total]`, and how many each has, int64 `[rows]`."""
        ids, counts = self._kernel.encode_texts(_utf_32("".join(texts)), lengths, *self._tables)
        left = np.flatnonzero(counts == self._kernel.NEEDS_RULES)
        if not len(left):
            return ids, counts
        counts[left] = 0
        places = np.cumsum(counts)[left]
        left_ids, counts[left] = self._encode_by_memory([texts[row] for row in left.tolist()], lengths[left])
        return np.insert(ids, np.repeat(places, counts[left]), left_ids), counts

    def _encode_by_memory(self, texts: Sequence[str], _: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `_encode_by_kernel`, in plain Python."""
        ids = array("i")
        counts = np.empty(len(texts), np.int64)
        for row, text in enumerate(texts):
            row_ids = self._encode(text)
            ids.extend(row_ids)
            counts[row] = len(row_ids)
        return np.array(ids, np.int32), counts

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = []
        remembered = self._ids_of_part
        # At spaces alone: `str.split()` also splits at control characters, which the rules delete.
        for part in text.split(" "):
            ids += remembered[part] if len(part) <= _SHORT else self._encode_part(part)
        return ids

    def _encode_part(self, part: str) -> tuple[int, ...]:
        """The ids of a text that stands between spaces."""
        cleaned = part.translate(self._replacement_of)
        words = self._words.tokenize(part) if CONTEXT in cleaned else cleaned.split()
        return tuple(index for word in words for index in self._ids_of_word[word])

    def _encode_word(self, word: str) -> tuple[int, ...]:
        """The ids of a word as `WordpieceTokenizer` cuts it; no longer pieces are tried than there are."""
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
    # As `text.encode`, which looks for the codec first, twice the time. The rules let lone surrogates through.
    return codecs.utf_32_le_encode(text, "surrogatepass")[0]


def _chunks(lengths: np.ndarray) -> Iterator[tuple[int, int]]:
    """Ranges of rows, one after the other, each of about `_CHUNK` characters or a single, longer one."""
    if not len(lengths):
        return
    ends = np.cumsum(lengths)
    full = np.searchsorted(ends, np.arange(_CHUNK, ends[-1], _CHUNK)) + 1
    bounds = np.unique([0, *full, len(lengths)]).tolist()
    yield from itertools.pairwise(bounds)
