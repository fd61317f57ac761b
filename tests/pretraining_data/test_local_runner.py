"""Worker processes end when the command ends, in whatever way; finished work is kept and not repeated."""

import contextlib
import logging
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.repository import REPOSITORY

from bert_tf2.pretraining_data import local_runner

WORDS = [f"w{number}" for number in range(50)]
GROUPS = 60
INTERRUPTED = 130
STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough text that the first group can be observed before all are finished, and a vocabulary."""
    directory = tmp_path_factory.mktemp("input")
    rng = random.Random(1)
    for number in range(GROUPS):
        documents = ["\n".join(" ".join(rng.choices(WORDS, k=10)) for _ in range(20)) for _ in range(40)]
        (directory / f"{number:02d}.txt").write_text("\n\n".join(documents) + "\n\n")
    (directory / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n")
    return directory


def start(directory: Path, out: Path, *flags: str) -> subprocess.Popen[str]:
    command = [
        *(sys.executable, str(REPOSITORY / "create_pretraining_data.py"), f"--input_file={directory}/[0-9]*.txt"),
        *(f"--vocab_file={directory}/vocab.txt", f"--output_file={out}/", "--group_bytes=30000", "--num_workers=2"),
        *flags,
    ]
    # A new session, so that a signal can be sent to all of its processes, as a terminal does.
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    STARTED.append(process)
    return process


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    """Ends processes that a failed test left running."""
    yield
    for process in STARTED:
        with process, contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    STARTED.clear()


def parts(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.glob("part-*"))}


def some_are_finished(out: Path) -> bool:
    return any(out.glob(".part-*.json"))


def processes(session: int) -> list[int]:
    """The processes of a command and its workers, except zombies."""
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,pgid=,stat=,args="], capture_output=True, text=True)
    rows = [line.split(None, 3) for line in listed.stdout.splitlines()]
    return [
        int(row[0]) for row in rows if int(row[1]) == session and row[2][0] != "Z" and "resource_tracker" not in row[3]
    ]


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(scope="module")
def expected(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("complete")
    process = start(directory, out, "--num_workers=1")
    _, messages = process.communicate(timeout=120)
    assert process.returncode == 0, messages
    assert len(parts(out)) == GROUPS
    return parts(out)


def resume(directory: Path, out: Path, expected: dict[str, bytes]) -> str:
    """Resumes, checks that all files exist and that finished ones were not written again; returns the messages."""
    finished = [path.name.removeprefix(".").removesuffix(".json") for path in out.glob(".part-*.json")]
    before = {name: (out / name).stat().st_mtime_ns for name in finished}
    assert 0 < len(before) < GROUPS
    process = start(directory, out, "--resume")
    _, messages = process.communicate(timeout=120)
    assert process.returncode == 0, messages
    assert parts(out) == expected
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before
    assert sorted(os.listdir(out)) == [*expected, "summary.json"]
    return messages


def test_the_death_of_the_command_ends_the_workers(directory: Path, expected: dict[str, bytes], tmp_path: Path) -> None:
    process = start(directory, tmp_path)
    wait_for(lambda: some_are_finished(tmp_path))
    assert len(processes(process.pid)) == 3
    process.kill()
    process.wait()
    wait_for(lambda: not processes(process.pid))
    assert f"of {GROUPS} shards from an earlier run." in resume(directory, tmp_path, expected)


@pytest.mark.slow
def test_ctrl_c_keeps_finished_groups(directory: Path, expected: dict[str, bytes], tmp_path: Path) -> None:
    process = start(directory, tmp_path)
    wait_for(lambda: some_are_finished(tmp_path))
    messages = press_ctrl_c(process)
    assert re.search(rf"of {GROUPS} shards (is|are) done; run the same command with --resume to continue", messages)
    assert not list(tmp_path.glob(".*unfinished*"))
    resume(directory, tmp_path, expected)


@pytest.mark.parametrize(
    "seconds", [pytest.param(0, id="while they start"), pytest.param(4, id="while they work", marks=pytest.mark.slow)]
)
def test_ctrl_c_ends_all_at_once(directory: Path, tmp_path: Path, seconds: float) -> None:
    process = start(directory, tmp_path, "--dupe_factor=30000")  # half a minute a group
    wait_for(lambda: len(processes(process.pid)) == 3)
    time.sleep(seconds)
    press_ctrl_c(process)
    assert not list(tmp_path.iterdir())


def press_ctrl_c(process: subprocess.Popen[str]) -> str:
    """Interrupts all processes, as a terminal does, and returns the messages."""
    os.killpg(process.pid, signal.SIGINT)
    _, messages = process.communicate(timeout=15)
    assert process.returncode == INTERRUPTED
    assert "Traceback" not in messages
    wait_for(lambda: not processes(process.pid))
    return messages


def test_a_dead_worker_is_reported(directory: Path, expected: dict[str, bytes], tmp_path: Path) -> None:
    process = start(directory, tmp_path)
    wait_for(lambda: some_are_finished(tmp_path))
    os.kill(next(pid for pid in processes(process.pid) if pid != process.pid), signal.SIGKILL)
    _, messages = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Traceback" not in messages
    assert messages.splitlines()[-1].startswith("ERROR: A worker process died, perhaps out of memory; continue with")
    resume(directory, tmp_path, expected)


def test_one_worker_logs_that_numba_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_runner, "_progress", [7.0, 8.0, 0.0])
    record = logging.LogRecord("bert_tf2.numba_support", logging.INFO, "", 0, "Compiling", None, None)
    assert [local_runner._is_first(record) for _ in range(3)] == [True, False, False]
    assert sum(local_runner._progress[:-1]) == 15.0
