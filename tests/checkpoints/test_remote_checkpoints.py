"""Checkpoints and Hugging Face directories on a remote file system, including failures, as on a local one."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers.one_process import copy_tree, names_in
from helpers.tiny_huggingface import write_directory

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import google, huggingface, listing
from bert_tf2.errors import InputError
from bert_tf2.io import file_system

_number = itertools.count()


@pytest.fixture(params=["local", "ram"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The path of a directory that does not exist."""
    return str(tmp_path / "run") if request.param == "local" else f"ram://checkpoints-{next(_number)}/run"


def variables(value: float) -> dict[str, tf.Variable]:
    return {"bert/a": tf.Variable([value, value]), google.GLOBAL_STEP: tf.Variable(int(value), dtype=tf.int64)}


def test_saved_checkpoints_are_listed_and_restored(directory: str) -> None:
    for step in (1, 2, 3):
        assert google.save(directory, step, variables(step), keep=2) == f"{directory}/model.ckpt-{step}"
    files = {f"model.ckpt-{step}.{end}" for step in (2, 3) for end in ("index", "data-00000-of-00001")}
    assert names_in(directory) == {"checkpoint", *files}
    assert listing.newest_first(directory) == [f"{directory}/model.ckpt-{step}" for step in (3, 2)]
    assert checkpoints.latest(directory) == listing.find(directory) == f"{directory}/model.ckpt-3"
    assert listing.find(f"{directory}/model.ckpt-2.index") == f"{directory}/model.ckpt-2"
    restored = variables(0)
    assert google.resume(restored, directory) == (f"{directory}/model.ckpt-3", [])
    assert restored["bert/a"].numpy().tolist() == [3, 3]
    assert google.step_of(f"{directory}/model.ckpt-2") == 2
    state = (file_system.path(directory) / "checkpoint").read_text(encoding="utf-8")
    assert state.splitlines()[0] == 'model_checkpoint_path: "model.ckpt-3"'


@pytest.mark.parametrize("is_killed", [False, True], ids=["failed", "killed"])
@pytest.mark.parametrize("failing", [0, 1, 2], ids=["data", "index", "state"])
def test_interrupted_save_keeps_the_earlier_checkpoint(
    directory: str, failing: int, is_killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    google.save(directory, 1, variables(1))
    replace, moved = file_system.replace, []

    def fails(source: str, target: str) -> None:
        moved.append(Path(target).name)
        if len(moved) == failing + 1:
            raise SystemExit if is_killed else OSError(28, "no room", str(target))
        replace(source, target)

    monkeypatch.setattr(file_system, "replace", fails)
    if is_killed:  # without any clean-up
        monkeypatch.setattr(file_system, "rmtree", lambda *_, **__: None)
        monkeypatch.setattr(file_system.path(directory).__class__, "unlink", lambda *_, **__: None)
    with pytest.raises(SystemExit if is_killed else OSError):
        google.save(directory, 2, variables(2))
    monkeypatch.undo()
    assert moved == ["model.ckpt-2.data-00000-of-00001", "model.ckpt-2.index", "checkpoint"][: failing + 1]
    restored = variables(0)
    assert google.resume(restored, directory) == (f"{directory}/model.ckpt-1", [])
    assert restored["bert/a"].numpy().tolist() == [1, 1]
    assert any("unfinished" in name for name in names_in(directory)) == is_killed
    google.remove_unfinished(directory)
    google.save(directory, 2, variables(2))
    assert checkpoints.latest(directory) == f"{directory}/model.ckpt-2"
    assert not any("unfinished" in name for name in names_in(directory))


def test_resume_without_a_file_of_the_newest_checkpoint(directory: str, caplog: pytest.LogCaptureFixture) -> None:
    for step in (1, 2):
        google.save(directory, step, variables(step))
    file_system.remove(f"{directory}/model.ckpt-2.data-00000-of-00001")
    assert google.resume(variables(0), directory) == (f"{directory}/model.ckpt-1", [])
    assert "model.ckpt-2 is incomplete" in caplog.text


def test_copied_directory_with_absolute_paths(directory: str) -> None:
    """The file `checkpoint` has the paths before the copy."""
    google.save(directory, 1, variables(1))
    with file_system.open(f"{directory}/checkpoint", "w") as file:
        file.write('model_checkpoint_path: "gs://elsewhere/model.ckpt-1"\n')
    assert checkpoints.latest(directory) == f"{directory}/model.ckpt-1"


def test_a_hugging_face_directory(tmp_path: Path) -> None:
    remote = f"ram://checkpoints-{next(_number)}/model"
    local = str(write_directory(tmp_path / "model", "BertForPreTraining"))
    copy_tree(local, remote)
    for path in (remote, f"{remote}/model.safetensors"):
        assert huggingface.find_directory(path) == remote
    one, other = huggingface.ModelDirectory(remote), huggingface.ModelDirectory(local)
    assert one.weights_file == f"{remote}/model.safetensors"
    assert one.get_variable_to_shape_map() == other.get_variable_to_shape_map()
    for name in other.get_variable_to_shape_map():
        np.testing.assert_array_equal(one.get_tensor(name), other.get_tensor(name))
    with file_system.open(f"{remote}/model.safetensors", "wb") as file:
        file.write(b"damaged")
    with pytest.raises(InputError, match=r"ram://.*/model\.safetensors is not a safetensors file.*\(7 bytes"):
        huggingface.ModelDirectory(remote)
