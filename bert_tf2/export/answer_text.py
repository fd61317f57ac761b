"""The text of a span of pieces inside a graph, as `squad.answers` finds it.

Shapes: `B` questions, `W` words and `P` pieces of all contexts.
"""

from typing import NamedTuple

import tensorflow as tf

from bert_tf2.export.contexts import Contexts
from bert_tf2.export.sequences import ranges
from bert_tf2.tasks.squad.words import WHITESPACE
from bert_tf2.tokenization.tf_tokenizer import GraphTokenizer

NO_PLACE = -1


class Answers(NamedTuple):
    """Answers.

    Attributes:
      text: string `[B]`, "" where there is none.
      start: int64 `[B]`, the character of the context where it begins, or `NO_PLACE`.
      end: int64 `[B]`, the character after its end, or `NO_PLACE`.
    """

    text: tf.Tensor
    start: tf.Tensor
    end: tf.Tensor


def find(
    tokenizer: GraphTokenizer,
    contexts: Contexts,
    pieces: tf.RaggedTensor,
    first: tf.Tensor,
    last: tf.Tensor,
    exists: tf.Tensor,
    language: str,
) -> Answers:
    """The text of answers given as spans of pieces.

    Args:
      tokenizer: that made the pieces.
      contexts: `B` of them.
      pieces: int32 `[W, (pieces)]`, of all their words.
      first: int64 `[B]`, the first piece of each span, those of all contexts counted on.
      last: int64 `[B]`, the last one.
      exists: bool `[B]`; where not, there is no answer.
      language: as in `squad.words.split`; "en" has one space between the words of an answer.
    """
    first, last = tf.boolean_mask(first, exists), tf.boolean_mask(last, exists)
    word_of = pieces.value_rowids()
    first_word, last_word = tf.gather(word_of, first), tf.gather(word_of, last)
    predicted = _detokenized(tokenizer, ranges(pieces.values, first, last + 1 - first))
    words = ranges(contexts.words.values, first_word, last_word + 1 - first_word)
    tokenized = words.with_values(tokenizer.words(words.values)).merge_dims(1, 2)
    ends = tf.cumsum(contexts.lengths)  # [W], characters of words up to each
    before = tf.gather(ends - contexts.lengths, first_word)
    characters = tf.gather(ends, last_word) - before
    begin, end = _align(predicted, _joined(tokenized), characters)

    def place(number: tf.Tensor) -> tf.Tensor:
        """Where in its context a character of the words is."""
        number = before + number
        word = tf.searchsorted(ends, number, side="right", out_type=tf.int64)
        return tf.gather(contexts.starts, word) + number - tf.gather(ends - contexts.lengths, word)

    start, end = place(begin), place(end - 1) + 1
    text = tf.strings.substr(tf.boolean_mask(contexts.text, exists), start, end - start, unit="UTF8_CHAR")
    if language == "en":
        text = tf.strings.regex_replace(text, f"[{WHITESPACE}]+", " ")
    rows = tf.where(exists)
    nothing = tf.zeros_like(exists, tf.int64) + NO_PLACE
    return Answers(
        text=tf.tensor_scatter_nd_update(tf.fill(tf.shape(exists), ""), rows, text),
        start=tf.tensor_scatter_nd_update(nothing, rows, start),
        end=tf.tensor_scatter_nd_update(nothing, rows, end),
    )


def _joined(rows: tf.RaggedTensor) -> tf.Tensor:
    """The strings of each row with spaces between them."""
    return tf.strings.unsorted_segment_join(rows.values, rows.value_rowids(), rows.nrows(), separator=" ")


def _detokenized(tokenizer: GraphTokenizer, ids: tf.RaggedTensor) -> tf.Tensor:
    """`squad.answers.detokenize` of each row of pieces."""
    names = [""] * (max(tokenizer.vocab.values()) + 1)
    for piece, index in tokenizer.vocab.items():
        names[index] = piece
    text = _joined(tf.gather(tf.constant(names), ids))
    return tf.strings.regex_replace(tf.strings.regex_replace(text, " ##", ""), "##", "")


def _align(predicted: tf.Tensor, tokenized: tf.Tensor, characters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The alignment of `squad.fast_answers` for each row: from which to which character of the words the answer goes.

    Args:
      predicted: string, the answer's pieces put together.
      tokenized: string, what the tokenizer makes of the words.
      characters: int64, characters of the words.
    """

    def before(texts: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        parts = tf.strings.split(texts[0][None], texts[1]).values
        return parts[0], tf.size(parts) > 1

    spec = (tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.bool))
    prefix, is_found = tf.map_fn(before, (tokenized, predicted), fn_output_signature=spec)
    begin, size = _letters(prefix), _letters(predicted)
    corresponds = is_found & tf.equal(_letters(tokenized), characters)
    return tf.where(corresponds, begin, 0), tf.where(corresponds, begin + size, characters)


def _letters(text: tf.Tensor) -> tf.Tensor:
    """How many characters there are beside spaces: int64."""
    return tf.cast(tf.strings.length(tf.strings.regex_replace(text, " ", ""), unit="UTF8_CHAR"), tf.int64)
