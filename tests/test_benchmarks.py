"""What the benchmarks share, and that their texts name existing flags."""

import argparse
import ast
import importlib.util
import json
import re
import sys

import command_pages
import pytest
from helpers.repository import REPOSITORY

from bert_tf2.__main__ import COMMANDS
from bert_tf2.configs.fields import flags_of

BENCHMARKS = REPOSITORY / "benchmarks"
NAMES = sorted(path.stem for path in BENCHMARKS.glob("*.py"))
OF_OTHER_PROGRAMS = {"line_by_line"}  # run_mlm.py's


def flags_in(text):
    return set(re.findall(r"(?<![\w-])--([a-z]\w*)", text))


def flags_of_benchmark(name):
    source = (BENCHMARKS / f"{name}.py").read_text(encoding="utf-8")
    shared = (BENCHMARKS / "sides.py").read_text(encoding="utf-8") if "sides." in source else ""
    return set(re.findall(r'add_argument\(\s*"--(\w+)"', source + shared))


@pytest.fixture
def sides(monkeypatch):
    for name in ("results", "sides"):
        spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", NAMES)
def test_flags_in_docstrings_exist(name):
    text = ast.get_docstring(ast.parse((BENCHMARKS / f"{name}.py").read_text(encoding="utf-8")))
    of_commands = {f.name for script, _ in COMMANDS.values() for f, _ in flags_of(command_pages.config_of(script))}
    of_benchmarks = set().union(*map(flags_of_benchmark, NAMES if name in ("results", "sides") else [name]))
    assert flags_in(text) <= of_benchmarks | of_commands | OF_OTHER_PROGRAMS


def test_commands_on_the_page_exist():
    page = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    own_text = re.sub(r"^<!-- results/.*?^<!-- end -->$", "", page, flags=re.DOTALL | re.MULTILINE)
    commands = re.findall(r"`python benchmarks/(\w+)\.py([^`]*)`", own_text)
    assert len(commands) > 10
    for name, arguments in commands:
        assert flags_in(arguments) <= flags_of_benchmark(name), name


def test_a_worker_gets_the_options_of_its_side(sides, capsys):
    sides.run_worker('{"side": "peer", "seed": 3}', ours=dict, peer=vars)
    assert json.loads(capsys.readouterr().out) == {"side": "peer", "seed": 3, "full_padding": False}


def test_the_first_way_is_always_timed(sides, monkeypatch, capsys):
    sides_run = []

    def start(program, options, side):
        sides_run.append(side)
        return {"rows_per_second": {"ours": 3.0, "peer": 2.0}[side]}

    monkeypatch.setattr(sides, "start", start)
    options = argparse.Namespace(ways="padding", repetitions=2, results=None)
    ways = {"ours": {"side": "ours"}, "the peer": {"side": "none"}, "the peer, padding": {"side": "peer"}}
    sides.measure_speed("program.py", options, ways, "SST-2, training")
    assert sides_run == ["ours", "peer"] * 2
    ours, peer = capsys.readouterr().out.splitlines()
    assert "3.0 rows/second  ratio 1.00x  (3.0, 3.0)" in ours
    assert peer.startswith("SST-2, training the peer, padding")
    assert "2.0 rows/second  ratio 1.50x  (2.0, 2.0)" in peer


def test_a_training_that_ends_too_early(sides, monkeypatch):
    from bert_tf2 import training

    monkeypatch.setattr(training.Trainer, "train", training.Trainer.train)  # `time_training` replaces it
    with pytest.raises(SystemExit, match="Training ended before step 30: give a smaller --warm_up or --steps"):
        sides.time_training(argparse.Namespace(warm_up=10, steps=20, batch_size=8), lambda: None)
