"""Behaviour of all fine-tuning tasks: exact resumption, the best weights, early stopping, seeds, overwriting."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers import fake_trackers
from helpers.rounding import assert_close, assert_results_close, backward, forward
from helpers.run_directory import unlisted
from helpers.scripts import Scripts
from helpers.tiny_classification import config, rows, run, write_csv, write_model_files

from bert_tf2 import checkpoints
from bert_tf2.configs.model import BertConfig
from bert_tf2.configs.training import OptimizerConfig, PrecisionConfig
from bert_tf2.errors import InputError
from bert_tf2.io import run_files
from bert_tf2.modeling.encoder import BertModel
from bert_tf2.tasks.finetuning import loop
from bert_tf2.training.concurrency import Concurrency

pytestmark = pytest.mark.numeric

DROPOUT = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("data")
    write_model_files(directory, **DROPOUT)
    write_csv(directory / "train.csv", rows(80, seed=1))
    write_csv(directory / "dev.csv", rows(40, seed=2))
    return directory


def flags(data_dir: Path, output_dir: Path, **changes):
    files = {f"{name}_file": str(data_dir / f"{name}.csv") for name in ("train", "dev")}
    training = {"do_train": True, "do_eval": True, "num_train_epochs": 4.0}
    return {**files, "output_dir": str(output_dir), **training, **changes}


def weights(prefix: str) -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(prefix)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def history(directory: Path) -> list[dict]:
    return [json.loads(line) for line in (directory / "eval_history.jsonl").read_text().splitlines()]


def predicted_right(directory: Path) -> list[bool]:
    """Whether each row of dev.csv is predicted correctly."""
    lines = (directory / "predictions.jsonl").read_text().splitlines()
    return [json.loads(line)["label"] == label for line, (_, label) in zip(lines, rows(40, seed=2), strict=True)]


def content(directory: Path):
    return {path: path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


def check_same(directory: Path, other: Path) -> None:
    assert history(directory) == history(other)
    assert (directory / "eval_results.txt").read_text() == (other / "eval_results.txt").read_text()
    for subdirectory in (".", "best"):
        prefixes = [checkpoints.latest(run_dir / subdirectory) for run_dir in (directory, other)]
        assert len({Path(prefix).name for prefix in prefixes}) == 1
        actual, expected = map(weights, prefixes)
        assert actual.keys() == expected.keys()
        for name, value in actual.items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name)


@pytest.fixture(scope="module")
def uninterrupted(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 steps without interruption, evaluated every 3 steps."""
    directory = tmp_path_factory.mktemp("uninterrupted")
    run(data_dir, **flags(data_dir, directory, eval_every_steps=3, save_checkpoints_steps=2))
    return directory


