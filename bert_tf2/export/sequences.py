"""Padded batches from the token ids of texts, inside a graph: the graph version of `tokenization.sequences`.

Shapes: `B` rows, `S` tokens of the longest row, `M` windows.
"""

from typing import NamedTuple

import tensorflow as tf

from bert_tf2.configs.long_texts import HEAD_TAIL, TRUNCATE_HEAD, TRUNCATE_TAIL, WINDOWS
from bert_tf2.tokenization.sequences import CLS, SEP, SPECIAL_IN_TEXT, head_lengths, truncated_lengths, window_sizes

Batch = dict[str, tf.Tensor]

TOKEN_IDS = {name: tf.TensorSpec([None, None], tf.int32, name) for name in ("input_ids", "input_mask", "segment_ids")}
"""A model's inputs, and the second signature of each export."""


CHARACTERS_PER_PIECE = 256
"""The number of characters of a text to read for each piece that a model has room for.

A word of more than 200 characters is one piece, `[UNK]`; so in text without longer words, and without long runs of
whitespace or removed characters, later characters have no effect.
"""


def beginning(texts: tf.Tensor, pieces: int) -> tf.Tensor:
    """The beginning of texts, string `[B]`, that has at least `pieces` pieces, if the text has."""
    return tf.strings.substr(texts, 0, pieces * CHARACTERS_PER_PIECE, unit="UTF8_CHAR")


def part_to_read(texts: tf.Tensor, pieces: int, long_text: str) -> tf.Tensor:
    """The part of texts to tokenize before they are truncated to a number of pieces: string `[B]`.

    It is the beginning or the end, or both, concatenated; for windows, the whole text. A word that is split by this is
    beyond the pieces that are kept.

    Args:
      texts: string `[B]`.
      pieces: the number of pieces that the model has room for.
      long_text: one of `long_texts.LONG_TEXTS`.
    """
    if long_text == TRUNCATE_TAIL:
        return beginning(texts, pieces)
    if long_text == WINDOWS:
        return texts
    most = pieces * CHARACTERS_PER_PIECE
    lengths = tf.strings.length(texts, unit="UTF8_CHAR")
    first = tf.minimum(lengths, most) if long_text == HEAD_TAIL else tf.zeros_like(lengths)
    rest = tf.minimum(lengths - first, most)
    end = tf.strings.substr(texts, lengths - rest, rest, unit="UTF8_CHAR")
    both = tf.strings.substr(texts, tf.zeros_like(first), first, unit="UTF8_CHAR") + end
    return tf.where(first + rest < lengths, both, texts)


class SpecialPieces(NamedTuple):
    """The ids of `[CLS]` and `[SEP]`."""

    cls: int
    sep: int

    @classmethod
    def of(cls, vocab: dict[str, int]) -> "SpecialPieces":
        """The ids in a vocabulary."""
        return cls(vocab[CLS], vocab[SEP])


def join(
    first: tf.RaggedTensor,
    second: tf.RaggedTensor | None,
    max_seq_length: int,
    special: SpecialPieces,
    long_text: str = TRUNCATE_TAIL,
) -> Batch:
    """`[CLS] a [SEP]`, or `[CLS] a [SEP] b [SEP]` if `b` is not empty, truncated by `truncated_lengths`.

    Args:
      first: int32 `[B, (pieces)]`, the first texts, `a`.
      second: int32 `[B, (pieces)]`, the second texts, `b`; or None.
      max_seq_length: maximum tokens per row.
      special: the ids of special pieces.
      long_text: which pieces of a truncated text are kept, see `tokenization.sequences.join_rows`.
    """
    a = first.row_lengths()
    b = tf.zeros_like(a) if second is None else second.row_lengths()
    pair = tf.cast(b > 0, tf.int64)
    kept_a, kept_b = truncated_lengths(a, b, max_seq_length - SPECIAL_IN_TEXT - pair, tf)
    one = tf.ones_like(a)
    parts = [repeated(special.cls, one), *_truncate(first, kept_a, long_text), repeated(special.sep, one)]
    if second is not None:
        parts += [*_truncate(second, kept_b, long_text), repeated(special.sep, pair)]
    return padded(tf.concat(parts, 1), kept_a + 2)


