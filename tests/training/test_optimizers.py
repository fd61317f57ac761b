"""The optimizers: BERT's against twenty steps of the original, all against plain definitions; adding a new one."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import GOLDEN, TINY_CONFIG
from helpers.rounding import EPSILON, SUM, assert_close, assert_trained_close, backward, forward
from helpers.two_devices import examples

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import listing
from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError
from bert_tf2.tasks.pretraining.runner import PretrainingModel
from bert_tf2.training import optimizers
from bert_tf2.training.optimizers import (
    OPTIMIZERS,
    Adafactor,
    AdamW,
    BertAdam,
    Lamb,
    Optimizer,
    OptimizerConfig,
    Slot,
    clipping_scale,
    layerwise_scales,
    make_optimizer,
    trained_names,
)
from bert_tf2.training.schedules import make_schedule
from bert_tf2.training.trainer import Trainer, TrainingConfig

pytestmark = pytest.mark.numeric

BETA_ERROR = 1.3e-5 / EPSILON  # relative error of the optimizer's 1 - β2, as β2 is 0.999 in float32


def test_twenty_steps_equal_the_original(tmp_path):
    golden = np.load(GOLDEN / "tiny/train.npz")
    steps = int(golden["num_train_steps"])
    config = BertConfig.from_json_file(GOLDEN / "tiny/bert_config.json")
    without_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = PretrainingModel(BertConfig(**{**config.to_dict(), **without_dropout}))
    variables = checkpoints.tf_variables(model.named_variables)
    checkpoints.load(variables, str(GOLDEN / "tiny/bert_model.ckpt"))
    schedule = make_schedule("linear", float(golden["learning_rate"]), steps, int(golden["num_warmup_steps"]))
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
    actual = {name: variables[name].numpy() for name in expected}
    assert_trained_close(actual, expected, 3, steps, float(golden["learning_rate"]))


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
def test_steps_equal_the_reference(kind, reference):
    """Two steps, a skipped one, and a third."""
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
            nans = {name: tf.fill(variable.shape, np.nan) for name, variable in variables.items()}
            optimizer.apply(nans, tf.constant(0.1), tf.constant(0.0), updates)
            continue
        tensors = {name: tf.constant(value, tf.float32) for name, value in gradients.items()}
        optimizer.apply(tensors, tf.constant(0.1), tf.constant(0.5), updates)
        updates += 1
        for name, value in gradients.items():
            w, m, v = state[name]
            rate = 0.05 if name == "a/kernel" else 0.1
            state[name] = reference(w, 0.5 * np.array(value), m, v, rate, decays[name], updates)
    for name, variable in variables.items():
        assert_close(variable, state[name][0], 2 * BETA_ERROR)
        slots = optimizer.named_slots()
        assert_close(slots[f"{name}/adam_m"], state[name][1], SUM, scale=0.1)
        assert_close(slots[f"{name}/adam_v"], state[name][2], 2 * BETA_ERROR)


class PlainAdafactor:
    """Adafactor as its paper writes it: sums and an outer product; `w` of one or two dimensions."""

    def __init__(self, w):
        self.w, self.t = np.array(w, np.float64), 0
        self.rows, self.columns, self.v = 0.0, 0.0, 0.0

    def step(self, g, rate, decay):
        self.t += 1
        beta = 1 - self.t**-0.8
        square = np.square(g) + 1e-30
        if self.w.ndim == 2:
            self.rows = beta * self.rows + (1 - beta) * square @ np.ones(square.shape[1])
            self.columns = beta * self.columns + (1 - beta) * np.ones(square.shape[0]) @ square
            self.v = np.outer(self.rows, self.columns) / self.rows.sum()
        else:
            self.v = beta * self.v + (1 - beta) * square
        u = g / np.sqrt(self.v)
        u /= max(1.0, np.sqrt(np.mean(u**2)))
        self.w -= rate * max(1e-3, np.sqrt(np.mean(self.w**2))) * (u + decay * self.w)


def test_adafactor_equals_its_paper():
    """A skipped step, two that are taken, another skipped one, and a third."""
    start = {"a/kernel": [[1.0, -2.0, 0.5], [0.1, 0.0, 3.0]], "b/kernel": np.zeros([2, 2]), "a/bias": [0.0, 3.0]}
    decays = {"a/kernel": 0.01, "b/kernel": 0.01, "a/bias": 0.0}
    variables = {name: keras.Variable(np.float32(value)) for name, value in start.items()}
    optimizer = Adafactor(variables, rate_scales={"a/kernel": 0.5})
    plain = {name: PlainAdafactor(value) for name, value in start.items()}
    assert {name: slot.shape.as_list() for name, slot in optimizer.named_slots().items()} == {
        "a/kernel/adafactor_row": [2],
        "a/kernel/adafactor_column": [3],
        "b/kernel/adafactor_row": [2],
        "b/kernel/adafactor_column": [2],
        "a/bias/adafactor_v": [2],
    }
    rng, updates = np.random.default_rng(0), 0
    for taken in (False, True, True, False, True):
        gradients = {name: rng.normal(size=np.shape(value)) for name, value in start.items()}
        gradients["b/kernel"][0] = 0.0  # a row without gradient, as of a word that does not occur
        tensors = {
            name: tf.constant(value if taken else np.full_like(value, np.inf), tf.float32)
            for name, value in gradients.items()
        }
        optimizer.apply(tensors, tf.constant(0.1), tf.constant(0.5 * taken), updates)
        updates += taken
        for name, gradient in gradients.items() if taken else ():
            plain[name].step(0.5 * gradient, 0.05 if name == "a/kernel" else 0.1, decays[name])
        for name, variable in variables.items():
            assert_close(variable, plain[name].w, 2 * SUM, name=name)
    slots = optimizer.named_slots()
    assert_close(slots["a/kernel/adafactor_row"], plain["a/kernel"].rows / 3, 2 * SUM)
    assert_close(slots["a/kernel/adafactor_column"], plain["a/kernel"].columns / 2, 2 * SUM)
    assert_close(slots["a/bias/adafactor_v"], plain["a/bias"].v, 2 * SUM)
    pinned = [[0.940952013, -2.100949908, 0.590607355], [0.31837309, 0.303147235, 2.897016861]]
    assert_close(variables["a/kernel"], pinned, 2 * SUM)


class Odd(Optimizer):
    """Unlike any other: keeps a count and the gradient's signs for matrices, and nothing for other shapes."""

    @classmethod
    def slots(cls, shape):
        return [Slot("odd_count", [], 3.0), Slot("odd_signs", [2, *shape], -1.0)] if len(shape) == 2 else []

    def _update(self, variable, state, gradient, step, shared):
        if state.slots:
            state.slots["odd_count"].assign_add(tf.cast(step.taken, tf.float32))
            signs = state.slots["odd_signs"]
            signs.assign(tf.where(step.taken, tf.stack([tf.sign(gradient), signs[0]]), signs))
            gradient += tf.reduce_sum(signs, 0) / state.slots["odd_count"]
        variable.assign_sub(step.rate * gradient * tf.cast(step.taken, tf.float32))


