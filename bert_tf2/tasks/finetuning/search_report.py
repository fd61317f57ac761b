"""The page of a search, `search.html`: which run is the best, all runs, and the score by each setting."""

import math
import statistics
from collections.abc import Mapping, Sequence

from bert_tf2.configs.values import Value, format_value
from bert_tf2.reports import pictures
from bert_tf2.reports.page import Code, Figures, Picture, Report, Section, Table, Text
from bert_tf2.tasks.finetuning.evaluation_hook import BestMetric
from bert_tf2.tasks.finetuning.report import display_name, without_second_loss
from bert_tf2.tasks.finetuning.search_results import SearchResults, SearchRun
from bert_tf2.tasks.finetuning.search_space import describe


def report(results: SearchResults) -> Report:
    """The content of the page, for results with at least one score."""
    best, metric = results.best, str(results.metric)
    assert best is not None
    scored = [run for run in results.runs if not math.isnan(run.score(metric))]
    values = [run.score(metric) for run in scored]
    tiles = [
        (f"best {display_name(metric)}", f"{best.score(metric):.4f}", describe(best.settings)),
        ("median", f"{statistics.median(values):.4f}", f"from {min(values):.4f} to {max(values):.4f}"),
        ("runs", f"{len(results.runs):,}", f"{len(results.runs) - len(scored):,} of them without a score"),
    ]
    note = "The best weights of each run were evaluated, which may be those of an earlier step than the last."
    if best.deviations:
        note += " Scores are means over the seeds; the deviation is the standard deviation of the sample."
    return Report(
        title="Search",
        subtitle=results.output_dir,
        sections=[
            Section("Result", [Figures(tiles), Text(note)]),
            Section("Score by setting", [_picture(name, scored, metric) for name in results.names]),
            Section("Runs", [_table(results)]),
            Section("What all runs share", [Code(_shared(results.flags))]),
        ],
    )


def _table(results: SearchResults) -> Table:
    """All runs, the best one first."""
    scores, deviations = map(without_second_loss, results.columns)
    has_errors = any(run.error for run in results.runs)
    headers = [*results.names, *map(display_name, scores), *(f"{display_name(name)}, deviation" for name in deviations)]
    rows: list[list[str | int | float]] = []
    for run in results.ranked:
        row: list[str | int | float] = [format_value(run.settings[name]) for name in results.names]
        row += [run.scores.get(name, math.nan) for name in scores]
        row += [run.deviations.get(name, math.nan) for name in deviations]
        rows.append([*row, *([run.error or ""] if has_errors else [])])
    return Table([*headers, *(["why there is no score"] if has_errors else [])], rows)


def _shared(flags: Mapping[str, Value | None]) -> str:
    return "\n".join(f"--{name}={format_value(value)}" for name, value in flags.items() if value is not None)


def _picture(name: str, runs: Sequence[SearchRun], metric: str) -> Picture:
    """The best score and the mean score of the runs with each value of a flag."""
    scores: dict[Value, list[float]] = {}
    for run in runs:
        scores.setdefault(run.settings[name], []).append(run.score(metric))
    choose_best = min if BestMetric(metric).lower_is_better else max
    best = {value: choose_best(value_scores) for value, value_scores in scores.items()}
    if len(scores) > 1 and all(isinstance(value, int | float) and not isinstance(value, bool) for value in scores):
        numbers = sorted(value for value in scores if isinstance(value, int | float))
        means = [sum(scores[number]) / len(scores[number]) for number in numbers]
        series = {"best": (numbers, [best[number] for number in numbers]), "mean": (numbers, means)}
        svg = pictures.lines(series, name, display_name(metric))
    else:
        labels = [format_value(value) for value in scores]
        svg = pictures.bars(labels, [best[value] for value in scores], f"best {display_name(metric)}")
    listed = ", ".join(f"{format_value(value)}: {score:.4f}" for value, score in best.items())
    return Picture(svg, f"Best {display_name(metric)} by {name}: {listed}", name)
