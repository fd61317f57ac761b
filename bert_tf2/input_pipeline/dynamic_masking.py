"""Dynamic masking in the input pipeline: masks are drawn when records are read, different ones in each epoch.

The masks of an example depend only on the seed and the number of examples before it in the stream of batches. So a
resumed run continues with exactly the masks that an uninterrupted one would have had, and the batch size of an
evaluation does not matter. The rules for how many tokens are masked, which ones, and how they are replaced are those of
`_instances_numba.mask_tokens`, with one difference: a word never extends past a `[SEP]`. Dynamic masking was introduced
with RoBERTa (https://arxiv.org/abs/1907.11692, section 4.1).

Shapes: `B` batch, `S` sequence, `P` predictions, `W` words; `W` equals `S`, the maximum number of words.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from bert_tf2.pretraining_data.fast_instances import Vocabulary
from bert_tf2.pretraining_data.instances import InstanceParameters
from bert_tf2.records.schema import CONTINUES_WORD, MASKED_LM

Batch = dict[str, tf.Tensor]

# The evaluations of all runs use the same masks, whatever the run's seed, which is never negative.
EVALUATION_SEED = -1
OTHER_VOCABULARY = "The first token is not [CLS]."

_KINDS_OF_DRAWS = 3  # for the order of words, for what happens to a token, for the random word
_RANDOM_BITS = 31  # of each draw
_NUMBERS_PER_COUNT = 4  # that the generator produces from one value of its counter
_PHILOX = 1  # TensorFlow's number for the generator
# A draw below the first becomes [MASK], one below the second stays as it is, any other becomes a random word.
_MASK_BELOW, _KEEP_BELOW = int(0.8 * 2**_RANDOM_BITS), int(0.9 * 2**_RANDOM_BITS)


def mask_dataset(
    dataset: tf.data.Dataset,
    vocabulary: Vocabulary,
    parameters: InstanceParameters,
    seed: int,
    first_example: Callable[[tf.Tensor], tf.Tensor],
) -> tf.data.Dataset:
    """Masks each batch of a dataset; see `mask`.

    Args:
      dataset: batches of one fixed size.
      vocabulary: that of the records.
      parameters: see `mask`.
      seed: of the masks.
      first_example: a function from the number of a batch, int64 scalar, to that of its first example in the stream.
    """

    def mask_numbered(number: tf.Tensor, batch: Batch) -> Batch:
        return mask(batch, vocabulary, parameters, seed, first_example(number))

    return dataset.enumerate().map(mask_numbered, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def mask(
    batch: Batch, vocabulary: Vocabulary, parameters: InstanceParameters, seed: int, first_example: int | tf.Tensor
) -> Batch:
    """Chooses tokens to predict and replaces 80 % of them with `[MASK]` and 10 % with a random word.

    Args:
      batch: `input_ids` and `input_mask`, int32 `[B, S]`, and any other features; with whole words, `continues_word` of
        the same shape can mark tokens that continue a word, besides those that the vocabulary shows.
      vocabulary: that of the records.
      parameters: of which `max_seq_length` (`S`), `max_predictions_per_seq` (`P`), `masked_lm_prob` and
        `do_whole_word_mask` are used.
      seed: of the masks.
      first_example: the number of the batch's first example in the stream, int64; each row is one example.

    Returns:
      The batch with the chosen tokens of `input_ids` replaced, without `continues_word`, and with
      `masked_lm_positions` (ascending) and `masked_lm_ids`, int32 `[B, P]`, and `masked_lm_weights`, float32 `[B, P]`:
      1 for predictions; unused slots are 0 in all three.

    Raises:
      tf.errors.InvalidArgumentError: the vocabulary is not that of the records: a row does not begin with `[CLS]`
        (`OTHER_VOCABULARY` in the message) or, with whole words, has an id that the vocabulary does not have.
    """
    ids, is_token = batch["input_ids"], batch["input_mask"] > 0  # [B, S]
    is_valid = (ids[:, 0] == vocabulary.cls_id) | ~is_token[:, 0]  # rows that fill up a batch have no tokens
    tf.debugging.assert_equal(is_valid, True, OTHER_VOCABULARY)
    is_eligible = is_token & (ids != vocabulary.cls_id) & (ids != vocabulary.sep_id)
    order, action, word = _draws(seed, first_example, ids)  # each [B, S]

    lengths = np.arange(parameters.max_seq_length + 1)
    budgets = tf.constant([parameters.number_to_mask(length) for length in lengths.tolist()], tf.int32)
    budget = tf.gather(budgets, tf.math.count_nonzero(is_token, axis=1))  # [B]
    if parameters.do_whole_word_mask:
        continues = tf.gather(vocabulary.is_continuation, ids)
        if CONTINUES_WORD in batch:
            continues |= batch[CONTINUES_WORD] > 0
        is_chosen = _choose_words(_word_numbers(continues, is_eligible), is_eligible, order, budget)
    else:
        is_chosen = _choose(tf.cast(is_eligible, tf.int32), order, budget)  # each token is a word

    replacements = tf.gather(vocabulary.word_ids, word % len(vocabulary.word_ids))
    replacements = tf.where(action < _KEEP_BELOW, ids, replacements)
    replacements = tf.where(action < _MASK_BELOW, vocabulary.mask_id, replacements)
    return {
        **{name: value for name, value in batch.items() if name != CONTINUES_WORD},
        "input_ids": tf.where(is_chosen, replacements, ids),
        **_predictions(ids, is_chosen, parameters.max_predictions_per_seq),
    }


def _draws(seed: int, first_example: int | tf.Tensor, like: tf.Tensor) -> list[tf.Tensor]:
    """Draws random numbers from 0 to 2**31 - 1: for each kind of draw an int32 `[B, S]`, the shape of `like`.

    The counter of the generator, Philox, starts at a value that depends on `first_example`, so that a row's numbers do
    not depend on its position in the batch.
    """
    rows, length = tf.shape(like)[0], like.shape[1]
    counts_per_row = -(-_KINDS_OF_DRAWS * length // _NUMBERS_PER_COUNT)
    key, _ = tf.raw_ops.StatelessRandomGetKeyCounter(seed=tf.constant([seed, 0], tf.int64))
    start = tf.cast(first_example, tf.uint64) * counts_per_row
    bits = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[rows, counts_per_row * _NUMBERS_PER_COUNT],
        key=key,
        counter=tf.stack([start, tf.constant(0, tf.uint64)]),
        alg=_PHILOX,
        dtype=tf.int32,
    )
    numbers = tf.bitwise.bitwise_and(bits, 2**_RANDOM_BITS - 1)[:, : _KINDS_OF_DRAWS * length]
    return tf.split(numbers, _KINDS_OF_DRAWS, axis=1)


def _word_numbers(continues: tf.Tensor, is_eligible: tf.Tensor) -> tf.Tensor:
    """The number of each token's word, from 0 in each row: int32 `[B, S]`; undefined for tokens not eligible."""
    continues &= tf.pad(is_eligible[:, :-1], [[0, 0], [1, 0]])
    return tf.maximum(tf.cumsum(tf.cast(is_eligible & ~continues, tf.int32), axis=1) - 1, 0)


