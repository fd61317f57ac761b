"""Checkpoints: Google's names, TF1's own reader and writer, reports of loading, interrupted saving."""

import os
import re

import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import GOLDEN, TINY_CONFIG

from bert_tf2.checkpoints import google
from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError
from bert_tf2.tasks.pretraining.runner import PretrainingModel

GOLDEN_NAMES_PER_LAYER = 16


def variables(**values):
    return {name.replace("__", "/"): tf.Variable(np.float32(value)) for name, value in values.items()}


@pytest.fixture
def encoder():
    return variables(bert__a=[1.0, 2.0], bert__b=[[3.0]], cls__head=[4.0])


def test_golden_checkpoint_loads_completely():
    model = PretrainingModel(BertConfig.from_json_file(GOLDEN / "tiny/bert_config.json"))
    named = google.tf_variables(model.named_variables)
    report = google.load(named, str(GOLDEN / "tiny/bert_model.ckpt"))
    assert len(report.loaded) == 3 * GOLDEN_NAMES_PER_LAYER + 14
    assert (report.missing, report.unused) == ((), ())
    assert "Nothing missing, nothing unused" in str(report)
    reader = tf.train.load_checkpoint(str(GOLDEN / "tiny/bert_model.ckpt"))
    for name, variable in named.items():
        np.testing.assert_array_equal(variable, reader.get_tensor(name))


def test_tf1_saver_round_trip(tmp_path, encoder):
    prefix = google.save(str(tmp_path), 7, encoder)
    expected = {name: v.numpy() for name, v in encoder.items()}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        graph = {name: tf.compat.v1.get_variable(name, v.shape) for name, v in expected.items()}
        saver = tf.compat.v1.train.Saver(graph)
        saver.restore(session, prefix)
        for name, value in session.run(graph).items():
            np.testing.assert_array_equal(value, expected[name])
        tf1_prefix = saver.save(session, str(tmp_path / "tf1.ckpt"), write_meta_graph=False)
    fresh = {name: tf.Variable(tf.zeros_like(v)) for name, v in encoder.items()}
    google.load(fresh, tf1_prefix)
    for name, value in fresh.items():
        np.testing.assert_array_equal(value, encoder[name])


def test_five_latest_are_kept_and_found(tmp_path, encoder):
    for step in range(8):
        google.save(str(tmp_path), step, encoder)
    assert sorted(path.name for path in tmp_path.glob("*.index")) == [
        f"model.ckpt-{step}.index" for step in range(3, 8)
    ]
    assert len(list(tmp_path.iterdir())) == 11
    assert google.latest(tmp_path) == tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-7")
    listed = tf.train.get_checkpoint_state(str(tmp_path)).all_model_checkpoint_paths
    assert [path.rsplit("-", 1)[1] for path in listed] == ["3", "4", "5", "6", "7"]


def test_keep_one(tmp_path, encoder):
    for step in (1, 2):
        google.save(str(tmp_path), step, encoder, keep=1)
    assert [path.name for path in tmp_path.glob("*.index")] == ["model.ckpt-2.index"]


def test_directory_can_be_moved(tmp_path, encoder):
    google.save(str(tmp_path / "old"), 3, encoder)
    os.rename(tmp_path / "old", tmp_path / "new")
    assert google.latest(tmp_path / "new") == str(tmp_path / "new/model.ckpt-3")


def test_latest_with_missing_or_corrupt_state(tmp_path, encoder):
    assert google.latest(tmp_path) is None
    prefix = google.save(str(tmp_path), 3, encoder)
    google.remove(prefix)
    with pytest.raises(InputError, match=r"names .*model\.ckpt-3, which does not exist"):
        google.latest(tmp_path)
    (tmp_path / "checkpoint").write_text("")
    with pytest.raises(InputError, match="does not name a checkpoint"):
        google.latest(tmp_path)


def test_find(tmp_path, encoder):
    prefix = google.save(str(tmp_path), 3, encoder)
    for path in (prefix, f"{prefix}.index", f"{prefix}.data-00000-of-00001", str(tmp_path)):
        assert google.find(path) == prefix
    (tmp_path / "checkpoint").unlink()
    assert google.find(str(tmp_path)) == prefix  # a downloaded directory has one checkpoint, without this file
    google.remove(prefix)
    with pytest.raises(InputError, match="has no checkpoints"):
        google.find(str(tmp_path))
    with pytest.raises(InputError, match=r"There is no checkpoint .*nothing\.ckpt: .*index"):
        google.find(str(tmp_path / "nothing.ckpt"))


