"""Rows held out of the training file: their choice and number, and the same rows in later runs."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf2.errors import InputError
from bert_tf2.tasks.classification.config import ClassificationConfig
from bert_tf2.tasks.classification.data import Data, DataConfig, open_data
from bert_tf2.tasks.classification.examples import Examples
from bert_tf2.tasks.classification.task_description import TaskDescription
from bert_tf2.tasks.classification.validation_split import ValidationSplit


def rows(labels: list[str]) -> Examples:
    numbers = range(len(labels))
    return Examples("a.csv", numbers, numbers, list(map(str, numbers)), None, labels)


def opened(directory: Path, training: bool = True, **flags: Any) -> Data:
    """Opens a file with 40 rows of label a and 10 of label b."""
    path = directory / "train.csv"
    if not path.exists():
        path.write_text("text,label\n" + "".join(f"t{row},{'aaaab'[row % 5]}\n" for row in range(50)))
    data = open_data(DataConfig(str(directory / "model"), **{"train_file": str(path), **flags}), training)
    if training:
        data.save(str(directory / "model"))
    return data


def test_same_fraction_of_each_label_is_held_out(tmp_path: Path) -> None:
    data = opened(tmp_path, validation_split=0.2)
    train, dev = data.examples("train"), data.examples("dev")
    assert np.bincount(data.labels(train)).tolist() == [32, 8]
    assert np.bincount(data.labels(dev)).tolist() == [8, 2]
    assert sorted([*train.texts, *dev.texts]) == sorted(f"t{row}" for row in range(50))
    assert dev.location(0) == f"{tmp_path}/train.csv, line {int(dev.texts[0][1:]) + 2}"
    assert list(dev.ids) == [int(text[1:]) for text in dev.texts] == list(data.split.held_out)
    assert (dev.texts[0:3], train.labels[1:3]) == (list(dev.texts)[:3], list(train.labels)[1:3])


def test_later_runs_hold_out_the_same_rows(tmp_path: Path) -> None:
    before = opened(tmp_path, validation_split=0.1).examples("dev")
    for flags in ({}, {"validation_split": 0.1}):
        resumed = opened(tmp_path, **flags)
        assert list(resumed.examples("dev").texts) == list(before.texts)
        assert len(resumed.examples("train")) == 45
        evaluated = opened(tmp_path, training=False, **flags)
        assert list(evaluated.examples("dev").texts) == list(before.texts)
    other = opened(tmp_path / "model", validation_split=0.1)  # another directory, the same rows
    assert list(other.examples("dev").texts) == list(before.texts)


def test_killed_between_the_files_of_the_task(tmp_path: Path) -> None:
    opened(tmp_path, validation_split=0.1)
    (tmp_path / "model/task.json").unlink()
    assert len(opened(tmp_path, validation_split=0.1).examples("dev")) == 5
    (tmp_path / "model/task.json").unlink()
    assert len(opened(tmp_path).examples("train")) == 50
    with pytest.raises(InputError, match="--dev_file is missing"):  # no row is held out
        opened(tmp_path, training=False).examples("dev")


def test_task_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.setattr(TaskDescription, "save", lambda self, directory: written.extend(Path(directory).iterdir()))
    written: list[Path] = []
    opened(tmp_path, validation_split=0.1)
    assert written == [tmp_path / "model/validation_split.json"]


def test_only_a_file_in_the_model_directory_is_read_without_a_flag(tmp_path: Path) -> None:
    opened(tmp_path, validation_split=0.1)
    data = open_data(DataConfig(str(tmp_path / "model")), training=False)
    with pytest.raises(InputError, match=r"--train_file is missing, and .* give --train_file=.*train\.csv"):
        data.examples("dev")
    dev = tmp_path / "dev.csv"
    dev.write_text("text,label\nx,a\n")
    data = open_data(DataConfig(str(tmp_path / "model"), dev_file=str(dev)), training=False)
    assert list(data.examples("dev").texts) == ["x"]


@pytest.mark.parametrize(
    ("first", "second", "training", "sentence"),
    [
        (
            {"validation_split": 0.1},
            {"validation_split": 0.2},
            True,
            "held out a fraction of 0.1; omit --validation_split",
        ),
        ({"validation_split": 0.1}, {"dev_file": "d.csv"}, True, "held out a fraction of 0.1; omit .* and --dev_file"),
        ({}, {"validation_split": 0.2}, True, "learned all rows; omit --validation_split"),
        ({}, {"validation_split": 0.2}, False, "held out no rows; give --dev_file"),
        ({"validation_split": 0.1}, {"validation_split": 0.2}, False, "held out a fraction of 0.1; give --dev_file"),
        ({}, {"validation_split": 0.1, "dev_file": "d.csv"}, True, "--validation_split and --dev_file exclude each"),
    ],
)
def test_incompatible_flags(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any], training: bool, sentence: str
) -> None:
    opened(tmp_path, **first)
    with pytest.raises(InputError, match=sentence):
        opened(tmp_path, training, **second)
    if training and "dev_file" not in second:
        config = DataConfig(str(tmp_path / "model"), train_file=str(tmp_path / "train.csv"), **second)
        assert len(open_data(config, True, overwrite=True).examples("dev")) == 10


def test_changed_file_is_rejected(tmp_path: Path) -> None:
    opened(tmp_path, validation_split=0.1)
    with (tmp_path / "train.csv").open("a") as file:
        file.write("more,a\n")
    with pytest.raises(InputError, match=r"train\.csv has 51 rows, but had 50 when --validation_split split it"):
        opened(tmp_path)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.sampled_from([0.1, 0.25, 0.5, 0.9]))
@settings(max_examples=80)
def test_number_of_rows_of_each_label(sizes: list[int], fraction: float) -> None:
    labels = [str(label) for label, size in enumerate(sizes) for _ in range(size)]
    classes = np.array(labels, np.int32)
    requested = round(fraction * len(labels))
    if not requested or max(sizes) == 1:
        with pytest.raises(InputError, match="holds out none of the"):
            ValidationSplit.of(rows(labels), fraction, classes)
        return
    split = ValidationSplit.of(rows(labels), fraction, classes)
    counts = np.bincount(classes[list(split.held_out)], minlength=len(sizes))
    assert len(split.held_out) <= requested
    for count, size in zip(counts, sizes, strict=True):
        assert count <= size - 1
        assert count >= min(int(size * fraction), size - 1)
        assert count <= int(size * fraction) + 1


def test_too_few_rows() -> None:
    for labels, fraction in ((["1.5"] * 9, 0.01), (["1.5"], 0.99)):
        with pytest.raises(InputError, match=rf"holds out none of the rows of a.csv \({len(labels)} in all\)"):
            ValidationSplit.of(rows(labels), fraction, None)


def test_file(tmp_path: Path) -> None:
    split = ValidationSplit("a.csv", 0.5, 4, (0, 3))
    split.save(str(tmp_path))
    path = tmp_path / "validation_split.json"
    assert json.loads(path.read_text()) == {"train_file": "a.csv", "fraction": 0.5, "rows": 4, "held_out": [0, 3]}
    assert ValidationSplit.load(str(tmp_path)) == split
    for change in ({"held_out": [4]}, {"held_out": []}, {"held_out": [1, 1]}, {"fraction": None}, {"rows": 2}):
        path.write_text(json.dumps(dataclasses.asdict(split) | change))
        with pytest.raises(InputError, match="does not say which rows are held out"):
            ValidationSplit.load(str(tmp_path))


def test_invalid_flags() -> None:
    flags = {"output_dir": "x", "init_checkpoint": "y", "train_file": "a.csv", "do_train": True}
    with pytest.raises(InputError, match="--validation_split needs --do_eval"):
        ClassificationConfig(**flags, validation_split=0.1)
    with pytest.raises(InputError, match=r"--validation_split=1\.0; it must be above 0 and below 1"):
        ClassificationConfig(**flags, do_eval=True, validation_split=1.0)
