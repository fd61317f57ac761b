"""Leaving padding out does not change the results."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import TINY_CONFIG
from helpers.rounding import assert_close, backward, forward

from bert_tf2.configs.model import BertConfig
from bert_tf2.modeling import unpadded
from bert_tf2.modeling.classifier import LABELS, ClassificationModel
from bert_tf2.modeling.encoder import BertModel
from bert_tf2.modeling.question_answering import END_POSITIONS, START_POSITIONS, SpanModel
from bert_tf2.modeling.tagger import TAGS, TaggingModel

pytestmark = pytest.mark.numeric

# Without dropout, so that a training step can be compared; one wide enough to be fused, and a narrower one.
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
CONFIGS = {
    "plain": BertConfig.from_dict({**TINY_CONFIG, **NO_DROPOUT}),
    "fused": BertConfig.from_dict({**TINY_CONFIG, **NO_DROPOUT, "hidden_size": 128, "intermediate_size": 64}),
}
LENGTHS = (3, 11, 1, 16, 6)
MASK = (np.arange(16) < np.array(LENGTHS)[:, None]).astype(np.int32)
WITH_HOLES = MASK * (np.arange(16) % 5 != 3)


def batch_of(mask: np.ndarray) -> dict[str, tf.Tensor]:
    rng = np.random.default_rng(1)
    shape = mask.shape
    return {
        "input_ids": tf.constant(rng.integers(1, 40, shape) * mask, tf.int32),
        "input_mask": tf.constant(mask, tf.int32),
        "segment_ids": tf.constant(rng.integers(0, 2, shape) * mask, tf.int32),
        LABELS: tf.constant(rng.integers(0, 3, shape[0]), tf.int32),
        TAGS: tf.constant(rng.integers(0, 4, shape) * mask, tf.int32),
        START_POSITIONS: tf.zeros(shape[0], tf.int32),
        END_POSITIONS: tf.constant(mask.sum(axis=1) - 1, tf.int32),
    }


# --- Token layouts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [tf.int32, tf.bool])
def test_token_layout(dtype: tf.DType) -> None:
    mask = tf.constant([[1, 1, 0], [0, 0, 0], [1, 0, 1]])
    layout = unpadded.token_layout(tf.cast(mask, dtype), round_up=False)
    assert layout.positions.numpy().tolist() == [0, 1, 6, 8]
    assert layout.rows.numpy().tolist() == [0, 1, 1, 1, 1, 1, 2, 2, 3]
    assert layout.row_is_token.numpy().all()
    assert layout.position_is_token.numpy()[:, 0].astype(int).tolist() == [1, 1, 0, 0, 0, 0, 1, 0, 1]


def test_batch_of_padding_has_one_padding_row() -> None:
    layout = unpadded.token_layout(tf.zeros([2, 3], tf.int32), round_up=False)
    assert layout.positions.numpy().tolist() == [0]
    assert not layout.row_is_token.numpy().any()
    x = tf.constant([[2.0]])
    assert unpadded.with_padding(x, layout).numpy().shape == (6, 1)


def test_rounded_sizes_are_few_and_close_to_the_token_count() -> None:
    masks = {tokens: tf.ones([1, tokens], tf.int32) for tokens in range(1, 1100, 7)}
    layouts = {tokens: unpadded.token_layout(mask, round_up=True) for tokens, mask in masks.items()}
    rows = {tokens: layout.positions.shape[0] for tokens, layout in layouts.items()}
    assert all(tokens <= size <= max(tokens * 9 / 8, tokens + 7) for tokens, size in rows.items())
    assert {size for tokens, size in rows.items() if 256 < tokens <= 512} == set(range(288, 513, 32))
    for tokens, layout in layouts.items():
        assert int(tf.reduce_sum(tf.cast(layout.row_is_token, tf.int32))) == tokens


def test_gradients_reach_only_tokens() -> None:
    layout = unpadded.token_layout(tf.constant([[1, 1, 0], [1, 0, 0]]), round_up=True)
    x = tf.reshape(tf.range(12.0), [6, 2])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        rows = unpadded.without_padding(x, layout)
        back = unpadded.with_padding(rows, layout)
    assert rows.shape == (8, 2)
    assert rows.numpy()[:3].tolist() == [[0, 1], [2, 3], [6, 7]]
    assert back.numpy()[[0, 1, 3]].tolist() == [[0, 1], [2, 3], [6, 7]]
    assert tape.gradient(back, x).numpy()[:, 0].tolist() == [1, 1, 0, 1, 0, 0]
    assert tape.gradient(rows, x).numpy()[:, 0].tolist() == [1, 1, 0, 1, 0, 0]


# --- The encoder -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [MASK, WITH_HOLES], ids=["padded", "with holes"])
@pytest.mark.parametrize("name", CONFIGS)
def test_hidden_states_of_tokens_are_the_same(name: str, mask: np.ndarray) -> None:
    batch = batch_of(mask)
    model = BertModel(CONFIGS[name])
    padded, skipping = (
        model(batch["input_ids"], batch["input_mask"], batch["segment_ids"], skip_padding=skip)
        for skip in (False, True)
    )
    is_token = mask.astype(bool)
    for expected, actual in zip(
        (padded.embedding_output, *padded.encoder_layers, padded.sequence_output),
        (skipping.embedding_output, *skipping.encoder_layers, skipping.sequence_output),
        strict=True,
    ):
        assert_close(actual.numpy()[is_token], expected.numpy()[is_token], forward(4))
    assert_close(skipping.pooled_output.numpy(), padded.pooled_output.numpy(), forward(4))


def test_output_positions() -> None:
    batch = batch_of(MASK)
    positions = tf.constant([[0, length - 1] for length in LENGTHS])
    model = BertModel(CONFIGS["plain"])
    padded, skipping = (
        model(batch["input_ids"], batch["input_mask"], output_positions=positions, skip_padding=skip)
        for skip in (False, True)
    )
    assert skipping.sequence_output.shape == (5, 2, TINY_CONFIG["hidden_size"])
    assert_close(skipping.sequence_output.numpy(), padded.sequence_output.numpy(), forward(4))


# --- Tasks -----------------------------------------------------------------------------------------------------------

TASKS = {
    "single label": lambda config, **options: ClassificationModel(config, 3, "single_label", **options),
    "class weights": lambda config, **options: ClassificationModel(config, 3, "single_label", (1, 2, 3), **options),
    "tagging": lambda config, **options: TaggingModel(config, 3, **options),
    "spans": lambda config, **options: SpanModel(config, over_padding=False, **options),
}


@pytest.mark.parametrize(
    ("task", "name", "recompute"),
    [*((task, "plain", False) for task in TASKS), ("single label", "fused", False), ("tagging", "fused", True)],
)
def test_losses_and_gradients_are_the_same(task: str, name: str, recompute: bool) -> None:
    batch = batch_of(MASK)
    results = []
    for skip_padding in (False, True):
        keras.utils.set_random_seed(5)
        model = TASKS[task](CONFIGS[name], recompute=recompute, skip_padding=skip_padding)
        variables = {key: variable.value for key, variable in model.named_variables.items()}
        with tf.GradientTape() as tape:
            loss, _ = model.loss(batch, model.loss_weights(batch), tf.constant([1, 2], tf.int64))
        named_gradients = zip(variables, tape.gradient(loss, list(variables.values())), strict=True)
        results.append(
            (loss, {key: tf.convert_to_tensor(value) for key, value in named_gradients if value is not None})
        )
    (expected_loss, expected), (loss, gradients) = results
    assert_close(loss.numpy(), expected_loss.numpy(), forward(4))
    assert set(gradients) == set(expected)
    largest = max(float(tf.reduce_max(tf.abs(value))) for value in expected.values())
    for key, value in expected.items():
        assert_close(gradients[key].numpy(), value.numpy(), backward(4), largest, key)