def test_load_reports_missing_and_unused_heads(tmp_path, encoder):
    stored = {**encoder, "cls/other": tf.Variable([1.0]), "bert/a/adam_m": tf.Variable([0.0, 0.0])}
    prefix = google.save(str(tmp_path), 1, stored)
    model = variables(bert__a=[0.0, 0.0], bert__b=[[0.0]], cls__new=[9.0])
    report = google.load(model, prefix)
    assert report.loaded == ("bert/a", "bert/b")
    assert report.missing == ("cls/new",)
    assert report.unused == ("bert/a/adam_m", "cls/head", "cls/other")
    assert "newly initialized (1): cls/new" in str(report)
    assert "unused (2): cls/head, cls/other" in str(report)
    assert "1 value of the optimizer" in str(report)
    np.testing.assert_array_equal(model["bert/a"], [1, 2])
    np.testing.assert_array_equal(model["cls/new"], [9])


def test_mismatched_encoder_is_an_error(tmp_path, encoder):
    prefix = google.save(str(tmp_path), 1, encoder)
    with pytest.raises(InputError, match=r"bert/a is \[2\] in .* but \[3\] in this model"):
        google.load(variables(bert__a=[0.0] * 3, bert__b=[[0.0]]), prefix)
    with pytest.raises(InputError, match="the model has but the checkpoint lacks bert/c"):
        google.load(variables(bert__a=[0.0] * 2, bert__b=[[0.0]], bert__c=[1.0]), prefix)
    with pytest.raises(InputError, match="only the checkpoint has bert/b"):
        google.load(variables(bert__a=[0.0] * 2), prefix)
    other = google.save(str(tmp_path), 2, variables(roberta__a=[1.0]))
    with pytest.raises(InputError, match=r"no variable named bert/\.\.\.; it holds roberta/a"):
        google.load(variables(bert__a=[0.0] * 2), other)


def test_pooler_may_be_missing_and_head_may_differ(tmp_path, encoder):
    prefix = google.save(str(tmp_path), 1, {**encoder, "bert/a/ExponentialMovingAverage": tf.Variable([1.0, 2.0])})
    model = variables(bert__a=[0.0, 0.0], bert__b=[[0.0]], bert__pooler__dense__bias=[5.0], cls__head=[6.0, 7.0])
    report = google.load(model, prefix)
    assert report.loaded == ("bert/a", "bert/b")
    assert report.missing == ("bert/pooler/dense/bias",)
    assert report.mismatched == ("cls/head",)
    assert "another shape there (a head for another number of labels), so newly initialized (1): cls/head" in str(
        report
    )
    np.testing.assert_array_equal(model["bert/pooler/dense/bias"], [5])
    np.testing.assert_array_equal(model["cls/head"], [6, 7])


def test_restore_requires_all_variables(tmp_path, encoder):
    prefix = google.save(str(tmp_path), 1, encoder)
    with pytest.raises(InputError, match="cannot be resumed: it lacks bert/a/adam_m"):
        google.restore({**encoder, "bert/a/adam_m": tf.Variable([0.0, 0.0])}, prefix)
    with pytest.raises(InputError, match=r"bert/b is \[1, 1\]"):
        google.restore(variables(bert__b=[1.0]), prefix)


def test_corrupt_files_are_errors(tmp_path, encoder):
    prefix = google.save(str(tmp_path), 1, {"bert/a": tf.Variable(tf.ones([1000]))})
    data = tmp_path / "model.ckpt-1.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[100] ^= 1
    data.write_bytes(content)
    with pytest.raises(InputError, match=r"bert/a in .* is corrupt"):
        google.load({"bert/a": tf.Variable(tf.zeros([1000]))}, prefix)
    (tmp_path / "model.ckpt-1.index").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="is not a readable TensorFlow checkpoint"):
        google.load({"bert/a": tf.Variable(tf.zeros([1000]))}, prefix)


@pytest.mark.parametrize("moment", ["writing", "renaming", "state"])
def test_killed_while_saving(tmp_path, encoder, monkeypatch, moment):
    """Simulates SIGKILL: nothing runs after the call, not even clean-up. Real ones: e2e/test_run_pretraining.py."""
    google.save(str(tmp_path), 1, encoder)

    def die(*_arguments, **_options):
        raise SystemExit

    target = {
        "writing": (google.file_system, "sync"),
        "renaming": (os, "replace"),
        "state": (google.listing, "write_state"),
    }
    monkeypatch.setattr(google.file_system, "rmtree", lambda *_arguments, **_options: None)
    monkeypatch.setattr(*target[moment], die)
    with pytest.raises(SystemExit):
        google.save(str(tmp_path), 2, {name: tf.Variable(v + 1) for name, v in encoder.items()})
    monkeypatch.undo()

    assert google.latest(tmp_path) == str(tmp_path / "model.ckpt-1")
    google.restore(encoder, str(tmp_path / "model.ckpt-1"))
    google.remove_unfinished(tmp_path)
    assert not list(tmp_path.glob(".*unfinished*"))
    google.save(str(tmp_path), 2, encoder)  # despite what the killed process left behind
    fresh = {name: tf.Variable(tf.zeros_like(v)) for name, v in encoder.items()}
    google.restore(fresh, google.latest(tmp_path))
    np.testing.assert_array_equal(fresh["bert/a"], [1, 2])


