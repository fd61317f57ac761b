"""The results of a search: `search_results.json` and `.csv`, and a table for the log."""

import csv
import dataclasses
import json
import math
import os
from collections.abc import Mapping
from typing import Any, Self

from bert_tf2.configs.values import Value, format_value
from bert_tf2.errors import InputError
from bert_tf2.io import atomic, file_system, json_files, run_files
from bert_tf2.io.delimited import LineEnds
from bert_tf2.tasks.finetuning.evaluation_files import table
from bert_tf2.tasks.finetuning.evaluation_hook import BestMetric, Results
from bert_tf2.tasks.finetuning.search_space import Settings, directory_name

_ADVICE = "restore the file that the search wrote, or give --overwrite_output_dir to start again."
_MAX_TABLE_ROWS = 10


@dataclasses.dataclass(frozen=True)
class SearchRun:
    """A run of the search, or with `--seeds` several runs that differ only in the seed.

    Attributes:
      settings: the searched flags with the values of this run.
      scores: the results of its best weights, with `--seeds` their means; empty if there are none.
      deviations: with `--seeds`, the standard deviations of the scores.
      error: the reason why there are no scores; None if there are some.
    """

    settings: Settings
    scores: Results = dataclasses.field(default_factory=dict)
    deviations: Results = dataclasses.field(default_factory=dict)
    error: str | None = None

    @property
    def directory(self) -> str:
        """The run's directory, relative to that of the search."""
        return os.path.join(run_files.SEARCH_RUNS, directory_name(self.settings))

    def score(self, metric: str) -> float:
        """A score by name; NaN if there is none."""
        return self.scores.get(metric, math.nan)