def test_evaluations_and_the_best_weights(uninterrupted: Path, data_dir: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    evaluations = history(uninterrupted)
    assert [entry["step"] for entry in evaluations] == [3, 6, 9, 12, 15, 18, 20]
    best = max(evaluations, key=lambda entry: entry["eval_accuracy"])
    assert checkpoints.step_of(checkpoints.latest(uninterrupted / "best")) == best["step"]
    assert {path.name for path in (uninterrupted / "best").iterdir()} >= {"bert_config.json", "vocab.txt", "task.json"}
    assert not [name for name in weights(checkpoints.latest(uninterrupted / "best")) if "adam" in name]
    directory = shutil.copytree(uninterrupted, tmp_path / "model")  # a copy, as its results are overwritten
    options = {
        "output_dir": str(directory),
        "dev_file": str(data_dir / "dev.csv"),
        "predict_file": str(data_dir / "dev.csv"),
    }
    results = run(data_dir, **options, do_eval=True, do_predict=True, use_best=True)
    assert f"Using the weights of {directory}/best/model.ckpt-{best['step']}." in caplog.text
    assert "--use_best takes them" not in caplog.text
    assert np.mean(predicted_right(directory)) == results["eval_accuracy"] == best["eval_accuracy"]
    assert_close(results["eval_loss"], best["eval_loss"], forward(1), scale=1)
    assert results["global_step"] == best["step"]
    assert list((uninterrupted / "eval").glob("events.out.tfevents.*"))
    score = json.loads((uninterrupted / "best/score.json").read_text())
    assert score == {"metric": "eval_accuracy", "value": best["eval_accuracy"], "step": best["step"]}


def test_concurrent_batches_give_the_same_results(
    uninterrupted: Path, data_dir: Path, tmp_path: Path, monkeypatch, caplog
) -> None:
    caplog.set_level("INFO")
    directory = shutil.copytree(uninterrupted, tmp_path / "model")  # a copy, as its results are overwritten
    options = {
        "output_dir": str(directory),
        "dev_file": str(data_dir / "dev.csv"),
        "predict_file": str(data_dir / "dev.csv"),
    }

    def scores() -> tuple[dict[str, float], np.ndarray]:
        results = run(data_dir, **options, do_eval=True, do_predict=True)
        return results, np.loadtxt(directory / "test_results.tsv")

    expected, probabilities = scores()
    accuracies = [entry["eval_accuracy"] for entry in history(directory)]
    assert (accuracies[-1] < max(accuracies)) == ("--use_best takes them" in caplog.text)
    monkeypatch.setattr(loop.Concurrency, "of", lambda *_: Concurrency(batches=3, max_tokens=20))
    sizes = []
    plain = loop.predict_batches

    def counting(*arguments):
        for batch in plain(*arguments):
            sizes.append(len(batch["row"]))
            yield batch

    monkeypatch.setattr(loop, "predict_batches", counting)
    results, concurrent = scores()
    assert_results_close(results, expected, forward(1))
    assert_close(concurrent, probabilities, forward(1), scale=1)
    assert sum(sizes) in (40, 80)  # 40 if the outputs for the file are computed only once
    assert max(sizes) < 16


def test_killed_training_resumes_bitwise_identically(
    uninterrupted: Path, data_dir: Path, tmp_path: Path, scripts: Scripts
) -> None:
    options = flags(data_dir, tmp_path / "broken", eval_every_steps=3, save_checkpoints_steps=2)
    settings = config(data_dir, **options)
    names = {*options, "vocab_file", "bert_config_file", "max_seq_length", "learning_rate"}
    names |= {f"{kind}_batch_size" for kind in ("train", "eval", "predict")}
    process = scripts.start("run_classifier.py", [f"--{name}={getattr(settings, name)}" for name in names])
    path = tmp_path / "broken" / "eval_history.jsonl"
    while process.poll() is None and not (path.exists() and len(path.read_text().splitlines()) >= 3):
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "training ended before it could be killed"
    step = checkpoints.step_of(checkpoints.latest(tmp_path / "broken"))
    assert 8 <= step < 20
    run(data_dir, **options)
    check_same(tmp_path / "broken", uninterrupted)


def test_finished_training_is_not_repeated(uninterrupted: Path, data_dir: Path, caplog) -> None:
    caplog.set_level("INFO")
    before = weights(checkpoints.latest(uninterrupted))
    run(data_dir, **flags(data_dir, uninterrupted, eval_every_steps=3, save_checkpoints_steps=2))
    assert "Nothing left to train: step 20 of 20 is reached" in caplog.text
    assert checkpoints.step_of(checkpoints.latest(uninterrupted)) == 20
    np.testing.assert_array_equal(
        weights(checkpoints.latest(uninterrupted))["output_weights"], before["output_weights"]
    )


def test_killed_before_the_last_evaluation(uninterrupted: Path, data_dir: Path, tmp_path: Path) -> None:
    """After the last checkpoint: the same command still evaluates."""
    directory = shutil.copytree(uninterrupted, tmp_path / "model")
    path = directory / "eval_history.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    run(data_dir, **flags(data_dir, directory, eval_every_steps=3, save_checkpoints_steps=2))
    check_same(directory, uninterrupted)
    path.unlink()  # without it, it is unknown how good the weights in best/ are, so they are kept
    run(data_dir, **flags(data_dir, directory, eval_every_steps=3, save_checkpoints_steps=2))
    names = [os.path.basename(checkpoints.latest(path / "best")) for path in (directory, uninterrupted)]
    assert names[0] == names[1]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"metric_for_best": "f2", "overwrite_output_dir": True}, "--metric_for_best=f2: this task is evaluated by"),
        (
            {"train_file": "model/eval_predictions.csv", "overwrite_output_dir": True},
            "--train_file=model/eval_predictions.csv is one of the files that this command removes or replaces",
        ),
        ({"metric_for_best": "f2", "dry_run": True}, "--metric_for_best=f2: this task is evaluated by"),
        (
            {"metric_for_best": "loss"},
            "best has the weights with the best accuracy, where this command keeps those with the best loss; give "
            "--metric_for_best=accuracy",
        ),
    ],
)
def test_flags_are_checked_before_anything_is_removed(
    uninterrupted: Path, data_dir: Path, tmp_path: Path, monkeypatch, changes: dict, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    directory = shutil.copytree(uninterrupted, tmp_path / "model")
    before = content(directory)
    with pytest.raises(InputError, match=sentence):
        run(data_dir, **flags(data_dir, directory, **changes))
    changed = {path for path, value in content(directory).items() if before.get(path) != value}
    assert {path.name for path in changed} <= {".lock"}
    assert before.keys() <= content(directory).keys()


def test_init_checkpoint_with_a_head_uses_the_head(uninterrupted: Path, data_dir: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    without = {"vocab_file": None, "bert_config_file": None}
    better = shutil.copytree(uninterrupted, tmp_path / "better")
    checkpoints.save(str(better / "best"), 3, {"global_step": tf.Variable(3, dtype=tf.int64)}, keep=1)
    run(data_dir, **flags(data_dir, tmp_path / "a", init_checkpoint=str(better), num_train_epochs=0.0, **without))
    assert f"had the best score on the dev data: --init_checkpoint={better}/best takes them." in caplog.text
    assert "Missing there" not in caplog.text
    actual, expected = weights(checkpoints.latest(tmp_path / "a")), weights(checkpoints.latest(uninterrupted))
    np.testing.assert_array_equal(actual["output_weights"], expected["output_weights"])
    direct = flags(data_dir, tmp_path / "b", do_train=False, init_checkpoint=str(uninterrupted), **without)
    (tmp_path / "labels").write_text("bad\ngood\n")
    results = run(data_dir, **{**direct, "train_file": None, "labels_file": str(tmp_path / "labels")})
    assert results["eval_accuracy"] == history(uninterrupted)[-1]["eval_accuracy"]
    assert results["global_step"] == 0


def test_first_layers_of_a_deeper_checkpoint(data_dir: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    (tmp_path / "deep").mkdir()
    write_model_files(tmp_path / "deep", num_hidden_layers=2)
    config_file = str(tmp_path / "deep/bert_config.json")
    once = {"num_train_epochs": 0.0, "do_eval": False}
    run(data_dir, **flags(data_dir, tmp_path / "deep/model", bert_config_file=config_file, **once))
    start = {"init_checkpoint": str(tmp_path / "deep/model"), "bert_config_file": None, "vocab_file": None}
    run(data_dir, **flags(data_dir, tmp_path / "out", num_hidden_layers=1, **start, **once))
    assert "Not needed: 16 variables of the layers above the first layer." in caplog.text
    assert BertConfig.from_json_file(tmp_path / "out").num_hidden_layers == 1
    shallow, deep = (weights(checkpoints.latest(tmp_path / name)) for name in ("out", "deep/model"))
    encoder = [name for name in shallow if name.startswith("bert/") and name in deep]
    assert not any("layer_1/" in name for name in encoder)
    assert all(np.array_equal(shallow[name], deep[name]) for name in encoder)
    results = run(data_dir, **flags(data_dir, tmp_path / "out", do_train=False, **start))  # needs no flag
    assert results is not None
    with pytest.raises(InputError, match=r"--num_hidden_layers=2, but .*out/bert_config\.json has 1 layer;"):
        run(data_dir, **flags(data_dir, tmp_path / "out", num_hidden_layers=2, **start))


def test_early_stopping_and_tracking_with_weights_and_biases(
    data_dir: Path, tmp_path: Path, caplog, monkeypatch
) -> None:
    caplog.set_level("INFO")
    wandb, _ = fake_trackers.install(monkeypatch)
    stops = {"eval_every_steps": 2, "learning_rate": 1e-9, "early_stopping_patience": 2, "report_to": "wandb"}
    constant = OptimizerConfig(learning_rate_schedule="constant")
    options = flags(data_dir, tmp_path / "model", **stops, log_steps=3, optimizer=constant)
    results = run(data_dir, **options)
    logged = [
        (entry["global_step"], "train/loss" in entry, "eval/eval_loss" in entry) for entry in wandb.logged["run1"]
    ]
    assert logged == [(2, False, True), (3, True, False), (4, False, True), (6, True, False), (6, False, True)]
    assert wandb.started[0]["config"]["learning_rate"] == 1e-9
    rates = [entry["train/learning_rate"] for entry in wandb.logged["run1"] if "train/loss" in entry]
    assert rates == pytest.approx([5e-10, 1e-9], rel=1e-6, abs=0)  # means; warm-up: 0, 5e-10
    assert not list(tmp_path.rglob("events.out.tfevents.*"))
    assert results["global_step"] == 6
    assert "Training ends at step 6: eval_accuracy has not improved since step 2" in caplog.text
    assert run(data_dir, **options) == results
    assert "Nothing left to train: eval_accuracy has not improved" in caplog.text


@pytest.mark.slow
def test_search_and_seeds(data_dir: Path, tmp_path: Path) -> None:
    output = tmp_path / "model"
    options = {"num_train_epochs": 1.0, "do_predict": True, "predict_file": str(data_dir / "dev.csv"), "report": False}
    final = run(data_dir, **flags(data_dir, output, seeds="3,4", search="learning_rate=5e-3", **options))
    search_run = output / "search/learning_rate=0.005"
    seed_results = json.loads((search_run / "seed_results.json").read_text())
    for directory in (output, search_run, search_run / "seed-3"):
        assert unlisted(directory, run_files.CLASSIFICATION) == []
    (row,) = json.loads((output / "search_results.json").read_text())["runs"]
    assert row["scores"]["eval_accuracy"] == pytest.approx(
        np.mean([seed_results["seeds"][seed]["eval_accuracy"] for seed in "34"])
    )
    assert row["deviations"]["eval_loss"] == seed_results["standard_deviation"]["eval_loss"] > 0
    single = run(data_dir, **flags(data_dir, tmp_path / "single", seed=4, num_train_epochs=1.0))
    assert single == seed_results["seeds"]["4"]

    best = json.loads((output / "best/score.json").read_text())
    seed = max("34", key=lambda seed: seed_results["seeds"][seed]["eval_accuracy"])
    assert best["run"] == f"search/learning_rate=0.005/seed-{seed}"
    assert final == seed_results["seeds"][seed]
    assert np.mean(predicted_right(output)) == final["eval_accuracy"]
    assert not list((output / "search").rglob("predictions.jsonl"))
    with pytest.raises(InputError, match=r"model has no checkpoint; --use_best for the weights in its best/, or give"):
        run(data_dir, **{**flags(data_dir, output), "do_train": False})


def test_search_without_any_score(data_dir: Path, tmp_path: Path, caplog) -> None:
    """The correlation with constant values is not a number."""
    files = {f"{name}_file": tmp_path / f"{name}.csv" for name in ("train", "dev")}
    for path, values in zip(files.values(), ([0.5, 1.5], [1.5, 1.5]), strict=True):
        write_csv(path, [(text, str(values[number % 2])) for number, (text, _) in enumerate(rows(16, seed=1))])
    options = {**{name: str(path) for name, path in files.items()}, "num_train_epochs": 1.0, "report": False}
    with pytest.raises(InputError, match="--search: no run has a score; the log above says why"):
        run(data_dir, **flags(data_dir, tmp_path / "model", search="learning_rate=1e-3,2e-3", **options))
    assert caplog.text.count("in no evaluation of the training was the score a number") == 2
    (first, _) = json.loads((tmp_path / "model/search_results.json").read_text())["runs"]
    assert "learning_rate=0.001 has no best weights" in first["error"]


def test_moving_averages_are_evaluated_and_saved_as_the_best_weights(data_dir: Path, tmp_path: Path) -> None:
    directory = tmp_path / "model"
    options = flags(
        data_dir, directory, num_train_epochs=2.0, optimizer=OptimizerConfig(ema_decay=0.9), eval_every_steps=10
    )
    results = run(data_dir, **options)
    assert history(directory)[-1]["eval_loss"] == results["eval_loss"]
    last, best = (weights(checkpoints.latest(path)) for path in (directory, directory / "best"))
    name = "output_weights"
    np.testing.assert_array_equal(best[name], last[f"{name}/ExponentialMovingAverage"])
    assert not np.array_equal(best[name], last[name])


@pytest.mark.slow
def test_unused_and_missing_averages_are_logged(data_dir: Path, tmp_path: Path, caplog) -> None:
    directory, options = tmp_path / "model", {"do_train": False, "do_eval": True}
    averages = OptimizerConfig(ema_decay=0.9)
    expected = run(data_dir, **flags(data_dir, directory, num_train_epochs=1.0, optimizer=averages))
    assert run(data_dir, **flags(data_dir, directory, **options, optimizer=averages)) == expected
    assert "also has moving averages" not in caplog.text
    assert run(data_dir, **flags(data_dir, directory, **options)) != expected
    assert (
        "also has moving averages, which its training used for evaluation; --ema_decay=0.999 uses them" in caplog.text
    )
    run(data_dir, **flags(data_dir, directory / "best", **options, optimizer=averages))
    assert "--ema_decay: " in caplog.text
    assert "has no moving averages; using the weights themselves" in caplog.text


class TestAnotherTask:
    def test_is_rejected_by_its_labels_and_overwritten_on_request(self, data_dir: Path, tmp_path: Path) -> None:
        directory = tmp_path / "model"
        run(data_dir, **flags(data_dir, directory, num_train_epochs=1.0))
        (directory / "notes.txt").write_text("notes")
        files = {"train_file": write_csv(tmp_path / "other.csv", [("w1", "x"), ("w2", "y")] * 20), "dev_file": None}
        other = {**flags(data_dir, directory, num_train_epochs=1.0, do_eval=False), **files}
        before = content(directory)
        with pytest.raises(InputError, match=r"for the labels 'bad', 'good', where this command has 'x', 'y'"):
            run(data_dir, **other)
        assert content(directory) == before
        run(data_dir, **other, overwrite_output_dir=True)
        assert (directory / "labels.txt").read_text() == "x\ny\n"
        assert (directory / "notes.txt").read_text() == "notes"
        assert not [name for name in ("best", "eval_history.jsonl", "eval_results.txt") if (directory / name).exists()]
        assert checkpoints.step_of(checkpoints.latest(directory)) == 2

    def test_of_another_script_is_rejected(self, data_dir: Path, tmp_path: Path) -> None:
        (tmp_path / "task.json").write_text('{"problem_type": "tagging", "labels": ["O"]}')
        with pytest.raises(InputError, match="holds a model for tagging, not for classification"):
            run(data_dir, **flags(data_dir, tmp_path))

    def test_pre_training_is_rejected_and_nothing_is_written(self, data_dir: Path, tmp_path: Path) -> None:
        checkpoints.save(str(tmp_path), 3, {"bert/x": tf.Variable(1.0), "global_step": tf.Variable(3, dtype=tf.int64)})
        before = sorted(os.listdir(tmp_path))
        with pytest.raises(InputError, match=r"cannot be resumed: it lacks .* give another --output_dir"):
            run(data_dir, **flags(data_dir, tmp_path))
        assert sorted(set(os.listdir(tmp_path)) - {".lock"}) == before

    def test_model_with_more_layers_is_rejected_and_kept(
        self, data_dir: Path, uninterrupted: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(uninterrupted, tmp_path / "model")
        state = {name: tf.Variable(value) for name, value in weights(checkpoints.latest(uninterrupted)).items()}
        more = {"bert/encoder/layer_1/output/dense/bias": tf.Variable([1.0])}
        checkpoints.save(str(tmp_path / "model"), 99, {**state, **more})
        before = content(tmp_path / "model")
        with pytest.raises(InputError, match=r"ckpt-99 does not match the BERT config: it has 2 layers, the config 1"):
            run(data_dir, **flags(data_dir, tmp_path / "model", num_train_epochs=8.0, keep_checkpoints=1))
        changed = {path for path, value in content(tmp_path / "model").items() if before.get(path) != value}
        assert {path.name for path in changed} <= {".lock"}

    def test_best_weights_are_not_written_through_a_link(
        self, data_dir: Path, uninterrupted: Path, tmp_path: Path
    ) -> None:
        before = content(uninterrupted)
        (tmp_path / "best").symlink_to(uninterrupted)
        with pytest.raises(InputError, match=r"/best is a symbolic link"):
            run(data_dir, **flags(data_dir, tmp_path))
        assert content(uninterrupted) == before

    def test_files_to_be_read_are_not_overwritten(self, data_dir: Path, uninterrupted: Path) -> None:
        before = content(uninterrupted)
        options = flags(data_dir, uninterrupted, init_checkpoint=str(uninterrupted / "best"), overwrite_output_dir=True)
        with pytest.raises(InputError, match=r"best is in .*, which --overwrite_output_dir empties"):
            run(data_dir, **options)
        changed = {path for path, value in content(uninterrupted).items() if before.get(path) != value}
        assert {path.name for path in changed} <= {".lock"}


@pytest.mark.slow
def test_recomputing_keeps_the_results(data_dir: Path, tmp_path: Path) -> None:
    write_model_files(tmp_path)
    results = {}
    for name, changes in (("plain", {}), ("recompute", {"recompute": True})):
        options = flags(data_dir, tmp_path / name, num_train_epochs=1.0, eval_every_steps=100, **changes)
        results[name] = run(tmp_path, **options)
    assert_results_close(results["recompute"], results["plain"], backward(1), scale=1)


class TestPadding:
    def test_skipping_it_keeps_the_results(self, data_dir: Path, tmp_path: Path) -> None:
        write_model_files(tmp_path)
        results = {}
        for name, changes in (
            ("omitted", {}),
            ("packed", {"pack_sequences": True}),
            ("padded", {"pack_sequences": False}),
        ):
            options = flags(data_dir, tmp_path / name, num_train_epochs=1.0, gradient_accumulation_steps=2, **changes)
            results[name] = run(tmp_path, **options)
        assert results["omitted"] == results["packed"]
        assert_results_close(results["packed"], results["padded"], backward(1), scale=1)

    @pytest.mark.parametrize(
        ("changes", "skips"),
        [
            ({}, True),
            ({"pack_sequences": False}, False),
            pytest.param({"precision": PrecisionConfig(jit="on")}, False, marks=pytest.mark.slow),  # fixed shapes
        ],
    )
    def test_it_is_skipped_by_default(self, data_dir, tmp_path, monkeypatch, changes, skips) -> None:
        skipped = set()
        call = BertModel.call

        def watched(self, *inputs, skip_padding=False, **options):
            skipped.add(skip_padding)
            return call(self, *inputs, skip_padding=skip_padding, **options)

        monkeypatch.setattr(BertModel, "call", watched)
        write_model_files(tmp_path)
        run(tmp_path, **flags(data_dir, tmp_path / "a", num_train_epochs=0.2, **changes))
        assert skipped == {skips}

    def test_xla_needs_fixed_shapes(self, data_dir: Path, tmp_path: Path) -> None:
        write_model_files(tmp_path)
        options = flags(data_dir, tmp_path / "out", pack_sequences=True, precision=PrecisionConfig(jit="on"))
        with pytest.raises(InputError, match=r"--pack_sequences: XLA compiles .*; omit the flag, or give --jit=off"):
            run(tmp_path, **options)
        assert not (tmp_path / "out").exists()