class Plain(Odd):
    """Keeps nothing."""

    @classmethod
    def slots(cls, shape):
        return []


def tiny_trainer(directory, steps, optimizer):
    keras.utils.set_random_seed(3)
    model = PretrainingModel(BertConfig(**{**TINY_CONFIG, "num_hidden_layers": 1}))
    config = TrainingConfig(output_dir=str(directory), num_train_steps=steps, batch_size=4, save_checkpoints_steps=2)
    schedule = make_schedule("constant", 1e-2, steps, 0)
    optimizer_config = OptimizerConfig(ema_decay=0.9)
    object.__setattr__(optimizer_config, "optimizer", optimizer)  # also one that the flag does not allow
    return Trainer.create(model, schedule, tf.distribute.get_strategy(), config, optimizer_config)


def tiny_data(done, share):
    rows = examples(np.random.default_rng(2), 16)
    return tf.data.Dataset.from_tensor_slices(rows).skip(done).batch(4, drop_remainder=True)


@pytest.mark.parametrize("name", [pytest.param("adafactor", marks=pytest.mark.slow), "odd"])
def test_any_slots_are_saved_and_resumed_to_the_last_bit(tmp_path, monkeypatch, name):
    monkeypatch.setitem(OPTIMIZERS, "odd", Odd)
    monkeypatch.setitem(OPTIMIZERS, "plain", Plain)
    monkeypatch.setattr(optimizers, "_MIN_FUSED", 600)  # XLA compiles the update of some variables
    full = tiny_trainer(tmp_path / "full", 4, name)
    full.train(tiny_data)
    (tmp_path / "resumed").mkdir()
    for path in (tmp_path / "full").glob("model.ckpt-2.*"):
        shutil.copy(path, tmp_path / "resumed")
    listing.write_state(tmp_path / "resumed", [str(tmp_path / "resumed/model.ckpt-2")])
    resumed = tiny_trainer(tmp_path / "resumed", 4, name)
    assert resumed.resume() == str(tmp_path / "resumed/model.ckpt-2")
    resumed.train(tiny_data)
    expected, actual = (tf.train.load_checkpoint(str(tmp_path / run / "model.ckpt-4")) for run in ("full", "resumed"))
    shapes = expected.get_variable_to_shape_map()
    assert actual.get_variable_to_shape_map() == shapes
    for variable in shapes:
        np.testing.assert_array_equal(actual.get_tensor(variable), expected.get_tensor(variable), err_msg=variable)
    kernel = "bert/encoder/layer_0/intermediate/dense/kernel"
    slot_shapes = {slot.rpartition("/")[2]: shapes[slot] for slot in shapes if slot.startswith(f"{kernel}/")}
    rows, columns = shapes[kernel]
    assert slot_shapes.pop("ExponentialMovingAverage") == [rows, columns]
    assert (
        slot_shapes
        == {
            "adafactor": {"adafactor_row": [rows], "adafactor_column": [columns]},
            "odd": {"odd_count": [], "odd_signs": [2, rows, columns]},
        }[name]
    )
    report = checkpoints.load(checkpoints.tf_variables(full.task.named_variables), str(tmp_path / "full"))
    assert not report.missing
    assert set(report.unused) == set(report.state)

    for other in sorted({"bert", "adamw", "odd", "plain", "adafactor"} - {name}):
        message = rf"model\.ckpt-4 cannot be resumed: it has the state of another optimizer \({name}_.*the --optimizer"
        with pytest.raises(InputError, match=message):
            tiny_trainer(tmp_path / "full", 6, other).resume()


