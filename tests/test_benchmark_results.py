"""The tables of benchmarks/README.md match the files of benchmarks/results."""

import importlib.util
import json
import sys

import pytest
from helpers.repository import REPOSITORY

ENTRY = {
    "title": "SST-2, training",
    "unit": "examples/second",
    "values": {"ours": [3.0, 1000.0, 100.0], "the peer": [40.0, 50.0, 60.0]},
    "command": "python benchmarks/classification.py",
    "commit": "0123abc",
    "date": "2026-01-02",
    "processor": "Some CPU",
    "cores": 2,
    "instruction_sets": ["avx2"],
    "versions": {"keras": "3.15.1"},
}


@pytest.fixture
def results():
    spec = importlib.util.spec_from_file_location("benchmark_results", REPOSITORY / "benchmarks" / "results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_the_files(results):
    page = results.PAGE.read_text(encoding="utf-8")
    assert results.render(page) == page, "update the tables with python benchmarks/results.py"


def test_every_file_has_a_table(results):
    page = results.PAGE.read_text(encoding="utf-8")
    names = [path.stem for path in results.DIRECTORY.glob("*.json")]
    assert names
    assert all(f"<!-- results/{name}.json -->" in page for name in names)


def test_a_table_without_a_file_is_empty(results, tmp_path):
    results.DIRECTORY = tmp_path
    page = "Text\n<!-- results/speed.json -->\n| stale |\n<!-- end -->\nmore"
    empty = "Text\n<!-- results/speed.json -->\n<!-- end -->\nmore"
    assert results.render(page) == empty
    (tmp_path / "speed.json").write_text(json.dumps([ENTRY]))
    assert results.render(empty) == empty.replace("<!-- end", results.table([ENTRY]) + "<!-- end")


def test_a_table_has_medians_and_ratios(results):
    lines = results.table([ENTRY, {**ENTRY, "title": "CoLA, training"}]).splitlines()
    assert lines[:4] == [
        "| measured | side | median (each run) | ratio |",
        "|---|---|---|---|",
        "| SST-2, training, examples/second | ours | 100.0 (3.00, 1,000, 100.0) |  |",
        "|  | the peer | 50.0 (40.0, 50.0, 60.0) | 2.00x |",
    ]
    assert lines[7:] == [
        "- `python benchmarks/classification.py`; commit 0123abc, 2026-01-02; 2 cores, Some CPU (avx2); keras 3.15.1."
    ]


@pytest.mark.parametrize(
    ("runs", "summary"), [([3.0, 1.0, 2.0, 5.0, 14.0], "3.00 (5 runs, 1.00 to 14.0)"), ([33.3], "33.3")]
)
def test_many_runs_and_one(results, runs, summary):
    entry = {**ENTRY, "unit": "real_tokens/second", "values": {"ours": runs}}
    assert results.table([entry]).splitlines()[2] == f"| SST-2, training, real tokens/second | ours | {summary} |  |"


def test_scores_have_no_ratio(results):
    assert results.table([{**ENTRY, "unit": "%"}]).splitlines()[3].endswith("| 50.0 (40.0, 50.0, 60.0) |  |")


def test_memory_has_a_column(results):
    memory = {**ENTRY, "unit": results.MEMORY, "values": {"ours": [1967.0], "the peer": [850.0]}}
    lines = results.table([ENTRY, memory, {**ENTRY, "title": "CoLA, training"}]).splitlines()
    assert lines[0] == "| measured | side | median (each run) | ratio | peak memory, MB |"
    assert [line.rsplit("|", 2)[1] for line in lines[2:6]] == [" 1,967 ", " 850.0 ", "  ", "  "]
    assert lines[6] == ""


def test_rates_of_arithmetic_are_fractions_of_the_last_side(results):
    values = {"ours": [150.0], "ours, the last layer where it is read": [120.0], "matmuls alone": [200.0]}
    lines = results.table([{**ENTRY, "unit": results.FLOP_RATE, "values": values}]).splitlines()
    assert lines[0].endswith("| fraction of matmuls |")
    assert [line.split(" | ")[-1] for line in lines[2:5]] == ["0.75 |", "0.60 |", " |"]


def test_versions_of_the_peer_that_differ(results, monkeypatch):
    installed = {
        sys.executable: {"tensorflow": "2.21.0", "keras": "3.15.1"},
        "python": {"tensorflow": "2.20.0", "keras": "3.15.1", "torch": "2.13.0"},
    }
    monkeypatch.setattr(results, "_installed", installed.get)
    assert results.versions("python") == {
        "tensorflow": "2.21.0",
        "keras": "3.15.1",
        "torch": "2.13.0",
        "tensorflow of the peer": "2.20.0",
    }