def test_full_disk_is_a_readable_error_and_keeps_the_earlier_checkpoint(tmp_path, encoder, monkeypatch):
    google.save(str(tmp_path), 1, encoder)

    def full(**_options):
        message = "{{function_node __wrapped__SaveV2_CPU:0}} No space left on device [Op:SaveV2]"
        raise tf.errors.ResourceExhaustedError(None, None, message)

    monkeypatch.setattr(tf.raw_ops, "SaveV2", full)
    with pytest.raises(OSError, match=r"Cannot save .*model.ckpt-2: No space left on device\. Earlier checkpoints are"):
        google.save(str(tmp_path), 2, encoder)
    assert google.latest(tmp_path) == str(tmp_path / "model.ckpt-1")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint",
        "model.ckpt-1.data-00000-of-00001",
        "model.ckpt-1.index",
    ]


def test_step_of(tmp_path, encoder):
    with_step = {**encoder, "global_step": tf.Variable(12, dtype=tf.int64)}
    assert google.step_of(google.save(str(tmp_path), 12, with_step)) == 12
    assert google.step_of(google.save(str(tmp_path), 3, encoder)) == 0


@pytest.mark.parametrize("step", [[1, 2], -1, float("nan"), "12", True])
def test_invalid_step_is_an_error(tmp_path, step):
    prefix = google.save(str(tmp_path), 1, {"global_step": tf.Variable(step)})
    with pytest.raises(InputError, match=r"global_step in .*model\.ckpt-1 is .*; expected the number of finished"):
        google.step_of(prefix)


def test_larger_vocabulary_than_the_checkpoint_is_an_error(tmp_path):
    names = {"bert/embeddings/word_embeddings": tf.zeros([4, 2])}
    prefix = google.save(str(tmp_path), 1, names)
    larger = {"bert/embeddings/word_embeddings": tf.Variable(tf.zeros([6, 2]))}
    with pytest.raises(InputError, match=r"is \[4, 2\] in .* but \[6, 2\] in this model.* --grow_vocab\.$"):
        google.load(larger, prefix)


def test_variable_names_are_those_of_google():
    names = PretrainingModel(BertConfig(**TINY_CONFIG)).named_variables
    assert "bert/encoder/layer_1/attention/output/LayerNorm/gamma" in names
    assert {name for name in names if not name.startswith("bert/")} == {
        "cls/predictions/transform/dense/kernel",
        "cls/predictions/transform/dense/bias",
        "cls/predictions/transform/LayerNorm/gamma",
        "cls/predictions/transform/LayerNorm/beta",
        "cls/predictions/output_bias",
        "cls/seq_relationship/output_weights",
        "cls/seq_relationship/output_bias",
    }


def test_resume_uses_the_newest_checkpoint(tmp_path, encoder):
    assert google.resume(encoder, str(tmp_path)) is None
    for step in (1, 2):
        google.save(str(tmp_path), step, {**encoder, "bert/a": tf.Variable([float(step), 0.0])})
    assert google.resume(encoder, str(tmp_path)) == (str(tmp_path / "model.ckpt-2"), [])
    assert encoder["bert/a"][0] == 2


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda path: flip(path / "model.ckpt-3.data-00000-of-00001"), r"bert/\w in .*ckpt-3 is corrupt \("),
        (lambda path: truncate(path / "model.ckpt-3.data-00000-of-00001"), r"in .*ckpt-3 is corrupt \("),
        (lambda path: flip(path / "model.ckpt-3.index"), r"ckpt-3 is not a readable TensorFlow checkpoint \("),
        (lambda path: truncate(path / "model.ckpt-3.index"), r"ckpt-3 is not a readable TensorFlow checkpoint \("),
        (lambda path: (path / "model.ckpt-3.index").unlink(), r"ckpt-3 is incomplete: its \.index or \.data file"),
        (lambda path: (path / "model.ckpt-3.data-00000-of-00001").unlink(), r"ckpt-3 is incomplete"),
    ],
)
def test_resume_skips_a_corrupt_checkpoint(tmp_path, caplog, harm, reason):
    stored = {name: tf.Variable(np.random.default_rng(1).random([64, 64], np.float32)) for name in ("bert/a", "bert/b")}
    for step in (1, 2, 3):
        google.save(str(tmp_path), step, {**stored, "global_step": tf.Variable(step, dtype=tf.int64)})
    harm(tmp_path)
    fresh = {name: tf.Variable(tf.zeros([64, 64])) for name in stored} | {"global_step": tf.Variable(0, dtype=tf.int64)}
    resumed = google.resume(fresh, str(tmp_path))
    assert resumed == (str(tmp_path / "model.ckpt-2"), [])
    assert fresh["global_step"] == 2
    for name, value in stored.items():
        np.testing.assert_array_equal(fresh[name], value)
    (warning,) = caplog.messages
    assert re.search(reason, warning)
    assert warning.endswith(f"Using the one before it: {tmp_path}/model.ckpt-2.")


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_corrupt_list_of_checkpoints_is_ignored(tmp_path, encoder):
    for step in (9, 10):
        google.save(str(tmp_path), step, encoder)
    (tmp_path / "checkpoint").write_text("model_check")
    assert google.resume(encoder, str(tmp_path)) == (str(tmp_path / "model.ckpt-10"), [])