@pytest.mark.parametrize("kind", OPTIMIZERS.values())
def test_xla_gives_the_same_numbers(kind, monkeypatch):
    monkeypatch.setattr(optimizers, "_MIN_FUSED", 2)  # the kernel, not the bias
    results = []
    for compiles, fuse in ((False, False), (True, False), (False, True)):
        variables = variables_of(a__kernel=[[1.0, -2.0], [0.5, 3.0]], a__bias=[3.0])
        optimizer = kind(variables, rate_scales={"a/kernel": 0.5}, ema_decay=0.9, fuse=fuse)
        optimizer.start_averages()
        apply = tf.function(optimizer.apply, jit_compile=compiles, autograph=False)
        gradients = {"a/kernel": tf.constant([[0.5, 0.1], [-1.0, 0.3]]), "a/bias": tf.constant([2.0])}
        for updates in range(2):
            apply(gradients, tf.constant(0.1), tf.constant(1.0), tf.constant(updates))
        kept = (*variables.values(), *optimizer.named_slots().values(), *optimizer.named_averages().values())
        results.append([variable.numpy() for variable in kept])
    for plain, *others in zip(*results, strict=True):
        for other in others:
            assert_close(plain, other, SUM)


@pytest.mark.parametrize(("bad", "fuse"), [(np.nan, False), (np.inf, False), (np.nan, True)])
@pytest.mark.parametrize("kind", OPTIMIZERS.values())
def test_scale_zero_changes_nothing(kind, bad, fuse, monkeypatch):
    monkeypatch.setattr(optimizers, "_MIN_FUSED", 2)
    variables = variables_of(a__kernel=[[1.0, -2.0]], a__bias=[3.0, 0.0])
    optimizer = kind(variables, ema_decay=0.9, fuse=fuse)
    optimizer.start_averages()

    def values():
        state = (*optimizer.variables.values(), *optimizer.named_slots().values(), *optimizer.named_averages().values())
        return [variable.numpy() for variable in state]

    for updates in range(2):  # before and after the first update
        before = values()
        gradients = {"a/kernel": tf.constant([[bad, 1.0]]), "a/bias": tf.constant([1.0, bad])}
        optimizer.apply(gradients, tf.constant(0.1), tf.constant(0.0), updates)
        for actual, expected in zip(values(), before, strict=True):
            np.testing.assert_array_equal(actual, expected)
        gradients = {"a/kernel": tf.constant([[1.0, 2.0]]), "a/bias": tf.constant([1.0, -1.0])}
        optimizer.apply(gradients, tf.constant(0.1), tf.constant(1.0), updates)
        assert not np.array_equal(before[0], values()[0])


