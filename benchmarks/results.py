"""Figures of runs as files of `benchmarks/results/`, and the tables of `benchmarks/README.md` made from them.

    python benchmarks/results.py

writes each table between `<!-- results/NAME.json -->` and `<!-- end -->` of `benchmarks/README.md` again. A benchmark
that is given `--results=NAME` adds its figures to `benchmarks/results/NAME.json`; `tests/test_benchmark_results.py`
checks that the page shows what the files say.
"""

import datetime
import importlib.metadata
import json
import platform
import re
import shlex
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parent / "results"
PAGE = Path(__file__).parent / "README.md"
_MOST_SHOWN = 4
_TABLE = re.compile(r"(<!-- results/([\w.-]+)\.json -->\n).*?(<!-- end -->)", re.DOTALL)
_PACKAGES = ("tensorflow", "keras", "torch", "transformers", "keras-hub")
_ISA = ("avx2", "avx512f", "avx512_bf16", "amx_tile")


def _first_match(pattern: str, text: str, default: str) -> str:
    match = re.search(pattern, text)
    return match[1].strip() if match else default


def machine() -> dict[str, Any]:
    """The processor, its cores and instruction sets that matter here."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    flags = _first_match(r"flags\s*:(.*)", text, "").split()
    return {
        "processor": _first_match(r"model name\s*:(.*)", text, platform.processor()),
        "cores": text.count("processor\t") or None,
        "instruction_sets": [name for name in _ISA if name in flags],
    }


def versions(python: str) -> dict[str, str]:
    """Versions of the packages that a Python has, of those that are compared."""
    program = (
        "import importlib.metadata as m, json\n"
        f"names = {_PACKAGES!r}\n"
        "known = {d.metadata['Name'].lower(): d.version for d in m.distributions() if d.metadata['Name']}\n"
        "print(json.dumps({n: known[n] for n in names if n in known}))"
    )
    return json.loads(subprocess.run([python, "-c", program], capture_output=True, text=True, check=True).stdout)


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or importlib.metadata.version("bert-tf2")


def _command() -> str:
    """The command of this process; paths are reduced to their names, since they are another machine's."""
    words = [word for word in sys.argv[1:] if not word.startswith("--results")]
    shortened = [re.sub(r"(=|^)[^=]*/([^/=]+)/?$", r"\1\2", word) for word in words]
    shortened = ["--peer=PYTHON" if word.startswith("--peer=") else word for word in shortened]
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *shortened])


def add(name: str, peer: str, title: str, unit: str, values: Mapping[str, Sequence[float]]) -> None:
    """Adds figures to a file, in the place of earlier ones of the same title and unit.

    Args:
      name: of the file, without `.json`.
      peer: the other side's Python.
      title: what was done, such as `SST-2, training`.
      unit: of the values, such as `examples/second`.
      values: of each run, by side; ratios are those of the first side to the others.
    """
    path = DIRECTORY / f"{name}.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    entry = {
        "title": title,
        "unit": unit,
        "values": {side: [round(value, 4) for value in runs] for side, runs in values.items()},
        "command": _command(),
        "commit": _commit(),
        "date": datetime.date.today().isoformat(),
        **machine(),
        "versions": {**versions(peer), **versions(sys.executable)},
    }
    kept = [one for one in content if (one["title"], one["unit"]) != (title, unit)]
    DIRECTORY.mkdir(exist_ok=True)
    path.write_text(json.dumps([*kept, entry], indent=1) + "\n", encoding="utf-8")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}"


def _range(runs: Sequence[float]) -> str:
    return f"{len(runs)} from {_number(min(runs))} to {_number(max(runs))}"


def table(entries: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of medians, in parentheses each of a few runs or the range of many, and ratios of speeds.

    Ratios are those of the first side to the others.
    """
    lines = ["| | | median (each run) | this project is |", "|---|---|---|---|"]
    for entry in entries:
        medians = {side: statistics.median(runs) for side, runs in entry["values"].items()}
        first = next(iter(medians.values()))
        for number, (side, runs) in enumerate(entry["values"].items()):
            title = f"{entry['title']}, {entry['unit']}" if not number else ""
            each = ", ".join(map(_number, runs)) if len(runs) <= _MOST_SHOWN else _range(runs)
            ratio = f"{first / medians[side]:.2f}x" if number and entry["unit"].endswith("/second") else ""
            lines.append(f"| {title} | {side} | {_number(medians[side])} ({each}) | {ratio} |")
    return "\n".join([*lines, "", *(f"- {origin}" for origin in _origins(entries))]) + "\n"


def _origins(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where figures come from, once for all that share it."""
    origins = []
    for entry in entries:
        packages = ", ".join(f"{name} {version}" for name, version in entry["versions"].items())
        machine = f"{entry['cores']} cores, {entry['processor']} ({', '.join(entry['instruction_sets'])})"
        origin = f"`{entry['command']}`; commit {entry['commit']}, {entry['date']}; {machine}; {packages}."
        if origin not in origins:
            origins.append(origin)
    return origins


def render(page: str) -> str:
    """The page with its tables made from the files."""

    def filled(match: re.Match[str]) -> str:
        entries = json.loads((DIRECTORY / f"{match[2]}.json").read_text(encoding="utf-8"))
        return f"{match[1]}{table(entries)}{match[3]}"

    return _TABLE.sub(filled, page)


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
