"""The tables of files: what `--overwrite_output_dir` removes."""

import os
from pathlib import Path

import pytest
from helpers.run_directory import unlisted

from bert_tf2.io import run_files
from bert_tf2.tasks.classification import glue

FINETUNING = {
    "classification": run_files.CLASSIFICATION,
    "squad": run_files.SQUAD,
    "tagging": run_files.TAGGING,
    "multiple choice": run_files.MULTIPLE_CHOICE,
}


@pytest.mark.parametrize("files", FINETUNING.values(), ids=FINETUNING)
def test_only_files_of_an_earlier_run_are_removed(tmp_path: Path, files: run_files.Files) -> None:
    removed = {name for file in files if file.is_of_run for name in file.names}
    kept = {name for file in files if not file.is_of_run for name in file.names}
    teacher = ["teacher_logits/"] if files is run_files.CLASSIFICATION else []
    assert kept == {".lock", "search/", "seed-*/", *teacher}
    for name in (*removed, *kept, "thesis.txt", "notes/"):
        path = tmp_path / name.replace("*", "7")
        if name.endswith("/"):
            path.mkdir()
            (path / "inside").touch()
        else:
            path.touch()
    (tmp_path / ".eval_results.txt.unfinished-99999999999").touch()
    (tmp_path / ".eval_results.txt.unfinished").mkdir()
    (tmp_path / ".model.ckpt-7.unfinished-1").mkdir()
    run_files.remove_run(str(tmp_path), files)
    names = [name.replace("*", "7").rstrip("/") for name in kept]
    assert sorted(os.listdir(tmp_path)) == sorted([*names, "notes", "thesis.txt"])
    assert (tmp_path / "seed-7" / "inside").exists()
    assert unlisted(tmp_path, files) == ["notes", "thesis.txt"]


def test_targets_of_links_are_kept(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "best").symlink_to(tmp_path / "elsewhere")
    run_files.remove_run(str(tmp_path / "run"), run_files.SQUAD)
    assert os.listdir(tmp_path / "run") == []
    assert (tmp_path / "elsewhere" / "precious").exists()


def test_the_list_of_checkpoints_is_removed_before_them() -> None:
    for files in FINETUNING.values():
        assert [pattern for file in files for pattern in file.patterns][:2] == ["checkpoint", "model.ckpt-*"]


def test_submissions_are_those_of_glue() -> None:
    assert {task.submission for task in glue.TASKS.values() if task.submission} == {*run_files.GLUE_SUBMISSIONS}
