"""The tasks of GLUE, and XNLI: file layouts, labels, metrics, and the file names for GLUE's server.

cola, mnli, mrpc and xnli are read as in run_classifier.py of google-research/bert (commit eedf571): by column number,
whatever the header says. The other tasks are read by the column names in the header. Quotes are ordinary characters in
all files. Reference: https://gluebenchmark.com (Wang et al. 2018), XNLI-1.0 (Conneau et al. 2018).
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
      file: the path of the file inside `data_dir`.
      ids: prefix of the row ids, followed by a hyphen and the row's number.
      text: column of the (first) text: a name in the header, or a number from 0, from the end if negative.
      pair: column of the second text; None: there is none.
      label: column of the label; None: there is none.
      header: whether the first row is a header.
      id: column of the number for the row's id; None: the row's position in the file, from 0, including the header.
      only: a column and its value in the rows to read; other rows are skipped.
      skip_short: whether to skip rows that lack columns instead of rejecting them.
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
        """The columns to read."""
        columns = (self.text, self.pair, self.label, self.id, self.only[0] if self.only else None)
        return [column for column in columns if column is not None]


@dataclasses.dataclass(frozen=True)
class GlueTask:
    """A task of GLUE, or XNLI.

    Attributes:
      name: the name for `--task_name`.
      labels: the labels in the order of their ids; none for regression.
      metrics: names of the metrics, for `metrics.evaluate`.
      files: the layouts of its files.
      submission: name of the prediction file for GLUE's server; XNLI has none.
      problem_type: see `configs.choices.PROBLEM_TYPES`.
      trained_as: the task that the model is trained for, by default this one: the name in `task.json`.
      renamed: alternative spellings of labels in the files, with the label that they mean.
      value_range: the smallest and largest value of regression.
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
    """The layouts of three files with headers, of which test.tsv has no labels."""
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
        # A few questions in QQP contain a line break, which splits the row into two with too few columns.
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
    """Finds a task by its name, in upper or lower case, with or without hyphen.

    Raises:
      InputError: there is no such task.
    """
    task = _TASKS_BY_PLAIN_NAME.get(_plain(name))
    if task is not None:
        return task
    raise InputError(
        f"Unknown task {name!r}; choose one of {', '.join(TASKS)}, or give --train_file for data of your own."
    )


def is_known(name: str) -> bool:
    """Whether there is a task of this name, see `task_named`."""
    return _plain(name) in _TASKS_BY_PLAIN_NAME


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


_TASKS_BY_PLAIN_NAME = {_plain(name): task for name, task in TASKS.items()}


def read(task: GlueTask, data_dir: str, split: Split, directory: str | None = None) -> Examples:
    """Reads one of a task's files.

    Args:
      task: one of `TASKS`.
      data_dir: the directory of its files, as in the archive of GLUE or XNLI.
      split: the file to read.
      directory: for data that exceeds memory; None: the system's directory for temporary files.

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
    """Yields the line number and the cells of `layout.columns` of each row that is not skipped."""
    rows = read_tsv(path)
    names: list[str] = []
    if layout.header:
        first = next(rows, None)
        if first is None:
            return
        names = first[1]
    indexes = [_index(path, column, names) for column in layout.columns]
    min_columns = 1 + max(indexes)
    only = layout.only and (_index(path, layout.only[0], names), layout.only[1])
    short_lines = []
    for line, cells in rows:
        # As in the original, the other columns of rows to be skipped are not checked.
        if only is not None and len(cells) > only[0] and cells[only[0]] != only[1]:
            continue
        if len(cells) < min_columns:
            if not layout.skip_short:
                raise InputError(
                    f"{path}, line {line} has {counted(len(cells), 'column')}, expected at least {min_columns}, "
                    f"with tabs between them; the line begins with {cells[0][:40]!r}."
                )
            short_lines.append(line)
        else:
            yield line, [cells[index] for index in indexes]
    if short_lines:
        logger.warning(
            "%s: left out %s with too few columns, the first in line %d.",
            *(path, counted(len(short_lines), "row"), short_lines[0]),
        )


def _index(path: str, column: Column, names: list[str]) -> int:
    if isinstance(column, int):
        return column
    if column not in names:
        raise InputError(
            f"{path} has no column {column!r}; its first line has {', '.join(repr(name[:40]) for name in names)}."
        )
    return names.index(column)
