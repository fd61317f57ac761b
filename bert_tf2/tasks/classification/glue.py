"""The tasks of GLUE, and XNLI: file layouts, labels, metrics, and the file names for GLUE's server.

cola, mnli, mrpc and xnli are read as run_classifier.py of google-research/bert (commit eedf571) read them: columns by
number, whatever the header says. The others have a header and are read by the names in it. Quotes are plain characters
in all of them. Reference: https://gluebenchmark.com (Wang et al. 2018), XNLI-1.0 (Conneau et al. 2018).
"""

import dataclasses
import itertools
import logging
import os
from collections.abc import Iterator, Mapping
from typing import Literal

from bert_tf2.configs.choices import ProblemType
from bert_tf2.errors import InputError, counted
from bert_tf2.io.delimited import read_tsv
from bert_tf2.io.spilled import SpilledSequence
from bert_tf2.tasks.classification.examples import Collected, Examples

logger = logging.getLogger(__name__)

_ROWS_AT_ONCE = 1024

Split = Literal["train", "dev", "test"]
Column = int | str


@dataclasses.dataclass(frozen=True)
class Layout:
    """The layout of a file.

    Attributes:
      file: its path inside `data_dir`.
      ids: what the rows are called, before a hyphen and their number.
      text: column of the (first) text: a name in the header, or a number from 0, from the end if negative.
      pair: column of the second text.
      label: column of the label.
      header: whether the first row is one.
      id: column of what stands after `ids`; else it is the row's number, from 0, the header counted.
      only: a column and what has to stand in it; other rows are left out.
      skip_short: whether rows that lack columns are left out, rather than refused.
    """

    file: str
    ids: str
    text: Column
    pair: Column | None = None
    label: Column | None = None
    header: bool = True
    id: Column | None = None
    only: tuple[Column, str] | None = None
    skip_short: bool = False

    @property
    def columns(self) -> list[Column]:
        """All columns that are read."""
        wanted = (self.text, self.pair, self.label, self.id, self.only[0] if self.only else None)
        return [column for column in wanted if column is not None]


@dataclasses.dataclass(frozen=True)
class GlueTask:
    """One task.

    Attributes:
      name: for `--task_name`.
      labels: in the order of their ids; none for regression.
      metrics: names for `metrics.evaluate`, the task's own among them.
      files: the layout of each file that there is.
      submission: what GLUE's server calls the file of predictions; XNLI has none.
      problem_type: see `metrics.PROBLEM_TYPES`.
      trained_as: the task whose training it shares, itself or another: the name in `task.json`.
      renamed: labels in the file that mean another one.
      value_range: of regression.
    """

    name: str
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    files: Mapping[Split, Layout]
    submission: str | None
    problem_type: ProblemType = "single_label"
    trained_as: str = ""
    renamed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    value_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "trained_as", self.trained_as or self.name)

    @property
    def has_pairs(self) -> bool:
        """Whether rows have two texts."""
        return any(layout.pair is not None for layout in self.files.values())


def _by_name(text: str, pair: str | None, label: str, *, skip_short: bool = False) -> dict[Split, Layout]:
    """Three files with headers; the one for testing has no labels."""
    return {
        "train": Layout("train.tsv", "train", text, pair, label, skip_short=skip_short),
        "dev": Layout("dev.tsv", "dev", text, pair, label, skip_short=skip_short),
        "test": Layout("test.tsv", "test", text, pair),
    }


def _mnli(matched: str) -> dict[Split, Layout]:
    return {
        "train": Layout("train.tsv", "train", 8, 9, -1, id=0),
        "dev": Layout(f"dev_{matched}.tsv", f"dev_{matched}", 8, 9, -1, id=0),
        "test": Layout(f"test_{matched}.tsv", "test", 8, 9, id=0),
    }


def _xnli(language: str) -> dict[Split, Layout]:
    only = (0, language)
    return {
        "train": Layout(os.path.join("multinli", f"multinli.train.{language}.tsv"), "train", 0, 1, 2),
        "dev": Layout("xnli.dev.tsv", "dev", 6, 7, 1, only=only),
        "test": Layout("xnli.test.tsv", "test", 6, 7, only=only),
    }


_BINARY = ("0", "1")
_NLI = ("contradiction", "entailment", "neutral")
_ENTAILMENT = ("entailment", "not_entailment")
_ACCURACY = ("accuracy",)

