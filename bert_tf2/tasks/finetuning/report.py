"""The readable output of an evaluation: each example with label and prediction, and `report.html`.

The page has sections that all tasks share (scores with intervals, learning curves, lengths, the command, links to other
files) and those of the task.
"""

import contextlib
import datetime
import logging
import math
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2.errors import InputError
from bert_tf2.io import atomic, file_system, run_dir, run_files
from bert_tf2.reports import page
from bert_tf2.reports.page import (
    Block,
    Code,
    Figures,
    Links,
    Picture,
    Report,
    Section,
    Table,
    Text,
    shown_as_number,
    shown_as_percent,
)
from bert_tf2.tasks.finetuning import best_weights, learning_curves
from bert_tf2.tasks.finetuning.best_weights import BestScore
from bert_tf2.tasks.finetuning.evaluation_hook import BestMetric
from bert_tf2.tasks.finetuning.row_files import write_rows

if TYPE_CHECKING:  # it imports TensorFlow
    from bert_tf2.tasks.finetuning.task import Evaluation, FinetuningTask

logger = logging.getLogger(__name__)

_NAMES = {
    "HasAns_exact": "exact match, answerable",
    "HasAns_f1": "F1, answerable",
    "HasAns_total": "answerable questions",
    "NoAns_exact": "exact match, unanswerable",
    "NoAns_f1": "F1, unanswerable",
    "NoAns_total": "unanswerable questions",
    "best_exact": "exact match, best threshold",
    "best_exact_thresh": "best threshold, exact match",
    "best_f1": "F1, best threshold",
    "best_f1_thresh": "best threshold, F1",
    "exact": "exact match",
    "f1": "F1",
    "macro_f1": "macro F1",
    "matthews": "Matthews correlation",
    "micro_f1": "micro F1",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
    "total": "questions",
}
_FRACTIONS = ("accuracy", "exact_match", "f1", "macro_f1", "micro_f1", "precision", "recall")


def write(
    task: "FinetuningTask[Any, Any, Any]", encoded: Any, gathered: Any, evaluation: "Evaluation", step: int
) -> None:
    """Writes `eval_predictions.jsonl`, `eval_predictions.csv` and `report.html`.

    If packages are missing, the log says what to install, and the page is not written.

    Args:
      task: the evaluated task.
      encoded: the examples, from `FinetuningTask.encode`.
      gathered: the model's outputs for them, from `FinetuningTask.gather`.
      evaluation: their evaluation.
      step: the step of the weights.

    Raises:
      OSError: a file cannot be written.
    """
    directory, paths = task.config.output_dir, []
    rows = task.evaluation_rows(encoded, gathered)
    if rows is not None:
        names = (run_files.EVAL_PREDICTION_LINES, run_files.EVAL_PREDICTION_TABLE)
        paths = [os.path.join(directory, name) for name in names]
        write_rows(paths[0], paths[1], rows)
    if task.config.report:
        path = os.path.join(directory, run_files.REPORT)
        paths += write_page(path, lambda: _report(task, encoded, gathered, evaluation, step))
    if paths:
        logger.info("Wrote %s.", ", ".join(paths))


def write_page(path: str, make_report: Callable[[], Report]) -> list[str]:
    """Writes a report; if packages that it needs are missing, the log says how to install them.

    Args:
      path: the path of the HTML file.
      make_report: creates the content; not called if packages are missing.

    Returns:
      The path in a list, which is empty if the report was not written.

    Raises:
      OSError: it cannot be written.
    """
    missing = page.missing_packages()
    if missing:
        logger.info(
            "%s was not written: it needs %s (python -m pip install 'bert-tf2[report]').%s",
            *(path, " and ".join(missing)),
            " The existing file is from an earlier evaluation." if file_system.exists(path) else "",
        )
        return []
    content = page.render(make_report())
    with atomic.replacing(path, errors="backslashreplace") as file:
        file.write(content)
    return [path]


def _report(
    task: "FinetuningTask[Any, Any, Any]", encoded: Any, gathered: Any, evaluation: "Evaluation", step: int
) -> Report:
    directory = task.config.output_dir
    best = _best_metric(task, evaluation.results)
    lengths = task.length_section(encoded, gathered) or _lengths(encoded.arrays.lengths, encoded.arrays.max_length)
    sections = [
        _scores(task, evaluation, task.score_intervals(encoded, gathered)),
        learning_curves.section(directory, best, display_name),
        *task.report_sections(encoded, gathered, evaluation),
        lengths,
        _command(directory),
        _files(directory),
    ]
    now = datetime.datetime.now().astimezone()
    subtitle = f"{task.description.TASK.capitalize()}, weights of step {step:,}, {now.day} {now:%B %Y, %H:%M}"
    return Report(f"Evaluation of {_short_path(directory)}", subtitle, [section for section in sections if section])


