"""The checkpoints of a directory: only those in it, regardless of the entries in its file `checkpoint`."""

import logging
import os

import numpy as np
import pytest
import tensorflow as tf

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import listing
from bert_tf2.errors import InputError


def save(directory, *steps, keep=5):
    for step in steps:
        checkpoints.save(str(directory), step, {"bert/a": tf.Variable([float(step)])}, keep)


def rename(directory, old, new):
    for path in directory.glob(f"{old}.*"):
        path.rename(directory / path.name.replace(old, new))


@pytest.fixture
def directories(tmp_path):
    """A directory with checkpoints 1 and 2, and another one with 1 to 3, which must not be modified."""
    save(tmp_path / "here", 1, 2)
    save(tmp_path / "other", 1, 2, 3)
    return tmp_path / "here", tmp_path / "other"


def write_state(directory, *entries):
    lines = [
        f'model_checkpoint_path: "{entries[-1]}"',
        *(f'all_model_checkpoint_paths: "{entry}"' for entry in entries),
    ]
    (directory / "checkpoint").write_text("\n".join(lines))


def content(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize(
    "way", ["{other}/model.ckpt-{step}", "../other/model.ckpt-{step}", "x/../../other/model.ckpt-{step}"]
)
def test_outside_entries_are_replaced_by_checkpoints_of_the_same_name(directories, caplog, way):
    own, other = directories
    before = content(other)
    write_state(own, *(way.format(other=other, step=step) for step in (1, 2)))
    with caplog.at_level(logging.WARNING):
        assert checkpoints.latest(own) == checkpoints.find(str(own)) == str(own / "model.ckpt-2")
    assert len([line for line in caplog.messages if "model.ckpt-2, which is outside the directory" in line]) == 1
    variables = {"bert/a": tf.Variable([0.0])}
    assert checkpoints.resume(variables, str(own)) == (str(own / "model.ckpt-2"), [])
    save(own, 3, 4, keep=1)
    assert sorted(path.name for path in own.glob("*.index")) == ["model.ckpt-4.index"]
    assert content(other) == before


def test_outside_entries_without_a_local_checkpoint(directories):
    own, other = directories
    before = content(other)
    write_state(own, str(other / "model.ckpt-3"), "model.ckpt-2")
    assert listing.newest_first(own) == [str(own / "model.ckpt-2")]
    write_state(own, "model.ckpt-2", str(other / "model.ckpt-3"))
    for read in (
        checkpoints.latest,
        checkpoints.find,
        lambda path: checkpoints.resume({}, path),
        lambda path: save(path, 4),
    ):
        with pytest.raises(
            InputError, match=r"model\.ckpt-3, which is outside the directory, and there is no model\.ckpt-3"
        ):
            read(str(own))
    assert content(other) == before


def test_absolute_entries_of_the_directory_itself(directories, monkeypatch, caplog):
    own, _ = directories
    write_state(own, *(own / f"model.ckpt-{step}" for step in (1, 2)))
    monkeypatch.chdir(own.parent)
    os.symlink("here", "link")
    for way in ("here", "./here", "link", str(own)):
        assert checkpoints.latest(way) == os.path.join(way, "model.ckpt-2")
    assert caplog.messages == []


@pytest.mark.parametrize("entry", ["..", ".", "", "*", "../here/", "model.ckpt-2/.."])
def test_invalid_entries_are_errors(directories, entry):
    own, other = directories
    before = content(other)
    write_state(own, entry)
    with pytest.raises(InputError, match=r"which is outside|which does not exist|does not name a checkpoint"):
        checkpoints.latest(own)
    assert content(other) == before


def test_names_are_not_patterns(tmp_path):
    directory = tmp_path / "a [final] *"
    save(directory, 1, 2, keep=1)
    assert checkpoints.latest(directory) == str(directory / "model.ckpt-2")
    write_state(directory, "*", "model.ckpt-2")
    save(directory, 3, keep=1)
    assert sorted(path.name for path in directory.glob("model*")) == [
        "model.ckpt-3.data-00000-of-00001",
        "model.ckpt-3.index",
    ]
    (directory / "other.data-1").touch()
    checkpoints.remove(str(directory / "*"))
    assert (directory / "other.data-1").exists()


def test_single_checkpoint_may_have_any_name(tmp_path):
    save(tmp_path, 1)
    (tmp_path / "checkpoint").unlink()
    rename(tmp_path, "model.ckpt-1", "biobert_model")
    (tmp_path / "biobert_model").mkdir()  # ignored
    (tmp_path / "search.index").touch()  # not a checkpoint, as it has no data file
    assert checkpoints.find(str(tmp_path)) == str(tmp_path / "biobert_model")
    assert listing.has_checkpoint(tmp_path)
    variables = {"bert/a": tf.Variable([0.0])}
    checkpoints.load(variables, str(tmp_path))
    np.testing.assert_array_equal(variables["bert/a"], [1])

    save(tmp_path / "new", 1)
    rename(tmp_path / "new", "model.ckpt-1", "bert_model.ckpt")
    for path in (tmp_path / "new").glob("bert_model*"):
        path.rename(tmp_path / path.name)
    assert checkpoints.find(str(tmp_path)) == str(tmp_path / "bert_model.ckpt")  # .ckpt in the name takes precedence
    rename(tmp_path, "bert_model.ckpt", "bert_model")
    with pytest.raises(
        InputError, match=r"has 2 checkpoints; give the path of one, with its name \(bert_model, biobert_"
    ):
        checkpoints.find(str(tmp_path))


def test_is_listed_and_has_checkpoint(directories):
    own, _ = directories
    assert listing.is_listed(own)
    (own / "checkpoint").unlink()
    assert not listing.is_listed(own)
    assert listing.has_checkpoint(own)
