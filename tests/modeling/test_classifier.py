"""The classifier's loss: against plain NumPy, and independent of padding and padding rows."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import TINY_CONFIG
from helpers.rounding import LOSS, assert_close, forward

from bert_tf2.configs.model import BertConfig
from bert_tf2.input_pipeline import example_batches
from bert_tf2.input_pipeline.example_batches import ExampleArrays
from bert_tf2.modeling import heads
from bert_tf2.modeling.classifier import ClassificationModel
from bert_tf2.tasks.classification.scores import row_losses

pytestmark = pytest.mark.numeric

CONFIG = BertConfig(**{**TINY_CONFIG, "initializer_range": 0.5})
DEPTH = forward(CONFIG.num_hidden_layers)
ROWS = 7
RNG = np.random.default_rng(5)
LABELS = {
    "single_label": RNG.integers(0, 3, ROWS).astype(np.int32),
    "multi_label": RNG.integers(0, 2, [ROWS, 3]).astype(np.int32),
    "regression": RNG.normal(size=ROWS).astype(np.float32),
}


def make_model(kind: str, **options) -> ClassificationModel:
    keras.utils.set_random_seed(3)
    model = ClassificationModel(CONFIG, 1 if kind == "regression" else 3, kind, **options)
    model.classifier.output_weights.assign(np.random.default_rng(1).normal(size=model.classifier.output_weights.shape))
    model.classifier.output_bias.assign(np.random.default_rng(2).normal(size=model.classifier.output_bias.shape))
    return model


def examples(kind: str) -> ExampleArrays:
    lengths = np.array([3, 17, 5, 24, 9, 8, 2])
    splits = np.concatenate([[0], np.cumsum(lengths)])
    tokens = np.random.default_rng(4).integers(5, 40, splits[-1]).astype(np.int32)
    return ExampleArrays(splits, {"input_ids": tokens, "segment_ids": tokens % 2}, {"label_ids": LABELS[kind]}, 24)


def batch(kind: str, fixed_shapes: bool = True, size: int = ROWS):
    return list(example_batches.evaluation(examples(kind), size, fixed_shapes=fixed_shapes))


def loss_scale(kind: str, logits: tf.Tensor) -> float:
    """The magnitude of the terms of a loss: that of the logits, or, for regression, of their squares."""
    largest = float(tf.reduce_max(tf.abs(logits)))
    return largest**2 if kind == "regression" else largest


def loss_of(model: ClassificationModel, batch) -> float:
    return float(model.loss(batch, model.loss_weights(batch), None)[0])


@pytest.mark.parametrize("kind", LABELS)
def test_loss_matches_the_definition(kind: str) -> None:
    model = make_model(kind)
    (rows,) = batch(kind)
    logits = model.logits(rows).numpy()
    assert logits.shape == (ROWS, 1 if kind == "regression" else 3)
    labels = rows["label_ids"].numpy()
    assert_close(loss_of(model, rows), row_losses(logits, labels, kind).mean(), LOSS)


@pytest.mark.parametrize("kind", LABELS)
def test_padding_has_no_effect(kind: str) -> None:
    model = make_model(kind)
    padded, trimmed = batch(kind, True, 2), batch(kind, False, 2)
    assert [one["input_ids"].shape[1] for one in padded] == [24] * 4
    assert [one["input_ids"].shape[1] for one in trimmed] == [24, 16, 8, 8]
    for one, other in zip(padded, trimmed, strict=True):
        count = 1 if one is padded[-1] else 2
        logits = model.logits(other)[:count]
        assert_close(model.logits(one)[:count], logits, DEPTH)
        assert_close(loss_of(model, one), loss_of(model, other), DEPTH, scale=loss_scale(kind, logits))


@pytest.mark.parametrize("kind", LABELS)
def test_padding_rows_have_no_weight(kind: str) -> None:
    model = make_model(kind)
    (exact,), (filled,) = batch(kind, size=ROWS), batch(kind, size=ROWS + 4)
    assert_close(loss_of(model, filled), loss_of(model, exact), DEPTH, loss_scale(kind, model.logits(exact)))
    assert float(model.loss_weights(filled)["rows"]) == ROWS


def test_accuracy() -> None:
    model = make_model("single_label")
    (rows,) = batch("single_label", size=ROWS + 2)
    right, count = model.loss(rows, model.loss_weights(rows), None)[1]["accuracy"]
    expected = (model.logits(rows).numpy().argmax(1) == rows["label_ids"].numpy())[:ROWS]
    assert (float(right), float(count)) == (expected.sum(), ROWS)


def test_class_weights() -> None:
    weights = [0.5, 1.0, 4.0]
    model = make_model("single_label", class_weights=weights)
    (rows,) = batch("single_label")
    labels = rows["label_ids"].numpy()
    losses = row_losses(model.logits(rows).numpy(), labels, "single_label")
    assert_close(loss_of(model, rows), np.average(losses, weights=np.array(weights)[labels]), LOSS)


def test_variable_names_are_those_of_the_original() -> None:
    names = list(make_model("single_label").named_variables)
    assert names[-2:] == ["output_weights", "output_bias"]
    assert all(name.startswith("bert/") for name in names[:-2])


def test_dropout_on_the_pooled_output() -> None:
    head = heads.ClassifierHead(BertConfig(**{**TINY_CONFIG, "hidden_size": 2000}), 1)
    head.output_weights.assign(np.eye(1, 2000))
    pooled = tf.ones([500, 2000])
    kept = head(pooled, tf.constant([1, 2], tf.int64)).numpy()[:, 0]
    assert sorted(set(kept.tolist())) == pytest.approx([0, 1 / 0.9], rel=1e-4)
    assert 0.05 < (kept == 0).mean() < 0.15
    assert (head(pooled).numpy() == 1).all()
