"""Worker processes end with the command, however it ends; what was done is kept and not done again."""

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
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Text for as many groups as cannot all be made before somebody sees the first, and a vocabulary."""
    folder = tmp_path_factory.mktemp("input")
    rng = random.Random(1)
    for number in range(GROUPS):
        documents = ["\n".join(" ".join(rng.choices(WORDS, k=10)) for _ in range(20)) for _ in range(40)]
        (folder / f"{number:02d}.txt").write_text("\n\n".join(documents) + "\n\n")
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n")
    return folder


def start(folder: Path, out: Path, *flags: str) -> subprocess.Popen[str]:
    command = [
        *(sys.executable, str(REPOSITORY / "create_pretraining_data.py"), f"--input_file={folder}/[0-9]*.txt"),
        *(f"--vocab_file={folder}/vocab.txt", f"--output_file={out}/", "--group_bytes=30000", "--num_workers=2"),
        *flags,
    ]
    # A session of its own, so that a signal can be sent to all of its processes, as a terminal does.
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    STARTED.append(process)
    return process


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    """Whatever a test that fails has left behind."""
    yield
    for process in STARTED:
        with process, contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    STARTED.clear()


def parts(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.glob("part-*"))}


def some_are_made(out: Path) -> bool:
    return any(out.glob(".part-*.json"))


def processes(session: int) -> list[int]:
    """The workers of a command, and itself, those that only wait to be reaped left out."""
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
def expected(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole")
    process = start(folder, out, "--num_workers=1")
    _, messages = process.communicate(timeout=120)
    assert process.returncode == 0, messages
    assert len(parts(out)) == GROUPS
    return parts(out)


def go_on(folder: Path, out: Path, expected: dict[str, bytes]) -> str:
    """Starts again and checks that all is there and that what had been made is not made again; returns messages."""
    made = [path.name.removeprefix(".").removesuffix(".json") for path in out.glob(".part-*.json")]
    before = {name: (out / name).stat().st_mtime_ns for name in made}
    assert 0 < len(before) < GROUPS
    process = start(folder, out, "--resume")
    _, messages = process.communicate(timeout=120)
    assert process.returncode == 0, messages
    assert parts(out) == expected
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before
    assert sorted(os.listdir(out)) == [*expected, "summary.json"]
    return messages


def test_the_death_of_the_command_ends_the_workers(folder: Path, expected: dict[str, bytes], tmp_path: Path) -> None:
    process = start(folder, tmp_path)
    wait_for(lambda: some_are_made(tmp_path))
    assert len(processes(process.pid)) == 3
    process.kill()
    process.wait()
    wait_for(lambda: not processes(process.pid))
    assert f"of {GROUPS} shards from an earlier run." in go_on(folder, tmp_path, expected)


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done(folder: Path, expected: dict[str, bytes], tmp_path: Path) -> None:
    process = start(folder, tmp_path)
    wait_for(lambda: some_are_made(tmp_path))
    messages = press_ctrl_c(process)
    assert re.search(rf"of {GROUPS} shards (is|are) done; run the same command with --resume to continue", messages)
    assert not list(tmp_path.glob(".*unfinished*"))
    go_on(folder, tmp_path, expected)


@pytest.mark.parametrize("seconds", [0, 4], ids=["while they start", "while they work"])
def test_ctrl_c_ends_all_at_once(folder: Path, tmp_path: Path, seconds: float) -> None:
    process = start(folder, tmp_path, "--dupe_factor=30000")  # half a minute a group
    wait_for(lambda: len(processes(process.pid)) == 3)
    time.sleep(seconds)
    press_ctrl_c(process)
    assert not list(tmp_path.iterdir())


def press_ctrl_c(process: subprocess.Popen[str]) -> str:
    """As a terminal does; returns messages."""
    os.killpg(process.pid, signal.SIGINT)
    _, messages = process.communicate(timeout=15)
    assert process.returncode == INTERRUPTED
    assert "Traceback" not in messages
    wait_for(lambda: not processes(process.pid))
    return messages


def test_a_dead_worker_is_one_sentence(folder: Path, expected: dict[str, bytes], tmp_path: Path) -> None:
    process = start(folder, tmp_path)
    wait_for(lambda: some_are_made(tmp_path))
    os.kill(next(pid for pid in processes(process.pid) if pid != process.pid), signal.SIGKILL)
    _, messages = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Traceback" not in messages
    assert messages.splitlines()[-1].startswith("ERROR: A worker process died, perhaps out of memory; continue with")
    go_on(folder, tmp_path, expected)


def test_one_of_the_workers_says_that_numba_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_runner, "_worked", [7.0, 8.0, 0.0])
    record = logging.LogRecord("bert_tf2.numba_support", logging.INFO, "", 0, "Compiling", None, None)
    assert [local_runner._is_first(record) for _ in range(3)] == [True, False, False]
    assert sum(local_runner._worked[:-1]) == 15.0
