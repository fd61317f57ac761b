"""Lock files: one process at a time, and never a file under another name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.repository import REPOSITORY

from bert_tf2.errors import InputError
from bert_tf2.io import locks, run_dir
from bert_tf2.io.resumable_output import UnfinishedOutput


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = str(tmp_path / "l")
    program = f"from bert_tf2.io import locks; import os; f = locks.take({path!r}, '', ''); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=False).returncode == -9
    assert (tmp_path / "l").read_text().startswith("process ")
    with locks.take(tmp_path / "l", "", ""):
        assert (tmp_path / "l").read_text().startswith(f"process {os.getpid()} on ")


def test_a_lock_that_is_removed_while_another_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second process opens the file that the first one removes; it must lock a new file, not the removed one."""
    first = locks.held(tmp_path / "l", "", "", remove=True)
    first.__enter__()
    flock = locks.fcntl.flock

    def slow(*arguments: object) -> None:
        monkeypatch.undo()
        first.__exit__(None, None, None)
        flock(*arguments)

    monkeypatch.setattr(locks.fcntl, "flock", slow)
    with locks.take(tmp_path / "l", "", ""), pytest.raises(InputError, match=r"\(process .*\) counts; wait for it"):
        locks.take(tmp_path / "l", "counts", "count later")


def links(tmp_path: Path, name: str) -> list[Path]:
    """A symbolic link, a hard link, a pipe and a directory instead of a file; writing would damage the victims."""
    for kind in ("symbolic", "hard"):
        (tmp_path / f"victim of {kind}").write_text("precious")
    paths = [tmp_path / kind / name for kind in ("symbolic", "hard", "pipe", "directory")]
    for path in paths:
        path.parent.mkdir(parents=True)
    paths[0].symlink_to(tmp_path / "victim of symbolic")
    os.link(tmp_path / "victim of hard", paths[1])
    os.mkfifo(paths[2])
    paths[3].mkdir()
    return paths


def test_locks_are_regular_files(tmp_path: Path) -> None:
    for path in links(tmp_path, ".lock"):
        with (
            pytest.raises(InputError, match=r"\.lock is a link, or not a regular file"),
            run_dir.locked(path.parent),
        ):
            pass
    assert [victim.read_text() for victim in tmp_path.glob("victim of *")] == ["precious"] * 2


@pytest.mark.parametrize("name", ["lock", "rows"])
def test_unfinished_output_needs_regular_files(tmp_path: Path, name: str) -> None:
    for path in links(tmp_path, f".out.unfinished/{name}"):
        with pytest.raises(InputError, match=rf"{name} is a link, or not a regular file"):
            UnfinishedOutput(str(path.parents[1] / "out"), ("rows",), {})
    assert [victim.read_text() for victim in tmp_path.glob("victim of *")] == ["precious"] * 2


def test_unfinished_output_does_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".out.unfinished").symlink_to("elsewhere")
    with pytest.raises(InputError, match=r"\.out\.unfinished is a symbolic link"):
        UnfinishedOutput(str(tmp_path / "out"), ("rows",), {})
    assert not list((tmp_path / "elsewhere").iterdir())