def test_variables_without_gradient_do_not_change():
    variables = variables_of(a__kernel=[1.0], b__kernel=[1.0])
    BertAdam(variables).apply({"a/kernel": tf.constant([1.0])}, tf.constant(0.1), tf.constant(1.0))
    assert variables["a/kernel"].numpy() != 1
    assert variables["b/kernel"].numpy() == 1


def test_clipping():
    assert_close(clipping_scale(tf.constant(5.0), 1.0), 0.2, SUM)
    assert clipping_scale(tf.constant(0.3), 1.0) == 1


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


def test_the_flags_reach_the_optimizer():
    """If all gradients are zero, weights change by weight decay alone, times the factor of their layer."""
    variables = {name: keras.Variable(np.ones(2, np.float32)) for name in NAMES}
    config = OptimizerConfig(weight_decay=0.5, layerwise_learning_rate_decay=0.5, num_frozen_layers=1)
    optimizer = make_optimizer(variables, config)
    optimizer.apply({name: tf.zeros(2) for name in optimizer.variables}, tf.constant(0.5), tf.constant(1.0))
    changes = [float(1 - variables[name].numpy()[0]) for name in NAMES]
    assert changes == [0, 0, 1 / 32, 1 / 16, 1 / 8, 1 / 4]
    assert type(make_optimizer(variables, OptimizerConfig("lamb"))) is Lamb


def test_more_frozen_layers_than_the_model_has():
    with pytest.raises(InputError, match="--num_frozen_layers=4, but the model has 3 layers"):
        trained_names(NAMES, OptimizerConfig(num_frozen_layers=4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "sgd"}, "Unknown --optimizer 'sgd'; choose one of bert, adamw, lamb, adafactor"),
        ({"learning_rate_schedule": "x"}, "Unknown --learning_rate_schedule 'x'; choose one of linear, cosine, const"),
        ({"ema_decay": 1.0}, "--ema_decay=1.0; it must be at least 0 and below 1"),
        ({"layerwise_learning_rate_decay": 0.0}, "--layerwise_learning_rate_decay=0.0; it must be above 0"),
        ({"weight_decay": -1.0}, "--weight_decay=-1.0; it must be at least 0"),
    ],
)
def test_invalid_values(change, message):
    with pytest.raises(InputError, match=message):
        OptimizerConfig(**change)
