"""The loop: logging, saving, resuming bit for bit, stopping, diverging, and two devices against one."""

import functools
import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import two_devices
from helpers.repository import TINY_CONFIG
from helpers.rounding import assert_close, assert_trained_close, backward
from helpers.two_devices import examples

from bert_tf2 import checkpoints
from bert_tf2.configs.model import BertConfig
from bert_tf2.configs.training import OptimizerConfig
from bert_tf2.errors import Diverged, InputError, Stopped
from bert_tf2.io.progress import Progress
from bert_tf2.tasks.pretraining.runner import PretrainingModel
from bert_tf2.training.schedules import make_schedule
from bert_tf2.training.trainer import Trainer, TrainingConfig

pytestmark = pytest.mark.numeric

STRATEGY = tf.distribute.get_strategy()
BATCH = 4


def new_trainer(directory, steps, optimizer=None, **options):
    keras.utils.set_random_seed(7)
    model = PretrainingModel(BertConfig(**TINY_CONFIG))
    config = TrainingConfig(
        output_dir=str(directory), **{"num_train_steps": steps, "batch_size": BATCH, "log_steps": 2, **options}
    )
    return Trainer.create(model, make_schedule("linear", 1e-2, 12, 2), STRATEGY, config, optimizer)


def data(done, share):
    """A fixed, endless sequence of batches that can be entered anywhere."""
    return tf.data.Dataset.from_tensor_slices(examples(np.random.default_rng(2), 40)).skip(done).batch(BATCH)


def weights(trainer):
    return {name: variable.value.numpy() for name, variable in trainer.task.named_variables.items()}


@pytest.fixture(scope="module")
def uninterrupted_run(tmp_path_factory):
    """An uninterrupted run of ten steps with dropout."""
    directory = tmp_path_factory.mktemp("run")
    trainer = new_trainer(directory, 10, save_checkpoints_steps=4, keep_checkpoints=3)
    trainer.train(data)
    return directory, weights(trainer)


