"""The tagger's loss: against plain NumPy, and independent of padding and padding rows."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import TINY_CONFIG
from helpers.rounding import LOSS, assert_close, forward, largest
from scipy import special

from bert_tf2 import checkpoints
from bert_tf2.configs.model import BertConfig
from bert_tf2.input_pipeline import example_batches
from bert_tf2.input_pipeline.example_batches import ExampleArrays
from bert_tf2.modeling.encoder import POOLER_VARIABLES
from bert_tf2.modeling.tagger import TAGS, TaggingModel

pytestmark = pytest.mark.numeric

CONFIG = BertConfig(**{**TINY_CONFIG, "initializer_range": 0.5})
LENGTHS = np.array([3, 17, 5, 24, 9, 8, 2])
SPLITS = np.concatenate([[0], np.cumsum(LENGTHS)])
RNG = np.random.default_rng(4)
DEPTH = forward(CONFIG.num_hidden_layers)
IDS = RNG.integers(5, 40, SPLITS[-1]).astype(np.int32)
TAG_IDS = (RNG.integers(1, 4, SPLITS[-1]) * (RNG.random(SPLITS[-1]) < 0.6)).astype(np.int32)
TAG_IDS[SPLITS[:-1]] = 2  # every window has a word


def make_model(**options) -> TaggingModel:
    keras.utils.set_random_seed(3)
    model = TaggingModel(CONFIG, 3, **options)
    model.tagger.output_weights.assign(np.random.default_rng(1).normal(size=model.tagger.output_weights.shape))
    model.tagger.output_bias.assign(np.random.default_rng(2).normal(size=model.tagger.output_bias.shape))
    return model


def batches(fixed_shapes: bool = True, size: int = len(LENGTHS)):
    examples = ExampleArrays(SPLITS, {"input_ids": IDS, TAGS: TAG_IDS}, {}, 24)
    return list(example_batches.evaluation(examples, size, fixed_shapes=fixed_shapes))


def loss_of(model: TaggingModel, batch) -> float:
    return float(model.loss(batch, model.loss_weights(batch), None)[0])


def words_of(model: TaggingModel, batch) -> tuple[np.ndarray, np.ndarray]:
    """The log-probabilities `[words, L]` and the labels of the words of a batch."""
    tags = batch[TAGS].numpy().ravel()
    return special.log_softmax(model.logits(batch).numpy()[tags > 0], axis=1), tags[tags > 0] - 1


def test_loss_is_the_mean_over_words() -> None:
    model = make_model()
    (batch,) = batches()
    log_probabilities, labels = words_of(model, batch)
    assert len(labels) == (TAG_IDS > 0).sum()
    losses = -log_probabilities[np.arange(len(labels)), labels]
    assert_close(loss_of(model, batch), losses.mean(), LOSS)
    every = model.losses(model.logits(batch), batch).numpy()
    logits = model.logits(batch).numpy()
    assert_close(every[batch[TAGS].numpy().ravel() > 0], losses, LOSS, largest(logits))
    assert (every[batch[TAGS].numpy().ravel() == 0] == 0).all()


def test_class_weights() -> None:
    weights = np.array([0.5, 1.0, 4.0])
    model = make_model(class_weights=weights)
    (batch,) = batches()
    log_probabilities, labels = words_of(model, batch)
    expected = np.average(-log_probabilities[np.arange(len(labels)), labels], weights=weights[labels])
    assert_close(loss_of(model, batch), expected, LOSS)
    assert float(model.loss_weights(batch)["words"]) == pytest.approx(weights[labels].sum())


def test_padding_and_padding_rows_have_no_effect() -> None:
    model = make_model()
    for one, other in zip(batches(True, 2), batches(False, 2), strict=True):
        assert_close(loss_of(model, one), loss_of(model, other), DEPTH, largest(model.logits(other)))
    (exact,), (filled,) = batches(), batches(size=len(LENGTHS) + 4)
    assert_close(loss_of(model, filled), loss_of(model, exact), DEPTH, largest(model.logits(exact)))


def test_accuracy() -> None:
    model = make_model()
    (batch,) = batches(size=len(LENGTHS) + 2)
    right, count = model.loss(batch, model.loss_weights(batch), None)[1]["accuracy"]
    log_probabilities, labels = words_of(model, batch)
    assert (float(right), float(count)) == ((log_probabilities.argmax(1) == labels).sum(), len(labels))


def test_variable_names_and_missing_gradients() -> None:
    model = make_model()
    assert list(model.named_variables)[-2:] == ["output_weights", "output_bias"]
    (batch,) = batches()
    variables = checkpoints.tf_variables(model.named_variables)
    with tf.GradientTape() as tape:
        loss = model.loss(batch, model.loss_weights(batch), tf.constant([1, 2], tf.int64))[0]
    gradients = tape.gradient(loss, variables)
    assert tuple(name for name, gradient in gradients.items() if gradient is None) == POOLER_VARIABLES


def test_dropout_on_the_sequence_output() -> None:
    model = make_model()
    hidden = tf.ones([50, 16])
    model.tagger.output_weights.assign(np.eye(3, 16))
    model.tagger.output_bias.assign(np.zeros(3))
    kept = model.tagger(hidden, tf.constant([1, 2], tf.int64)).numpy()
    assert sorted(set(kept.ravel().tolist())) == pytest.approx([0, 1 / 0.9], rel=1e-4)
