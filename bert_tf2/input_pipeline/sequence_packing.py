"""Packs several short sequences into each row, so that batches have hardly any padding, for pre-training.

Sequences of a row do not see each other: attention is block-diagonal, and each has positions from 0 and its own
next-sentence output. So the losses are those of the same sequences in separate rows. The idea, without its histogram,
is from Krell et al., arXiv:2107.02027. All shapes are fixed, as XLA and TPUs require.

Shapes: `B` rows, `S` positions of a row, `P` predictions of a sequence, `Q` most sequences of a row, and `P + Q` most
predictions of a row.
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

MOST_SEQUENCES = 8
WINDOW = 1024  # sequences among which room is looked for
_ROWS_OF_A_WINDOW = 1 << 16  # more than there are; see `packed`


def packed(examples: tf.data.Dataset, batch_size: int, seed: int, position: int = 0) -> tf.data.Dataset:
    """Packs a stream of sequences into batches of rows.

    Each batch has `INPUT_POSITION`, int64 `[B]`: where the stream goes on after the batch, for `position` of a later
    run and for `examples_done`.

    Args:
      examples: batches of `WINDOW` sequences with the features of `records.pretraining`, masked; they begin with number
        `examples_done(position)` of the stream of all sequences.
      batch_size: `B`, rows of a batch.
      seed: what the order of rows follows from.
      position: of the last batch of an earlier run; 0 for the start.
    """
    first_window, rows_done = position // _ROWS_OF_A_WINDOW, position % _ROWS_OF_A_WINDOW
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
        rows[INPUT_POSITION] = window * _ROWS_OF_A_WINDOW + tf.range(1, count + 1)
        return rows

    windows = examples.enumerate().map(pack_window, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    batches = windows.unbatch().skip(rows_done).batch(batch_size, drop_remainder=True)
    return batches.map(lambda batch: {**batch, INPUT_POSITION: tf.fill([batch_size], batch[INPUT_POSITION][-1])})


def examples_done(position: int) -> int:
    """How many sequences of the stream come before the window that a position is in."""
    return position // _ROWS_OF_A_WINDOW * WINDOW


def row_features(length: int, predictions: int, next_sentence: bool) -> dict[str, Feature]:
    """The features of packed rows, by their names.

    | feature | shape | |
    |---|---|---|
    | input_ids, segment_ids, position_ids | [S] | positions begin at 0 in each sequence |
    | sequence_ids | [S] | 1, 2, ...: the sequence of each position; 0 for padding |
    | masked_lm_positions, masked_lm_ids, masked_lm_weights | [P + Q] | positions in the row |
    | sequence_starts | [Q] | where each sequence begins; 0 for those that are not there |
    | sequence_weights | [Q] | 1 for sequences, 0 for those that are not there |
    | next_sentence_labels | [Q] | where the sequences have them |
    """
    schema = records.pretraining(length, predictions + MOST_SEQUENCES, next_sentence=next_sentence)
    features = {feature.name: feature for feature in schema.features if feature.name != "input_mask"}
    features |= {name: Feature(name, (length,)) for name in ("position_ids", "sequence_ids")}
    features["sequence_starts"] = Feature("sequence_starts", (MOST_SEQUENCES,))
    features["sequence_weights"] = Feature("sequence_weights", (MOST_SEQUENCES,), "float")
    if next_sentence:
        features[records.NEXT_SENTENCE] = Feature(records.NEXT_SENTENCE, (MOST_SEQUENCES,))
    return features


def pack_rows(sequences: Arrays, rng: np.random.Generator) -> Arrays:
    """Packs sequences into as few rows as first-fit-decreasing finds, in random order.

    Args:
      sequences: the features of `records.pretraining` of N sequences, masked.
      rng: for the order of rows.

    Returns:
      The features of `row_features`.
    """
    positions, ids, weights = MASKED_LM
    mask = sequences["input_mask"] > 0  # [N, S]
    lengths, length = mask.sum(axis=1), mask.shape[1]
    is_prediction = sequences[weights] > 0  # [N, P]
    counts = is_prediction.sum(axis=1)
    most = is_prediction.shape[1] + MOST_SEQUENCES
    row, slot, start, first_prediction = _places(lengths, counts, length, most, rng)
    rows = int(row.max()) + 1 if row.size else 0
    features = row_features(length, is_prediction.shape[1], records.NEXT_SENTENCE in sequences)
    packed: Arrays = {
        name: np.zeros((rows, *feature.shape), np.float32 if feature.kind == "float" else np.int32)
        for name, feature in features.items()
    }

    sequence, column = np.nonzero(mask)
    begin = mask.argmax(axis=1)  # the tokens of a sequence stand together
    to = row[sequence], start[sequence] + column - begin[sequence]
    for name in ("input_ids", "segment_ids"):
        packed[name][to] = sequences[name][sequence, column]
    packed["position_ids"][to] = column
    packed["sequence_ids"][to] = slot[sequence] + 1

    sequence, column = np.nonzero(is_prediction)
    to = row[sequence], first_prediction[sequence] + ranges(0, counts)
    packed[positions][to] = sequences[positions][sequence, column] - begin[sequence] + start[sequence]
    for name in (ids, weights):
        packed[name][to] = sequences[name][sequence, column]

    packed["sequence_starts"][row, slot] = start
    packed["sequence_weights"][row, slot] = 1.0
    if records.NEXT_SENTENCE in sequences:
        packed[records.NEXT_SENTENCE][row, slot] = sequences[records.NEXT_SENTENCE][:, 0]
    return packed


def _places(
    lengths: np.ndarray[Any, Any],
    counts: np.ndarray[Any, Any],
    length: int,
    most_predictions: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray[Any, Any], ...]:
    """For each sequence its row, its number in the row, its first position and its first prediction; int64 `[N]`."""
    row, slot, start, first_prediction = (np.zeros(lengths.size, np.int64) for _ in range(4))
    used: list[int] = []  # of each row: positions, predictions, sequences
    predicted: list[int] = []
    held: list[int] = []
    open_rows: list[int] = []
    for sequence in np.argsort(-lengths, kind="stable").tolist():
        tokens, predictions = int(lengths[sequence]), int(counts[sequence])
        for place in open_rows:
            if used[place] + tokens <= length and predicted[place] + predictions <= most_predictions:
                break
        else:
            place = len(used)
            used.append(0)
            predicted.append(0)
            held.append(0)
            open_rows.append(place)
        row[sequence], slot[sequence] = place, held[place]
        start[sequence], first_prediction[sequence] = used[place], predicted[place]
        used[place] += tokens
        predicted[place] += predictions
        held[place] += 1
        if held[place] == MOST_SEQUENCES or used[place] + int(lengths.min()) > length:
            open_rows.remove(place)
    order = rng.permutation(len(used))
    return order[row], slot, start, first_prediction
