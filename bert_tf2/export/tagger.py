"""A tagger: sentences -> a tag for each word.

Shapes: `B` sentences, `W` words of all of them, `M` windows, `S` tokens of a window, `L` labels.
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from bert_tf2.export.program import Outputs, Program, needed
from bert_tf2.export.sequences import CHARACTERS_PER_PIECE, SpecialPieces, beginning, head, join, ranges
from bert_tf2.export.source import ModelSource
from bert_tf2.modeling.encoder import POOLER_VARIABLES
from bert_tf2.modeling.tagger import TaggingModel
from bert_tf2.tasks.tagging.task_description import OUTSIDE, TaggingDescription
from bert_tf2.tokenization import tf_tokenizer


class Windows(NamedTuple):
    """Sentences split like in `tagging.windows.divide`; but each has a window, even without any piece.

    Attributes:
      first: int64 `[M]`, the first word of each window.
      end: int64 `[M]`, the word after its last one.
      decided: int64 `[M]`, ascending, the first word that it decides, up to the next window's.
    """

    first: tf.Tensor
    end: tf.Tensor
    decided: tf.Tensor


def divide(places: tf.Tensor, row_splits: tf.Tensor, room: int, context: int) -> Windows:
    """Splits sentences into windows, the next window of all of them at a time.

    Args:
      places: int64 `[W + 1]`, the pieces before each word; no word has more than `room`.
      row_splits: int64 `[B + 1]`, the words of each sentence.
      room: pieces of a window at most.
      context: half of the pieces that neighbouring windows share.
    """
    begins, ends = row_splits[:-1], row_splits[1:]
    last_word = row_splits[-1]

    def place(word: tf.Tensor) -> tf.Tensor:
        return tf.gather(places, word)

    def first_within(last: tf.Tensor) -> tf.Tensor:
        """The first word from which on all pieces before word `last` fit into a window."""
        return tf.searchsorted(places, place(last) - room, out_type=tf.int64)

    def last_before(limit: tf.Tensor) -> tf.Tensor:
        """The last word before which there are no more pieces than `limit`."""
        return tf.searchsorted(places, limit, side="right", out_type=tf.int64) - 1

    fits = place(ends) - place(begins) <= room

    def step(
        number: tf.Tensor, first: tf.Tensor, is_open: tf.Tensor, found: tuple[tf.TensorArray, ...]
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tuple[tf.TensorArray, ...]]:
        last = last_before(place(first) + room)
        is_last = fits | (last >= ends)
        # The last window of a long sentence goes back as far as there is room.
        begin = tf.where(is_last & ~fits, first_within(ends), first)
        end = tf.where(is_last, ends, last)
        values = (begin, end, is_open)
        found = tuple(array.write(number, value) for array, value in zip(found, values, strict=True))
        following = tf.maximum(
            last_before(place(tf.minimum(last, last_word)) - 2 * context),
            first_within(tf.minimum(last + 1, last_word)),
        )
        return number + 1, tf.where(is_last, first, following), is_open & ~is_last, found

    arrays = tuple(tf.TensorArray(kind, 0, dynamic_size=True) for kind in (tf.int64, tf.int64, tf.bool))
    found = tf.while_loop(
        lambda number, first, is_open, found: tf.reduce_any(is_open) | tf.equal(number, 0),
        step,
        (tf.constant(0), begins, tf.ones_like(begins, tf.bool), arrays),
    )[3]
    first, end, is_there = (tf.transpose(array.stack()) for array in found)  # [B, windows of the longest sentence]
    # A word goes to the later of two windows where the pieces before it there are more than those after it here.
    twice_middle = places[:-1] + places[1:]
    changes = tf.searchsorted(
        twice_middle, tf.reshape(place(first[:, 1:]) + place(end[:, :-1]), [-1]), side="right", out_type=tf.int64
    )
    changes = tf.reshape(changes, tf.shape(first[:, 1:]))
    decided = tf.concat([begins[:, None], tf.clip_by_value(changes, begins[:, None], ends[:, None])], 1)
    return Windows(*(tf.boolean_mask(values, is_there) for values in (first, end, decided)))


def build(
    source: ModelSource,
    description: TaggingDescription,
    tokenizer: tf_tokenizer.Tokenizer | None,
    use_averages: bool,
) -> Program:
    """The functions of a tagger.

    Args:
      source: the model.
      description: of its task.
      tokenizer: for a graph; None where only token ids will be used.
      use_averages: see `ModelSource.load`.

    Returns:
      Of `text`, sentences whose words stand between spaces: `words` and `tags`, string `[B, words of the longest]`,
      filled up with "", `probabilities` of the tags, float32, 0 for words without pieces (whose tag is O), and
      `lengths`, words of each sentence. Of token ids: `probabilities`, `[B, S, L]`.

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
        # A tagger has a single segment; `segment_ids` is there so that all models take the same.
        logits = self.model.logits({"input_ids": input_ids, "input_mask": input_mask})
        shape = tf.concat([tf.shape(input_ids), [len(self.description.labels)]], 0)
        return {"probabilities": tf.reshape(tf.nn.softmax(logits), shape)}

    def of_texts(self, text: tf.Tensor) -> Outputs:
        tokenizer, description = needed(self.tokenizer), self.description
        # Words are returned, and must be valid UTF-8; the tokenizer leaves out the other bytes too.
        words = tf.strings.split(tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="ignore"))  # [B, (words)]
        words = words.with_row_splits_dtype(tf.int64)
        whole = tokenizer.tokenize(beginning(words.values, description.max_seq_length))  # [W, (pieces)]
        pieces = head(whole, tf.minimum(whole.row_lengths(), description.room))
        places = pieces.row_splits
        windows = divide(places, words.row_splits, description.room, description.context)
        begin = tf.gather(places, windows.first)
        parts = ranges(pieces.values, begin, tf.gather(places, windows.end) - begin)  # [M, (pieces)]
        batch = join(parts, None, description.max_seq_length, SpecialPieces.of(tokenizer.vocab))
        found = self.of_token_ids(**batch)["probabilities"]  # [M, S, L]
        tags, probabilities = self._of_words(found, places, windows)
        return {
            "words": words.to_tensor(),
            "tags": words.with_values(tags).to_tensor(),
            "probabilities": words.with_values(probabilities).to_tensor(),
            "lengths": words.row_lengths(),
        }

    def _of_words(self, found: tf.Tensor, places: tf.Tensor, windows: Windows) -> tuple[tf.Tensor, tf.Tensor]:
        """The tag of each word and its probability, both `[W]`, each from the window that decides it.

        Args:
          found: float32 `[M, S, L]`, probabilities of tags.
          places: int64 `[W + 1]`, the pieces before each word.
          windows: M of them.
        """
        has_pieces = places[1:] > places[:-1]
        known = tf.where(has_pieces)[:, 0]
        window = tf.searchsorted(windows.decided, known, side="right", out_type=tf.int64) - 1
        position = 1 + tf.gather(places, known) - tf.gather(places, tf.gather(windows.first, window))
        of_words = tf.gather_nd(found, tf.stack([window, position], 1))  # [words with pieces, L]
        best = tf.gather(tf.constant(self.description.labels), tf.argmax(of_words, 1))
        count = tf.size(has_pieces, tf.int64)[None]
        tags = tf.tensor_scatter_nd_update(tf.fill(count, OUTSIDE), known[:, None], best)
        return tags, tf.scatter_nd(known[:, None], tf.reduce_max(of_words, 1), count)
