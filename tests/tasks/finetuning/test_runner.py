"""What all fine-tuning has: resuming to the last bit, the best weights, early stopping, seeds, overwriting."""

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
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_model_files(folder, **DROPOUT)
    write_csv(folder / "train.csv", rows(80, seed=1))
    write_csv(folder / "dev.csv", rows(40, seed=2))
    return folder


def flags(made: Path, output_dir: Path, **changes):
    given = {"train_file": str(made / "train.csv"), "dev_file": str(made / "dev.csv"), "output_dir": str(output_dir)}
    return {**given, "do_train": True, "do_eval": True, "num_train_epochs": 4.0, **changes}


def weights(prefix: str) -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(prefix)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def history(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "eval_history.jsonl").read_text().splitlines()]


def predicted_right(folder: Path) -> list[bool]:
    """Which rows of dev.csv are."""
    lines = (folder / "predictions.jsonl").read_text().splitlines()
    return [json.loads(line)["label"] == label for line, (_, label) in zip(lines, rows(40, seed=2), strict=True)]


def content(folder: Path):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def check_same(folder: Path, other: Path) -> None:
    assert history(folder) == history(other)
    assert (folder / "eval_results.txt").read_text() == (other / "eval_results.txt").read_text()
    for part in (".", "best"):
        prefixes = [checkpoints.latest(one / part) for one in (folder, other)]
        assert len({Path(prefix).name for prefix in prefixes}) == 1
        found, expected = map(weights, prefixes)
        assert found.keys() == expected.keys()
        for name, value in found.items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name)


