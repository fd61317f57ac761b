"""Contexts of questions cut into words inside a graph, as `squad.words.split` does.

Shapes: `B` contexts, `W` words of all of them.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from bert_tf2.export.sequences import ranges
from bert_tf2.tasks.squad.words import WHITE_SPACE
from bert_tf2.tokenization.character_tables import Blocks, blocks
from bert_tf2.tokenization.tf_tokenizer import decoded, look_up
from bert_tf2.tokenization.unicode_tables import BLANK, CODE_POINTS, load_replacements

# What a character is in a word: a part of it, its end, nothing, or a word of its own.
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


def character_classes(language: str) -> Blocks:
    """What each character is in the words of a language, "en" or "zh"; see `squad.words.split`."""
    classes = np.full(CODE_POINTS, _PART, np.int32)
    if language == "en":
        classes[list(map(ord, WHITE_SPACE))] = _BLANK
        return blocks(classes)
    classes[ord(BLANK)] = _BLANK  # the only character that the rules leave as it is, and yet end a word at
    found = load_replacements(do_lower_case=False)
    begin = 0
    characters = found.characters.tolist()
    for code, end in zip(found.changed.tolist(), found.ends.tolist(), strict=True):
        becomes = "".join(map(chr, characters[begin:end]))
        begin = end
        classes[code] = _BLANK if becomes == BLANK else _ALONE if becomes else _REMOVED
    return blocks(classes)


def split(context: tf.Tensor, classes: Blocks) -> Contexts:
    """Cuts contexts, string `[B]`, into words by `character_classes`."""
    codes, rows = decoded(context)  # with a blank behind each
    count = tf.size(context, tf.int64)
    whole = tf.RaggedTensor.from_value_rowids(codes, rows, nrows=count, validate=False)
    kinds = look_up(classes, codes)
    places = tf.where(tf.not_equal(kinds, _REMOVED))[:, 0]
    kinds = tf.gather(kinds, places)
    is_part = tf.equal(kinds, _PART)
    begins = tf.equal(kinds, _ALONE) | (is_part & tf.concat([[True], ~is_part[:-1]], 0))
    goes_on = is_part & ~begins
    is_letter = is_part | begins
    ends = is_letter & ~tf.concat([goes_on[1:], [False]], 0)
    first = tf.boolean_mask(places, begins)
    lengths = tf.boolean_mask(places, ends) + 1 - first
    row = tf.gather(rows, first)
    words = tf.strings.unicode_encode(ranges(codes, first, lengths), "UTF-8")
    return Contexts(
        text=tf.strings.unicode_encode(whole[:, :-1], "UTF-8"),
        words=tf.RaggedTensor.from_value_rowids(words, row, nrows=count, validate=False),
        starts=first - tf.gather(whole.row_starts(), row),
        lengths=lengths,
    )
