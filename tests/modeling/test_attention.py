"""Attention weights: against those that the model uses, and those of an encoder in NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import GOLDEN
from helpers.rounding import assert_close, forward
from reference import encoder

from bert_tf2 import checkpoints
from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError
from bert_tf2.modeling import fused_ops
from bert_tf2.modeling.encoder import BertModel

pytestmark = pytest.mark.numeric

LAYERS, HEADS = 3, 4


@pytest.fixture(scope="module")
def model():
    model = BertModel(BertConfig.from_json_file(GOLDEN / "tiny/bert_config.json"))
    checkpoints.load(checkpoints.tf_variables(model.named_variables()), str(GOLDEN / "tiny/bert_model.ckpt"))
    return model


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDEN / "tiny/forward.npz")


@pytest.fixture(scope="module")
def batch(golden):
    return [golden[f"in_{name}"] for name in ("input_ids", "input_mask", "segment_ids")]


@pytest.fixture(scope="module")
def attentions(model, batch):
    return [layer.numpy() for layer in model.attention_probabilities(*map(tf.constant, batch))]


def test_equals_the_numpy_encoder(model, golden, batch, attentions):
    weights = {name: variable.numpy() for name, variable in model.named_variables().items()}
    states, expected = encoder.encode(weights, HEADS, "gelu", *batch)
    for index, state in enumerate(states):  # the NumPy encoder equals the original
        assert_close(golden[f"out_layer_{index}"], state, forward(index + 1))
    assert len(attentions) == len(expected) == LAYERS
    for index, (layer, reference) in enumerate(zip(attentions, expected, strict=True)):
        assert layer.dtype == np.float32
        assert_close(layer, reference, forward(index + 1), scale=1.0)


def test_rows_sum_to_one_and_padding_gets_zero(batch, attentions):
    mask = batch[1]
    assert 0 < mask.mean() < 1
    for layer in attentions:
        assert layer.shape == (len(mask), HEADS, mask.shape[1], mask.shape[1])
        np.testing.assert_allclose(layer.sum(-1), 1.0, rtol=0, atol=1e-6)
        assert np.all(layer >= 0)
        assert not layer[np.broadcast_to(mask[:, None, None, :] == 0, layer.shape)].any()


def test_equals_the_weights_used_by_the_model(model, batch, attentions, monkeypatch):
    computed, softmax = [], fused_ops._softmax

    def recorded(*arguments, **options):
        computed.append(softmax(*arguments, **options))
        return computed[-1]

    monkeypatch.setattr(fused_ops, "_softmax", recorded)
    model(*map(tf.constant, batch))
    assert len(computed) == LAYERS
    for layer, of_call in zip(attentions, computed, strict=True):
        np.testing.assert_allclose(layer, of_call.numpy(), rtol=0, atol=1e-6)


def test_mask_and_segments_may_be_omitted(model):
    ids = tf.constant([[5, 6, 7]])
    explicit = model.attention_probabilities(ids, tf.ones_like(ids), tf.zeros_like(ids))
    for layer, expected in zip(model.attention_probabilities(ids), explicit, strict=True):
        np.testing.assert_array_equal(layer, expected)


def test_too_long_sequence_is_an_error(model):
    with pytest.raises(InputError, match="129 positions but the model's max_position_embeddings is 128"):
        model.attention_probabilities(tf.zeros([1, 129], tf.int32))
