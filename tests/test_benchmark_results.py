"""The tables of benchmarks/README.md match the files of benchmarks/results."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]


def _results():
    spec = importlib.util.spec_from_file_location("benchmark_results", ROOT / "benchmarks" / "results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_the_files():
    results = _results()
    page = results.PAGE.read_text(encoding="utf-8")
    assert results.render(page) == page, "update the tables with python benchmarks/results.py"


def test_every_file_has_a_table():
    results = _results()
    page = results.PAGE.read_text(encoding="utf-8")
    names = [path.stem for path in results.DIRECTORY.glob("*.json")]
    assert names
    assert all(f"<!-- results/{name}.json -->" in page for name in names)


def test_a_table_has_medians_and_ratios():
    entry = {
        "title": "SST-2, training",
        "unit": "examples/second",
        "values": {"ours": [3.0, 1000.0, 100.0], "theirs": [40.0, 50.0, 60.0]},
        "command": "python benchmarks/classification.py",
        "commit": "0123abc",
        "date": "2026-01-02",
        "processor": "Some CPU",
        "cores": 2,
        "instruction_sets": ["avx2"],
        "versions": {"keras": "3.15.1"},
    }
    lines = _results().table([entry, {**entry, "title": "CoLA, training"}]).splitlines()
    assert lines[2] == "| SST-2, training, examples/second | ours | 100.0 (3.0, 1,000, 100.0) |  |"
    assert lines[3] == "|  | theirs | 50.0 (40.0, 50.0, 60.0) | 2.00x |"
    many = {**entry, "values": {"ours": [3.0, 1.0, 2.0, 5.0, 4.0]}}
    assert _results().table([many]).splitlines()[2].endswith("| ours | 3.0 (5 from 1.0 to 5.0) |  |")
    assert lines[7:] == [
        "- `python benchmarks/classification.py`; commit 0123abc, 2026-01-02; 2 cores, Some CPU (avx2); keras 3.15.1."
    ]
