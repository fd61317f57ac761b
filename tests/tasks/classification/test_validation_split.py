"""Rows held out of the training file: which, how many, and the same ones again."""

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
from bert_tf2.tasks.classification.validation_split import ValidationSplit


def rows(labels: list[str]) -> Examples:
    numbers = range(len(labels))
    return Examples("a.csv", numbers, numbers, list(map(str, numbers)), None, labels)


def opened(folder: Path, training: bool = True, **flags: Any) -> Data:
    """Of a file with 40 rows of label a and 10 of label b."""
    path = folder / "train.csv"
    if not path.exists():
        path.write_text("text,label\n" + "".join(f"t{row},{'aaaab'[row % 5]}\n" for row in range(50)))
    data = open_data(DataConfig(str(folder / "model"), **{"train_file": str(path), **flags}), training)
    if training:
        data.save(str(folder / "model"))
    return data


def test_each_label_has_its_share_and_nothing_is_lost(tmp_path: Path) -> None:
    data = opened(tmp_path, validation_split=0.2)
    train, dev = data.examples("train"), data.examples("dev")
    assert np.bincount(data.labels(train)).tolist() == [32, 8]
    assert np.bincount(data.labels(dev)).tolist() == [8, 2]
    assert sorted([*train.texts, *dev.texts]) == sorted(f"t{row}" for row in range(50))
    assert dev.place(0) == f"{tmp_path}/train.csv, line {int(dev.texts[0][1:]) + 2}"
    assert list(dev.ids) == [int(text[1:]) for text in dev.texts] == list(data.split.held_out)
    assert (dev.texts[0:3], train.labels[1:3]) == (list(dev.texts)[:3], list(train.labels)[1:3])


def test_a_later_run_has_the_same_rows(tmp_path: Path) -> None:
    before = opened(tmp_path, validation_split=0.1).examples("dev")
    for flags in ({}, {"validation_split": 0.1}):
        again = opened(tmp_path, **flags)
        assert list(again.examples("dev").texts) == list(before.texts)
        assert len(again.examples("train")) == 45
        later = opened(tmp_path, training=False, **flags)
        assert list(later.examples("dev").texts) == list(before.texts)
    other = opened(tmp_path / "model", validation_split=0.1)  # another directory, the same rows
    assert list(other.examples("dev").texts) == list(before.texts)


def test_only_a_file_in_the_model_is_read_without_a_flag(tmp_path: Path) -> None:
    opened(tmp_path, validation_split=0.1)
    data = open_data(DataConfig(str(tmp_path / "model")), training=False)
    with pytest.raises(InputError, match=r"--train_file is missing, and .* give --train_file=.*train\.csv"):
        data.examples("dev")
    dev = tmp_path / "dev.csv"
    dev.write_text("text,label\nx,a\n")
    data = open_data(DataConfig(str(tmp_path / "model"), dev_file=str(dev)), training=False)
    assert list(data.examples("dev").texts) == ["x"]


@pytest.mark.parametrize(
    ("first", "then", "training", "sentence"),
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
def test_what_does_not_go_together(
    tmp_path: Path, first: dict[str, Any], then: dict[str, Any], training: bool, sentence: str
) -> None:
    opened(tmp_path, **first)
    with pytest.raises(InputError, match=sentence):
        opened(tmp_path, training, **then)
    if training and "dev_file" not in then:
        config = DataConfig(str(tmp_path / "model"), train_file=str(tmp_path / "train.csv"), **then)
        assert len(open_data(config, True, overwrite=True).examples("dev")) == 10


def test_a_file_that_has_changed_is_refused(tmp_path: Path) -> None:
    opened(tmp_path, validation_split=0.1)
    with (tmp_path / "train.csv").open("a") as file:
        file.write("more,a\n")
    with pytest.raises(InputError, match=r"train\.csv has 51 rows, but had 50 when --validation_split split it"):
        opened(tmp_path)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.sampled_from([0.1, 0.25, 0.5, 0.9]))
@settings(max_examples=80)
def test_shares(sizes: list[int], fraction: float) -> None:
    labels = [str(label) for label, size in enumerate(sizes) for _ in range(size)]
    classes = np.array(labels, np.int32)
    wanted = round(fraction * len(labels))
    if not wanted or max(sizes) == 1:
        with pytest.raises(InputError, match="holds out none of the"):
            ValidationSplit.of(rows(labels), fraction, classes)
        return
    found = ValidationSplit.of(rows(labels), fraction, classes)
    taken = np.bincount(classes[list(found.held_out)], minlength=len(sizes))
    assert len(found.held_out) <= wanted
    for count, size in zip(taken, sizes, strict=True):
        assert count <= size - 1
        assert count >= min(int(size * fraction), size - 1)
        assert count <= int(size * fraction) + 1


def test_too_few_rows() -> None:
    for labels, fraction in ((["1.5"] * 9, 0.01), (["1.5"], 0.99)):
        with pytest.raises(InputError, match=rf"holds out none of the rows of a.csv \({len(labels)} in all\)"):
            ValidationSplit.of(rows(labels), fraction, None)


def test_the_file(tmp_path: Path) -> None:
    split = ValidationSplit("a.csv", 0.5, 4, (0, 3))
    split.save(str(tmp_path))
    path = tmp_path / "validation_split.json"
    assert json.loads(path.read_text()) == {"train_file": "a.csv", "fraction": 0.5, "rows": 4, "held_out": [0, 3]}
    assert ValidationSplit.load(str(tmp_path)) == split
    for change in ({"held_out": [4]}, {"held_out": []}, {"held_out": [1, 1]}, {"fraction": None}, {"rows": 2}):
        path.write_text(json.dumps(dataclasses.asdict(split) | change))
        with pytest.raises(InputError, match="does not say which rows are held out"):
            ValidationSplit.load(str(tmp_path))


def test_flags() -> None:
    flags = {"output_dir": "x", "init_checkpoint": "y", "train_file": "a.csv", "do_train": True}
    with pytest.raises(InputError, match="--validation_split needs --do_eval"):
        ClassificationConfig(**flags, validation_split=0.1)
    with pytest.raises(InputError, match=r"--validation_split=1\.0; it must be above 0 and below 1"):
        ClassificationConfig(**flags, do_eval=True, validation_split=1.0)
