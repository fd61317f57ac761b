"""Metrics over a dataset, and outputs in its order."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import TINY_CONFIG
from two_devices import examples

from bert_tf2 import batches
from bert_tf2.config import BertConfig
from bert_tf2.evaluation import evaluate, predict
from bert_tf2.tasks.pretraining import PretrainingModel

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
        assert two_batches[name] == pytest.approx(one_batch[name], abs=1e-6)
        assert with_padding[name] == pytest.approx(one_batch[name], abs=1e-6)
    expected = one_batch["masked_lm_loss"] + one_batch["next_sentence_loss"]
    assert one_batch["loss"] == pytest.approx(expected, abs=1e-4)


def test_outputs_come_in_the_order_of_the_examples():
    rows = {"number": np.arange(7, dtype=np.float32), "row": np.arange(14, dtype=np.int32).reshape(7, 2)}

    def data(share):
        return tf.data.Dataset.from_tensor_slices(rows).batch(3).map(lambda batch: batches.filled(batch, 3))

    found = predict(lambda batch: {"twice": batch["number"] * 2, "row": batch["row"]}, STRATEGY, data, None)
    assert set(found) == {"twice", "row"}
    np.testing.assert_array_equal(found["twice"], rows["number"] * 2)
    np.testing.assert_array_equal(found["row"], rows["row"])
