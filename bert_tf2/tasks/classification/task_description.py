"""What a model was fine-tuned for: `task.json` and `labels.txt` in its folder."""

import dataclasses
from typing import ClassVar

from bert_tf2.configs.choices import PROBLEM_TYPES, ProblemType
from bert_tf2.errors import MOST_NAMED, InputError, some
from bert_tf2.tasks.classification import labels as label_lists
from bert_tf2.tasks.finetuning.description import Description


@dataclasses.dataclass(frozen=True)
class TaskDescription(Description):
    """What an evaluation or a prediction has to know of the training.

    Attributes:
      name: of the task: GLUE's, or what the user called it.
      problem_type: see `metrics.PROBLEM_TYPES`.
      labels: in the order of their ids; none for regression.
      max_seq_length: tokens of a sequence at most.
      do_lower_case: whether case and accents were stripped.
      threshold: of several labels, those with at least this probability are predicted.
      text_column: name or number; this and what follows is for data of the user's own.
      text_pair_column: of the second text, None where there is one.
      label_column: of the label.
      id_column: of what rows are called; None where they are numbered.
      header: whether the first row of CSV and TSV files names the columns.
      label_separator: what stands between several labels in a cell.
      data_dir: folder of a GLUE task's files.
      dev_file: what was evaluated, of data of the user's own.
      predict_file: what was predicted.

    Raises:
      InputError: a value is impossible.
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

    def __post_init__(self) -> None:
        if self.problem_type not in PROBLEM_TYPES:
            raise InputError(f"Unknown problem type {self.problem_type!r}; choose one of {', '.join(PROBLEM_TYPES)}.")
        if (self.problem_type == "regression") == bool(self.labels):
            what = "has no labels, but there are" if self.labels else "needs labels, but there are none:"
            raise InputError(f"The task {self.name!r} ({self.problem_type}) {what} {some(self.labels, MOST_NAMED)}.")
        if not 0 < self.threshold < 1:
            raise InputError(f"--threshold={self.threshold}; it has to be between 0 and 1.")
        if self.max_seq_length < 3:
            raise InputError(f"--max_seq_length={self.max_seq_length}; [CLS], one token and [SEP] need at least 3.")

    @property
    def outputs(self) -> int:
        """How many numbers the classifier gives for a row."""
        return len(self.labels) or 1
