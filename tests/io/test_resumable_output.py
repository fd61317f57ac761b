"""Outputs that continue after a kill, on the local file system and on a remote one."""

import itertools
import logging
from pathlib import Path

import pytest
from helpers.one_process import names_in

from bert_tf2.io import file_system, remote_locks, resumable_output
from bert_tf2.io.resumable_output import UnfinishedOutput

_number = itertools.count()
NAMES = ("a", "b")


@pytest.fixture(params=["local", "ram"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty directory."""
    monkeypatch.setattr(remote_locks, "_SECONDS_TO_SETTLE", 0.0)
    directory = str(tmp_path) if request.param == "local" else f"ram://resumable-output-{next(_number)}"
    file_system.makedirs(directory)
    return directory


def killed(output: UnfinishedOutput) -> None:
    """Leaves what a kill leaves, but closes the files, as Python would warn about open ones."""
    for file in output._files.values():
        file.close()
    output._lock.close()
    if output._temporary:
        output._temporary.cleanup()


def write(root: str, content: bytes, settings: int = 1, *, at_once: bool = True) -> UnfinishedOutput:
    output = UnfinishedOutput(f"{root}/out", NAMES, {"setting": settings})
    output.append("a", content)
    output.commit({"bytes": output.done.get("bytes", 0) + len(content)}, at_once=at_once)
    return output


def test_committed_work_is_restored(root: str) -> None:
    killed(write(root, b"one"))
    output = write(root, b"two")
    assert output.done == {"bytes": 6}
    output.append("a", b"three")  # which is not committed
    output._files["a"].flush()
    killed(output)
    killed(write(root, b"four", at_once=False))
    with UnfinishedOutput(f"{root}/out", NAMES, {"setting": 1}) as output:
        assert output.done == {"bytes": 6}
        assert (output.directory / "a").read_bytes() == b"onetwo"
        assert not output.is_empty("a")
        assert output.is_empty("b")
        output.append("a", b"end")
        output._files["a"].flush()
        output.finish("a")
    with file_system.open(f"{root}/out", "rb") as file:
        assert file.read() == b"onetwoend"
    assert names_in(root) == {"out"}


def test_other_settings_start_over(root: str, caplog: pytest.LogCaptureFixture) -> None:
    killed(write(root, b"one"))
    with caplog.at_level(logging.INFO), UnfinishedOutput(f"{root}/out", NAMES, {"setting": 2}) as output:
        assert (output.done, output.is_empty("a")) == ({}, True)
        output.append("a", b"2")
        output.commit({"bytes": 1}, at_once=True)
    assert f"{root}/out was started with other settings" in caplog.text
    with UnfinishedOutput(f"{root}/out", NAMES, {"setting": 2}) as output:
        assert (output.directory / "a").read_bytes() == b"2"


def test_a_kill_after_starting_over_leaves_nothing_of_the_first_settings(root: str) -> None:
    killed(write(root, b"one"))
    output = write(root, b"other", settings=2, at_once=False)  # which is not committed
    output._files["a"].flush()
    killed(output)
    with UnfinishedOutput(f"{root}/out", NAMES, {"setting": 1}) as output:
        assert (output.done, output.is_empty("a")) == ({}, True)


def test_a_lost_file_starts_over(root: str) -> None:
    killed(write(root, b"one"))
    for path in list(resumable_output.unfinished_directory(f"{root}/out").iterdir()):
        if path.name.startswith("a"):
            path.unlink()
    with UnfinishedOutput(f"{root}/out", NAMES, {"setting": 1}) as output:
        assert (output.done, output.is_empty("a")) == ({}, True)


def test_additions_without_a_state_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_locks, "_SECONDS_TO_SETTLE", 0.0)
    root = f"ram://resumable-output-{next(_number)}"
    output = write(root, b"one")
    monkeypatch.setattr(resumable_output.json, "dump", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_more(output, b"lost")
    monkeypatch.undo()
    monkeypatch.setattr(remote_locks, "_SECONDS_TO_SETTLE", 0.0)
    killed(output)
    kept = ("a.000000000000000-000000000000003", "a.000000000000003-000000000000007", "state.json")
    assert names_in(root) == {f".out.unfinished/{name}" for name in kept}
    output = write(root, b"again")
    output.__exit__(None, None, None)
    output = UnfinishedOutput(f"{root}/out", NAMES, {"setting": 1})
    assert (output.directory / "a").read_bytes() == b"oneagain"
    output.__exit__(None, None, None)


def write_more(output: UnfinishedOutput, content: bytes) -> None:
    output.append("a", content)
    output.commit({"bytes": 0}, at_once=True)


def test_nothing_is_left_after_an_immediate_failure(root: str) -> None:
    output = UnfinishedOutput(f"{root}/out", NAMES, {})
    output.append("a", b"1")
    output.__exit__(RuntimeError, RuntimeError(), None)
    assert not file_system.exists(resumable_output.unfinished_directory(f"{root}/out"))
    killed(write(root, b"one"))
    resumable_output.discard(f"{root}/out")
    resumable_output.discard(f"{root}/out")
    assert names_in(root) == set()