@dataclasses.dataclass
class SearchResults:
    """The finished runs of a search, in the order in which they were done.

    Attributes:
      output_dir: the directory of the search.
      names: the searched flags.
      flags: the flags that all runs share, with JSON values.
      metric: name of the score by which runs are compared; None until a run has scores.
      runs: the finished runs.
    """

    output_dir: str
    names: tuple[str, ...]
    flags: Mapping[str, Any]
    metric: str | None = None
    runs: list[SearchRun] = dataclasses.field(default_factory=list)

    @classmethod
    def resume(cls, output_dir: str, names: tuple[str, ...], flags: Mapping[str, Any]) -> Self:
        """Reads the results of an earlier search in the directory; without one, they are empty.

        Other values or ranges for the same flags extend the search; other flags would make the scores incomparable.
        Runs whose directories have been removed are forgotten.

        Args:
          output_dir: the directory of the search.
          names: the searched flags.
          flags: the flags that all runs share, with JSON values.

        Raises:
          InputError: the earlier search has other flags, or its file is corrupt.
        """
        path = os.path.join(output_dir, run_files.SEARCH_RESULTS)
        if not file_system.exists(path):
            return cls(output_dir, names, flags)
        content = json_files.read_object(path, _ADVICE)
        earlier_flags = json_files.get(content, "flags", dict, path, {})
        earlier_names = json_files.get(content, "searched", list, path, [])
        instead = "give the same again, another --output_dir, or --overwrite_output_dir to start again."
        if set(earlier_names) != set(names):
            raise InputError(
                f"{output_dir} holds a search over {', '.join(map(str, earlier_names))}, this command searches "
                f"{', '.join(names)}; {instead}"
            )
        for name in sorted(flags.keys() | earlier_flags.keys()):
            if flags.get(name) != earlier_flags.get(name):
                raise InputError(
                    f"{output_dir} holds a search {_with_flag(name, earlier_flags.get(name))}, this command is one "
                    f"{_with_flag(name, flags.get(name))}; {instead}"
                )
        metric = json_files.get(content, "metric", str, path)
        runs = [_read_run(entry, names, path) for entry in json_files.get(content, "runs", list, path, [])]
        remaining = [run for run in runs if file_system.isdir(os.path.join(output_dir, run.directory))]
        return cls(output_dir, names, flags, metric, remaining)

    def find_run(self, settings: Settings) -> SearchRun | None:
        """The finished run with these settings; None if there is none."""
        return next((run for run in self.runs if run.settings == settings), None)

    def add(self, run: SearchRun) -> None:
        """Adds a run, or replaces the run with the same settings."""
        for index, other in enumerate(self.runs):
            if other.settings == run.settings:
                self.runs[index] = run
                return
        self.runs.append(run)

    @property
    def ranked(self) -> list[SearchRun]:
        """The runs, the best one first, those without scores last; of equal ones, the earlier run comes first."""
        if self.metric is None:
            return list(self.runs)
        metric = BestMetric(self.metric)
        scored = [run for run in self.runs if not math.isnan(run.score(metric.name))]
        sign = 1 if metric.lower_is_better else -1
        ordered = sorted(scored, key=lambda run: sign * run.score(metric.name))
        return ordered + [run for run in self.runs if run not in scored]

    @property
    def best(self) -> SearchRun | None:
        """The best run; None if no run has a score."""
        first = next(iter(self.ranked), None)
        return first if self.metric and first and not math.isnan(first.score(self.metric)) else None

    @property
    def paths(self) -> list[str]:
        """The files that `save` writes."""
        return [os.path.join(self.output_dir, name) for name in (run_files.SEARCH_RESULTS, run_files.SEARCH_TABLE)]

    def save(self) -> None:
        """Writes `search_results.json` and `search_results.csv`.

        Raises:
          OSError: they cannot be written.
        """
        best = self.best
        content = {
            "metric": self.metric,
            "best": best and best.directory,
            "searched": self.names,
            "runs": [_json_run(run) for run in self.runs],
            "flags": self.flags,
        }
        results, rows = self.paths
        with atomic.replacing(results) as file:
            file.write(json.dumps(content, indent=1) + "\n")
        with atomic.replacing(rows) as file:
            csv.writer(LineEnds(file)).writerows([self.header(), *self.rows()])

    @property
    def columns(self) -> tuple[list[str], list[str]]:
        """The names of all scores, and those of all deviations."""
        scores = dict.fromkeys(name for run in self.runs for name in run.scores)
        deviations = dict.fromkeys(name for run in self.runs for name in run.deviations)
        return list(scores), list(deviations)

    def header(self) -> list[str]:
        """The column names of `rows`."""
        scores, deviations = self.columns
        return [*self.names, *scores, *(f"{name}_deviation" for name in deviations), "directory", "error"]

    def rows(self) -> list[list[str | int | float]]:
        """A row for each run, the best one first: settings, scores, directory, error; missing values are empty."""
        scores, deviations = self.columns
        return [
            [
                *(_cell(run.settings[name]) for name in self.names),
                *(run.scores.get(name, "") for name in scores),
                *(run.deviations.get(name, "") for name in deviations),
                run.directory,
                run.error or "",
            ]
            for run in self.ranked
        ]

    def table(self) -> str:
        """The best runs for the log: their settings, and the score by which they are compared."""
        shown = self.ranked[:_MAX_TABLE_ROWS]
        rows = [[*self.names, str(self.metric)]]
        for run in shown:
            score = "no score" if run.error else f"{run.score(str(self.metric)):.4f}"
            if self.metric in run.deviations:
                score += f" +- {run.deviations[self.metric]:.4f}"
            rows.append([*(format_value(run.settings[name]) for name in self.names), score])
        hidden = len(self.runs) - len(shown)
        return table(rows) + (f"\nand {hidden:,} more in {run_files.SEARCH_TABLE}" if hidden else "")


def _with_flag(name: str, value: Any) -> str:
    return f"without --{name}" if value is None else f"with --{name}={format_value(value)}"


def _cell(value: Value) -> str | int | float:
    return format_value(value) if isinstance(value, bool) else value


def _json_run(run: SearchRun) -> dict[str, Any]:
    fields = {"directory": run.directory, **dataclasses.asdict(run)}
    scores, deviations = json_files.without_nan(run.scores), json_files.without_nan(run.deviations)
    return {**fields, "scores": scores, "deviations": deviations}


def _read_run(entry: Any, names: tuple[str, ...], path: str) -> SearchRun:
    settings = entry.get("settings") if isinstance(entry, dict) else None
    if (
        not isinstance(settings, dict)
        or settings.keys() != set(names)
        or not all(isinstance(value, bool | int | float | str) for value in settings.values())
    ):
        raise InputError(f"{path}: runs must have settings of {', '.join(names)}; {_ADVICE}")
    scores, deviations = (
        json_files.with_nan(json_files.get(entry, name, dict, path, {})) for name in ("scores", "deviations")
    )
    return SearchRun(settings, scores, deviations, json_files.get(entry, "error", str, path))
