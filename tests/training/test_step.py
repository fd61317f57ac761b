"""The step: microbatches, float16's loss scale, moving averages, frozen layers, XLA."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import TINY_CONFIG
from helpers.rounding import SUM, assert_close, assert_trained_close
from helpers.two_devices import examples

from bert_tf2.configs.model import BertConfig
from bert_tf2.configs.training import OptimizerConfig, PrecisionConfig
from bert_tf2.tasks.pretraining.runner import PretrainingModel
from bert_tf2.training.precision import policy
from bert_tf2.training.schedules import make_schedule
from bert_tf2.training.trainer import Trainer, TrainingConfig

pytestmark = pytest.mark.numeric

STRATEGY = tf.distribute.get_strategy()
BATCH, STEPS, RATE = 6, 5, 1e-2
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def data(done, share):
    return tf.data.Dataset.from_tensor_slices(examples(np.random.default_rng(2), 42)).repeat().skip(done).batch(BATCH)


def trained(directory, steps=STEPS, optimizer=None, precision=None, rate=RATE, rows=data, **options):
    """A trainer that has taken some steps."""
    config = BertConfig(**{**TINY_CONFIG, "initializer_range": 0.1, **options.pop("model", NO_DROPOUT)})
    keras.utils.set_random_seed(7)
    precision = precision or PrecisionConfig("float32", "off")
    with policy(precision):
        model = PretrainingModel(config, recompute=options.pop("recompute", False))
    loop = TrainingConfig(output_dir=str(directory), num_train_steps=steps, batch_size=BATCH, **options)
    trainer = Trainer.create(model, make_schedule("linear", rate, 12, 2), STRATEGY, loop, optimizer, precision)
    trainer.train(rows)
    return trainer


def weights(trainer):
    return {name: variable.value.numpy() for name, variable in trainer.task.named_variables.items()}


def assert_same_training(actual, expected):
    assert_trained_close(weights(actual), weights(expected), TINY_CONFIG["num_hidden_layers"], STEPS, RATE)


def largest_difference(first, second):
    """Except for key biases: their true gradient is 0, and Adam turns the rounding error in its place into steps."""
    first, second = weights(first), weights(second)
    return max(float(np.abs(first[name] - second[name]).max()) for name in first if not name.endswith("key/bias"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("microbatches", [2, pytest.param(6, marks=pytest.mark.slow)])
def test_microbatches_give_the_numbers_of_the_whole_batch(plain, tmp_path, microbatches):
    assert_same_training(trained(tmp_path, gradient_accumulation_steps=microbatches), plain)


@pytest.mark.slow
def test_each_microbatch_has_different_dropout(tmp_path):
    """All rows are equal, so that equal masks would give the gradients of the whole batch."""

    def same_rows(done, share):
        row = examples(np.random.default_rng(2), 1)
        batch = {name: np.repeat(value, BATCH, axis=0) for name, value in row.items()}
        return tf.data.Dataset.from_tensors(batch).repeat()

    model = {"hidden_dropout_prob": 0.5, "attention_probs_dropout_prob": 0.0}
    whole, accumulated = (
        trained(tmp_path / str(count), rows=same_rows, model=model, gradient_accumulation_steps=count, steps=2)
        for count in (1, 6)
    )
    assert largest_difference(whole, accumulated) > 1e-5


@pytest.mark.parametrize(
    ("options", "layers"),
    [
        pytest.param({}, 2, id="plain"),
        pytest.param({"gradient_accumulation_steps": 2}, 2, id="microbatches", marks=pytest.mark.slow),
        pytest.param({"precision": PrecisionConfig("float32", "on")}, 1, id="XLA", marks=pytest.mark.slow),
    ],
)
def test_recomputed_layers_give_the_same_numbers(plain, tmp_path, options, layers):
    """With dropout, whose masks are the same when recomputed."""
    dropout = {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.3, "num_hidden_layers": layers}
    stored, recomputed = (
        trained(tmp_path / str(recompute), model=dropout, recompute=recompute, **options) for recompute in (False, True)
    )
    assert_same_training(recomputed, stored)
    assert largest_difference(stored, plain) > 1e-3


@pytest.mark.slow
def test_xla_gives_the_same_numbers(plain, tmp_path):
    assert_same_training(trained(tmp_path, precision=PrecisionConfig("float32", "on")), plain)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_follows_float32(plain, tmp_path, precision):
    trainer = trained(tmp_path, precision=PrecisionConfig(precision, "off"))
    assert {str(variable.dtype) for variable in trainer.task.named_variables.values()} == {"float32"}
    batch = next(iter(data(0, None)))
    one, two = (model.task.loss(batch, model.task.loss_weights(batch), None)[0] for model in (plain, trainer))
    assert 0 < abs(float(one) - float(two)) < 0.05
    assert largest_difference(trainer, plain) < 0.05


def test_float16_lowers_its_scale_until_the_gradients_are_finite(tmp_path, monkeypatch):
    monkeypatch.setattr("bert_tf2.training.precision.LossScale.__init__.__defaults__", (2.0**31, 3))
    trainer = trained(tmp_path, steps=24, precision=PrecisionConfig("float16", "off"), max_skipped_steps=2)
    scale = trainer.step.loss_scale.variables["loss_scale"].numpy()
    skipped = int(trainer.step.skipped_steps.numpy())
    assert skipped > 2  # more than max_skipped_steps, which does not count steps that only lower the scale
    assert scale < 2.0**31
    assert np.log2(scale) == int(np.log2(scale))
    reader = tf.train.load_checkpoint(str(tmp_path / "model.ckpt-24"))
    assert reader.get_tensor("loss_scale") == scale


def test_moving_averages_follow_the_weights(tmp_path):
    trainer = trained(tmp_path, steps=1, optimizer=OptimizerConfig(ema_decay=0.9), rate=1.0)
    start = tf.train.load_checkpoint(str(tmp_path / "model.ckpt-0"))
    name = "bert/pooler/dense/kernel"
    average = trainer.optimizer.named_averages()[f"{name}/ExponentialMovingAverage"].numpy()
    np.testing.assert_array_equal(start.get_tensor(f"{name}/ExponentialMovingAverage"), start.get_tensor(name))
    assert_close(average, 0.9 * start.get_tensor(name) + 0.1 * weights(trainer)[name], SUM)


def test_frozen_layers_do_not_change(tmp_path):
    trainer = trained(tmp_path, optimizer=OptimizerConfig(num_frozen_layers=1))
    start = tf.train.load_checkpoint(str(tmp_path / "model.ckpt-0"))
    assert not start.has_tensor("bert/embeddings/word_embeddings/adam_m")
    for name, value in weights(trainer).items():
        frozen = name.startswith(("bert/embeddings/", "bert/encoder/layer_0/"))
        assert (value == start.get_tensor(name)).all() == frozen, name


def test_shapes_of_batches(plain):
    """For explaining slow steps; a task's batches may have a mask of any kind, or none."""
    mask = tf.sequence_mask([2, 3], 5)
    for batch in ({"input_mask": mask}, {"input_mask": tf.cast(mask, tf.int32)}):
        assert plain.step._shape_of(batch).numpy().tolist() == [2, 5, 5]
    for batch in ({}, {"input_mask": tf.ones([2, 3, 5], tf.int32)}):
        assert plain.step._shape_of(batch).numpy().tolist() == [0, 0, 0]
