"""One training run per directory at a time, and what each run records."""

import dataclasses
import json
import math
import os
import re
import shlex
import subprocess
import sys

import pytest
from helpers.repository import REPOSITORY

from bert_tf2.io import json_files, run_dir


def test_a_second_process_is_refused(tmp_path):
    program = f"from bert_tf2.io import run_dir\nwith run_dir.locked({str(tmp_path / 'out')!r}): print('in')"

    def other():
        return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY)

    with run_dir.locked(tmp_path / "out"):
        done = other()
        assert done.returncode == 1
        assert re.search(
            rf"Another process \(process {os.getpid()} on .*\) trains in {tmp_path}/out; wait for it, stop it, or give",
            done.stderr.splitlines()[-1],
        )
    assert other().stdout == "in\n"


@dataclasses.dataclass
class Inner:
    optimizer: str = "bert"
    weight_decay: float = 0.01


@dataclasses.dataclass
class Outer:
    output_dir: str
    optimizer: Inner
    steps: int = 3


def test_descriptions_of_runs(tmp_path):
    path = run_dir.describe(tmp_path, Outer("o", Inner()))
    assert path.parent == tmp_path / "runs"
    written = json.loads(path.read_text())
    assert written["config"] == {"output_dir": "o", "steps": 3, "optimizer": "bert", "weight_decay": 0.01}
    assert sys.executable in written["command"]
    assert {"python", "tensorflow", "keras", "bert-tf2"} <= set(written["versions"])
    assert written["started"][:2] == "20"


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (["-m", "pack"], [sys.executable, "-m", "pack", "--a=b c"]),
        (["pack/__main__.py"], [sys.executable, "pack/__main__.py", "--a=b c"]),
    ],
)
def test_the_command_can_be_repeated(tmp_path, how, expected):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack/__main__.py").write_text("from bert_tf2.io import run_dir; print(run_dir.command())")
    command = [sys.executable, *how, "--a=b c"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True, env=environment)
    assert shlex.split(done.stdout) == expected


def test_a_description_is_json_whatever_the_numbers(tmp_path):
    path = run_dir.describe(tmp_path, Inner(weight_decay=math.inf))
    assert json_files.read_object(path)["config"]["weight_decay"] == "inf"
    assert run_dir.latest(tmp_path) == json_files.read_object(path)
