"""Packs several short sequences into each row, so that batches have hardly any padding, for pre-training.

The sequences of a row do not attend to each other: attention is block-diagonal, and each sequence has positions from 0
and its own next-sentence output. So the losses are those of the same sequences in separate rows. The idea, without its
histogram, is from Krell et al., arXiv:2107.02027. All shapes are fixed, as XLA and TPUs require.

Shapes: `B` rows, `S` positions of a row, `P` predictions of a sequence, `Q` maximum sequences of a row, and `P + Q`
maximum predictions of a row.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf2 import records
from bert_tf2.input_pipeline.record_batches import INPUT_POSITION
from bert_tf2.records.schema import MASKED_LM, Feature
from bert_tf2.tokenization.sequences import ranges

Arrays = dict[str, np.ndarray[Any, Any]]
Batch = dict[str, tf.Tensor]

MAX_SEQUENCES = 8  # `Q`
WINDOW = 1024  # sequences that are packed together
_POSITIONS_PER_WINDOW = 1 << 16  # more than a window has rows; see `pack_dataset`


def pack_dataset(examples: tf.data.Dataset, batch_size: int, seed: int, position: int = 0) -> tf.data.Dataset:
    """Packs a stream of sequences into batches of rows.

    Each batch has `INPUT_POSITION`, int64 `[B]`: where the stream continues after the batch, for the argument
    `position` of a later run and for `examples_done`.

    Args:
      examples: batches of `WINDOW` sequences with the features of `records.pretraining`, already masked; the first one
        is number `examples_done(position)` in the stream of all sequences.
      batch_size: `B`, rows of a batch.
      seed: of the order of rows.
      position: `INPUT_POSITION` of the last batch of an earlier run; 0 for the start.
    """
    first_window, rows_done = position // _POSITIONS_PER_WINDOW, position % _POSITIONS_PER_WINDOW
    spec = examples.element_spec
    length, predictions = spec["input_ids"].shape[1], spec[MASKED_LM[0]].shape[1]
    features = row_features(length, predictions, records.NEXT_SENTENCE in spec)

    def pack_window(number: tf.Tensor, batch: Batch) -> Batch:
        names = sorted(batch)

        def run(window: Any, *values: Any) -> list[Any]:
            rows = pack_rows(dict(zip(names, values, strict=True)), np.random.default_rng([seed, int(window)]))
            return [rows[name] for name in features]

        window = number + first_window
        types = [tf.float32 if feature.kind == "float" else tf.int32 for feature in features.values()]
        values = tf.numpy_function(run, [window, *(batch[name] for name in names)], types, stateful=False)
        rows = {
            name: tf.ensure_shape(value, [None, *feature.shape])
            for (name, feature), value in zip(features.items(), values, strict=True)
        }
        count = tf.shape(values[0], tf.int64)[0]
        rows[INPUT_POSITION] = window * _POSITIONS_PER_WINDOW + tf.range(1, count + 1)
        return rows

    windows = examples.enumerate().map(pack_window, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    batches = windows.unbatch().skip(rows_done).batch(batch_size, drop_remainder=True)
    return batches.map(lambda batch: {**batch, INPUT_POSITION: tf.fill([batch_size], batch[INPUT_POSITION][-1])})


def examples_done(position: int) -> int:
    """The number of sequences in the stream before the window that a position is in."""
    return position // _POSITIONS_PER_WINDOW * WINDOW


def row_features(length: int, predictions: int, next_sentence: bool) -> dict[str, Feature]:
    """The features of packed rows, by name.

    Args:
      length: `S`.
      predictions: `P`.
      next_sentence: whether the sequences have `next_sentence_labels`.

    | feature | shape | |
    |---|---|---|
    | input_ids, segment_ids, position_ids | [S] | positions begin at 0 in each sequence |
    | sequence_ids | [S] | 1, 2, ...: the sequence of each position; 0 for padding |
    | masked_lm_positions, masked_lm_ids, masked_lm_weights | [P + Q] | positions in the row |
    | sequence_starts | [Q] | where each sequence begins; 0 for unused slots |
    | sequence_weights | [Q] | 1 for sequences, 0 for unused slots |
    | next_sentence_labels | [Q] | if the sequences have them |
    """
    schema = records.pretraining(length, predictions + MAX_SEQUENCES, next_sentence=next_sentence)
    features = {feature.name: feature for feature in schema.features if feature.name != "input_mask"}
    features |= {name: Feature(name, (length,)) for name in ("position_ids", "sequence_ids")}
    features["sequence_starts"] = Feature("sequence_starts", (MAX_SEQUENCES,))
    features["sequence_weights"] = Feature("sequence_weights", (MAX_SEQUENCES,), "float")
    if next_sentence:
        features[records.NEXT_SENTENCE] = Feature(records.NEXT_SENTENCE, (MAX_SEQUENCES,))
    return features


def pack_rows(sequences: Arrays, rng: np.random.Generator) -> Arrays:
    """Packs sequences into rows by first-fit-decreasing; the rows are in random order.

    Args:
      sequences: the features of `records.pretraining` of N sequences, already masked.
      rng: for the order of rows.

    Returns:
      The features of `row_features`.
    """
    positions, ids, weights = MASKED_LM
    mask = sequences["input_mask"] > 0  # [N, S]
    lengths, length = mask.sum(axis=1), mask.shape[1]
    is_prediction = sequences[weights] > 0  # [N, P]
    counts = is_prediction.sum(axis=1)
    max_predictions = is_prediction.shape[1] + MAX_SEQUENCES
    row, slot, start, first_prediction = _assign(lengths, counts, length, max_predictions, rng)
    rows = int(row.max()) + 1 if row.size else 0
    features = row_features(length, is_prediction.shape[1], records.NEXT_SENTENCE in sequences)
    packed: Arrays = {
        name: np.zeros((rows, *feature.shape), np.float32 if feature.kind == "float" else np.int32)
        for name, feature in features.items()
    }

    sequence, column = np.nonzero(mask)
    begin = mask.argmax(axis=1)  # the tokens of a sequence are contiguous
    target = row[sequence], start[sequence] + column - begin[sequence]
    for name in ("input_ids", "segment_ids"):
        packed[name][target] = sequences[name][sequence, column]
    packed["position_ids"][target] = column
    packed["sequence_ids"][target] = slot[sequence] + 1

    sequence, column = np.nonzero(is_prediction)
    target = row[sequence], first_prediction[sequence] + ranges(0, counts)
    packed[positions][target] = sequences[positions][sequence, column] - begin[sequence] + start[sequence]
    for name in (ids, weights):
        packed[name][target] = sequences[name][sequence, column]

    packed["sequence_starts"][row, slot] = start
    packed["sequence_weights"][row, slot] = 1.0
    if records.NEXT_SENTENCE in sequences:
        packed[records.NEXT_SENTENCE][row, slot] = sequences[records.NEXT_SENTENCE][:, 0]
    return packed


def _assign(
    lengths: np.ndarray[Any, Any],
    counts: np.ndarray[Any, Any],
    length: int,
    max_predictions: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray[Any, Any], ...]:
    """Assigns sequences to rows.

    Args:
      lengths: int64 `[N]`, tokens of each sequence.
      counts: int64 `[N]`, predictions of each sequence.
      length: `S`.
      max_predictions: maximum predictions of a row.
      rng: for the order of rows.

    Returns:
      For each sequence its row, its slot in the row, its first position and its first prediction, int64 `[N]` each.
    """
    row, slot, start, first_prediction = (np.zeros(lengths.size, np.int64) for _ in range(4))
    used: list[int] = []  # positions of each row
    predicted: list[int] = []  # predictions of each row
    held: list[int] = []  # sequences of each row
    open_rows: list[int] = []
    for sequence in np.argsort(-lengths, kind="stable").tolist():
        tokens, predictions = int(lengths[sequence]), int(counts[sequence])
        for candidate in open_rows:
            if used[candidate] + tokens <= length and predicted[candidate] + predictions <= max_predictions:
                break
        else:
            candidate = len(used)
            used.append(0)
            predicted.append(0)
            held.append(0)
            open_rows.append(candidate)
        row[sequence], slot[sequence] = candidate, held[candidate]
        start[sequence], first_prediction[sequence] = used[candidate], predicted[candidate]
        used[candidate] += tokens
        predicted[candidate] += predictions
        held[candidate] += 1
        if held[candidate] == MAX_SEQUENCES or used[candidate] + int(lengths.min()) > length:
            open_rows.remove(candidate)
    order = rng.permutation(len(used))
    return order[row], slot, start, first_prediction
