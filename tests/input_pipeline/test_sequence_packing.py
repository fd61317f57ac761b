"""Packed rows: nothing lost, nothing mixed, the same losses, and a stream that can be entered anywhere."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.packable_examples import LENGTH, PREDICTIONS, sequences
from helpers.repository import TINY_CONFIG
from helpers.rounding import assert_close, backward, forward
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf2.configs.model import BertConfig
from bert_tf2.input_pipeline import sequence_packing
from bert_tf2.input_pipeline.record_batches import INPUT_POSITION
from bert_tf2.modeling.pretraining import PretrainingModel

pytestmark = pytest.mark.numeric


def unpack(rows):
    """The sequences of packed rows, sorted: ids, segments, predictions, label."""
    unpacked = []
    for row in range(len(rows["input_ids"])):
        for slot in np.flatnonzero(rows["sequence_weights"][row]):
            is_in_sequence = rows["sequence_ids"][row] == slot + 1
            start = rows["sequence_starts"][row, slot]
            assert is_in_sequence[start]
            assert not is_in_sequence[:start].any()
            np.testing.assert_array_equal(rows["position_ids"][row][is_in_sequence], np.arange(is_in_sequence.sum()))
            predictions = [
                (int(position) - int(start), int(target))
                for position, target, weight in zip(
                    rows["masked_lm_positions"][row],
                    rows["masked_lm_ids"][row],
                    rows["masked_lm_weights"][row],
                    strict=True,
                )
                if weight and is_in_sequence[position]
            ]
            ids, segments = (tuple(rows[name][row][is_in_sequence].tolist()) for name in ("input_ids", "segment_ids"))
            unpacked.append((ids, segments, tuple(predictions), int(rows["next_sentence_labels"][row, slot])))
    return sorted(unpacked)


def sorted_sequences(examples):
    """The same of examples that are not packed."""
    unpacked = []
    for index, mask in enumerate(examples["input_mask"] > 0):
        weights = examples["masked_lm_weights"][index] > 0
        predictions = zip(
            examples["masked_lm_positions"][index][weights].tolist(),
            examples["masked_lm_ids"][index][weights].tolist(),
            strict=True,
        )
        ids, segments = (tuple(examples[name][index][mask].tolist()) for name in ("input_ids", "segment_ids"))
        unpacked.append((ids, segments, tuple(predictions), int(examples["next_sentence_labels"][index, 0])))
    return sorted(unpacked)


@given(seed=st.integers(0, 2**32), count=st.integers(1, 60), shortest=st.sampled_from([3, 10, LENGTH]))
@settings(max_examples=60)
def test_nothing_is_lost_or_mixed(seed, count, shortest):
    rng = np.random.default_rng(seed)
    examples = sequences(rng, count, shortest)
    rows = sequence_packing.pack_rows(examples, rng)
    shapes = dict.fromkeys(("input_ids", "segment_ids", "position_ids", "sequence_ids"), (LENGTH,))
    shapes |= {f"masked_lm_{name}": (PREDICTIONS + 8,) for name in ("positions", "ids", "weights")}
    shapes |= dict.fromkeys(("sequence_starts", "sequence_weights", "next_sentence_labels"), (8,))
    assert {name: value.shape[1:] for name, value in rows.items()} == shapes
    assert {name for name, value in rows.items() if value.dtype != np.int32} == {
        "masked_lm_weights",
        "sequence_weights",
    }
    assert unpack(rows) == sorted_sequences(examples)
    assert rows["masked_lm_weights"].sum() == examples["masked_lm_weights"].sum()
    assert ((rows["sequence_ids"] > 0).sum(axis=1) > 0).all()
    assert (rows["input_ids"][rows["sequence_ids"] == 0] == 0).all()


def test_few_rows_are_needed():
    examples = sequences(np.random.default_rng(1), sequence_packing.WINDOW)
    rows = sequence_packing.pack_rows(examples, np.random.default_rng(2))
    assert (rows["sequence_ids"] > 0).mean() > 0.97
    assert (examples["input_mask"] > 0).mean() < 0.6


def stream(examples, position):
    done = sequence_packing.examples_done(position)
    dataset = tf.data.Dataset.from_tensor_slices(examples).repeat().skip(done).batch(sequence_packing.WINDOW)
    return sequence_packing.pack_dataset(dataset, 50, seed=3, position=position)


def test_a_stream_can_be_entered_after_any_batch():
    examples = sequences(np.random.default_rng(1), 1500)
    batches = list(stream(examples, 0).take(40).as_numpy_iterator())
    assert all(batch["input_ids"].shape == (50, LENGTH) for batch in batches)
    for done in (1, 11, 25):
        position = int(batches[done - 1][INPUT_POSITION][0])
        assert (batches[done - 1][INPUT_POSITION] == position).all()
        for batch, expected in zip(
            stream(examples, position).take(5).as_numpy_iterator(), batches[done:], strict=False
        ):
            for name, value in batch.items():
                np.testing.assert_array_equal(value, expected[name], err_msg=name)


@pytest.mark.parametrize("next_sentence", [True, False])
def test_losses_are_those_of_the_unpacked_sequences(next_sentence):
    examples = sequences(np.random.default_rng(5), 40)
    if not next_sentence:
        del examples["next_sentence_labels"]
    rows = sequence_packing.pack_rows(examples, np.random.default_rng(6))
    assert len(rows["input_ids"]) < 30
    keras.utils.set_random_seed(1)
    model = PretrainingModel(BertConfig(**TINY_CONFIG, initializer_range=0.3), with_next_sentence=next_sentence)

    def loss_and_gradient(batch):
        batch = {name: tf.constant(value) for name, value in batch.items()}
        with tf.GradientTape() as tape:
            loss, metrics = model.loss(batch, model.loss_weights(batch), None)
        return (
            loss,
            metrics,
            tape.gradient(loss, model.named_variables["bert/encoder/layer_0/attention/self/value/kernel"].value),
        )

    (loss, metrics, gradient), (packed_loss, packed_metrics, packed_gradient) = map(loss_and_gradient, (examples, rows))
    assert_close(packed_loss, loss, forward(2))
    assert_close(packed_gradient, gradient, backward(2))
    assert set(metrics) == set(packed_metrics) == set(model.metric_names)
    for name, (total, weight) in metrics.items():
        assert_close(packed_metrics[name][0], total, forward(2))
        assert packed_metrics[name][1] == weight
