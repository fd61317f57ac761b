"""run_classifier.py --teacher as a user calls it: what a student learns, what is stored, resuming after a kill."""

import json
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers.rounding import assert_close, forward
from helpers.run_directory import unlisted
from helpers.scripts import Scripts
from helpers.tiny_classification import config, rows, run, write_csv, write_model_files
from helpers.tiny_teacher import logits, write_teacher

from bert_tf2 import checkpoints
from bert_tf2.io import run_files
from bert_tf2.records.reader import count_records

pytestmark = pytest.mark.numeric

TRAIN, DEV, FURTHER = rows(48, seed=1), rows(40, seed=2), rows(16, seed=3)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("inputs")
    write_model_files(directory, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    write_csv(directory / "train.csv", TRAIN)
    write_csv(directory / "dev.csv", DEV)
    write_csv(directory / "more.csv", FURTHER)
    (directory / "more.txt").write_text("".join(f"{text}\n" for text, _ in FURTHER))
    write_teacher(directory / "teacher")
    return directory


def flags(inputs: Path, output_dir: Path, **changes):
    return {
        "train_file": str(inputs / "train.csv"),
        "dev_file": str(inputs / "dev.csv"),
        "unlabeled_file": str(inputs / "more.*"),
        "teacher": str(inputs / "teacher"),
        "output_dir": str(output_dir),
        "do_train": True,
        "do_eval": True,
        **changes,
    }


def arguments(inputs: Path, **asked) -> list[str]:
    given = config(inputs, **asked)
    names = {*asked, "vocab_file", "bert_config_file", "max_seq_length", "learning_rate"}
    names |= {f"{kind}_batch_size" for kind in ("train", "eval", "predict")}
    return [f"--{name}={getattr(given, name)}" for name in sorted(names)]


def weights(directory: Path) -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(checkpoints.latest(directory))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def assert_same_weights(directory: Path, other: Path) -> None:
    values, expected = weights(directory), weights(other)
    assert values.keys() == expected.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


@pytest.mark.slow
def test_a_student_of_a_teacher(inputs: Path, tmp_path: Path, scripts: Scripts) -> None:
    directory = tmp_path / "student"
    done = scripts.run("run_classifier.py", arguments(inputs, **flags(inputs, directory, num_train_epochs=1.0)))
    assert done.returncode == 0, done.stderr
    assert "Training: 80 examples, 1 epoch, 5 steps of 16" in done.stderr
    assert "Computed the teacher's logits for 48 rows of" in done.stderr
    right = (logits(inputs / "teacher", [text for text, _ in DEV]).argmax(axis=1) == 0) == [
        label == "good" for _, label in DEV
    ]
    assert f"Teacher on the dev data: accuracy {np.mean(right):.4g}, macro_f1 " in done.stderr
    assert f"Teacher: accuracy {np.mean(right):.4g}, macro_f1 " in done.stderr
    assert "; student: accuracy " in done.stderr
    assert unlisted(directory, run_files.CLASSIFICATION) == []
    assert count_records([directory / "train.tf_record"]) == 48
    kept = {path.name.split("-")[0]: np.load(path) for path in (directory / "teacher_logits").iterdir()}
    assert {name: values.shape for name, values in kept.items()} == {
        "train": (48, 2),
        "dev": (40, 2),
        "unlabeled_0": (16, 2),
        "unlabeled_1": (16, 2),
    }
    expected = logits(inputs / "teacher", [text for text, _ in TRAIN])
    assert_close(kept["train"], expected, forward(1))
    np.testing.assert_array_equal(kept["unlabeled_0"], kept["unlabeled_1"])


@pytest.mark.slow
def test_a_dry_run_checks_the_teacher_and_writes_nothing(inputs: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    run(inputs, **flags(inputs, tmp_path / "student", dry_run=True))
    assert "The teacher's weights are those of" in caplog.text
    assert "Dry run: " in caplog.text
    assert not (tmp_path / "student").exists()


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_bits(inputs: Path, tmp_path: Path, scripts: Scripts) -> None:
    options = {"num_train_epochs": 6.0, "save_checkpoints_steps": 2, "eval_every_steps": 3}
    run(inputs, **flags(inputs, tmp_path / "whole", **options))
    asked = flags(inputs, tmp_path / "broken", **options)
    process = scripts.start("run_classifier.py", arguments(inputs, **asked))
    path = tmp_path / "broken" / "eval_history.jsonl"
    while process.poll() is None and not (path.exists() and len(path.read_text().splitlines()) >= 3):
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "it ended too soon"
    assert 8 <= checkpoints.step_of(checkpoints.latest(tmp_path / "broken")) < 30
    run(inputs, **asked)
    assert_same_weights(tmp_path / "broken", tmp_path / "whole")
    assert path.read_text() == (tmp_path / "whole" / "eval_history.jsonl").read_text()


@pytest.mark.slow
def test_seeds_and_later_trainings_share_the_logits_of_the_teacher(inputs: Path, tmp_path: Path, monkeypatch) -> None:
    from bert_tf2.tasks.finetuning import kept_outputs

    computed, plain = [], kept_outputs.compute
    monkeypatch.setattr(kept_outputs, "compute", lambda *given: computed.append(1) or plain(*given))
    options = {"num_train_epochs": 1.0, "do_eval": False, "unlabeled_file": None}
    run(inputs, **flags(inputs, tmp_path / "student", **options, seeds="1,2"))
    assert len(computed) == 1
    assert not np.array_equal(*(weights(tmp_path / f"student/seed-{seed}")["output_weights"] for seed in (1, 2)))
    first = flags(inputs, tmp_path / "student", **options)
    run(inputs, **first)
    run(inputs, **{**first, "learning_rate": 1e-3, "overwrite_output_dir": True})
    assert len(computed) == 1
    run(inputs, **{**first, "train_file": str(inputs / "dev.csv"), "overwrite_output_dir": True})
    assert len(computed) == 2


@pytest.mark.slow
def test_a_student_learns_from_its_teacher_alone(inputs: Path, tmp_path: Path) -> None:
    """The labels of its rows are useless; the teacher has learned from correct ones."""
    write_model_files(tmp_path)
    write_csv(tmp_path / "train.csv", rows(160, seed=5))
    wrong = [(text, ("good", "bad")[number % 2]) for number, (text, _) in enumerate(rows(160, seed=6))]
    write_csv(tmp_path / "wrong.csv", wrong)
    dev = {"dev_file": str(inputs / "dev.csv"), "do_train": True, "do_eval": True, "eval_every_steps": 1000}
    teacher = run(
        tmp_path,
        train_file=str(tmp_path / "train.csv"),
        output_dir=str(tmp_path / "teacher"),
        num_train_epochs=6.0,
        **dev,
    )
    assert teacher["eval_accuracy"] > 0.9
    asked = {
        "train_file": str(tmp_path / "wrong.csv"),
        "teacher": str(tmp_path / "teacher/best"),
        "teacher_weight": 1.0,
        "num_train_epochs": 6.0,
        **dev,
    }
    results = run(tmp_path, output_dir=str(tmp_path / "student"), **asked)
    assert results["eval_accuracy"] > 0.9
    shutil.copy(tmp_path / "train.csv", tmp_path / "unlabeled.csv")
    fewer = {
        "train_file": write_csv(tmp_path / "few.csv", wrong[:16]),
        "unlabeled_file": str(tmp_path / "unlabeled.csv"),
    }
    results = run(
        tmp_path, output_dir=str(tmp_path / "other"), **{**asked, **fewer, "lora_rank": 4, "num_train_epochs": 20.0}
    )
    history = [json.loads(line) for line in (tmp_path / "other/eval_history.jsonl").read_text().splitlines()]
    assert history[-1]["eval_accuracy"] == results["eval_accuracy"] > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["multi_label", "regression", "pairs"])
def test_other_problem_types(kind: str, tmp_path: Path) -> None:
    """Several labels per row, numbers, and pairs, from a teacher to a student."""
    write_model_files(tmp_path)
    lines = {
        "multi_label": lambda text, label: {"text": text, "label": [label, "short"] if len(text) < 12 else [label]},
        "regression": lambda text, label: {"text": text, "label": 1.5 if label == "good" else -0.5},
        "pairs": lambda text, label: {"text": "w1 w2", "other": text, "label": label},
    }[kind]
    for name, seed in (("train", 1), ("dev", 2)):
        content = "".join(json.dumps(lines(*row)) + "\n" for row in rows(160 if name == "train" else 40, seed))
        (tmp_path / f"{name}.jsonl").write_text(content)
    asked = {f"{name}_file": str(tmp_path / f"{name}.jsonl") for name in ("train", "dev")}
    asked |= {"do_train": True, "do_eval": True, "num_train_epochs": 8.0, "eval_every_steps": 1000}
    asked |= {"text_pair_column": "other"} if kind == "pairs" else {}
    metric = {"multi_label": "eval_micro_f1", "regression": "eval_pearson", "pairs": "eval_accuracy"}[kind]
    teacher = run(tmp_path, output_dir=str(tmp_path / "teacher"), **asked)
    taught = {"teacher": str(tmp_path / "teacher"), "teacher_weight": 1.0}
    student = run(tmp_path, output_dir=str(tmp_path / "student"), **asked, **taught)
    assert student[metric] > 0.85
    assert student[metric] > teacher[metric] - 0.1