@pytest.fixture(scope="module")
def whole(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 steps in one go, evaluated every 3 steps."""
    folder = tmp_path_factory.mktemp("whole")
    run(made, **flags(made, folder, eval_every_steps=3, save_checkpoints_steps=2))
    return folder


def test_evaluations_and_the_best(whole: Path, made: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    found = history(whole)
    assert [entry["step"] for entry in found] == [3, 6, 9, 12, 15, 18, 20]
    best = max(found, key=lambda entry: entry["eval_accuracy"])
    assert checkpoints.step_of(checkpoints.latest(whole / "best")) == best["step"]
    assert {path.name for path in (whole / "best").iterdir()} >= {"bert_config.json", "vocab.txt", "task.json"}
    assert not [name for name in weights(checkpoints.latest(whole / "best")) if "adam" in name]
    folder = shutil.copytree(whole, tmp_path / "model")  # whose results are written again
    asked = {"output_dir": str(folder), "dev_file": str(made / "dev.csv"), "predict_file": str(made / "dev.csv")}
    results = run(made, **asked, do_eval=True, do_predict=True, use_best=True)
    assert f"Using the weights of {folder}/best/model.ckpt-{best['step']}." in caplog.text
    assert "--use_best takes them" not in caplog.text
    assert np.mean(predicted_right(folder)) == results["eval_accuracy"] == best["eval_accuracy"]
    assert_close(results["eval_loss"], best["eval_loss"], forward(1), scale=1)
    assert results["global_step"] == best["step"]
    assert list((whole / "eval").glob("events.out.tfevents.*"))
    score = json.loads((whole / "best/score.json").read_text())
    assert score == {"metric": "eval_accuracy", "value": best["eval_accuracy"], "step": best["step"]}


def test_a_core_a_batch_gives_the_same(whole: Path, made: Path, tmp_path: Path, monkeypatch, caplog) -> None:
    caplog.set_level("INFO")
    folder = shutil.copytree(whole, tmp_path / "model")  # whose results are written again
    asked = {"output_dir": str(folder), "dev_file": str(made / "dev.csv"), "predict_file": str(made / "dev.csv")}

    def scores() -> tuple[dict[str, float], np.ndarray]:
        results = run(made, **asked, do_eval=True, do_predict=True)
        return results, np.loadtxt(folder / "test_results.tsv")

    expected, probabilities = scores()
    accuracies = [entry["eval_accuracy"] for entry in history(folder)]
    assert (accuracies[-1] < max(accuracies)) == ("--use_best takes them" in caplog.text)
    monkeypatch.setattr(loop.Concurrency, "of", lambda *_: Concurrency(batches=3, most_tokens=20))
    sizes = []
    plain = loop.predict_batches

    def counting(*arguments):
        for batch in plain(*arguments):
            sizes.append(len(batch["row"]))
            yield batch

    monkeypatch.setattr(loop, "predict_batches", counting)
    found, others = scores()
    assert_results_close(found, expected, forward(1))
    assert_close(others, probabilities, forward(1), scale=1)
    assert sum(sizes) in (40, 80)  # where evaluation and prediction read one file, it is computed once
    assert max(sizes) < 16


def test_a_killed_training_ends_with_the_same_bits(whole: Path, made: Path, tmp_path: Path, scripts: Scripts) -> None:
    asked = flags(made, tmp_path / "broken", eval_every_steps=3, save_checkpoints_steps=2)
    given = config(made, **asked)
    names = {*asked, "vocab_file", "bert_config_file", "max_seq_length", "learning_rate"}
    names |= {f"{kind}_batch_size" for kind in ("train", "eval", "predict")}
    process = scripts.start("run_classifier.py", [f"--{name}={getattr(given, name)}" for name in names])
    path = tmp_path / "broken" / "eval_history.jsonl"
    while process.poll() is None and not (path.exists() and len(path.read_text().splitlines()) >= 3):
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "it was over too soon"
    step = checkpoints.step_of(checkpoints.latest(tmp_path / "broken"))
    assert 8 <= step < 20
    run(made, **asked)
    check_same(tmp_path / "broken", whole)


def test_nothing_left_to_train(whole: Path, made: Path, caplog) -> None:
    caplog.set_level("INFO")
    before = weights(checkpoints.latest(whole))
    run(made, **flags(made, whole, eval_every_steps=3, save_checkpoints_steps=2))
    assert "Nothing left to train: step 20 of 20 is reached" in caplog.text
    assert checkpoints.step_of(checkpoints.latest(whole)) == 20
    np.testing.assert_array_equal(weights(checkpoints.latest(whole))["output_weights"], before["output_weights"])


def test_init_checkpoint_with_a_head_uses_the_head(whole: Path, made: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    without = {"vocab_file": None, "bert_config_file": None}
    better = shutil.copytree(whole, tmp_path / "better")
    checkpoints.save(str(better / "best"), 3, {"global_step": tf.Variable(3, dtype=tf.int64)}, keep=1)
    run(made, **flags(made, tmp_path / "a", init_checkpoint=str(better), num_train_epochs=0.0, **without))
    assert f"had the best score on the dev data: --init_checkpoint={better}/best takes them." in caplog.text
    assert "Missing there" not in caplog.text
    found, expected = weights(checkpoints.latest(tmp_path / "a")), weights(checkpoints.latest(whole))
    np.testing.assert_array_equal(found["output_weights"], expected["output_weights"])
    direct = flags(made, tmp_path / "b", do_train=False, init_checkpoint=str(whole), **without)
    (tmp_path / "labels").write_text("bad\ngood\n")
    results = run(made, **{**direct, "train_file": None, "labels_file": str(tmp_path / "labels")})
    assert results["eval_accuracy"] == history(whole)[-1]["eval_accuracy"]
    assert results["global_step"] == 0


def test_the_first_layers_of_a_deeper_checkpoint(made: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    (tmp_path / "deep").mkdir()
    write_model_files(tmp_path / "deep", num_hidden_layers=2)
    config_file = str(tmp_path / "deep/bert_config.json")
    once = {"num_train_epochs": 0.0, "do_eval": False}
    run(made, **flags(made, tmp_path / "deep/model", bert_config_file=config_file, **once))
    start = {"init_checkpoint": str(tmp_path / "deep/model"), "bert_config_file": None, "vocab_file": None}
    run(made, **flags(made, tmp_path / "out", num_hidden_layers=1, **start, **once))
    assert "Not needed: 16 variables of the layers above the first layer." in caplog.text
    assert BertConfig.from_json_file(tmp_path / "out").num_hidden_layers == 1
    found, deep = (weights(checkpoints.latest(tmp_path / name)) for name in ("out", "deep/model"))
    encoder = [name for name in found if name.startswith("bert/") and name in deep]
    assert not any("layer_1/" in name for name in encoder)
    assert all(np.array_equal(found[name], deep[name]) for name in encoder)
    results = run(made, **flags(made, tmp_path / "out", do_train=False, **start))  # needs no flag
    assert results is not None
    with pytest.raises(InputError, match=r"--num_hidden_layers=2, but .*out/bert_config\.json has 1 layer;"):
        run(made, **flags(made, tmp_path / "out", num_hidden_layers=2, **start))


def test_early_stopping_and_what_weights_and_biases_get(made: Path, tmp_path: Path, caplog, monkeypatch) -> None:
    caplog.set_level("INFO")
    wandb, _ = fake_trackers.install(monkeypatch)
    stops = {"eval_every_steps": 2, "learning_rate": 1e-9, "early_stopping_patience": 2, "report_to": "wandb"}
    asked = flags(made, tmp_path / "model", **stops, log_steps=3)
    results = run(made, **asked)
    logged = [
        (entry["global_step"], "train/loss" in entry, "eval/eval_loss" in entry) for entry in wandb.logged["run1"]
    ]
    assert logged == [(2, False, True), (3, True, False), (4, False, True), (6, True, False), (6, False, True)]
    assert wandb.started[0]["config"]["learning_rate"] == 1e-9
    assert not list(tmp_path.rglob("events.out.tfevents.*"))
    assert results["global_step"] == 6
    assert "Training ends at step 6: eval_accuracy has not improved since step 2" in caplog.text
    assert run(made, **asked) == results
    assert "Nothing left to train: eval_accuracy has not improved" in caplog.text


def test_search_and_seeds(made: Path, tmp_path: Path) -> None:
    output = tmp_path / "model"
    asked = {"num_train_epochs": 1.0, "do_predict": True, "predict_file": str(made / "dev.csv"), "report": False}
    final = run(made, **flags(made, output, seeds="3,4", search="learning_rate=5e-3", **asked))
    of_run = output / "search/learning_rate=0.005"
    found = json.loads((of_run / "seed_results.json").read_text())
    for directory in (output, of_run, of_run / "seed-3"):
        assert unlisted(directory, run_files.CLASSIFICATION) == []
    (row,) = json.loads((output / "search_results.json").read_text())["runs"]
    assert row["scores"]["eval_accuracy"] == pytest.approx(
        np.mean([found["seeds"][seed]["eval_accuracy"] for seed in "34"])
    )
    assert row["deviations"]["eval_loss"] == found["standard_deviation"]["eval_loss"] > 0
    alone = run(made, **flags(made, tmp_path / "alone", seed=4, num_train_epochs=1.0))
    assert alone == found["seeds"]["4"]

    best = json.loads((output / "best/score.json").read_text())
    seed = max("34", key=lambda seed: found["seeds"][seed]["eval_accuracy"])
    assert best["run"] == f"search/learning_rate=0.005/seed-{seed}"
    assert final == found["seeds"][seed]
    assert np.mean(predicted_right(output)) == final["eval_accuracy"]
    assert not list((output / "search").rglob("predictions.jsonl"))
    with pytest.raises(InputError, match=r"model has no checkpoint; --use_best for the weights in its best/, or give"):
        run(made, **{**flags(made, output), "do_train": False})


def test_moving_averages_are_evaluated_and_kept_as_the_best(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    asked = flags(made, folder, num_train_epochs=2.0, optimizer=OptimizerConfig(ema_decay=0.9), eval_every_steps=10)
    results = run(made, **asked)
    assert history(folder)[-1]["eval_loss"] == results["eval_loss"]
    last, best = (weights(checkpoints.latest(one)) for one in (folder, folder / "best"))
    name = "output_weights"
    np.testing.assert_array_equal(best[name], last[f"{name}/ExponentialMovingAverage"])
    assert not np.array_equal(best[name], last[name])


def test_averages_that_are_not_used_and_those_that_are_not_there(made: Path, tmp_path: Path, caplog) -> None:
    folder, asked = tmp_path / "model", {"do_train": False, "do_eval": True}
    averages = OptimizerConfig(ema_decay=0.9)
    expected = run(made, **flags(made, folder, num_train_epochs=1.0, optimizer=averages))
    assert run(made, **flags(made, folder, **asked, optimizer=averages)) == expected
    assert "also has moving averages" not in caplog.text
    assert run(made, **flags(made, folder, **asked)) != expected
    assert (
        "also has moving averages, which its training used for evaluation; --ema_decay=0.999 uses them" in caplog.text
    )
    run(made, **flags(made, folder / "best", **asked, optimizer=averages))
    assert "--ema_decay: " in caplog.text
    assert "has no moving averages; using the weights themselves" in caplog.text


class TestAnotherTask:
    def test_is_refused_by_name_and_overwritten_if_asked(self, made: Path, tmp_path: Path) -> None:
        folder = tmp_path / "model"
        run(made, **flags(made, folder, num_train_epochs=1.0))
        (folder / "notes.txt").write_text("mine")
        files = {"train_file": write_csv(tmp_path / "other.csv", [("w1", "x"), ("w2", "y")] * 20), "dev_file": None}
        other = {**flags(made, folder, num_train_epochs=1.0, do_eval=False), **files}
        before = content(folder)
        with pytest.raises(InputError, match=r"for the labels 'bad', 'good', where this command has 'x', 'y'"):
            run(made, **other)
        assert content(folder) == before
        run(made, **other, overwrite_output_dir=True)
        assert (folder / "labels.txt").read_text() == "x\ny\n"
        assert (folder / "notes.txt").read_text() == "mine"
        assert not [name for name in ("best", "eval_history.jsonl", "eval_results.txt") if (folder / name).exists()]
        assert checkpoints.step_of(checkpoints.latest(folder)) == 2

    def test_of_another_script_is_refused(self, made: Path, tmp_path: Path) -> None:
        (tmp_path / "task.json").write_text('{"problem_type": "tagging", "labels": ["O"]}')
        with pytest.raises(InputError, match="holds a model for tagging, not for classification"):
            run(made, **flags(made, tmp_path))

    def test_a_pre_training_is_refused_and_nothing_is_written(self, made: Path, tmp_path: Path) -> None:
        checkpoints.save(str(tmp_path), 3, {"bert/x": tf.Variable(1.0), "global_step": tf.Variable(3, dtype=tf.int64)})
        before = sorted(os.listdir(tmp_path))
        with pytest.raises(InputError, match=r"cannot be resumed: it lacks .* give another --output_dir"):
            run(made, **flags(made, tmp_path))
        assert sorted(set(os.listdir(tmp_path)) - {".lock"}) == before

    def test_a_model_of_more_layers_is_refused_and_stays_as_it_is(
        self, made: Path, whole: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(whole, tmp_path / "model")
        state = {name: tf.Variable(value) for name, value in weights(checkpoints.latest(whole)).items()}
        more = {"bert/encoder/layer_1/output/dense/bias": tf.Variable([1.0])}
        checkpoints.save(str(tmp_path / "model"), 99, {**state, **more})
        before = content(tmp_path / "model")
        with pytest.raises(InputError, match=r"ckpt-99 does not match the BERT config: it has 2 layers, the config 1"):
            run(made, **flags(made, tmp_path / "model", num_train_epochs=8.0, keep_checkpoints=1))
        changed = {path for path, value in content(tmp_path / "model").items() if before.get(path) != value}
        assert {path.name for path in changed} <= {".lock"}

    def test_the_best_weights_are_kept_nowhere_else(self, made: Path, whole: Path, tmp_path: Path) -> None:
        before = content(whole)
        (tmp_path / "best").symlink_to(whole)
        with pytest.raises(InputError, match=r"/best is a symbolic link"):
            run(made, **flags(made, tmp_path))
        assert content(whole) == before

    def test_what_is_read_is_not_overwritten(self, made: Path, whole: Path) -> None:
        before = content(whole)
        asked = flags(made, whole, init_checkpoint=str(whole / "best"), overwrite_output_dir=True)
        with pytest.raises(InputError, match=r"best is in .*, which --overwrite_output_dir empties"):
            run(made, **asked)
        changed = {path for path, value in content(whole).items() if before.get(path) != value}
        assert {path.name for path in changed} <= {".lock"}


@pytest.mark.slow
def test_recomputing_changes_nothing(made: Path, tmp_path: Path) -> None:
    write_model_files(tmp_path)
    results = {}
    for name, changes in (("plain", {}), ("recompute", {"recompute": True})):
        asked = flags(made, tmp_path / name, num_train_epochs=1.0, eval_every_steps=100, **changes)
        results[name] = run(tmp_path, **asked)
    assert_results_close(results["recompute"], results["plain"], backward(1), scale=1)


class TestPadding:
    def test_leaving_it_out_changes_no_number(self, made: Path, tmp_path: Path) -> None:
        write_model_files(tmp_path)
        results = {}
        for name, changes in (
            ("omitted", {}),
            ("packed", {"pack_sequences": True}),
            ("padded", {"pack_sequences": False}),
        ):
            asked = flags(made, tmp_path / name, num_train_epochs=1.0, gradient_accumulation_steps=2, **changes)
            results[name] = run(tmp_path, **asked)
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
    def test_it_is_left_out_unless_that_is_not_wanted(self, made, tmp_path, monkeypatch, changes, skips) -> None:
        seen = set()
        call = BertModel.call

        def watched(self, *inputs, skip_padding=False, **options):
            seen.add(skip_padding)
            return call(self, *inputs, skip_padding=skip_padding, **options)

        monkeypatch.setattr(BertModel, "call", watched)
        write_model_files(tmp_path)
        run(tmp_path, **flags(made, tmp_path / "a", num_train_epochs=0.2, **changes))
        assert seen == {skips}

    def test_xla_wants_fixed_shapes(self, made: Path, tmp_path: Path) -> None:
        write_model_files(tmp_path)
        asked = flags(made, tmp_path / "out", pack_sequences=True, precision=PrecisionConfig(jit="on"))
        with pytest.raises(InputError, match=r"--pack_sequences: XLA compiles .*; omit the flag, or give --jit=off"):
            run(tmp_path, **asked)
        assert not (tmp_path / "out").exists()
