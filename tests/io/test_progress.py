"""Progress lines and durations; the bar on a terminal."""

import logging
import os
import pty
import re
import subprocess
import sys
import termios

import pytest

from bert_tf2.io.progress import Progress, duration
from bert_tf2.io.progress_bar import displayed


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


def test_units_agree_with_their_number():
    one = Progress("Evaluating", 1, unit="batch")
    one.update()
    assert one.line().startswith("Evaluating: 1 of 1 batch (100 %)")
    line = Progress("Reading", unit="line")
    line.update()
    assert line.bar(79).startswith("Reading  1 line ")


def test_preparation_is_not_part_of_the_rate(monkeypatch):
    """The bar says what is waited for; the first update and the time before it say nothing about what is left."""
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    progress = Progress("Training", 1000, unit="step", initial=100, preparing="compiling the training step")
    assert progress.bar(79) == "Training: compiling the training step…"
    now = 145.0
    assert progress.bar(79) == "Training: compiling the training step…  45 s"
    assert progress.bar(79, is_ascii=True) == "Training: compiling the training step...  45 s"
    assert displayed(progress.bar(20)) == 20
    progress.update(1)
    assert progress.line() == "Training: 101 of 1,000 steps (10 %)"
    assert progress.bar(60) == "Training  10% |███▎                             |  101/1,000"
    now = 155.0
    progress.update(99, "loss 1.5, learning_rate 0.1")
    known = "Training: 200 of 1,000 steps (20 %), 9.9 steps/s, 1 min 21 s left"
    assert progress.line() == f"{known}, loss 1.5, learning_rate 0.1"
    assert progress.bar(76) == "Training  20% |███            |  200/1,000  9.9 steps/s  1:21 left  loss 1.5"
    now = 175.0
    progress.leave_out(20.0)
    assert progress.line().startswith(known)


def test_slow_and_fast_rates(monkeypatch):
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    slow, fast = Progress("Evaluating", 10, unit="batch"), Progress("Reading", unit="line")
    now = 100.0
    slow.update(4)
    fast.update(1_234_567)
    assert slow.line() == "Evaluating: 4 of 10 batches (40 %), 25 s/batch, 2 min 30 s left"
    assert fast.line() == "Reading: 1,234,567 lines, 12,346 lines/s"
    assert fast.bar(79) == "Reading  1,234,567 lines  12,346 lines/s"


@pytest.mark.parametrize("columns", [40, 80])
def test_bar_on_a_terminal(columns):
    """No line is as long as the terminal is wide, and none is broken."""
    program = (
        "import time, bert_tf2.io.progress as p\n"
        "p._SECONDS_BETWEEN_TICKS = 0.05\n"
        "with p.Progress('Work', 8, unit='step', preparing='compiling the model') as work:\n"
        "    time.sleep(0.2)\n"
        "    for _ in range(2): work.update(4, 'loss 1.5, accuracy 0.123456789, and much more'); time.sleep(0.15)"
    )
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
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
    lines = [line.strip() for line in re.split(r"[\r\n]+", shown.decode())]
    assert max(map(len, lines)) < columns
    assert lines[0] == "" or lines[0].startswith("Work: compiling the model…")
    assert any(line.startswith("Work: compiling the model…") for line in lines)
    assert any(line.startswith("Work  50% |") for line in lines)
    assert all(line == "" or line.startswith("Work") for line in lines)