def test_no_complete_checkpoint_is_an_error(tmp_path, encoder):
    google.save(str(tmp_path), 1, encoder)
    truncate(tmp_path / "model.ckpt-1.index")
    with pytest.raises(
        InputError, match=r"No checkpoint of .* is complete \(.*ckpt-1 is not a readable.*\); remove the dir"
    ):
        google.resume(encoder, str(tmp_path))


def test_optional_values_may_be_missing(tmp_path, encoder):
    google.save(str(tmp_path), 1, encoder)
    with_loss_scale = {**encoder, "loss_scale": tf.Variable(4.0)}
    assert google.resume(with_loss_scale, str(tmp_path), ["loss_scale"]) == (
        str(tmp_path / "model.ckpt-1"),
        ["loss_scale"],
    )
    assert with_loss_scale["loss_scale"] == 4
    with pytest.raises(InputError, match=r"cannot be resumed: it lacks loss_scale"):
        google.resume(with_loss_scale, str(tmp_path))


def test_moving_averages_replace_the_weights(tmp_path, encoder):
    averages = {"bert/a/ExponentialMovingAverage": tf.Variable([8.0, 9.0])}
    prefix = google.save(str(tmp_path), 1, {**encoder, **averages})
    assert "1 value of the optimizer" in str(google.load(encoder, prefix))
    assert google.load_averages(encoder, prefix) == 1
    np.testing.assert_array_equal(encoder["bert/a"], [8, 9])
    np.testing.assert_array_equal(encoder["bert/b"], [[3]])


# --- The same model ---------------------------------------------------------------------------------------------------


def test_resuming_with_surplus_variables_is_an_error(tmp_path, encoder):
    google.save(str(tmp_path), 1, {**encoder, "bert/layer_1": tf.Variable([5.0])})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    fresh = {name: tf.Variable(tf.zeros_like(value)) for name, value in encoder.items()}
    with pytest.raises(InputError, match=r"ckpt-1 cannot be resumed: it has bert/layer_1, for which this model has no"):
        google.resume(fresh, str(tmp_path))
    assert fresh["bert/a"][0] == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


OTHER_OPTIMIZERS = {
    **{f"bert/a/{slot}": [0.0, 0.0] for slot in ("BERTAdam", "Adam", "Adam_1", "AdamWeightDecayOptimizer", "lamb/v")},
    **{f"cls/head/{slot}": [0.0] for slot in ("Momentum", "ExponentialMovingAverage")},
    **dict.fromkeys(("beta1_power", "beta2_power", "good_steps", "loss_scale", "learning_rate"), 1.0),
}


def test_state_of_any_optimizer_is_not_part_of_the_model(tmp_path, encoder):
    state = {name: tf.Variable(value) for name, value in OTHER_OPTIMIZERS.items()}
    prefix = google.save(str(tmp_path), 1, {**encoder, **state, "global_step": tf.Variable(1, dtype=tf.int64)})
    report = google.load(encoder, prefix)
    assert set(report.state) == set(report.unused) == {*OTHER_OPTIMIZERS, "global_step"}
    assert f"{len(OTHER_OPTIMIZERS) + 1} values of the optimizer" in str(report)
    google.restore(encoder, prefix)


@pytest.mark.parametrize("name", ["bert/encoder/scale", "cls/scale", "bert/other/kernel", "new/kernel"])
def test_model_variables_are_not_training_state(name):
    shapes = {"bert/a": [2], name: [] if name.endswith("scale") else [3]}
    assert google.training_state(shapes) == set()


def test_slots_of_variables_that_only_the_model_has():
    assert google.training_state({"bert/a/Adam": [2]}) == set()
    assert google.training_state({"bert/a/Adam": [2]}, ["bert/a"]) == {"bert/a/Adam"}
