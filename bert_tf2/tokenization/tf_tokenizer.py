"""`tokenization.FullTokenizer` as TensorFlow operations, so that a SavedModel takes raw text.

The ids are those of `FullTokenizer` for every text in valid UTF-8; invalid bytes are omitted. Cleaning, lower-casing,
accents and punctuation follow tables made from the rules themselves (`character_tables`); words are split into pieces
by `tensorflow_text.FastWordpieceTokenizer`. A process that loads a model with such a tokenizer must import
`tensorflow_text`.

Shapes: `N` texts, `T` characters of all texts with a space after each text, `W` words.
"""

import os
import unicodedata
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from bert_tf2.configs.tokenizer import PLAIN, TokenizerOptions
from bert_tf2.errors import InputError
from bert_tf2.tokenization.auto import VocabularyFile
from bert_tf2.tokenization.character_tables import (
    BLOCK,
    CAPITAL_SIGMA,
    CASED,
    FINAL_SIGMA,
    IGNORED,
    SELF,
    STARTER,
    Blocks,
    CharacterTables,
    make_tables,
)
from bert_tf2.tokenization.sentencepiece import SentencePieceTokenizer
from bert_tf2.tokenization.vocab_file import SPECIAL_TOKENS, UNKNOWN, check_in_vocab, load_vocab, with_added
from bert_tf2.tokenization.wordpiece import WordpieceTokenizer

_SPACE = ord(" ")
_NO_WORD = "\ufffd"  # deleted by the rules, so that no text has a piece that contains it
_LONGEST_WORD = WordpieceTokenizer(()).max_input_chars_per_word
_MOST_BYTES = 4 * _LONGEST_WORD
_CLASSES = 256  # combining classes are below this

_TEXTS = [tf.TensorSpec([None], tf.string)]