def _truncate(rows: tf.RaggedTensor, lengths: tf.Tensor, long_text: str) -> list[tf.RaggedTensor]:
    """Truncates each row to a number of values: its head, its tail, or both, as two tensors."""
    if long_text == TRUNCATE_TAIL:
        return [head(rows, lengths)]
    tails = lengths - head_lengths(lengths, long_text)
    tail = ranges(rows.values, rows.row_starts() + rows.row_lengths() - tails, tails)
    return [tail] if long_text == TRUNCATE_HEAD else [head(rows, lengths - tails), tail]


def windows(
    first: tf.RaggedTensor,
    second: tf.RaggedTensor | None,
    max_seq_length: int,
    special: SpecialPieces,
    stride: int | None,
) -> tuple[Batch, tf.Tensor]:
    """The windows of `tokenization.row_windows`, and the text that each belongs to, int64 `[M]`, ascending.

    Args:
      first: int32 `[B, (pieces)]`, the first texts, which are split into windows.
      second: int32 `[B, (pieces)]`, the second texts; or None.
      max_seq_length: maximum tokens per window.
      special: the ids of special pieces.
      stride: see `tokenization.sequences.window_sizes`.
    """
    a = first.row_lengths()
    b = tf.zeros_like(a) if second is None else second.row_lengths()
    pair = tf.cast(b > 0, tf.int64)
    sizes = window_sizes(a, b, max_seq_length - SPECIAL_IN_TEXT - pair, stride, tf)
    rows = tf.repeat(tf.range(tf.size(a, tf.int64)), sizes.counts)
    starts = sizes.starts(a, rows, tf.ragged.range(sizes.counts).values, tf)
    size, one = tf.gather(sizes.size, rows), tf.ones_like(rows)
    part = ranges(first.values, tf.gather(first.row_starts(), rows) + starts, size)
    parts = [repeated(special.cls, one), part, repeated(special.sep, one)]
    if second is not None:
        kept = ranges(second.values, tf.gather(second.row_starts(), rows), tf.gather(sizes.second, rows))
        parts += [kept, repeated(special.sep, tf.gather(pair, rows))]
    return padded(tf.concat(parts, 1), size + 2), rows


def padded(input_ids: tf.RaggedTensor, first_lengths: tf.Tensor) -> Batch:
    """The batch of rows padded with zeros: `input_ids`, `input_mask` and `segment_ids`, int32 `[B, S]`.

    Args:
      input_ids: int32 `[B, (tokens)]`.
      first_lengths: int64 `[B]`, the number of tokens of the first segment.
    """
    ids = input_ids.to_tensor()
    positions = tf.range(tf.shape(ids, tf.int64)[1])
    is_token = positions < input_ids.row_lengths()[:, None]
    is_second = is_token & (positions >= first_lengths[:, None])
    return {"input_ids": ids, "input_mask": tf.cast(is_token, tf.int32), "segment_ids": tf.cast(is_second, tf.int32)}


def head(rows: tf.RaggedTensor, lengths: tf.Tensor) -> tf.RaggedTensor:
    """The first `lengths[i]` values of each row `i`: `[B, (values)]`."""
    return ranges(rows.values, rows.row_starts(), lengths)


def ranges(values: tf.Tensor, starts: tf.Tensor, lengths: tf.Tensor) -> tf.RaggedTensor:
    """A row for each `i`, with the `lengths[i]` values that begin at index `starts[i]`."""
    return tf.gather(values, tf.ragged.range(starts, starts + lengths))


def repeated(value: int, lengths: tf.Tensor) -> tf.RaggedTensor:
    """A row for each `i`, with the same value `lengths[i]` times: int32."""
    return tf.RaggedTensor.from_row_lengths(tf.fill(tf.reduce_sum(lengths)[None], value), lengths)
