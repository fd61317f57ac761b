"""Locks in remote directories."""

import itertools
import json
import logging
import os
import sys
from typing import Any

import pytest

from bert_tf2.errors import InputError
from bert_tf2.io import file_system, locks, remote_locks, run_dir

_number = itertools.count()


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(remote_locks, "_SECONDS_TO_SETTLE", 0.0)
    return f"ram://locks-{next(_number)}/directory/.lock"


def owner(path: str) -> dict[str, Any]:
    with file_system.open(path) as file:
        return json.load(file)


def write(path: str, **changes: Any) -> None:
    """A lock as another process would write it, an hour after the epoch."""
    fields = {"process": 1, "machine": "other", "processes": "elsewhere", "time": 3600.0, "token": "t", **changes}
    with file_system.open(path, "w") as file:
        json.dump(fields, file)


def at(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(remote_locks.time, "time", lambda: seconds)


def test_a_lock_has_one_owner_and_ends_with_it(path: str) -> None:
    counts = rf"\(process {os.getpid()} on .*\) counts; wait for it, stop it, or do it"
    with locks.held(path, "", "", remove=True):
        assert owner(path)["process"] == os.getpid()
        with pytest.raises(InputError, match=counts):
            locks.take(path, "counts", "do it later")
        assert file_system.exists(path)
    assert not file_system.exists(path)
    lock = locks.take(path, "", "")
    lock.close()
    lock.close()
    assert not file_system.exists(path)


def test_another_machines_lock_counts_while_it_is_renewed(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path)
    at(monkeypatch, 3600 + remote_locks.SECONDS_UNTIL_DEAD)
    message = (
        r"^Another process \(process 1 on other, last seen 120 seconds ago\) trains in ram://.*/directory; wait for "
        r"it, stop it, or give another --output_dir\. If it was killed, the lock ends 120 seconds after .* removed\.$"
    )
    with pytest.raises(InputError, match=message), run_dir.locked(os.path.dirname(path)):
        pass
    assert owner(path)["token"] == "t"
    at(monkeypatch, 3600 + remote_locks.SECONDS_UNTIL_DEAD + 1)
    with run_dir.locked(os.path.dirname(path)):
        assert owner(path)["process"] == os.getpid()


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux is it known which processes run")
def test_a_dead_process_of_this_machine_has_no_lock(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, 3600)
    for process in (999_999_999, os.getpid()):  # this process, but no lock that it holds
        write(path, processes=remote_locks._processes(), process=process)
        locks.take(path, "", "").close()
    write(path, processes=remote_locks._processes(), process=os.getppid())
    with pytest.raises(InputError, match="Another process"):
        locks.take(path, "", "")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"time": "x", "process": 1}'])
def test_invalid_lock_files_are_ignored(path: str, content: str) -> None:
    with file_system.open(path, "w") as file:
        file.write(content)
    locks.take(path, "", "").close()


def test_the_last_writer_gets_the_lock(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two writers that have both found the lock free."""
    at(monkeypatch, 3600)
    monkeypatch.setattr(remote_locks.time, "sleep", lambda _: write(path))
    with pytest.raises(InputError, match="process 1 on other"):
        locks.take(path, "", "")
    assert owner(path)["token"] == "t"


def test_a_lock_is_renewed_and_its_loss_is_logged(
    path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(remote_locks, "SECONDS_BETWEEN_RENEWALS", 0.001)
    lock = locks.take(path, "", "")
    assert isinstance(lock, remote_locks.RemoteLock)
    first = owner(path)["time"]
    while remote_locks._read(path).get("time", first) == first:  # ram:// shows a file while it is written
        pass
    with caplog.at_level(logging.ERROR):
        while lock._thread.is_alive():  # between reading and renewing, it may overwrite this one
            write(path)
    assert [record.getMessage() for record in caplog.records] == [
        f"Process 1 on other has taken {path}, which this process held; stop one of the two."
    ]
    lock.close()
    assert owner(path)["token"] == "t"