TASKS: Mapping[str, GlueTask] = {
    task.name: task
    for task in (
        GlueTask(
            "cola",
            _BINARY,
            ("accuracy", "matthews"),
            {
                "train": Layout("train.tsv", "train", 3, label=1, header=False),
                "dev": Layout("dev.tsv", "dev", 3, label=1, header=False),
                "test": Layout("test.tsv", "test", 1),
            },
            "CoLA.tsv",
        ),
        GlueTask("mnli", _NLI, _ACCURACY, _mnli("matched"), "MNLI-m.tsv"),
        GlueTask("mnli-mm", _NLI, _ACCURACY, _mnli("mismatched"), "MNLI-mm.tsv", trained_as="mnli"),
        GlueTask(
            "mrpc",
            _BINARY,
            ("accuracy", "f1"),
            {
                "train": Layout("train.tsv", "train", 3, 4, 0),
                "dev": Layout("dev.tsv", "dev", 3, 4, 0),
                "test": Layout("test.tsv", "test", 3, 4),
            },
            "MRPC.tsv",
        ),
        GlueTask("xnli", _NLI, _ACCURACY, _xnli("zh"), None, renamed={"contradictory": "contradiction"}),
        GlueTask("sst-2", _BINARY, _ACCURACY, _by_name("sentence", None, "label"), "SST-2.tsv"),
        GlueTask(
            "sts-b",
            (),
            ("pearson", "spearman"),
            _by_name("sentence1", "sentence2", "score"),
            "STS-B.tsv",
            problem_type="regression",
            value_range=(0.0, 5.0),
        ),
        # A few questions in QQP hold a line end, which leaves two rows with too few columns.
        GlueTask(
            "qqp",
            _BINARY,
            ("accuracy", "f1"),
            _by_name("question1", "question2", "is_duplicate", skip_short=True),
            "QQP.tsv",
        ),
        GlueTask("qnli", _ENTAILMENT, _ACCURACY, _by_name("question", "sentence", "label"), "QNLI.tsv"),
        GlueTask("rte", _ENTAILMENT, _ACCURACY, _by_name("sentence1", "sentence2", "label"), "RTE.tsv"),
        GlueTask("wnli", _BINARY, _ACCURACY, _by_name("sentence1", "sentence2", "label"), "WNLI.tsv"),
        GlueTask(
            "ax",
            _NLI,
            ("accuracy", "matthews"),
            {
                "dev": Layout("diagnostic-full.tsv", "dev", "Premise", "Hypothesis", "Label"),
                "test": Layout("diagnostic.tsv", "test", "sentence1", "sentence2"),
            },
            "AX.tsv",
            trained_as="mnli",
        ),
    )
}


def task_named(name: str) -> GlueTask:
    """The task of a name, in upper or lower case, with or without hyphen.

    Raises:
      InputError: there is none.
    """
    wanted = _plain(name)
    for task in TASKS.values():
        if _plain(task.name) == wanted:
            return task
    raise InputError(
        f"Unknown task {name!r}; choose one of {', '.join(TASKS)}, or give --train_file for data of your own."
    )


def is_known(name: str) -> bool:
    """Whether `task_named` knows a task of this name."""
    return any(_plain(task) == _plain(name) for task in TASKS)


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def read(task: GlueTask, data_dir: str, split: Split, directory: str | None = None) -> Examples:
    """The rows of one of a task's files.

    Args:
      task: one of `TASKS`.
      data_dir: directory of its files, as GLUE's or XNLI's archive has them.
      split: which file.
      directory: for what is too large for memory; None: the system's directory for temporary files.

    Raises:
      InputError: the file cannot be read, has no rows, or lacks a column.
    """
    if split not in task.files:
        raise InputError(
            f"{task.name} has no {split} file: train {task.trained_as}, and give its --output_dir together with "
            f"--task_name={task.name}."
        )
    layout = task.files[split]
    path = os.path.join(data_dir, layout.file)
    collected = Collected(path, directory, pairs=layout.pair is not None, labels=layout.label is not None)
    ids: SpilledSequence[str | int] = SpilledSequence(directory)
    rows = _rows(path, layout)
    while block := list(itertools.islice(rows, _ROWS_AT_ONCE)):
        lines, cells = zip(*block, strict=True)
        columns = dict(zip(layout.columns, zip(*cells, strict=True), strict=True))
        names = columns[layout.id] if layout.id is not None else [line - 1 for line in lines]
        ids.extend([f"{layout.ids}-{name}" for name in names])
        labels = columns[layout.label] if layout.label is not None else ()
        collected.add(
            lines,
            columns[layout.text],
            None if layout.pair is None else columns[layout.pair],
            [task.renamed.get(label, label) for label in labels],
        )
    if not len(collected):
        where = f" with {layout.only[1]!r} in column {layout.only[0]}" if layout.only else ""
        raise InputError(f"{path} has no rows{where}; expected the {split} file of {task.name}.")
    return collected.finish(ids)


def _rows(path: str, layout: Layout) -> Iterator[tuple[int, list[str]]]:
    """The number of each line that is used, and the cells of `layout.columns`."""
    rows = read_tsv(path)
    names: list[str] = []
    if layout.header:
        first = next(rows, None)
        if first is None:
            return
        names = first[1]
    indexes = [_index(path, column, names) for column in layout.columns]
    enough = 1 + max(indexes)
    only = layout.only and (_index(path, layout.only[0], names), layout.only[1])
    short = []
    for line, cells in rows:
        # As in the original, what a row of another kind has else does not matter.
        if only is not None and len(cells) > only[0] and cells[only[0]] != only[1]:
            continue
        if len(cells) < enough:
            if not layout.skip_short:
                raise InputError(
                    f"{path}, line {line} has {counted(len(cells), 'column')}, expected at least {enough}, "
                    f"with tabs between them; the line begins with {cells[0][:40]!r}."
                )
            short.append(line)
        else:
            yield line, [cells[index] for index in indexes]
    if short:
        logger.warning(
            "%s: left out %s with too few columns, the first in line %d.",
            *(path, counted(len(short), "row"), short[0]),
        )


def _index(path: str, column: Column, names: list[str]) -> int:
    if isinstance(column, int):
        return column
    if column not in names:
        raise InputError(
            f"{path} has no column {column!r}; its first line has {', '.join(repr(name[:40]) for name in names)}."
        )
    return names.index(column)
