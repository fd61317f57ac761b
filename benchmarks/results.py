"""Figures of runs as files in `benchmarks/results/`, and the tables of `benchmarks/README.md` generated from them.

    python benchmarks/results.py

regenerates each table between `<!-- results/NAME.json -->` and `<!-- end -->` in `benchmarks/README.md`; it is empty
while there is no such file. A benchmark run with `--results=NAME` adds its figures to `benchmarks/results/NAME.json`;
`tests/test_benchmark_results.py` checks that the page matches the files.
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
MEMORY = "MB at most"  # unit of the peak memory of a process; shown next to the speed of the same work
FLOP_RATE = "GFLOP/second"  # unit of rates that are shown as fractions of the last side, bare matmuls
_MOST_SHOWN = 4
_TABLE = re.compile(r"(<!-- results/([\w.-]+)\.json -->\n).*?(<!-- end -->)", re.DOTALL)
_PACKAGES = ("tensorflow", "keras", "torch", "transformers", "keras-hub")
_ISA = ("avx2", "avx512f", "avx512_bf16", "amx_tile")


def _first_match(pattern: str, text: str, default: str) -> str:
    match = re.search(pattern, text)
    return match[1].strip() if match else default


def machine() -> dict[str, Any]:
    """The processor, its number of cores, and those of its instruction sets that matter here."""
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


def versions(peer: str) -> dict[str, str]:
    """The versions of the compared packages, and the peer's where they differ from ours.

    Args:
      peer: the other side's Python.
    """
    ours, others = _installed(sys.executable), _installed(peer)
    different = {f"{name} of the peer": others[name] for name in ours if others.get(name, ours[name]) != ours[name]}
    return {**others, **ours, **different}


def _installed(python: str) -> dict[str, str]:
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
    """The command of this process, with paths reduced to their last part, as they belong to one machine."""
    words = [word for word in sys.argv[1:] if not word.startswith("--results")]
    shortened = [re.sub(r"(=|^)[^=]*/([^/=]+)/?$", r"\1\2", word) for word in words]
    shortened = ["--peer=PYTHON" if word.startswith("--peer=") else word for word in shortened]
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *shortened])


def add(name: str, peer: str, title: str, unit: str, values: Mapping[str, Sequence[float]]) -> None:
    """Adds figures to a file, replacing earlier ones with the same title and unit.

    Args:
      name: of the file, without `.json`.
      peer: the other side's Python.
      title: what was measured, such as `SST-2, training`.
      unit: of the values, such as `examples/second`.
      values: of each run, by side; the first side is the one that ratios compare with the others.
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
        "versions": versions(peer),
    }
    kept = [one for one in content if (one["title"], one["unit"]) != (title, unit)]
    DIRECTORY.mkdir(exist_ok=True)
    path.write_text(json.dumps([*kept, entry], indent=1) + "\n", encoding="utf-8")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _summary(runs: Sequence[float]) -> str:
    """The median, in parentheses each of a few runs or the range of many."""
    median = _number(statistics.median(runs))
    if len(runs) == 1:
        return median
    each = ", ".join(map(_number, runs))
    few = len(runs) <= _MOST_SHOWN
    return f"{median} ({each if few else f'{len(runs)} runs, {_number(min(runs))} to {_number(max(runs))}'})"


def _ratios(entry: Mapping[str, Any]) -> dict[str, str]:
    """By side, the speed of the first one divided by it; of rates of arithmetic, their fraction of the last side."""
    medians = {side: statistics.median(runs) for side, runs in entry["values"].items()}
    first, last = next(iter(medians)), next(reversed(medians))
    if entry["unit"] == FLOP_RATE:
        return {side: f"{median / medians[last]:.2f}" for side, median in medians.items() if side != last}
    if not entry["unit"].endswith("/second"):
        return {}
    return {side: f"{medians[first] / median:.2f}x" for side, median in medians.items() if side != first}


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def table(entries: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of medians with their runs, ratios of speeds and, where it was measured, peak memory."""
    if not entries:
        return ""
    memory = {entry["title"]: entry["values"] for entry in entries if entry["unit"] == MEMORY}
    is_limit = all(entry["unit"] == FLOP_RATE for entry in entries)
    header = ["measured", "side", "median (each run)", "fraction of matmuls" if is_limit else "ratio"]
    header += ["peak memory, MB"] if memory else []
    lines = [_row(header), "|---" * len(header) + "|"]
    for entry in entries:
        if entry["unit"] == MEMORY:
            continue
        ratios, measured = _ratios(entry), f"{entry['title']}, {entry['unit'].replace('_', ' ')}"
        for side, runs in entry["values"].items():
            cells = [measured, side, _summary(runs), ratios.get(side, "")]
            if memory:
                peak = memory.get(entry["title"], {}).get(side)
                cells.append(_summary(peak) if peak else "")
            lines.append(_row(cells))
            measured = ""
    return "\n".join([*lines, "", *(f"- {origin}" for origin in _origins(entries))]) + "\n"


def _origins(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where the figures come from, once for all entries that share it."""
    origins = []
    for entry in entries:
        packages = ", ".join(f"{name} {version}" for name, version in entry["versions"].items())
        machine = f"{entry['cores']} cores, {entry['processor']} ({', '.join(entry['instruction_sets'])})"
        origin = f"`{entry['command']}`; commit {entry['commit']}, {entry['date']}; {machine}; {packages}."
        if origin not in origins:
            origins.append(origin)
    return origins


def render(page: str) -> str:
    """The page with its tables generated from the files."""

    def filled(match: re.Match[str]) -> str:
        path = DIRECTORY / f"{match[2]}.json"
        entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        return f"{match[1]}{table(entries)}{match[3]}"

    return _TABLE.sub(filled, page)


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