def test_checkpoints_and_events(uninterrupted_run):
    directory, _ = uninterrupted_run
    assert sorted(int(path.stem.split("-")[1]) for path in directory.glob("*.index")) == [4, 8, 10]  # the last three
    assert checkpoints.step_of(checkpoints.latest(directory)) == 10
    logged: dict[str, list[int]] = {}
    (events,) = directory.glob("events.out.tfevents.*")
    for record in tf.data.TFRecordDataset(str(events)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            assert value.metadata.plugin_data.plugin_name == "scalars"
            assert np.isfinite(tf.make_ndarray(value.tensor))
            logged.setdefault(value.tag, []).append(event.step)
    names = {"loss", "masked_lm_loss", "masked_lm_accuracy", "next_sentence_loss", "next_sentence_accuracy"}
    assert set(logged) == names | {"learning_rate", "gradient_norm", "examples_per_second", "skipped_steps"}
    assert all(steps == [2, 4, 6, 8, 10] for steps in logged.values())


def test_checkpoints_have_the_moments_and_the_step(uninterrupted_run):
    directory, final = uninterrupted_run
    reader = tf.train.load_checkpoint(checkpoints.latest(directory))
    names = set(reader.get_variable_to_shape_map())
    assert names == {f"{name}{slot}" for name in final for slot in ("", "/adam_m", "/adam_v")} | {
        "global_step",
        "skipped_steps",
        "input_position",
    }
    assert reader.get_tensor("global_step").dtype == np.int64


@pytest.mark.parametrize("stop", [4, pytest.param(7, marks=pytest.mark.slow)])
def test_resuming_ends_with_the_same_bits(uninterrupted_run, tmp_path, stop):
    first = new_trainer(tmp_path, stop, save_checkpoints_steps=4)
    assert first.resume() is None
    first.train(data)
    second = new_trainer(tmp_path, 10, save_checkpoints_steps=4, seed=12345)
    assert second.resume() == str(tmp_path / f"model.ckpt-{stop}")
    second.train(data)
    for name, value in weights(second).items():
        np.testing.assert_array_equal(value, uninterrupted_run[1][name], err_msg=name)


def test_steps_per_call_do_not_change_the_result(uninterrupted_run, tmp_path):
    trainer = new_trainer(tmp_path, 10, iterations_per_loop=1)
    trainer.train(data)
    for name, value in weights(trainer).items():
        np.testing.assert_array_equal(value, uninterrupted_run[1][name], err_msg=name)


def test_another_seed_gives_different_dropout(uninterrupted_run, tmp_path):
    trainer = new_trainer(tmp_path, 10, seed=1)
    trainer.train(data)
    assert any((value != uninterrupted_run[1][name]).any() for name, value in weights(trainer).items())


def test_nothing_left_to_train(uninterrupted_run, caplog):
    directory, final = uninterrupted_run
    trainer = new_trainer(directory, 10)
    trainer.resume()
    caplog.set_level("INFO")
    trainer.train(lambda done, share: pytest.fail("no data should be read"))
    assert caplog.messages == ["Nothing left to train: step 10 of 10 is reached."]
    np.testing.assert_array_equal(weights(trainer)["bert/pooler/dense/kernel"], final["bert/pooler/dense/kernel"])


def poisoned(*steps):
    """Data whose batches at these steps, counted from 1, have an infinite loss."""

    def data(done, share):
        rows = examples(np.random.default_rng(2), 40)
        for step in steps:
            rows["masked_lm_weights"][(step - 1) * BATCH : step * BATCH] = np.inf
        return tf.data.Dataset.from_tensor_slices(rows).skip(done).batch(BATCH)

    return data


def test_a_step_that_is_not_finite_is_skipped_and_counted(uninterrupted_run, tmp_path, caplog):
    caplog.set_level("INFO")
    trainer = new_trainer(tmp_path, 10, save_checkpoints_steps=6)
    trainer.train(poisoned(4, 6, 7))
    assert "Skipped steps: 3, whose loss or gradients were not finite." in caplog.text
    assert trainer.global_step == 10
    assert int(trainer.step.skipped_steps.numpy()) == 3
    assert all(np.isfinite(value).all() for value in weights(trainer).values())
    # The weights saved after the sixth step contain nothing of it: they are those of a run of five steps.
    five_steps = new_trainer(tmp_path / "five", 5)
    five_steps.train(poisoned(4))
    reader = tf.train.load_checkpoint(str(tmp_path / "model.ckpt-6"))
    for name, value in weights(five_steps).items():
        np.testing.assert_array_equal(reader.get_tensor(name), value, err_msg=name)
    assert reader.get_tensor("skipped_steps") == 2


def test_many_consecutive_steps_that_are_not_finite_stop_the_run(tmp_path):
    trainer = new_trainer(tmp_path, 10, save_checkpoints_steps=3, max_skipped_steps=3)
    message = (
        r"Step 8: loss nan, gradient norm nan at learning rate 0\.00416667; --max_skipped_steps=3 consecutive steps "
        r"were like this and were skipped, and training stopped\. The last good checkpoint is .*model\.ckpt-6\. Lower "
    )
    with pytest.raises(Diverged, match=message):
        trainer.train(poisoned(2, 3, 6, 7, 8))
    assert trainer.global_step == 8
    assert checkpoints.latest(tmp_path) == str(tmp_path / "model.ckpt-6")


def test_two_devices_give_the_numbers_of_one(tmp_path, scripts):
    results = {}
    for strategy in ("off", "mirrored"):
        file = tmp_path / f"{strategy}.npz"
        done = scripts.run("tests/helpers/two_devices.py", [strategy, str(file)])
        assert done.returncode == 0, done.stderr
        results[strategy] = np.load(file)
    one, two = results["off"], results["mirrored"]
    assert set(one) == set(two)
    scores = [name for name in one if name.startswith("score ")]
    for name in scores:
        assert_close(two[name], one[name], backward(2), name=name)
    expected, actual = (
        {name.replace("|", "/"): file[name] for name in one if name not in scores} for file in (one, two)
    )
    assert_trained_close(actual, expected, 2, two_devices.STEPS, two_devices.RATE)


def test_the_batch_must_divide_by_the_microbatches(tmp_path):
    with pytest.raises(InputError, match=r"--train_batch_size=4 does not divide by 3 .*; give a multiple of it"):
        new_trainer(tmp_path, 10, gradient_accumulation_steps=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"log_steps": 0}, "--log_steps=0; it must be at least 1"),
        ({"seed": -1}, "--seed=-1; it must be at least 0"),
        ({"profile_steps": "20"}, "--profile_steps=20; expected two steps, the first below the last"),
        ({"profile_steps": "5,5"}, "--profile_steps=5,5; expected two steps"),
    ],
)
def test_invalid_values(change, message):
    with pytest.raises(InputError, match=message):
        TrainingConfig(output_dir="o", num_train_steps=1, batch_size=1, **change)


