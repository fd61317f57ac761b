"""The description of a classifier's task: `task.json` and `labels.txt` in its directory."""

import csv
import dataclasses
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from bert_tf2.checkpoints import task_metadata
from bert_tf2.checkpoints.huggingface_config import default_labels
from bert_tf2.configs.choices import PROBLEM_TYPES, ProblemType
from bert_tf2.configs.long_texts import TRUNCATE_TAIL, WINDOW_POOLINGS, LongText, WindowPooling, check_long_text
from bert_tf2.errors import MOST_NAMED, InputError, some
from bert_tf2.tasks.classification import glue
from bert_tf2.tasks.classification import labels as label_lists
from bert_tf2.tasks.finetuning.description import Description

if TYPE_CHECKING:  # it imports TensorFlow
    from bert_tf2.checkpoints.model_source import Source


def split_columns(names: str) -> tuple[str, ...]:
    """Splits the value of `--label_columns`; names that contain a comma are quoted, as in CSV.

    Raises:
      InputError: there are fewer than two names, or they are not distinct.
    """
    try:
        columns = [name.strip() for row in csv.reader([names], skipinitialspace=True) for name in row]
    except csv.Error:  # a name has a line break and is not quoted
        columns = []
    if len(columns) < 2 or len(set(columns)) < len(columns) or not all(columns):
        raise InputError(
            f"--label_columns={names!r:.200}: expected the names of different columns separated by commas, one for "
            "each label: --label_columns=rude,angry. One column of labels is --label_column."
        )
    return tuple(columns)


def join_columns(names: Sequence[str]) -> str:
    """Joins names so that `split_columns` splits them."""
    line = io.StringIO()
    csv.writer(line).writerow(names)
    return line.getvalue().removesuffix("\r\n")


_ADDED = {task_metadata.MAY_BE_MISSING: True}


@dataclasses.dataclass(frozen=True)
class TaskDescription(Description):
    """The settings of the training run that evaluation and prediction need.

    Attributes:
      name: the name of the task: that of a GLUE task, or the user's choice for custom data.
      problem_type: see `configs.choices.PROBLEM_TYPES`.
      labels: the labels in the order of their ids; none for regression.
      max_seq_length: maximum tokens per sequence.
      do_lower_case: whether the text is lower-cased and accents are stripped.
      threshold: minimum probability of a predicted label, with several labels.
      text_column: name or number of the text column; this and the following columns are those of custom data.
      text_pair_column: the column of the second text; None if there is a single text.
      label_column: the column of the label; None if there are label columns.
      id_column: the column of row ids; None if rows are numbered.
      header: whether the first row of CSV and TSV files names the columns.
      label_separator: the separator of several labels in a cell.
      data_dir: the directory of a GLUE task's files.
      dev_file: the evaluated file of custom data.
      predict_file: the predicted file of custom data.
      label_columns: comma-separated columns, one for each label; None if there is one label column.
      long_text: how texts longer than `max_seq_length` are handled.
      window_stride: with windows, tokens from the start of one window to that of the next; None: half a window.
      window_pooling: with windows, how the logits of a text are computed from those of its windows.

    Raises:
      InputError: a value is invalid.
    """

    TASK = "classification"
    PROBLEM_TYPES = PROBLEM_TYPES
    SAME_MODEL: ClassVar = {
        "name": "the task",
        "problem_type": "the problem type",
        "labels": "the labels",
        **Description.SAME_MODEL,
    }

    name: str
    problem_type: ProblemType
    labels: tuple[str, ...]
    max_seq_length: int = 128
    do_lower_case: bool = True
    threshold: float = 0.5
    text_column: str | None = None
    text_pair_column: str | None = None
    label_column: str | None = None
    id_column: str | None = None
    header: bool = True
    label_separator: str = label_lists.SEPARATOR
    data_dir: str | None = None
    dev_file: str | None = None
    predict_file: str | None = None
    label_columns: str | None = dataclasses.field(default=None, metadata=_ADDED)
    long_text: LongText = dataclasses.field(default=TRUNCATE_TAIL, metadata=_ADDED)
    window_stride: int | None = dataclasses.field(default=None, metadata=_ADDED)
    window_pooling: WindowPooling = dataclasses.field(default="mean", metadata=_ADDED)

    def __post_init__(self) -> None:
        if self.problem_type not in PROBLEM_TYPES:
            raise InputError(f"Unknown problem type {self.problem_type!r}; choose one of {', '.join(PROBLEM_TYPES)}.")
        if (self.problem_type == "regression") == bool(self.labels):
            what = "has no labels, but there are" if self.labels else "needs labels, but there are none:"
            raise InputError(f"The task {self.name!r} ({self.problem_type}) {what} {some(self.labels, MOST_NAMED)}.")
        if not 0 < self.threshold < 1:
            raise InputError(f"--threshold={self.threshold}; it must be between 0 and 1.")
        if self.max_seq_length < 3:
            raise InputError(f"--max_seq_length={self.max_seq_length}; [CLS], one token and [SEP] need at least 3.")
        _ = self.columns_of_labels
        check_long_text(self.long_text, self.window_stride, self.max_seq_length)
        if self.window_pooling not in WINDOW_POOLINGS:
            raise InputError(
                f"Unknown --window_pooling {self.window_pooling!r:.60}; choose one of {', '.join(WINDOW_POOLINGS)}."
            )

    @classmethod
    def of_head(cls, source: "Source", max_seq_length: int, do_lower_case: bool) -> "TaskDescription":
        """The description of a classifier without `task.json`, from its head and its other files.

        Args:
          source: a model with a classifier.
          max_seq_length: maximum tokens per sequence.
          do_lower_case: whether the text is lower-cased and accents are stripped.
        """
        labels = source.labels or default_labels(source.shapes["output_bias"][0])
        kind = source.problem_type or ("regression" if len(labels) == 1 else "single_label")
        return cls(
            name="converted",
            problem_type=cast(ProblemType, kind),
            labels=() if kind == "regression" else labels,
            max_seq_length=max_seq_length,
            do_lower_case=do_lower_case,
        )

    @property
    def has_pairs(self) -> bool:
        """Whether the texts are known to be pairs."""
        return bool(self.text_pair_column) or (glue.is_known(self.name) and glue.task_named(self.name).has_pairs)

    @property
    def knows_pairs(self) -> bool:
        """Whether it is known if the texts are pairs; it is not if the model was converted."""
        return self.text_column is not None or glue.is_known(self.name)

    @property
    def columns_of_labels(self) -> tuple[str, ...]:
        """Names or numbers of the columns that labels are read from."""
        if self.label_columns is not None:
            return split_columns(self.label_columns)
        return () if self.label_column is None else (self.label_column,)

    @property
    def outputs(self) -> int:
        """The number of outputs of the classifier per row."""
        return len(self.labels) or 1
