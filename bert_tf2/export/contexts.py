"""Splits contexts of questions into words inside a graph, like `squad.words.split`.

Shapes: `B` contexts, `W` words of all of them.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from bert_tf2.configs.tokenizer import PLAIN, TokenizerOptions
from bert_tf2.export.sequences import ranges
from bert_tf2.tasks.squad.words import WHITESPACE
from bert_tf2.tokenization.character_tables import Blocks, blocks
from bert_tf2.tokenization.tf_tokenizer import decoded, look_up, whole_parts
from bert_tf2.tokenization.unicode_tables import BLANK, CODE_POINTS, load_replacements

# The role of a character: part of a word, a word's end, nothing, or a word of its own.
_PART, _BLANK, _REMOVED, _ALONE = range(4)


class Contexts(NamedTuple):
    """Contexts and their words.

    Attributes:
      text: string `[B]`; bytes that were not UTF-8 have become U+FFFD.
      words: string `[B, (words)]`.
      starts: int64 `[W]`, the character of its context at which each word begins.
      lengths: int64 `[W]`, its characters.
    """

    text: tf.Tensor
    words: tf.RaggedTensor
    starts: tf.Tensor
    lengths: tf.Tensor


def character_classes(language: str, options: TokenizerOptions = PLAIN) -> Blocks:
    """What each character is in the words of a language, "en" or "zh"; see `squad.words.split`."""
    classes = np.full(CODE_POINTS, _PART, np.int32)
    if language == "en":
        classes[list(map(ord, WHITESPACE))] = _BLANK
        return blocks(classes)
    classes[ord(BLANK)] = _BLANK  # the only character that the rules leave as it is, and yet end a word at
    found = load_replacements(False, TokenizerOptions(tokenize_chinese_chars=options.tokenize_chinese_chars))
    begin = 0
    characters = found.characters.tolist()
    for code, end in zip(found.changed.tolist(), found.ends.tolist(), strict=True):
        becomes = "".join(map(chr, characters[begin:end]))
        begin = end
        classes[code] = _BLANK if becomes == BLANK else _ALONE if becomes else _REMOVED
    return blocks(classes)


def split(context: tf.Tensor, classes: Blocks, pattern: str | None = None) -> Contexts:
    """Splits contexts into words.

    Args:
      context: string `[B]`.
      classes: `character_classes`.
      pattern: `TokenizerOptions.pattern`, of tokens that are words of their own.
    """
    codes, rows = decoded(context)  # with a space after each
    count = tf.size(context, tf.int64)
    whole = tf.RaggedTensor.from_value_rowids(codes, rows, nrows=count, validate=False)
    text = tf.strings.unicode_encode(whole[:, :-1], "UTF-8")
    kinds = look_up(classes, codes)
    part_of = tf.zeros_like(codes, tf.int64)
    if pattern is not None:
        part_of, is_token = _parts(text, pattern)
        kinds = tf.where(is_token, _PART, kinds)
    places = tf.where(tf.not_equal(kinds, _REMOVED))[:, 0]
    kinds = tf.gather(kinds, places)
    part_of = tf.gather(part_of, places)
    is_part = tf.equal(kinds, _PART)
    continues = tf.concat([[False], is_part[:-1] & tf.equal(part_of[1:], part_of[:-1])], 0)
    begins = tf.equal(kinds, _ALONE) | (is_part & ~continues)
    goes_on = is_part & ~begins
    is_letter = is_part | begins
    ends = is_letter & ~tf.concat([goes_on[1:], [False]], 0)
    first = tf.boolean_mask(places, begins)
    lengths = tf.boolean_mask(places, ends) + 1 - first
    row = tf.gather(rows, first)
    words = tf.strings.unicode_encode(ranges(codes, first, lengths), "UTF-8")
    return Contexts(
        text=text,
        words=tf.RaggedTensor.from_value_rowids(words, row, nrows=count, validate=False),
        starts=first - tf.gather(whole.row_starts(), row),
        lengths=lengths,
    )


def _parts(text: tf.Tensor, pattern: str) -> tuple[tf.Tensor, tf.Tensor]:
    """Of each character of texts, string `[B]`, and the space after each text.

    Returns:
      part_of: int64 `[T]`, the number of the part that it is of: a token that is never split, or what is between two.
      is_token: bool `[T]`, whether that is a token.
    """
    parts = whole_parts(text, pattern)
    parts = tf.concat([parts, tf.fill([tf.size(text), 1], " ")], axis=1).values
    lengths = tf.strings.length(parts, unit="UTF8_CHAR")
    is_token = tf.strings.regex_full_match(parts, pattern)
    return tf.repeat(tf.range(tf.size(parts, tf.int64)), lengths), tf.repeat(is_token, lengths)