class _Recorder:
    """A hook that is due at every third step and ends training at step `end`."""

    def __init__(self, end=None):
        self.steps, self.end = [], end

    def next_after(self, step):
        return step - step % 3 + 3

    def run(self, step):
        self.steps.append(step)
        return "enough" if step == self.end else None


class _Signal(_Recorder):
    """A hook that sends this process a signal at step 3."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def run(self, step):
        if step == 3:
            os.kill(os.getpid(), self.number)


def test_hooks_run_when_they_are_due(uninterrupted_run, tmp_path):
    hook = _Recorder()
    trainer = new_trainer(tmp_path, 10)
    trainer.train(data, [hook])
    assert hook.steps == [0, 3, 6, 9]
    for name, value in weights(trainer).items():
        np.testing.assert_array_equal(value, uninterrupted_run[1][name], err_msg=name)


def test_hooks_of_the_last_step_run_after_a_kill_before_them(uninterrupted_run):
    """The last checkpoint had been saved, but its evaluation, for example, was still to come."""
    hook = _Recorder()
    trainer = new_trainer(uninterrupted_run[0], 10)
    trainer.resume()
    trainer.train(lambda done, share: pytest.fail("no data should be read"), [hook])
    assert hook.steps == [10]


def test_memory_that_a_hook_exhausts_is_not_blamed_on_the_training_batch(tmp_path):
    class Evaluation(_Recorder):
        def run(self, step):
            if step == 3:
                raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    with pytest.raises(tf.errors.ResourceExhaustedError):
        new_trainer(tmp_path, 10).train(data, [Evaluation()])


def test_moving_averages_start_as_the_weights_even_if_there_is_a_checkpoint(tmp_path):
    """A worker may already see the one that the chief saves at step 0, or still those that it is going to remove."""
    new_trainer(tmp_path, 0).train(data)
    trainer = new_trainer(tmp_path, 0, OptimizerConfig(ema_decay=0.9))
    name = "cls/predictions/output_bias"
    loaded = np.arange(40, dtype=np.float32)
    trainer.task.named_variables[name].assign(loaded)
    trainer.train(data)
    average = trainer.optimizer.named_averages()[f"{name}/{checkpoints.AVERAGE}"]
    np.testing.assert_array_equal(average.numpy(), loaded)


def test_a_checkpoint_is_saved_when_a_hook_ends_training(tmp_path, caplog):
    caplog.set_level("INFO")
    trainer = new_trainer(tmp_path, 10)
    trainer.train(data, [_Recorder(end=6)])
    assert checkpoints.latest(tmp_path) == str(tmp_path / "model.ckpt-6")
    assert "Training ends at step 6: enough." in caplog.text
    resumed = new_trainer(tmp_path, 10)
    resumed.resume()
    resumed.train(lambda done, share: pytest.fail("no data should be read"), [_Recorder(end=6)])
    assert "Nothing left to train: enough." in caplog.text


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_saves_and_stops(uninterrupted_run, tmp_path, number):

    first = new_trainer(tmp_path, 10)
    handler = signal.getsignal(number)
    message = rf"{number.name} requested a stop: saved step 3 of 10 as .*model\.ckpt-3\. Run the same command again"
    with pytest.raises(Stopped, match=message):
        first.train(data, [_Signal(number)])
    assert signal.getsignal(number) is handler
    second = new_trainer(tmp_path, 10)
    assert second.resume() == str(tmp_path / "model.ckpt-3")
    second.train(data)
    for name, value in weights(second).items():
        np.testing.assert_array_equal(value, uninterrupted_run[1][name], err_msg=name)


@pytest.mark.slow  # TensorFlow's allocator waits for ten seconds for memory that others might free
def test_out_of_memory_gives_advice(tmp_path, monkeypatch):
    trainer = new_trainer(tmp_path, 10)

    original_loss = trainer.task.loss

    def loss(batch, weights, seed):
        value, metrics = original_loss(batch, weights, seed)
        huge = tf.fill([tf.size(batch["input_ids"], tf.int64) * 2**40], value)
        return tf.reduce_sum(huge), metrics

    monkeypatch.setattr(trainer.task, "loss", loss)
    message = (
        r"Out of memory with 4 examples at once on a device \(OOM when allocating tensor .*\)\. "
        r"--gradient_accumulation_steps=2 needs less and gives the same results\. So do --recompute"
    )
    with pytest.raises(InputError, match=message):
        trainer.train(data)


def test_profiling_writes_a_trace(tmp_path, caplog):
    caplog.set_level("INFO")
    new_trainer(tmp_path, 4, profile_steps="1,3").train(data)
    assert list(tmp_path.glob("plugins/profile/*/*.xplane.pb"))
    assert f"Wrote the profile of steps 1 to 3: {tmp_path}/plugins/profile." in caplog.text


def test_a_profile_is_written_if_training_is_stopped(tmp_path, caplog):
    caplog.set_level("INFO")
    with pytest.raises(Stopped):
        new_trainer(tmp_path, 10, profile_steps="1,9").train(data, [_Signal(signal.SIGTERM)])
    assert list(tmp_path.glob("plugins/profile/*/*.xplane.pb"))
    assert f"Wrote the profile of steps 1 to 3: {tmp_path}/plugins/profile." in caplog.text


@pytest.mark.slow
def test_profile_of_a_run_resumed_between_its_steps(tmp_path, caplog):
    caplog.set_level("INFO")
    new_trainer(tmp_path, 2).train(data)
    trainer = new_trainer(tmp_path, 4, profile_steps="1,3")
    trainer.resume()
    trainer.train(data)
    assert "Wrote the profile of steps 2 to 3" in caplog.text


def test_profile_steps_that_are_not_reached(tmp_path, caplog):
    new_trainer(tmp_path, 2, profile_steps="2,3").train(data)
    assert "--profile_steps=2,3: training ended at step 2; nothing was profiled" in caplog.text


def test_progress_and_events_agree(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("bert_tf2.training.trainer.Progress", functools.partial(Progress, seconds_between_lines=0.0))
    caplog.set_level("INFO")
    new_trainer(tmp_path, 4, log_steps=4).train(data)
    assert "Tracing and compiling the training step..." in caplog.messages
    shown = [message for message in caplog.messages if message.startswith("Training: 4 of 4 steps")][-1]
    (events,) = tmp_path.glob("events.out.tfevents.*")
    logged = {
        value.tag: float(tf.make_ndarray(value.tensor))
        for record in tf.data.TFRecordDataset(str(events))
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value
    }
    for name in ("loss", "masked_lm_accuracy", "gradient_norm", "learning_rate"):
        assert f"{name} {logged[name]:.4g}," in shown
