"""What a model was fine-tuned for: `task.json` and `labels.txt` in its folder."""

import dataclasses
import json
import os
from itertools import zip_longest
from pathlib import Path
from typing import Any, Self

from bert_tf2 import files
from bert_tf2.errors import InputError
from bert_tf2.metrics import PROBLEM_TYPES, ProblemType
from bert_tf2.tasks.classification import labels as label_lists

FILE = "task.json"
LABELS_FILE = "labels.txt"

_MOST_NAMED = 20
_ADVICE = "restore the file that the training wrote, or train again."
_TYPES: dict[str, tuple[type, ...]] = {
    "labels": (list,),
    "max_seq_length": (int,),
    "do_lower_case": (bool,),
    "threshold": (float, int),
    "header": (bool,),
}


@dataclasses.dataclass(frozen=True)
class TaskDescription:
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
            raise InputError(
                f"The task {self.name!r} ({self.problem_type}) {what} {', '.join(self.labels[:_MOST_NAMED])}."
            )
        if not 0 < self.threshold < 1:
            raise InputError(f"--threshold={self.threshold}; it has to be between 0 and 1.")
        if self.max_seq_length < 3:
            raise InputError(f"--max_seq_length={self.max_seq_length}; [CLS], one token and [SEP] need at least 3.")

    @property
    def outputs(self) -> int:
        """How many numbers the classifier gives for a row."""
        return len(self.labels) or 1

    def save(self, folder: str) -> None:
        """Writes `task.json` and, where there are labels, `labels.txt`.

        Raises:
          OSError: they cannot be written.
        """
        if self.labels:
            label_lists.write_labels(os.path.join(folder, LABELS_FILE), self.labels)
        with files.replacing(os.path.join(folder, FILE)) as file:
            json.dump(dataclasses.asdict(self), file, indent=2, ensure_ascii=False)
            file.write("\n")

    @classmethod
    def load(cls, folder: str) -> Self | None:
        """Reads what `save` wrote; None where the folder has no `task.json`.

        Raises:
          InputError: it describes another kind of model, a file is damaged, or the two do not fit together.
        """
        path = Path(folder, FILE)
        if not path.exists():
            return None
        content = _read(path)
        kind = content.get("problem_type")
        if isinstance(kind, str) and kind not in PROBLEM_TYPES:
            raise InputError(
                f"{folder} holds a model for {kind}, not for classification ({FILE}); give another --output_dir, or "
                "--overwrite_output_dir to start anew."
            )
        description = cls(**_checked(path, content))
        if description.labels:
            found = label_lists.read_labels(os.path.join(folder, LABELS_FILE))
            if found != description.labels:
                raise InputError(
                    f"{Path(folder, LABELS_FILE)} has the labels {_listed(found, description.labels)}, but {path} "
                    f"has {_listed(description.labels, found)}; the model knows them by number, so put back what was "
                    "there."
                )
        return description

    def check_same_model(self, saved: Self, folder: str) -> None:
        """Checks that a model of the task that `folder` holds is one of this task.

        Args:
          saved: what was read from the folder.
          folder: for the error.

        Raises:
          InputError: name, kind of problem, labels or case differ; says which.
        """
        for what, here, there in (
            ("the task", self.name, saved.name),
            ("the problem type", self.problem_type, saved.problem_type),
            ("the labels", self.labels, saved.labels),
            ("--do_lower_case", self.do_lower_case, saved.do_lower_case),
        ):
            if here != there:
                raise InputError(
                    f"{folder} holds a model for {what} {_listed(there, here)}, where this command has "
                    f"{_listed(here, there)}; give another --output_dir, or --overwrite_output_dir to start anew."
                )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise files.cannot_read(path, error) from None
    except ValueError as error:
        raise InputError(f"{path} is no JSON ({error}); {_ADVICE}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no JSON object; {_ADVICE}")
    return content


def _checked(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """The content, its keys and types those of the fields."""
    fields = {field.name: field for field in dataclasses.fields(TaskDescription)}
    wrong = sorted(fields.keys() ^ content.keys())
    if wrong:
        what = "lacks" if wrong[0] in fields else "has the unknown"
        raise InputError(f"{path} {what} key {wrong[0]!r}; {_ADVICE}")
    for name, value in content.items():
        kinds = _TYPES.get(name, (str, type(None)) if fields[name].default is None else (str,))
        if type(value) not in kinds or (name == "labels" and not all(isinstance(label, str) for label in value)):
            raise InputError(f"{path}: {name} cannot be {value!r:.60}; {_ADVICE}")
    return {**content, "labels": tuple(content["labels"])}


def _listed(value: Any, other: Any) -> str:
    """A value as it stands in an error beside another one: long lists only by where they part."""
    if not isinstance(value, tuple):
        return repr(value)
    if max(len(value), len(other)) <= _MOST_NAMED:
        return ", ".join(map(repr, value)) or "(none)"
    first = next(index for index, pair in enumerate(zip_longest(value, other)) if pair[0] != pair[1])
    return f"({len(value)}, number {first}: {value[first]!r})" if first < len(value) else f"({len(value)})"
