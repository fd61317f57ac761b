"""The text of a span of pieces, computed inside a graph as `squad.span_selection` does it.

Shapes: `B` questions, `W` words and `P` pieces of all contexts.
"""

from typing import NamedTuple

import tensorflow as tf

from bert_tf2.export.contexts import Contexts
from bert_tf2.export.sequences import ranges
from bert_tf2.tasks.squad.words import WHITESPACE
from bert_tf2.tokenization.tf_tokenizer import GraphTokenizer

NO_OFFSET = -1


class Answers(NamedTuple):
    """The answers of questions, as text and as offsets in their contexts.

    Attributes:
      text: string `[B]`, "" for no answer.
      start: int64 `[B]`, the offset of the first character, or `NO_OFFSET`.
      end: int64 `[B]`, the offset after the last character, or `NO_OFFSET`.
    """

    text: tf.Tensor
    start: tf.Tensor
    end: tf.Tensor


def extract(
    tokenizer: GraphTokenizer,
    contexts: Contexts,
    pieces: tf.RaggedTensor,
    first: tf.Tensor,
    last: tf.Tensor,
    exists: tf.Tensor,
    language: str,
) -> Answers:
    """Extracts the text of answers, given as spans of pieces.

    Args:
      tokenizer: the tokenizer that produced the pieces.
      contexts: the contexts of the `B` questions.
      pieces: int32 `[W, (pieces)]`, the pieces of all words.
      first: int64 `[B]`, the first piece of each span, as an index into the pieces of all contexts.
      last: int64 `[B]`, the last piece, likewise.
      exists: bool `[B]`, whether there is an answer.
      language: as in `squad.words.split`; with "en", the words of an answer are separated by single spaces.
    """
    first, last = tf.boolean_mask(first, exists), tf.boolean_mask(last, exists)
    word_of = pieces.value_rowids()
    first_word, last_word = tf.gather(word_of, first), tf.gather(word_of, last)
    predicted = _detokenize(tokenizer, ranges(pieces.values, first, last + 1 - first))
    words = ranges(contexts.words.values, first_word, last_word + 1 - first_word)
    tokenized = words.with_values(tokenizer.words(words.values)).merge_dims(1, 2)
    ends = tf.cumsum(contexts.lengths)  # [W], the characters of all words up to the end of each
    before = tf.gather(ends - contexts.lengths, first_word)
    characters = tf.gather(ends, last_word) - before
    begin, end = _align(predicted, _join(tokenized), characters)

    def context_offset(character: tf.Tensor) -> tf.Tensor:
        """The offset in the context of a character, given by its index in the words of the span."""
        character = before + character
        word = tf.searchsorted(ends, character, side="right", out_type=tf.int64)
        return tf.gather(contexts.starts, word) + character - tf.gather(ends - contexts.lengths, word)

    start, end = context_offset(begin), context_offset(end - 1) + 1
    text = tf.strings.substr(tf.boolean_mask(contexts.text, exists), start, end - start, unit="UTF8_CHAR")
    if language == "en":
        text = tf.strings.regex_replace(text, f"[{WHITESPACE}]+", " ")
    rows = tf.where(exists)
    nothing = tf.zeros_like(exists, tf.int64) + NO_OFFSET
    return Answers(
        text=tf.tensor_scatter_nd_update(tf.fill(tf.shape(exists), ""), rows, text),
        start=tf.tensor_scatter_nd_update(nothing, rows, start),
        end=tf.tensor_scatter_nd_update(nothing, rows, end),
    )


def _join(rows: tf.RaggedTensor) -> tf.Tensor:
    """Joins the strings of each row with spaces."""
    return tf.strings.unsorted_segment_join(rows.values, rows.value_rowids(), rows.nrows(), separator=" ")


def _detokenize(tokenizer: GraphTokenizer, ids: tf.RaggedTensor) -> tf.Tensor:
    """`squad.answers.detokenize` of each row of pieces."""
    names = [""] * (max(tokenizer.vocab.values()) + 1)
    for piece, index in tokenizer.vocab.items():
        names[index] = piece
    text = _join(tf.gather(tf.constant(names), ids))
    return tf.strings.regex_replace(tf.strings.regex_replace(text, " ##", ""), "##", "")


def _align(predicted: tf.Tensor, tokenized: tf.Tensor, characters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The alignment of `squad.span_selection` for each row: the first character of the answer, and its end.

    Args:
      predicted: string, the answer, detokenized.
      tokenized: string, the words after basic tokenization.
      characters: int64, the number of characters of the words.
    """

    def before(texts: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        parts = tf.strings.split(texts[0][None], texts[1]).values
        return parts[0], tf.size(parts) > 1

    spec = (tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.bool))
    prefix, contains = tf.map_fn(before, (tokenized, predicted), fn_output_signature=spec)
    begin, size = _count_letters(prefix), _count_letters(predicted)
    is_aligned = contains & tf.equal(_count_letters(tokenized), characters)
    return tf.where(is_aligned, begin, 0), tf.where(is_aligned, begin + size, characters)


def _count_letters(text: tf.Tensor) -> tf.Tensor:
    """The number of characters other than spaces: int64."""
    return tf.cast(tf.strings.length(tf.strings.regex_replace(text, " ", ""), unit="UTF8_CHAR"), tf.int64)
