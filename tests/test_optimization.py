"""The optimizer against twenty steps of the original, the schedule against hand-made numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import GOLDEN
from rounding import EPSILON, SUM, assert_close, assert_trained_close, backward, forward

from bert_tf2 import checkpoints
from bert_tf2.config import BertConfig
from bert_tf2.errors import InputError
from bert_tf2.optimization import (
    AdamW,
    BertAdam,
    Lamb,
    OptimizerConfig,
    clipping_scale,
    layerwise_scales,
    linear_schedule,
    make_schedule,
    trained_names,
)
from bert_tf2.tasks.pretraining import PretrainingModel
from bert_tf2.training import Trainer, TrainingConfig

pytestmark = pytest.mark.numeric

OFF = 1.3e-5 / EPSILON  # by so much the optimizer's 1 - β2 is not 0.001, as float32 of 0.999 leaves it


def test_twenty_steps_equal_the_original(tmp_path):
    golden = np.load(GOLDEN / "tiny/train.npz")
    steps = int(golden["num_train_steps"])
    config = BertConfig.from_json_file(GOLDEN / "tiny/bert_config.json")
    without_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = PretrainingModel(BertConfig(**{**config.to_dict(), **without_dropout}))
    variables = {name: variable.value for name, variable in model.named_variables.items()}
    checkpoints.load(variables, str(GOLDEN / "tiny/bert_model.ckpt"))
    schedule = linear_schedule(float(golden["learning_rate"]), steps, int(golden["num_warmup_steps"]))
    training = TrainingConfig(output_dir=str(tmp_path), num_train_steps=steps, batch_size=6, log_steps=1)
    trainer = Trainer.create(model, schedule, tf.distribute.get_strategy(), training)
    data = {name.removeprefix("in_"): golden[name] for name in golden.files if name.startswith("in_")}
    trainer.train(lambda done, share: tf.data.Dataset.from_tensor_slices(data))

    logged: dict[str, list[float]] = {}
    (events,) = tmp_path.glob("events.out.tfevents.*")
    for record in tf.data.TFRecordDataset(str(events)):
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value:
            logged.setdefault(value.tag, []).append(float(tf.make_ndarray(value.tensor)))
    for column, name in enumerate(("loss", "masked_lm_loss", "next_sentence_loss")):
        assert_close(logged[name], golden["losses"][:, column], forward(3), name=name)
    assert_close(logged["gradient_norm"], golden["global_grad_norms"], backward(3))
    expected = {name.removeprefix("final/"): golden[name] for name in golden.files if name.startswith("final/")}
    assert len(expected) > 20
    found = {name: variables[name].numpy() for name in expected}
    assert_trained_close(found, expected, 3, steps, float(golden["learning_rate"]))


def test_linear_schedule():
    rate = linear_schedule(1.0, num_train_steps=10, num_warmup_steps=4)
    expected = [0, 0.25, 0.5, 0.75, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0, 0]
    assert_close([rate(tf.constant(step)) for step in range(12)], expected, SUM)


def test_linear_schedule_without_warm_up_starts_at_its_peak():
    assert linear_schedule(3e-5, 10, 0)(tf.constant(0)) == np.float32(3e-5)


def variables_of(**values):
    return {name.replace("__", "/"): keras.Variable(np.float32(value)) for name, value in values.items()}


def numpy_step(w, g, m, v, rate, decay):
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    return w - rate * (m / (np.sqrt(v) + 1e-6) + decay * w), m, v


def numpy_adamw(w, g, m, v, rate, decay, t):
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    corrected = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return w - rate * (corrected + decay * w), m, v


def numpy_lamb(w, g, m, v, rate, decay, t):
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    direction = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-6) + decay * w
    trust = np.linalg.norm(w) / np.linalg.norm(direction) if decay else 1
    return w - rate * trust * direction, m, v


def numpy_bert(w, g, m, v, rate, decay, t):
    return numpy_step(w, g, m, v, rate, decay)


@pytest.mark.parametrize(
    ("kind", "reference"), [(BertAdam, numpy_bert), (AdamW, numpy_adamw), (Lamb, numpy_lamb)], ids=lambda x: x.__name__
)
def test_steps_by_hand(kind, reference):
    """Two steps, one that is skipped, and a third."""
    variables = variables_of(a__kernel=[1.0, -2.0], a__bias=[3.0], a__LayerNorm__gamma=[1.5])
    decays = {"a/kernel": 0.01, "a/bias": 0.0, "a/LayerNorm/gamma": 0.0}
    optimizer = kind(variables, rate_scales={"a/kernel": 0.5})
    state = {name: (variable.numpy().astype(np.float64), 0.0, 0.0) for name, variable in variables.items()}
    updates = 0
    for gradients in (
        {"a/kernel": [0.5, 0.1], "a/bias": [-1.0], "a/LayerNorm/gamma": [2.0]},
        {"a/kernel": [0.0, 0.3], "a/bias": [1.0], "a/LayerNorm/gamma": [-1.0]},
        None,
        {"a/kernel": [0.2, -0.3], "a/bias": [0.4], "a/LayerNorm/gamma": [-0.7]},
    ):
        if gradients is None:
            nothing = {name: tf.fill(variable.shape, np.nan) for name, variable in variables.items()}
            optimizer.apply(nothing, tf.constant(0.1), tf.constant(0.0), updates)
            continue
        tensors = {name: tf.constant(value, tf.float32) for name, value in gradients.items()}
        optimizer.apply(tensors, tf.constant(0.1), tf.constant(0.5), updates)
        updates += 1
        for name, value in gradients.items():
            w, m, v = state[name]
            rate = 0.05 if name == "a/kernel" else 0.1
            state[name] = reference(w, 0.5 * np.array(value), m, v, rate, decays[name], updates)
    for name, variable in variables.items():
        assert_close(variable, state[name][0], 2 * OFF)
        slots = optimizer.named_slots()
        assert_close(slots[f"{name}/adam_m"], state[name][1], SUM, scale=0.1)
        assert_close(slots[f"{name}/adam_v"], state[name][2], 2 * OFF)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("kind", [BertAdam, AdamW, Lamb])
def test_scale_zero_changes_nothing(kind, bad):
    variables = variables_of(a__kernel=[1.0, -2.0])
    optimizer = kind(variables, ema_decay=0.9)
    optimizer.start_averages()

    def values():
        kept = (*optimizer.variables.values(), *optimizer.named_slots().values(), *optimizer.named_averages().values())
        return [variable.numpy() for variable in kept]

    optimizer.apply({"a/kernel": tf.constant([1.0, 2.0])}, tf.constant(0.1), tf.constant(1.0))
    before = values()
    optimizer.apply({"a/kernel": tf.constant([bad, 1.0])}, tf.constant(0.1), tf.constant(0.0), 1)
    np.testing.assert_array_equal(before, values())


def test_variables_without_gradient_stay():
    variables = variables_of(a__kernel=[1.0], b__kernel=[1.0])
    BertAdam(variables).apply({"a/kernel": tf.constant([1.0])}, tf.constant(0.1), tf.constant(1.0))
    assert variables["a/kernel"].numpy() != 1
    assert variables["b/kernel"].numpy() == 1


def test_clipping():
    assert_close(clipping_scale(tf.constant(5.0), 1.0), 0.2, SUM)
    assert clipping_scale(tf.constant(0.3), 1.0) == 1


def test_other_schedules():
    cosine = make_schedule("cosine", 2.0, num_train_steps=8, num_warmup_steps=2)
    expected = [0, 1, *(1 + np.cos(np.pi * np.arange(2, 9) / 8)), 0]
    assert_close([cosine(tf.constant(step)) for step in range(10)], expected, SUM)
    constant = make_schedule("constant", 2.0, num_train_steps=8, num_warmup_steps=2)
    assert [float(constant(tf.constant(step))) for step in (0, 1, 2, 7, 9)] == [0, 1, 2, 2, 2]


NAMES = [
    "bert/embeddings/word_embeddings",
    *(f"bert/encoder/layer_{index}/output/dense/kernel" for index in range(3)),
    "bert/pooler/dense/kernel",
    "output_weights",
]


def test_layerwise_scales():
    scales = layerwise_scales(NAMES, 0.5)
    assert [scales[name] for name in NAMES] == [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1]


@pytest.mark.parametrize(
    ("config", "first"),
    [
        (OptimizerConfig(), 0),
        (OptimizerConfig(freeze_embeddings=True), 1),
        (OptimizerConfig(num_frozen_layers=2), 3),
        (OptimizerConfig(num_frozen_layers=3), 4),
    ],
)
def test_trained_names(config, first):
    assert trained_names(NAMES, config) == NAMES[first:]


def test_more_frozen_layers_than_there_are():
    with pytest.raises(InputError, match="--num_frozen_layers=4, but the model has 3 layers"):
        trained_names(NAMES, OptimizerConfig(num_frozen_layers=4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "sgd"}, "Unknown --optimizer 'sgd'; choose one of bert, adamw, lamb"),
        ({"learning_rate_schedule": "x"}, "Unknown --learning_rate_schedule 'x'; choose one of linear, cosine, const"),
        ({"ema_decay": 1.0}, "--ema_decay=1.0; it has to be at least 0 and below 1"),
        ({"layerwise_learning_rate_decay": 0.0}, "--layerwise_learning_rate_decay=0.0; it has to be above 0"),
        ({"weight_decay": -1.0}, "--weight_decay=-1.0; it has to be at least 0"),
    ],
)
def test_impossible_values(change, message):
    with pytest.raises(InputError, match=message):
        OptimizerConfig(**change)
