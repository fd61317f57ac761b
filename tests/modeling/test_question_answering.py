"""The model for question answering: its loss against plain NumPy, with any padding; its logits and variable names."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import TINY_CONFIG
from helpers.rounding import LOSS, assert_close, backward, forward, largest
from scipy import special

from bert_tf2.configs.model import BertConfig
from bert_tf2.input_pipeline import example_batches
from bert_tf2.input_pipeline.example_batches import ExampleArrays
from bert_tf2.modeling.encoder import POOLER_VARIABLES
from bert_tf2.modeling.question_answering import NO_CANDIDATE_LOGIT, SpanModel

pytestmark = pytest.mark.numeric

CONFIG = BertConfig(**{**TINY_CONFIG, "initializer_range": 0.5})
LAYERS = CONFIG.num_hidden_layers
LENGTHS = np.array([3, 17, 5, 24, 9, 8, 2])
ROWS = len(LENGTHS)


def make_model(**options) -> SpanModel:
    keras.utils.set_random_seed(3)
    model = SpanModel(CONFIG, **options)
    model.span.output_weights.assign(np.random.default_rng(1).normal(size=(2, 16)))
    model.span.output_bias.assign([0.5, -1.5])
    return model


def windows() -> ExampleArrays:
    rng = np.random.default_rng(4)
    splits = np.concatenate([[0], np.cumsum(LENGTHS)])
    tokens = rng.integers(5, 40, splits[-1]).astype(np.int32)
    starts = rng.integers(0, LENGTHS).astype(np.int32)
    ends = rng.integers(starts, LENGTHS).astype(np.int32)
    ends[0] = starts[0] = 0  # no answer: both are [CLS]
    columns = {"start_positions": starts, "end_positions": ends}
    return ExampleArrays(splits, {"input_ids": tokens, "segment_ids": tokens % 2}, columns, 24)


def batches(fixed_shapes: bool = True, size: int = ROWS):
    return list(example_batches.evaluation(windows(), size, fixed_shapes=fixed_shapes))


def loss_of(model: SpanModel, batch) -> float:
    return float(model.loss(batch, model.loss_weights(batch), None)[0])


def expected_loss(model: SpanModel, batch, over_padding: bool) -> float:
    total = 0.0
    for logits, name in zip(model.logits(batch), ("start_positions", "end_positions"), strict=True):
        for row, (length, position) in enumerate(zip(batch["input_mask"].numpy().sum(1), batch[name], strict=True)):
            values = logits.numpy()[row] if over_padding else logits.numpy()[row, :length]
            total -= special.log_softmax(values.astype(np.float64))[position] / 2
    return total / len(batch["input_ids"])


@pytest.mark.parametrize("over_padding", [True, False])
def test_loss_matches_the_definition(over_padding: bool) -> None:
    model = make_model(over_padding=over_padding)
    (batch,) = batches()
    assert batch["input_ids"].shape == [ROWS, 24]
    assert_close(loss_of(model, batch), expected_loss(model, batch, over_padding), LOSS)
    assert expected_loss(model, batch, True) > expected_loss(model, batch, False) + 0.1


def test_padding_has_no_effect_on_the_loss_over_tokens() -> None:
    model = make_model(over_padding=False)
    padded, trimmed = batches(True, 2), batches(False, 2)
    assert [batch["input_ids"].shape[1] for batch in trimmed] == [24, 16, 8, 8]
    for one, other in zip(padded, trimmed, strict=True):
        assert_close(loss_of(model, one), loss_of(model, other), forward(LAYERS))


def test_gradients_are_finite_and_independent_of_padding() -> None:
    model = make_model(over_padding=False)
    results = []
    for fixed_shapes in (True, False):
        batch = batches(fixed_shapes, 2)[2]
        with tf.GradientTape() as tape:
            loss = model.loss(batch, model.loss_weights(batch), None)[0]
        names = [name for name in model.named_variables if name not in POOLER_VARIABLES]
        gradients = tape.gradient(loss, [model.named_variables[name].value for name in names])
        results.append([tf.convert_to_tensor(gradient).numpy() for gradient in gradients])
    scale = max(map(largest, results[1]))
    for one, other in zip(*results, strict=True):
        assert np.isfinite(one).all()
        assert_close(one, other, backward(LAYERS), scale)


def test_logits_for_prediction() -> None:
    """They have the requested number of positions for batches of any length; padding cannot be chosen."""
    model = make_model()
    for one, other in zip(batches(True, 2), batches(False, 2), strict=True):
        full, short = model.outputs(one, 24), model.outputs(other, 24)
        assert set(full) == {"start_logits", "end_logits"}
        is_token = one["input_mask"].numpy() > 0
        for logits, actual, expected in zip(model.logits(one), full.values(), short.values(), strict=True):
            assert actual.shape == expected.shape == [2, 24]
            np.testing.assert_array_equal(actual.numpy() == NO_CANDIDATE_LOGIT, ~is_token)
            np.testing.assert_array_equal(expected.numpy() == NO_CANDIDATE_LOGIT, ~is_token)
            for again in (logits, expected):
                assert_close(actual.numpy()[is_token], again.numpy()[is_token], forward(LAYERS))


def test_padding_rows_have_no_weight() -> None:
    model = make_model()
    (exact,), (filled,) = batches(), batches(size=ROWS + 4)
    assert_close(loss_of(model, filled), loss_of(model, exact), forward(LAYERS))
    assert float(model.loss_weights(filled)["rows"]) == ROWS


def test_accuracy_requires_both_ends() -> None:
    model = make_model()
    (batch,) = batches(size=ROWS + 2)
    batch = {name: value.numpy() for name, value in batch.items()}
    start, end = (logits.numpy().argmax(1) for logits in model.logits(batch))
    batch["start_positions"][:3], batch["end_positions"][:2] = start[:3], end[:2]
    batch["end_positions"][2] = (end[2] + 1) % 24
    batch["start_positions"][3:], batch["end_positions"][3:] = (start[3:] + 1) % 24, end[3:]
    right, count = model.loss(batch, model.loss_weights(batch), None)[1]["accuracy"]
    assert (float(right), float(count)) == (2, ROWS)


def test_variable_names_are_those_of_the_original() -> None:
    model = make_model()
    names = list(model.named_variables)
    assert names[-2:] == ["cls/squad/output_weights", "cls/squad/output_bias"]
    assert all(name.startswith("bert/") for name in names[:-2])
    assert {name for name in names if "pooler" in name} == set(POOLER_VARIABLES)
    assert [tuple(model.named_variables[name].shape) for name in names[-2:]] == [(2, 16), (2,)]


def test_head_is_initialized_as_in_the_original() -> None:
    keras.utils.set_random_seed(3)
    head = SpanModel(BertConfig(**{**TINY_CONFIG, "hidden_size": 2000})).span
    weights = head.output_weights.numpy()
    assert np.abs(weights).max() <= 0.04
    assert weights.std() == pytest.approx(0.02 * 0.88, rel=0.05)
    assert not head.output_bias.numpy().any()
