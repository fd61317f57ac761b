"""The optimizer against twenty steps of the original, the schedule against hand-made numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_tf2 import checkpoints
from bert_tf2.config import BertConfig
from bert_tf2.optimization import BertAdam, clipping_scale, linear_schedule
from bert_tf2.tasks.pretraining import PretrainingModel
from bert_tf2.training import Trainer, TrainingConfig


def test_twenty_steps_equal_the_original(shared, tmp_path):
    golden = np.load(shared / "golden/tiny/train.npz")
    steps = int(golden["num_train_steps"])
    config = BertConfig.from_json_file(shared / "golden/tiny/bert_config.json")
    without_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = PretrainingModel(BertConfig(**{**config.to_dict(), **without_dropout}))
    variables = {name: variable.value for name, variable in model.named_variables.items()}
    checkpoints.load(variables, str(shared / "golden/tiny/bert_model.ckpt"))
    schedule = linear_schedule(float(golden["learning_rate"]), steps, int(golden["num_warmup_steps"]))
    training = TrainingConfig(str(tmp_path), num_train_steps=steps, batch_size=6, log_steps=1)
    trainer = Trainer.create(model, schedule, tf.distribute.get_strategy(), training)
    data = {name.removeprefix("in_"): golden[name] for name in golden.files if name.startswith("in_")}
    trainer.train(lambda done: tf.data.Dataset.from_tensor_slices(data))

    logged: dict[str, list[float]] = {}
    (events,) = tmp_path.glob("events.out.tfevents.*")
    for record in tf.data.TFRecordDataset(str(events)):
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value:
            logged.setdefault(value.tag, []).append(float(tf.make_ndarray(value.tensor)))
    for column, name in enumerate(("loss", "masked_lm_loss", "next_sentence_loss")):
        np.testing.assert_allclose(logged[name], golden["losses"][:, column], rtol=0, atol=1e-4, err_msg=name)
    np.testing.assert_allclose(logged["gradient_norm"], golden["global_grad_norms"], rtol=0, atol=1e-3)
    finals = [name for name in golden.files if name.startswith("final/")]
    assert len(finals) > 20
    for name in finals:
        weights = variables[name.removeprefix("final/")]
        np.testing.assert_allclose(weights, golden[name], rtol=0, atol=5e-5, err_msg=name)


def test_linear_schedule():
    rate = linear_schedule(1.0, num_train_steps=10, num_warmup_steps=4)
    expected = [0, 0.25, 0.5, 0.75, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0, 0]
    np.testing.assert_allclose([rate(tf.constant(step)) for step in range(12)], expected, atol=1e-7)


def test_linear_schedule_without_warm_up_starts_at_its_peak():
    assert linear_schedule(3e-5, 10, 0)(tf.constant(0)) == np.float32(3e-5)


def variables_of(**values):
    return {name.replace("__", "/"): keras.Variable(np.float32(value)) for name, value in values.items()}


def numpy_step(w, g, m, v, rate, decay):
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    return w - rate * (m / (np.sqrt(v) + 1e-6) + decay * w), m, v


def test_two_steps_by_hand():
    variables = variables_of(a__kernel=[1.0, -2.0], a__bias=[3.0], a__LayerNorm__gamma=[1.5])
    decays = {"a/kernel": 0.01, "a/bias": 0.0, "a/LayerNorm/gamma": 0.0}
    optimizer = BertAdam(variables)
    state = {name: (variable.numpy().astype(np.float64), 0.0, 0.0) for name, variable in variables.items()}
    for gradients in (
        {"a/kernel": [0.5, 0.1], "a/bias": [-1.0], "a/LayerNorm/gamma": [2.0]},
        {"a/kernel": [0.0, 0.3], "a/bias": [1.0], "a/LayerNorm/gamma": [-1.0]},
    ):
        tensors = {name: tf.constant(value, tf.float32) for name, value in gradients.items()}
        optimizer.apply(tensors, tf.constant(0.1), tf.constant(0.5))
        for name, value in gradients.items():
            w, m, v = state[name]
            state[name] = numpy_step(w, 0.5 * np.array(value), m, v, 0.1, decays[name])
    for name, variable in variables.items():
        # The fused kernel's 1 - β2 is 1.3e-5 off 0.001, as float32 of 0.999 leaves it.
        np.testing.assert_allclose(variable, state[name][0], rtol=2e-5)
        slots = optimizer.named_slots()
        np.testing.assert_allclose(slots[f"{name}/adam_m"], state[name][1], rtol=1e-5)
        np.testing.assert_allclose(slots[f"{name}/adam_v"], state[name][2], rtol=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scale_zero_changes_nothing(bad):
    variables = variables_of(a__kernel=[1.0, -2.0])
    optimizer = BertAdam(variables)
    optimizer.apply({"a/kernel": tf.constant([1.0, 2.0])}, tf.constant(0.1), tf.constant(1.0))
    before = [variable.numpy() for variable in (*optimizer.variables.values(), *optimizer.named_slots().values())]
    scale, norm = clipping_scale([tf.constant([bad, 1.0])], 1.0)
    assert scale == 0
    assert not np.isfinite(norm)
    optimizer.apply({"a/kernel": tf.constant([bad, 1.0])}, tf.constant(0.1), scale)
    after = [variable.numpy() for variable in (*optimizer.variables.values(), *optimizer.named_slots().values())]
    np.testing.assert_array_equal(before, after)


def test_variables_without_gradient_stay():
    variables = variables_of(a__kernel=[1.0], b__kernel=[1.0])
    BertAdam(variables).apply({"a/kernel": tf.constant([1.0])}, tf.constant(0.1), tf.constant(1.0))
    assert variables["a/kernel"].numpy() != 1
    assert variables["b/kernel"].numpy() == 1


def test_clipping():
    scale, norm = clipping_scale([tf.constant([3.0]), tf.constant([4.0])], 1.0)
    np.testing.assert_allclose([scale, norm], [0.2, 5.0], rtol=1e-6)
    scale, _ = clipping_scale([tf.constant([0.3])], 1.0)
    assert scale == 1
