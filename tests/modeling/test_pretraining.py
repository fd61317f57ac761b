"""Losses of the pre-training model."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import TINY_CONFIG
from helpers.rounding import assert_close, backward, forward

from bert_tf2.configs.model import BertConfig
from bert_tf2.modeling import heads
from bert_tf2.modeling.pretraining import PretrainingModel

ROWS, LENGTH, PREDICTIONS = 5, 12, 4


def batch_of(weights):
    rng = np.random.default_rng(7)
    return {
        "input_ids": tf.constant(rng.integers(5, TINY_CONFIG["vocab_size"], (ROWS, LENGTH)), tf.int32),
        "input_mask": tf.ones([ROWS, LENGTH], tf.int32),
        "segment_ids": tf.zeros([ROWS, LENGTH], tf.int32),
        "masked_lm_positions": tf.constant(rng.integers(0, LENGTH, (ROWS, PREDICTIONS)), tf.int32),
        "masked_lm_ids": tf.constant(rng.integers(5, TINY_CONFIG["vocab_size"], (ROWS, PREDICTIONS)), tf.int32),
        "masked_lm_weights": tf.constant(weights, tf.float32),
        "next_sentence_labels": tf.constant(rng.integers(0, 2, (ROWS, 1)), tf.int32),
    }


def results(batch, hidden_size, skip_unused):
    """Loss, metrics and gradients of one training step."""
    keras.utils.set_random_seed(1)
    sizes = {**TINY_CONFIG, "hidden_size": hidden_size, "initializer_range": 0.3}
    model = PretrainingModel(BertConfig(**sizes), skip_unused=skip_unused)
    variables = {name: variable.value for name, variable in model.named_variables.items()}
    with tf.GradientTape() as tape:
        loss, metrics = model.loss(batch, model.loss_weights(batch), tf.constant([1, 2], tf.int64))
    gradients = tape.gradient(loss, variables)
    return loss, metrics, {name: tf.convert_to_tensor(gradients[name]) for name in sorted(variables)}


NARROW = TINY_CONFIG["hidden_size"]
FUSED = 128  # with this width, operations are fused, and the number of predictions is rounded up


@pytest.mark.parametrize(
    ("used", "hidden_size"),
    [
        (7, NARROW),
        (ROWS * PREDICTIONS, NARROW),
        (0, NARROW),
        pytest.param(7, FUSED, marks=pytest.mark.slow),  # XLA compiles
    ],
)
def test_losses_and_gradients_do_not_depend_on_unused_predictions(used, hidden_size):
    weights = np.zeros(ROWS * PREDICTIONS)
    weights[np.random.default_rng(3).permutation(weights.size)[:used]] = 1.0
    batch = batch_of(weights.reshape(ROWS, PREDICTIONS))
    loss, metrics, gradients = results(batch, hidden_size, skip_unused=False)
    skipping_loss, skipping_metrics, skipping_gradients = results(batch, hidden_size, skip_unused=True)
    assert_close(skipping_loss, loss, forward(2))
    for name, (total, weight) in metrics.items():
        assert_close(skipping_metrics[name][0], total, forward(2))
        assert skipping_metrics[name][1] == weight
    # Of the key biases, whose gradients are 0, rounding alone is left: hence one scale for all.
    scale = max(float(tf.reduce_max(abs(gradient))) for gradient in gradients.values())
    for name, gradient in gradients.items():
        assert_close(skipping_gradients[name], gradient, backward(2), scale, name)


def test_unused_predictions_are_not_computed(monkeypatch):
    sizes, losses = [], heads.MaskedLMHead.losses

    def recorded(self, masked, *arguments, **options):
        sizes.append(masked.shape[0])
        return losses(self, masked, *arguments, **options)

    monkeypatch.setattr(heads.MaskedLMHead, "losses", recorded)
    weights = np.zeros((ROWS, PREDICTIONS))
    weights[0, :3] = 1.0
    batch = batch_of(weights)
    for skip_unused in (False, True):
        model = PretrainingModel(BertConfig(**TINY_CONFIG), skip_unused=skip_unused)
        model.loss(batch, model.loss_weights(batch), None)
    assert sizes == [ROWS * PREDICTIONS, 3]