class GraphTokenizer(tf.Module):
    """WordPiece ids of raw text inside a graph.

    Args:
      vocab_file: as in `tokenization.load_vocab`, with its errors.
      do_lower_case: whether to lower-case the text and strip accents.
      options: options that differ from the original.
      added_tokens: pieces whose ids follow the last one of the file.

    Attributes:
      vocab: the id of each piece.

    Raises:
      InputError: a `never_split` token is not in the vocabulary.
    """

    def __init__(
        self,
        vocab_file: str | os.PathLike[str],
        do_lower_case: bool = True,
        options: TokenizerOptions = PLAIN,
        added_tokens: Sequence[str] = (),
    ) -> None:
        import tensorflow_text

        super().__init__(name="tokenizer")
        self.vocab = with_added(load_vocab(vocab_file), added_tokens)
        check_in_vocab(options, self.vocab, os.fspath(vocab_file))
        self._tables = _constants(make_tables(do_lower_case, options))
        self._never_split = options.pattern()
        if self._never_split is not None:
            self._never_split_ids = _table_of({token: self.vocab[token] for token in options.never_split})
        self._pieces = tensorflow_text.FastWordpieceTokenizer(
            _usable_pieces(self.vocab),
            max_bytes_per_word=_MOST_BYTES,
            token_out_type=tf.int32,
            unknown_token=UNKNOWN,
            no_pretokenization=True,
        )

    @tf.function(input_signature=_TEXTS, autograph=False)
    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """`FullTokenizer`'s ids: `texts string [N] -> int32 [N, (pieces)]`."""
        if self._never_split is None:
            return self._encode(texts)
        parts, ids = self._split_at_never_split(texts)
        others = self._encode(tf.where(ids < 0, parts.values, ""))  # [P, (pieces)], P parts
        tokens = tf.RaggedTensor.from_row_lengths(tf.boolean_mask(ids, ids >= 0), tf.cast(ids >= 0, tf.int64))
        return parts.with_values(tf.concat([others, tokens], axis=1)).merge_dims(1, 2)

    def _encode(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """`tokenize` for texts without `never_split` tokens."""
        words = self._words(texts)
        is_long = tf.strings.length(words.values, unit="UTF8_CHAR") > _LONGEST_WORD
        pieces = self._pieces.tokenize(tf.where(is_long, _NO_WORD, words.values))  # [W, (pieces)]
        return words.with_values(pieces).merge_dims(1, 2)

    @tf.function(input_signature=_TEXTS, autograph=False)
    def words(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """`BasicTokenizer`'s words: `texts string [N] -> string [N, (words)]`."""
        if self._never_split is None:
            return self._words(texts)
        parts, ids = self._split_at_never_split(texts)
        others = self._words(tf.where(ids < 0, parts.values, ""))
        is_token = tf.cast(ids >= 0, tf.int64)
        tokens = tf.RaggedTensor.from_row_lengths(tf.boolean_mask(parts.values, ids >= 0), is_token)
        return parts.with_values(tf.concat([others, tokens], axis=1)).merge_dims(1, 2)

    def _split_at_never_split(self, texts: tf.Tensor) -> tuple[tf.RaggedTensor, tf.Tensor]:
        """Texts split at `never_split` tokens, string `[N, (parts)]`; the ids of these tokens, -1 for other parts."""
        parts = split_around(texts, str(self._never_split))
        return parts, self._never_split_ids.lookup(parts.values)

    def _words(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """`words` for texts without `never_split` tokens."""
        codes, rows = decode(texts)
        tables = self._tables
        if tables.case is not None:
            has_sigma = tf.reduce_any(tf.equal(codes, CAPITAL_SIGMA))
            codes = tf.cond(has_sigma, lambda: _with_final_sigmas(codes, tables.case), lambda: codes)
        codes, rows = _replace(codes, rows, tables)
        if tables.combining is not None:
            classes = look_up(tables.combining, codes)
            codes = tf.cond(tf.reduce_any(classes > 0), lambda: _sort_marks(codes, classes), lambda: codes)
            stays = tf.not_equal(codes, STARTER)
            codes, rows = tf.boolean_mask(codes, stays), tf.boolean_mask(rows, stays)
        return _split_words(codes, rows, tf.size(texts, tf.int64))


class GraphSentencePieceTokenizer(tf.Module):
    """SentencePiece ids of raw text inside a graph, those of `sentencepiece.SentencePieceTokenizer`.

    Args:
      model_file: as in `SentencePieceTokenizer`, with its errors.
      do_lower_case: whether the text is lower-cased.

    Attributes:
      vocab: the id of each piece.

    Raises:
      InputError: the text should be lower-cased, but the model does not do that itself, as is necessary in a graph.
    """

    def __init__(self, model_file: str | os.PathLike[str], do_lower_case: bool = False) -> None:
        import tensorflow_text

        super().__init__(name="tokenizer")
        python = SentencePieceTokenizer(model_file)
        if do_lower_case and python.encode("A") != python.encode("a"):
            raise InputError(
                f"{os.fspath(model_file)} does not fold case itself, so its tokenizer with --do_lower_case "
                "cannot be put into a graph; --format=onnx takes token ids."
            )
        self.vocab = python.vocab
        ids = np.arange(len(self.vocab), dtype=np.int32)
        # Text that spells a special piece does not become one.
        ids[[self.vocab[token] for token in SPECIAL_TOKENS]] = self.vocab[UNKNOWN]
        self._ids = tf.constant(ids)
        with tf.io.gfile.GFile(os.fspath(model_file), "rb") as file:
            self._pieces = tensorflow_text.SentencepieceTokenizer(file.read())

    @tf.function(input_signature=_TEXTS, autograph=False)
    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """The ids: `texts string [N] -> int32 [N, (pieces)]`."""
        pieces = self._pieces.tokenize(texts)
        return tf.gather(self._ids, pieces).with_row_splits_dtype(tf.int64)


def _usable_pieces(vocab: dict[str, int]) -> list[str]:
    """The pieces in the order of their ids, with placeholders for ids that no text can have."""
    pieces = [f"{_NO_WORD}{index}" for index in range(max(vocab.values()) + 1)]
    for piece, index in vocab.items():
        text = piece.removeprefix("##")
        # The library rejects some of these pieces; no word contains them.
        if text and not any(char.isspace() or unicodedata.category(char) == "Cc" for char in text):
            pieces[index] = piece
    return pieces


def split_around(texts: tf.Tensor, pattern: str) -> tf.RaggedTensor:
    """Texts split before and after each match of `TokenizerOptions.pattern`: `string [N] -> string [N, (parts)]`."""
    import tensorflow_text

    valid = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8")  # the regular expression needs valid UTF-8
    # Both characters are deleted later, but for the library, NUL would end the text.
    valid = tf.strings.regex_replace(valid, r"\x00", "\ufffd")
    return tensorflow_text.regex_split(valid, pattern, pattern).with_row_splits_dtype(tf.int64)


def _table_of(ids: dict[str, int]) -> tf.lookup.StaticHashTable:
    keys, values = tf.constant(list(ids), tf.string), tf.constant(list(ids.values()), tf.int32)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), default_value=-1)


def _constants(tables: CharacterTables) -> CharacterTables:
    """The arrays as tensors."""
    return tf.nest.map_structure(lambda values: None if values is None else tf.constant(values), tables)


def look_up(blocks: Blocks, codes: tf.Tensor) -> tf.Tensor:
    """The number of each code point: `codes int32 [T] -> int32 [T]`."""
    rows = tf.gather(blocks.block_of, codes // BLOCK)
    return tf.gather(tf.reshape(blocks.rows, [-1]), rows * BLOCK + codes % BLOCK)


def decode(texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Code points of `texts [N]` with a space after each text, int32 `[T]`, and the row of each, int64 `[T]`."""
    codes = tf.strings.unicode_decode(texts, "UTF-8")  # [N, (characters)]
    codes = tf.concat([codes, tf.fill([tf.size(texts), 1], _SPACE)], axis=1)
    return codes.values, codes.value_rowids()


def _with_final_sigmas(codes: tf.Tensor, case: Blocks) -> tf.Tensor:
    """Replaces capital sigmas that end a word by the final form of the small letter: int32 `[T]`.

    The tables replace the others.
    """
    classes = look_up(case, codes)
    is_counted = tf.not_equal(classes, IGNORED)
    # Whether each character that is not ignored is cased, with False before the first and after the last.
    cased = tf.concat([[False], tf.boolean_mask(tf.equal(classes, CASED), is_counted), [False]], 0)
    before = tf.cumsum(tf.cast(is_counted, tf.int32), exclusive=True)  # the index in `cased` of the one before each
    ends_word = tf.gather(cased, before) & ~tf.gather(cased, before + 2)
    return tf.where(tf.equal(codes, CAPITAL_SIGMA) & ends_word, FINAL_SIGMA, codes)


def _replace(codes: tf.Tensor, rows: tf.Tensor, tables: CharacterTables) -> tuple[tf.Tensor, tf.Tensor]:
    """Replaces characters; `codes` and `rows` are as returned by `decode`."""
    numbers = look_up(tables.replacement, codes)
    starts, lengths = tf.gather(tables.starts, numbers), tf.gather(tables.lengths, numbers)
    replaced = tf.gather(tables.characters, tf.ragged.range(starts, starts + lengths).values)
    return tf.where(tf.equal(replaced, SELF), tf.repeat(codes, lengths), replaced), tf.repeat(rows, lengths)


def _sort_marks(codes: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    """Sorts the marks in each run by their combining class, as NFD does: int32 `[T]`.

    Args:
      codes: int32 `[T]`.
      classes: int32 `[T]`; 0 ends a run.
    """
    runs = tf.cumsum(tf.cast(tf.equal(classes, 0), tf.int64))
    return tf.gather(codes, tf.argsort(runs * _CLASSES + tf.cast(classes, tf.int64), stable=True))


def _split_words(codes: tf.Tensor, rows: tf.Tensor, count: tf.Tensor) -> tf.RaggedTensor:
    """The words between spaces: string `[N, (words)]`.

    Args:
      codes: int32 `[T]`.
      rows: int64 `[T]`, ascending.
      count: int64, `N`.
    """
    is_letter = tf.not_equal(codes, _SPACE)
    begins = is_letter & tf.concat([[True], ~is_letter[:-1]], 0)
    word_of = tf.cumsum(tf.cast(begins, tf.int64))
    words = tf.RaggedTensor.from_value_rowids(
        tf.boolean_mask(codes, is_letter),
        tf.boolean_mask(word_of, is_letter) - 1,
        nrows=tf.reduce_sum(tf.cast(begins, tf.int64)),
        validate=False,
    )
    return tf.RaggedTensor.from_value_rowids(
        tf.strings.unicode_encode(words, "UTF-8"), tf.boolean_mask(rows, begins), nrows=count, validate=False
    )


Tokenizer = GraphTokenizer | GraphSentencePieceTokenizer


def make(vocabulary: VocabularyFile, do_lower_case: bool) -> Tokenizer:
    """The counterpart of `vocabulary.tokenizer(do_lower_case)` for use in a graph."""
    if vocabulary.is_sentencepiece:
        return GraphSentencePieceTokenizer(vocabulary.path, do_lower_case)
    return GraphTokenizer(vocabulary.path, do_lower_case, vocabulary.options, vocabulary.added_tokens)