def _best_metric(task: "FinetuningTask[Any, Any, Any]", results: Mapping[str, float]) -> BestMetric:
    """The score that chose the weights in `best/`, or the one that would choose them."""
    requested = task.config.metric_for_best
    if requested is None:
        with contextlib.suppress(InputError):  # the file is corrupt, and not needed
            score = BestScore.load(best_weights.directory_of(task.config.output_dir))
            requested = score.metric if score and score.metric in results else None
    return BestMetric.find(requested or task.best_metric, list(results))


def _short_path(directory: str) -> str:
    """The name of a directory; for best weights or a seed, with the name of its parent."""
    *above, name = os.path.normpath(file_system.absolute(directory)).split(os.sep)
    has_parent = name == run_files.BEST or name.startswith(run_files.SEED_PREFIX)
    return os.path.join(*above[-1:], name) if has_parent else name


def display_name(name: str) -> str:
    """The name of a result in a report: "macro F1" for `eval_macro_f1`."""
    name = name.removeprefix("eval_")
    return _NAMES.get(name, name.replace("_", " "))


def without_second_loss(names: Iterable[str]) -> list[str]:
    """The names of results without `loss`, the original's mean of batch means, if `eval_loss` is among them."""
    names = list(names)
    return [name for name in names if name != "loss" or "eval_loss" not in names]


def _scores(
    task: "FinetuningTask[Any, Any, Any]", evaluation: "Evaluation", intervals: Mapping[str, tuple[float, float]]
) -> Section:
    results = evaluation.results
    tiles = []
    for name in without_second_loss(results):
        value = results[name]
        is_fraction = name.removeprefix("eval_") in _FRACTIONS and not task.scores_are_percentages
        show = shown_as_percent if is_fraction else shown_as_number
        small = ""
        if name in intervals and not any(map(math.isnan, intervals[name])):
            low, high = (show(bound).removesuffix(" %") for bound in intervals[name])
            small = f"95 % interval {low} to {high}"
        tiles.append((display_name(name), show(value), small))
    blocks: list[Block] = [Figures(tiles)]
    if intervals:
        blocks.append(
            Text(
                "The intervals reflect the limited number of evaluated examples: Wilson's for fractions of examples "
                "and F1 of spans and answers, the bootstrap for other scores. They do not cover the "
                "variation between seeds, or other data."
            )
        )
    return Section("Scores", blocks)


def _lengths(lengths: NDArray[np.int64], limit: int) -> Section:
    """The lengths of the model's inputs."""
    if not len(lengths):
        return Section("Length", [Text("There are no examples.")])
    from bert_tf2.reports import pictures

    svg = pictures.histogram(lengths, "tokens", "examples")
    full = int(np.count_nonzero(lengths >= limit))
    figures = [
        ("examples", f"{len(lengths):,}", ""),
        ("tokens on average", f"{lengths.mean():.1f}", ""),
        ("longest", f"{lengths.max():,}", f"of at most {limit:,}"),
        ("at the limit", f"{full:,}", "longer ones are truncated or split"),
    ]
    picture = Picture(svg, "Examples by number of tokens", "Tokens per example, including special tokens")
    return Section("Length", [Figures(figures), picture])


def _command(directory: str) -> Section:
    """The command and package versions, and the command of the latest training."""
    blocks: list[Block] = [Code(run_dir.command())]
    training = run_dir.latest(directory)
    if training and training.get("command") != run_dir.command():
        blocks += [Text(f"Latest training in this directory, started {training.get('started')}:")]
        blocks += [Code(str(training.get("command")))]
    versions = [(name, version) for name, version in run_dir.versions().items()]
    return Section("Command and versions", [*blocks, Table(("package", "version"), versions)])


def _files(directory: str) -> Section:
    """Links to the other files of the evaluation."""
    files = (
        (run_files.EVAL_RESULTS, "the scores as the original writes them"),
        (run_files.EVAL_HISTORY, "the scores of all evaluations during training"),
        (run_files.EVAL_PREDICTION_TABLE, "every evaluated example with true label and prediction, as a table"),
        (run_files.EVAL_PREDICTION_LINES, "the same as JSON Lines"),
        (run_files.LABEL_REPORT, "precision, recall and F1 of each label"),
        (run_files.SPAN_REPORT, "precision, recall and F1 of spans"),
    )
    present = [(name, what) for name, what in files if file_system.exists(os.path.join(directory, name))]
    return Section("Files beside this page", [Links(present)])
