"""The encoder and its heads against the original's numbers, and what has to hold for any BERT."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import GOLDEN, TINY_CONFIG
from helpers.rounding import assert_close, backward, forward, largest

from bert_tf2 import checkpoints
from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError
from bert_tf2.modeling import heads, layers, summary
from bert_tf2.modeling.encoder import BertModel
from bert_tf2.modeling.layers import dropout
from bert_tf2.tasks.pretraining.runner import PretrainingModel

pytestmark = pytest.mark.numeric

GOLDEN_LAYERS, LAYERS = 3, TINY_CONFIG["num_hidden_layers"]


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDEN / "tiny/forward.npz")


@pytest.fixture(scope="module")
def golden_model():
    model = PretrainingModel(BertConfig.from_json_file(GOLDEN / "tiny/bert_config.json"))
    variables = checkpoints.tf_variables(model.named_variables)
    report = checkpoints.load(variables, str(GOLDEN / "tiny/bert_model.ckpt"))
    assert (report.missing, report.unused) == ((), ())
    return model


def golden_batch(golden):
    return {name.removeprefix("in_"): tf.constant(golden[name]) for name in golden.files if name.startswith("in_")}


def test_encoder_equals_the_original(golden, golden_model):
    batch = golden_batch(golden)
    outputs = golden_model.bert(batch["input_ids"], batch["input_mask"], batch["segment_ids"])
    assert_close(outputs.embedding_output, golden["out_embedding_output"], forward(0))
    for index, layer in enumerate(outputs.encoder_layers):
        assert_close(layer, golden[f"out_layer_{index}"], forward(index + 1))
    assert_close(outputs.sequence_output, golden["out_layer_2"], forward(GOLDEN_LAYERS))
    assert_close(outputs.pooled_output, golden["out_pooled_output"], forward(GOLDEN_LAYERS))


def test_heads_and_losses_equal_the_original(golden, golden_model):
    batch = golden_batch(golden)
    masked_lm, next_sentence = golden_model.logits(batch)
    masked_ids, next_labels = tf.reshape(batch["masked_lm_ids"], [-1]), batch["next_sentence_labels"][:, 0]
    with tf.GradientTape() as tape:
        loss, metrics = golden_model.loss(batch, golden_model.loss_weights(batch), None)
    variables = [variable.value for variable in golden_model.named_variables.values()]
    norm = tf.linalg.global_norm(tape.gradient(loss, variables))
    found = {
        "masked_lm_log_probs": tf.nn.log_softmax(masked_lm),
        "masked_lm_example_loss": heads.cross_entropy(masked_lm, masked_ids),
        "next_sentence_log_probs": tf.nn.log_softmax(next_sentence),
        "next_sentence_example_loss": heads.cross_entropy(next_sentence, next_labels),
        "masked_lm_loss": tf.divide(*metrics["masked_lm_loss"]),
        "next_sentence_loss": tf.divide(*metrics["next_sentence_loss"]),
        "total_loss": loss,
        "global_grad_norm": norm,
    }
    for name, value in found.items():
        depth = (backward if name == "global_grad_norm" else forward)(GOLDEN_LAYERS)
        assert_close(value, golden[f"out_{name}"], depth, name=name)


@pytest.mark.parametrize(
    ("sizes", "parameters"),
    [
        ((30522, 128, 2, 2, 512), 4_385_920),  # BERT-Tiny
        ((30522, 768, 12, 12, 3072), 109_482_240),  # Base, uncased
        ((30522, 1024, 24, 16, 4096), 335_141_888),  # Large, uncased
    ],
)
def test_parameter_counts(sizes, parameters, monkeypatch):
    # The weights' values do not matter here, and random ones take seconds for the large model.
    monkeypatch.setattr(layers, "truncated_normal", lambda stddev: "zeros")
    config = BertConfig(*sizes, type_vocab_size=2)
    model = BertModel(config)
    assert model.count_params() == parameters
    assert f"{parameters:,}" in summary.summary(config, model.named_variables())


def test_the_summary_of_one_layer() -> None:
    config = BertConfig(vocab_size=9, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    title = summary.summary(config, BertModel(config).named_variables()).splitlines()[0]
    assert title.startswith("BERT: 1 layer, hidden 4, 1 head of 4, feed-forward 8 (gelu), 512 positions")


def test_named_variables_are_all_variables():
    model = BertModel(BertConfig(**TINY_CONFIG))
    assert {id(v) for v in model.named_variables().values()} == {id(v) for v in model.variables}


def test_padding_does_not_change_real_positions():
    model = BertModel(BertConfig(**TINY_CONFIG, initializer_range=0.3))
    ids = np.arange(1, 13).reshape(2, 6)
    short = model(ids)
    padded_ids = np.pad(ids, [[0, 0], [0, 5]], constant_values=9)
    padded = model(padded_ids, np.pad(np.ones_like(ids), [[0, 0], [0, 5]]))
    assert_close(padded.sequence_output[:, :6], short.sequence_output, forward(LAYERS))
    assert_close(padded.pooled_output, short.pooled_output, forward(LAYERS))
    other = model(padded_ids)  # without the mask they do see the padding
    assert np.abs(other.sequence_output[:, :6] - short.sequence_output).max() > 1e-2


def test_gradients_reach_every_variable():
    model = PretrainingModel(BertConfig(**TINY_CONFIG, initializer_range=0.3))
    batch = {
        "input_ids": tf.reshape(tf.range(36), [3, 12]),
        "input_mask": tf.ones([3, 12], tf.int32),
        "segment_ids": tf.constant([[0] * 6 + [1] * 6] * 3),
        "masked_lm_positions": tf.constant([[1, 2], [3, 4], [5, 6]]),
        "masked_lm_ids": tf.constant([[1, 2], [3, 4], [5, 6]]),
        "masked_lm_weights": tf.ones([3, 2]),
        "next_sentence_labels": tf.constant([[0], [1], [1]]),
    }
    with tf.GradientTape() as tape:
        loss, _ = model.loss(batch, model.loss_weights(batch), tf.constant([1, 2], tf.int64))
    gradients = tape.gradient(loss, [variable.value for variable in model.named_variables.values()])
    for name, gradient in zip(model.named_variables, gradients, strict=True):
        assert gradient is not None, name
        assert tf.reduce_max(tf.abs(gradient)) > 0, name


def test_default_mask_and_segments():
    model = BertModel(BertConfig(**TINY_CONFIG))
    ids = np.array([[1, 2, 3]])
    explicit = model(ids, np.ones_like(ids), np.zeros_like(ids))
    np.testing.assert_array_equal(model(ids).sequence_output, explicit.sequence_output)


def test_too_long_a_sequence_is_refused():
    model = BertModel(BertConfig(**TINY_CONFIG))
    with pytest.raises(InputError, match="25 positions but the model's max_position_embeddings is 24"):
        model(np.zeros([1, 25], np.int32))


def test_training_flag_switches_dropout():
    model = BertModel(BertConfig(**TINY_CONFIG, initializer_range=0.3))
    ids = np.array([[1, 2, 3]])
    assert np.array_equal(model(ids).pooled_output, model(ids).pooled_output)
    assert not np.array_equal(model(ids, training=True).pooled_output, model(ids, training=True).pooled_output)
    seed = tf.constant([1, 2], tf.int64)
    first = model(ids, training=True, dropout_seed=seed)
    again = model(ids, training=True, dropout_seed=seed)
    np.testing.assert_array_equal(first.pooled_output, again.pooled_output)


def test_keras_serialisation_and_symbolic_call():
    model = BertModel(BertConfig(**TINY_CONFIG))
    again = BertModel.from_config(model.get_config())
    assert again.config == model.config
    ids = keras.Input([8], dtype="int32")
    functional = keras.Model(ids, model(ids).pooled_output)
    ones = np.ones([2, 8], np.int32)
    assert_close(functional(ones), model(ones).pooled_output, forward(LAYERS))


@pytest.mark.parametrize("packed", [False, True])
def test_output_positions_are_those_of_the_whole(packed):
    model = BertModel(BertConfig(**TINY_CONFIG, initializer_range=0.3))
    ids, positions = tf.reshape(tf.range(24), [2, 12]), tf.constant([[0, 7, 7], [3, 11, 1]])
    mask = tf.constant([[1] * 12, [1] * 9 + [0] * 3])
    options = {"sequence_ids": tf.constant([[1] * 5 + [2] * 7, [1] * 9 + [0] * 3])} if packed else {}
    variables = [variable.value for variable in model.variables]

    def found(**more):
        with tf.GradientTape() as tape:
            outputs = model(ids, mask, **options, **more)
            chosen = outputs.sequence_output
            if not more:
                chosen = tf.gather(chosen, positions, batch_dims=1)
            loss = tf.reduce_sum(chosen**3)
        gradients = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return outputs, [chosen, *map(tf.convert_to_tensor, gradients)]

    whole, expected = found()
    outputs, at_positions = found(output_positions=positions)
    scale = max(map(largest, expected))
    for one, other in zip(at_positions, expected, strict=True):
        assert_close(one, other, backward(LAYERS), scale)
    np.testing.assert_array_equal(outputs.encoder_layers[0], whole.encoder_layers[0])
    pooled = model.pooler(tf.gather(whole.sequence_output, positions[:, 0], batch_dims=1))
    assert_close(outputs.pooled_output, pooled, forward(LAYERS))


def wide_model_and_batch():
    """A model wide enough to be fused, and a batch of it."""
    keras.utils.set_random_seed(3)
    model = PretrainingModel(BertConfig(**{**TINY_CONFIG, "hidden_size": 128, "intermediate_size": 256}))
    return model, {
        "input_ids": tf.reshape(tf.range(36), [3, 12]),
        "input_mask": tf.constant([[1] * 12, [1] * 12, [1] * 8 + [0] * 4]),
        "segment_ids": tf.constant([[0] * 6 + [1] * 6] * 3),
        "masked_lm_positions": tf.constant([[1, 2], [3, 4], [5, 6]]),
        "masked_lm_ids": tf.constant([[1, 2], [3, 4], [5, 6]]),
        "masked_lm_weights": tf.ones([3, 2]),
        "next_sentence_labels": tf.constant([[0], [1], [1]]),
    }


def loss_and_gradients(model, batch, **options):
    variables = [variable.value for variable in model.named_variables.values()]

    @tf.function(**options)
    def run(batch):
        with tf.GradientTape() as tape:
            loss, _ = model.loss(batch, model.loss_weights(batch), tf.constant([1, 2048], tf.int64))
        return loss, [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, variables)]

    return run(batch)


@pytest.mark.parametrize(
    ("jit", "recompute"),
    [
        (False, True),
        *(pytest.param(*both, marks=pytest.mark.slow) for both in ((True, False), (False, False), (True, True))),
    ],
)
def test_fused_training_has_the_same_numbers(jit, recompute, monkeypatch):
    model, batch = wide_model_and_batch()
    model.bert.recompute = recompute
    loss, gradients = loss_and_gradients(model, batch, jit_compile=jit)
    monkeypatch.setattr(layers, "_LEAST_FUSED_SIZE", 1000)
    model.bert.recompute = False
    expected, expected_gradients = loss_and_gradients(model, batch)
    assert_close(loss, expected, forward(LAYERS))
    scale = max(map(largest, expected_gradients))
    for name, one, other in zip(model.named_variables, gradients, expected_gradients, strict=True):
        assert_close(one, other, backward(LAYERS), scale, name)


def test_bfloat16_is_close_to_float32():
    float32, batch = wide_model_and_batch()
    expected, expected_gradients = loss_and_gradients(float32, batch)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model, _ = wide_model_and_batch()
    finally:
        keras.config.set_dtype_policy(before)
    loss, gradients = loss_and_gradients(model, batch)
    np.testing.assert_allclose(loss, expected, rtol=5e-3)
    assert {variable.dtype for variable in model.named_variables.values()} == {"float32"}
    norm, difference = (
        tf.linalg.global_norm(expected_gradients),
        tf.linalg.global_norm([one - other for one, other in zip(gradients, expected_gradients, strict=True)]),
    )
    assert difference < 0.05 * norm
    assert model.bert(batch["input_ids"]).sequence_output.dtype == tf.bfloat16
    masked_lm, next_sentence = model.logits(batch)
    assert masked_lm.dtype == next_sentence.dtype == tf.float32


class TestDropout:
    seed = tf.constant([5, 1024], tf.int64)

    def test_masks_follow_from_seed_and_site_alone(self):
        x = tf.ones([64, 64])
        first = dropout(x, 0.5, self.seed, 3)
        np.testing.assert_array_equal(first, dropout(x, 0.5, self.seed, 3))
        for other in (dropout(x, 0.5, self.seed, 4), dropout(x, 0.5, tf.add(self.seed, [0, 1024]), 3)):
            assert 0.4 < np.mean(np.equal(first, other)) < 0.6

    def test_off(self):
        x = tf.ones([4, 4])
        np.testing.assert_array_equal(dropout(x, 0.5, None, 0), x)
        np.testing.assert_array_equal(dropout(x, 0.0, self.seed, 0), x)

    def test_gradient_is_the_mask(self):
        x = tf.Variable(tf.random.stateless_normal([32, 32], seed=[1, 2]))
        with tf.GradientTape() as tape:
            out = dropout(x, 0.3, self.seed, 0)
        gradient = tape.gradient(out, x)
        np.testing.assert_array_equal(np.equal(gradient, 0), np.equal(out, 0))
