"""Progress lines and durations; the bar on a terminal."""

import logging
import os
import pty
import subprocess
import sys
import termios

import pytest

from bert_tf2.io.progress import Progress, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (3600, "1 h 00 min"), (7620, "2 h 07 min")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_line(monkeypatch):
    clock = iter([100.0, 110.0, 110.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    progress = Progress("Training", 1000, unit="step", initial=100)
    progress.update(200, note="loss 1.5")
    expected = "Training: 300 of 1,000 steps (30 %), 20 steps/s, 35 s left, loss 1.5"
    assert progress.line() == expected


def test_bytes_are_shown_in_megabytes(monkeypatch):
    clock = iter([100.0, 110.0, 110.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    progress = Progress("Reading", 2_500_000_000, unit="byte")
    progress.update(100_000_000, note="7 documents")
    assert progress.line() == "Reading: 100.0 of 2,500.0 MB (4 %), 10 MB/s, 4 min 00 s left, 7 documents"


def test_lines_now_and_then_where_there_is_no_terminal(caplog, monkeypatch):
    clock = iter([0.0, 10.0, 40.0, 40.0, 40.0, 50.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    caplog.set_level(logging.INFO)
    with Progress("Reading", unit="line", seconds_between_lines=30) as progress:
        for _ in range(3):
            progress.update(10)
    assert caplog.messages == ["Reading: 20 lines, 0.5 lines/s"]


def test_bar_on_a_terminal():
    program = (
        "import time, bert_tf2.io.progress as p\n"
        "with p.Progress('Work', 4, unit='step') as work: time.sleep(0.3); work.update(4, 'loss 1.5')"
    )
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    with subprocess.Popen([sys.executable, "-c", program], stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 4096):
                shown += chunk
        except OSError:  # how Linux says that the other end is closed
            pass
        os.close(ours)
    assert process.returncode == 0
    assert b"Work:" in shown
    assert b"4/4" in shown
