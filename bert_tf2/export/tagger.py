"""A tagger: sentences -> a tag for each word.

Shapes: `B` sentences, `W` words of all of them, `M` windows, `S` tokens of a window, `L` labels.
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from bert_tf2.export.program import Outputs, Program, require_tokenizer
from bert_tf2.export.sequences import CHARACTERS_PER_PIECE, SpecialPieces, beginning, head, join, ranges
from bert_tf2.export.source import ModelSource
from bert_tf2.modeling.encoder import POOLER_VARIABLES
from bert_tf2.modeling.tagger import TaggingModel
from bert_tf2.tasks.tagging.task_description import OUTSIDE, TaggingDescription
from bert_tf2.tokenization import tf_tokenizer


class Windows(NamedTuple):
    """Sentences split like in `tagging.windows.divide`; but each sentence has a window, even if it has no pieces.

    Attributes:
      first: int64 `[M]`, the first word of each window.
      end: int64 `[M]`, the word after its last one.
      decided: int64 `[M]`, ascending, the first word whose tag the window decides; the last is before the next
        window's.
    """

    first: tf.Tensor
    end: tf.Tensor
    decided: tf.Tensor


def divide(offsets: tf.Tensor, row_splits: tf.Tensor, room: int, context: int) -> Windows:
    """Splits sentences into windows; in each step the next window of every sentence.

    Args:
      offsets: int64 `[W + 1]`, the number of pieces before each word; no word has more than `room`.
      row_splits: int64 `[B + 1]`, the first word of each sentence, and the end.
      room: the most pieces in a window.
      context: half of the number of pieces that neighbouring windows share.
    """
    begins, ends = row_splits[:-1], row_splits[1:]
    last_word = row_splits[-1]

    def offset(word: tf.Tensor) -> tf.Tensor:
        return tf.gather(offsets, word)

    def first_within(last: tf.Tensor) -> tf.Tensor:
        """The first word such that all pieces from it up to word `last` fit into a window."""
        return tf.searchsorted(offsets, offset(last) - room, out_type=tf.int64)

    def last_before(limit: tf.Tensor) -> tf.Tensor:
        """The last word with at most `limit` pieces before it."""
        return tf.searchsorted(offsets, limit, side="right", out_type=tf.int64) - 1

    fits = offset(ends) - offset(begins) <= room

    def step(
        number: tf.Tensor, first: tf.Tensor, is_open: tf.Tensor, windows: tuple[tf.TensorArray, ...]
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tuple[tf.TensorArray, ...]]:
        last = last_before(offset(first) + room)
        is_last = fits | (last >= ends)
        # The last window of a long sentence begins as early as there is room.
        begin = tf.where(is_last & ~fits, first_within(ends), first)
        end = tf.where(is_last, ends, last)
        values = (begin, end, is_open)
        windows = tuple(array.write(number, value) for array, value in zip(windows, values, strict=True))
        following = tf.maximum(
            last_before(offset(tf.minimum(last, last_word)) - 2 * context),
            first_within(tf.minimum(last + 1, last_word)),
        )
        return number + 1, tf.where(is_last, first, following), is_open & ~is_last, windows

    arrays = tuple(tf.TensorArray(kind, 0, dynamic_size=True) for kind in (tf.int64, tf.int64, tf.bool))
    windows = tf.while_loop(
        lambda number, first, is_open, windows: tf.reduce_any(is_open) | tf.equal(number, 0),
        step,
        (tf.constant(0), begins, tf.ones_like(begins, tf.bool), arrays),
    )[3]
    first, end, exists = (tf.transpose(array.stack()) for array in windows)  # [B, windows of the longest sentence]
    # The later of two windows decides a word if it has more pieces before the word than the earlier has after it.
    twice_middle = offsets[:-1] + offsets[1:]
    changes = tf.searchsorted(
        twice_middle, tf.reshape(offset(first[:, 1:]) + offset(end[:, :-1]), [-1]), side="right", out_type=tf.int64
    )
    changes = tf.reshape(changes, tf.shape(first[:, 1:]))
    decided = tf.concat([begins[:, None], tf.clip_by_value(changes, begins[:, None], ends[:, None])], 1)
    return Windows(*(tf.boolean_mask(values, exists) for values in (first, end, decided)))


def build(
    source: ModelSource,
    description: TaggingDescription,
    tokenizer: tf_tokenizer.Tokenizer | None,
    use_averages: bool,
) -> Program:
    """The functions of a tagger.

    Args:
      source: the model.
      description: the description of its task.
      tokenizer: the graph tokenizer; None if only token ids will be used.
      use_averages: see `ModelSource.load`.

    Returns:
      A function of `text`, sentences whose words are separated by whitespace, which returns `words` and `tags`, string
      `[B, words of the longest]`, padded with "", `probabilities` of the tags, float32, 0 for words without pieces
      (whose tag is O), and `lengths`, the number of words of each sentence, int64 `[B]`. And a function of token ids,
      which returns `probabilities`, float32 `[B, S, L]`.

    Raises:
      InputError: weights are missing.
    """
    model = TaggingModel(source.foundation.bert_config, len(description.labels))
    variables = source.load(model.named_variables, use_averages, POOLER_VARIABLES)
    functions = _Tagger(model, description, tokenizer)
    return Program(
        of_texts=functions.of_texts,
        texts=("text",),
        of_token_ids=functions.of_token_ids,
        variables=variables,
        settings={
            "problem_type": description.problem_type,
            "max_seq_length": description.max_seq_length,
            "max_word_characters": CHARACTERS_PER_PIECE * description.max_seq_length,
            "context_pieces": description.context,
            "do_lower_case": description.do_lower_case,
        },
        labels=description.labels,
    )


@dataclasses.dataclass(frozen=True)
class _Tagger:
    model: TaggingModel
    description: TaggingDescription
    tokenizer: tf_tokenizer.Tokenizer | None

    def of_token_ids(self, input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor) -> Outputs:
        # A tagger has a single segment; `segment_ids` is an argument so that all models have the same signature.
        logits = self.model.logits({"input_ids": input_ids, "input_mask": input_mask})
        shape = tf.concat([tf.shape(input_ids), [len(self.description.labels)]], 0)
        return {"probabilities": tf.reshape(tf.nn.softmax(logits), shape)}

    def of_texts(self, text: tf.Tensor) -> Outputs:
        tokenizer, description = require_tokenizer(self.tokenizer), self.description
        # Words are returned, so they must be valid UTF-8; the tokenizer drops invalid bytes, too.
        words = tf.strings.split(tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="ignore"))  # [B, (words)]
        words = words.with_row_splits_dtype(tf.int64)
        all_pieces = tokenizer.tokenize(beginning(words.values, description.max_seq_length))  # [W, (pieces)]
        pieces = head(all_pieces, tf.minimum(all_pieces.row_lengths(), description.room))
        offsets = pieces.row_splits
        windows = divide(offsets, words.row_splits, description.room, description.context)
        begin = tf.gather(offsets, windows.first)
        parts = ranges(pieces.values, begin, tf.gather(offsets, windows.end) - begin)  # [M, (pieces)]
        batch = join(parts, None, description.max_seq_length, SpecialPieces.of(tokenizer.vocab))
        by_token = self.of_token_ids(**batch)["probabilities"]  # [M, S, L]
        tags, probabilities = self._word_tags(by_token, offsets, windows)
        return {
            "words": words.to_tensor(),
            "tags": words.with_values(tags).to_tensor(),
            "probabilities": words.with_values(probabilities).to_tensor(),
            "lengths": words.row_lengths(),
        }

    def _word_tags(self, by_token: tf.Tensor, offsets: tf.Tensor, windows: Windows) -> tuple[tf.Tensor, tf.Tensor]:
        """The tag of each word and its probability, both `[W]`, by the window that decides the word.

        Args:
          by_token: float32 `[M, S, L]`, probabilities of tags.
          offsets: int64 `[W + 1]`, the number of pieces before each word.
          windows: the windows of all sentences.
        """
        has_pieces = offsets[1:] > offsets[:-1]
        words = tf.where(has_pieces)[:, 0]
        window = tf.searchsorted(windows.decided, words, side="right", out_type=tf.int64) - 1
        position = 1 + tf.gather(offsets, words) - tf.gather(offsets, tf.gather(windows.first, window))
        by_word = tf.gather_nd(by_token, tf.stack([window, position], 1))  # [words with pieces, L]
        best = tf.gather(tf.constant(self.description.labels), tf.argmax(by_word, 1))
        count = tf.size(has_pieces, tf.int64)[None]
        tags = tf.tensor_scatter_nd_update(tf.fill(count, OUTSIDE), words[:, None], best)
        return tags, tf.scatter_nd(words[:, None], tf.reduce_max(by_word, 1), count)
