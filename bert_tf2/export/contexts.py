"""Splits the contexts of questions into words inside a graph, like `squad.words.split`.

Shapes: `B` contexts, `W` words of all contexts, `T` characters of all contexts, with a space after each context.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from bert_tf2.configs.tokenizer import PLAIN, TokenizerOptions
from bert_tf2.export.sequences import ranges
from bert_tf2.tasks.squad.words import WHITESPACE
from bert_tf2.tokenization.character_tables import Blocks, blocks
from bert_tf2.tokenization.tf_tokenizer import decode, look_up, split_around
from bert_tf2.tokenization.unicode_tables import BLANK, CODE_POINTS, load_replacements

# The role of a character: part of a word, space between words, removed, or a word of its own.
_PART, _SPACE, _REMOVED, _ALONE = range(4)


class Contexts(NamedTuple):
    """Contexts and their words.

    Attributes:
      text: string `[B]`, in which invalid UTF-8 has become U+FFFD.
      words: string `[B, (words)]`.
      starts: int64 `[W]`, the offset of each word in its context, in characters.
      lengths: int64 `[W]`, the number of characters of each word.
    """

    text: tf.Tensor
    words: tf.RaggedTensor
    starts: tf.Tensor
    lengths: tf.Tensor


def character_classes(language: str, options: TokenizerOptions = PLAIN) -> Blocks:
    """The role of each character when splitting text of a language, "en" or "zh"; see `squad.words.split`."""
    classes = np.full(CODE_POINTS, _PART, np.int32)
    if language == "en":
        classes[list(map(ord, WHITESPACE))] = _SPACE
        return blocks(classes)
    classes[ord(BLANK)] = _SPACE  # the only character that separates words, and has no replacement
    replacements = load_replacements(False, TokenizerOptions(tokenize_chinese_chars=options.tokenize_chinese_chars))
    begin = 0
    characters = replacements.characters.tolist()
    for code, end in zip(replacements.changed.tolist(), replacements.ends.tolist(), strict=True):
        replacement = "".join(map(chr, characters[begin:end]))
        begin = end
        classes[code] = _SPACE if replacement == BLANK else _ALONE if replacement else _REMOVED
    return blocks(classes)


def split(context: tf.Tensor, classes: Blocks, pattern: str | None = None) -> Contexts:
    """Splits contexts into words.

    Args:
      context: string `[B]`.
      classes: the result of `character_classes`.
      pattern: `TokenizerOptions.pattern`, which matches tokens that are words of their own; or None.
    """
    codes, rows = decode(context)  # with a space after each
    count = tf.size(context, tf.int64)
    code_rows = tf.RaggedTensor.from_value_rowids(codes, rows, nrows=count, validate=False)
    text = tf.strings.unicode_encode(code_rows[:, :-1], "UTF-8")
    roles = look_up(classes, codes)
    part_ids = tf.zeros_like(codes, tf.int64)
    if pattern is not None:
        part_ids, is_token = _parts(text, pattern)
        roles = tf.where(is_token, _PART, roles)
    positions = tf.where(tf.not_equal(roles, _REMOVED))[:, 0]
    roles = tf.gather(roles, positions)
    part_ids = tf.gather(part_ids, positions)
    is_part = tf.equal(roles, _PART)
    follows_part = tf.concat([[False], is_part[:-1] & tf.equal(part_ids[1:], part_ids[:-1])], 0)
    begins = tf.equal(roles, _ALONE) | (is_part & ~follows_part)
    continues = is_part & ~begins
    is_in_word = is_part | begins
    ends = is_in_word & ~tf.concat([continues[1:], [False]], 0)
    first = tf.boolean_mask(positions, begins)
    lengths = tf.boolean_mask(positions, ends) + 1 - first
    row = tf.gather(rows, first)
    words = tf.strings.unicode_encode(ranges(codes, first, lengths), "UTF-8")
    return Contexts(
        text=text,
        words=tf.RaggedTensor.from_value_rowids(words, row, nrows=count, validate=False),
        starts=first - tf.gather(code_rows.row_starts(), row),
        lengths=lengths,
    )


def _parts(text: tf.Tensor, pattern: str) -> tuple[tf.Tensor, tf.Tensor]:
    """Splits texts, string `[B]`, each followed by a space, into tokens that are never split and the text between.

    Returns:
      part_ids: int64 `[T]`, the index of the part that each character belongs to.
      is_token: bool `[T]`, whether that part is a token.
    """
    parts = split_around(text, pattern)
    parts = tf.concat([parts, tf.fill([tf.size(text), 1], " ")], axis=1).values
    lengths = tf.strings.length(parts, unit="UTF8_CHAR")
    is_token = tf.strings.regex_full_match(parts, pattern)
    return tf.repeat(tf.range(tf.size(parts, tf.int64)), lengths), tf.repeat(is_token, lengths)