def _choose_words(words: tf.Tensor, is_eligible: tf.Tensor, order: tf.Tensor, budget: tf.Tensor) -> tf.Tensor:
    """The tokens of the words that `_choose` takes: bool `[B, S]`."""
    shape = tf.shape(words)
    flat = tf.reshape(words + tf.range(shape[0])[:, None] * shape[1], [-1])  # [B*S]
    tokens = tf.reshape(tf.cast(is_eligible, tf.int32), [-1])
    lengths = tf.reshape(tf.math.unsorted_segment_sum(tokens, flat, shape[0] * shape[1]), shape)  # [B, W]
    is_chosen = _choose(lengths, order, budget)  # [B, W]
    return is_eligible & tf.reshape(tf.gather(tf.reshape(is_chosen, [-1]), flat), shape)


def _choose(lengths: tf.Tensor, order: tf.Tensor, budget: tf.Tensor) -> tf.Tensor:
    """Takes words in random order, skipping those that are too long for the rest of the budget.

    Args:
      lengths: int32 `[B, W]`, tokens of each word; 0 for words that do not exist.
      order: int32 `[B, W]`; the word with the highest number is the first.
      budget: int32 `[B]`, maximum tokens to take.

    Returns:
      Whether each word is taken, bool `[B, W]`.
    """
    shape, words = tf.shape(lengths), lengths.shape[1]
    by_order = tf.math.top_k(tf.where(lengths > 0, order, -1), words).indices  # [B, W]
    by_order = tf.reshape(by_order + tf.range(shape[0])[:, None] * shape[1], [-1])  # [B*W], into all words
    sorted_lengths = tf.reshape(tf.gather(tf.reshape(lengths, [-1]), by_order), shape)
    is_taken, remaining = tf.zeros_like(sorted_lengths, tf.bool), budget[:, None]
    fits = (sorted_lengths > 0) & (sorted_lengths <= remaining)
    # Each round takes all words up to the first one that exceeds the budget that the words before it leave. That word
    # can never be taken; the next round continues with the words after it. Few rounds are needed; a single one if all
    # words are short.
    while tf.reduce_any(fits):
        taken_now = fits & (tf.cumsum(tf.where(fits, sorted_lengths, 0), axis=1) <= remaining)
        remaining -= tf.reduce_sum(tf.where(taken_now, sorted_lengths, 0), axis=1, keepdims=True)
        is_taken |= taken_now
        fits &= ~taken_now & (sorted_lengths <= remaining)
    return tf.reshape(tf.gather(tf.reshape(is_taken, [-1]), tf.math.invert_permutation(by_order)), shape)


def _predictions(ids: tf.Tensor, is_chosen: tf.Tensor, size: int) -> Batch:
    """The features of the predictions, each `[B, P]`, where `P` is `size`."""
    length = ids.shape[1]
    # The chosen positions in ascending order are the highest of these numbers in descending order.
    from_the_end = tf.where(is_chosen, length - tf.range(length), 0)
    highest = tf.pad(tf.math.top_k(from_the_end, min(size, length)).values, [[0, 0], [0, max(0, size - length)]])
    is_prediction = highest > 0
    positions = tf.where(is_prediction, length - highest, 0)
    labels = tf.where(is_prediction, tf.gather(ids, positions, batch_dims=1), 0)
    return dict(zip(MASKED_LM, (positions, labels, tf.cast(is_prediction, tf.float32)), strict=True))
