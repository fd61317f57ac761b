"""Metrics over a dataset, and outputs in its order."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import TINY_CONFIG
from helpers.rounding import LOSS, assert_close, forward
from helpers.two_devices import examples

from bert_tf2.configs.model import BertConfig
from bert_tf2.input_pipeline import record_batches
from bert_tf2.tasks.pretraining.runner import PretrainingModel
from bert_tf2.training.evaluation import evaluate, predict_batches

pytestmark = pytest.mark.numeric

STRATEGY = tf.distribute.get_strategy()


def test_evaluation_adds_sums_and_weights():
    keras.utils.set_random_seed(7)
    model = PretrainingModel(BertConfig(**TINY_CONFIG, initializer_range=0.3))
    rows = examples(np.random.default_rng(4), 6)
    rows["example_weights"] = np.ones([6], np.float32)

    def scores(batch_size, extra=0):
        padded = {name: np.concatenate([value, np.zeros_like(value[:extra])]) for name, value in rows.items()}
        return evaluate(model, STRATEGY, lambda _: tf.data.Dataset.from_tensor_slices(padded).batch(batch_size), None)

    one_batch, two_batches, with_padding = scores(6), scores(3), scores(4, extra=2)
    masked = rows["masked_lm_weights"].sum()
    assert (
        0 < one_batch["masked_lm_accuracy"] * masked == pytest.approx(round(one_batch["masked_lm_accuracy"] * masked))
    )
    for name in model.metric_names:
        assert_close(two_batches[name], one_batch[name], forward(2), name=name)
        assert_close(with_padding[name], one_batch[name], forward(2), name=name)
    expected = one_batch["masked_lm_loss"] + one_batch["next_sentence_loss"]
    assert_close(one_batch["loss"], expected, LOSS)


def test_outputs_come_batch_by_batch() -> None:
    rows = {"number": np.arange(7, dtype=np.float32), "row": np.arange(14, dtype=np.int32).reshape(7, 2)}

    def data(share):
        return tf.data.Dataset.from_tensor_slices(rows).batch(3).map(lambda batch: record_batches.fill_up(batch, 3))

    batches = list(
        predict_batches(lambda batch: {"twice": batch["number"] * 2, "row": batch["row"]}, STRATEGY, data, None)
    )
    assert [len(batch["row"]) for batch in batches] == [3, 3, 1]
    assert set(batches[0]) == {"twice", "row"}
    np.testing.assert_array_equal(np.concatenate([batch["twice"] for batch in batches]), rows["number"] * 2)
    np.testing.assert_array_equal(np.concatenate([batch["row"] for batch in batches]), rows["row"])


def test_one_program_for_batches_of_any_length() -> None:
    """A program for the shape of the first batch would round differently, as would one of a resumed run."""
    traced = []

    def data(share):
        return tf.data.Dataset.range(4).map(
            lambda size: {"ids": tf.zeros([2, size], tf.int32), "example_weights": tf.ones([2])}
        )

    def outputs(batch):
        traced.append(batch["ids"].shape)
        return {"size": tf.repeat(tf.shape(batch["ids"])[1], 2)}

    sizes = [batch["size"].tolist() for batch in predict_batches(outputs, STRATEGY, data, None)]
    assert sizes == [[0, 0], [1, 1], [2, 2], [3, 3]]
    assert [shape.as_list() for shape in traced] == [[2, None]]
