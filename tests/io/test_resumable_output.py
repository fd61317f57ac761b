"""Outputs that continue after a kill: the same on the local side and on a remote one."""

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
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty directory."""
    monkeypatch.setattr(remote_locks, "_SECONDS_TO_SETTLE", 0.0)
    directory = str(tmp_path) if request.param == "local" else f"ram://resumable-output-{next(_number)}"
    file_system.makedirs(directory)
    return directory


def killed(output: UnfinishedOutput) -> None:
    """What a kill leaves, but for open files, of which Python would warn."""
    for file in output._files.values():
        file.close()
    output._lock.close()
    if output._temporary:
        output._temporary.cleanup()


def write(place: str, content: bytes, settings: int = 1, *, at_once: bool = True) -> UnfinishedOutput:
    output = UnfinishedOutput(f"{place}/out", NAMES, {"setting": settings})
    output.append("a", content)
    output.commit({"bytes": output.done.get("bytes", 0) + len(content)}, at_once=at_once)
    return output


def test_what_was_committed_is_there_again(place: str) -> None:
    killed(write(place, b"one"))
    output = write(place, b"two")
    assert output.done == {"bytes": 6}
    output.append("a", b"three")  # which is not committed
    output._files["a"].flush()
    killed(output)
    killed(write(place, b"four", at_once=False))
    with UnfinishedOutput(f"{place}/out", NAMES, {"setting": 1}) as output:
        assert output.done == {"bytes": 6}
        assert (output.directory / "a").read_bytes() == b"onetwo"
        assert not output.is_empty("a")
        assert output.is_empty("b")
        output.append("a", b"end")
        output._files["a"].flush()
        output.finish("a")
    with file_system.open(f"{place}/out", "rb") as file:
        assert file.read() == b"onetwoend"
    assert names_in(place) == {"out"}


def test_other_settings_start_again(place: str, caplog: pytest.LogCaptureFixture) -> None:
    killed(write(place, b"one"))
    with caplog.at_level(logging.INFO), UnfinishedOutput(f"{place}/out", NAMES, {"setting": 2}) as output:
        assert (output.done, output.is_empty("a")) == ({}, True)
        output.append("a", b"2")
        output.commit({"bytes": 1}, at_once=True)
    assert f"{place}/out was started with other settings" in caplog.text
    with UnfinishedOutput(f"{place}/out", NAMES, {"setting": 2}) as output:
        assert (output.directory / "a").read_bytes() == b"2"


def test_a_lost_file_starts_again(place: str) -> None:
    killed(write(place, b"one"))
    for path in list(resumable_output.unfinished_directory(f"{place}/out").iterdir()):
        if path.name.startswith("a"):
            path.unlink()
    with UnfinishedOutput(f"{place}/out", NAMES, {"setting": 1}) as output:
        assert (output.done, output.is_empty("a")) == ({}, True)


def test_what_a_kill_between_addition_and_state_left_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_locks, "_SECONDS_TO_SETTLE", 0.0)
    place = f"ram://resumable-output-{next(_number)}"
    output = write(place, b"one")
    monkeypatch.setattr(resumable_output.json, "dump", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_more(output, b"lost")
    monkeypatch.undo()
    monkeypatch.setattr(remote_locks, "_SECONDS_TO_SETTLE", 0.0)
    killed(output)
    kept = ("a.000000000000000-000000000000003", "a.000000000000003-000000000000007", "state.json")
    assert names_in(place) == {f".out.unfinished/{name}" for name in kept}
    output = write(place, b"again")
    output.__exit__(None, None, None)
    output = UnfinishedOutput(f"{place}/out", NAMES, {"setting": 1})
    assert (output.directory / "a").read_bytes() == b"oneagain"
    output.__exit__(None, None, None)


def write_more(output: UnfinishedOutput, content: bytes) -> None:
    output.append("a", content)
    output.commit({"bytes": 0}, at_once=True)


def test_nothing_is_left_of_what_was_given_up_at_once(place: str) -> None:
    output = UnfinishedOutput(f"{place}/out", NAMES, {})
    output.append("a", b"1")
    output.__exit__(RuntimeError, RuntimeError(), None)
    assert not file_system.exists(resumable_output.unfinished_directory(f"{place}/out"))
    killed(write(place, b"one"))
    resumable_output.discard(f"{place}/out")
    resumable_output.discard(f"{place}/out")
    assert names_in(place) == set()
