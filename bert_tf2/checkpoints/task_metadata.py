"""The description of a fine-tuned model in its directory, for any task: `task.json` and `labels.txt`.

A task describes itself by a frozen dataclass, whose fields are the keys of `task.json`. One of them is `problem_type`,
by which scripts know whose model it is, one is `labels`.
"""

import dataclasses
import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from bert_tf2.errors import MOST_NAMED, InputError
from bert_tf2.io import atomic, file_system, files, json_files, run_files

TASK_FILE, LABELS_FILE = run_files.TASK, run_files.LABELS

_ADVICE = "restore the file that the training wrote, or train again."


MAY_BE_MISSING = "may_be_missing"
"""Metadata of a field that `task.json` did not have at first: where it is missing, it has its default."""


# --- Labels ----------------------------------------------------------------------------------------------------------


def read_labels(path: str) -> tuple[str, ...]:
    """Reads a file of labels, one per line in the order of their ids; empty lines at its end are ignored.

    Raises:
      InputError: it cannot be read, is empty, or has an empty line or a label twice.
    """
    labels = list(map(_as_read, files.read_lines(path)))
    while labels and not labels[-1]:
        labels.pop()
    if not labels:
        raise InputError(f"{path} is empty; expected one label per line.")
    seen = set()
    for number, label in enumerate(labels, 1):
        if not label or label in seen:
            what = f"repeats the label {label!r}" if label else "is empty"
            raise InputError(f"{path}, line {number} {what}; expected each label once, one per line.")
        seen.add(label)
    return tuple(labels)


def _as_read(line: str) -> str:
    return line.removeprefix("\ufeff").strip()


def check_labels(labels: Sequence[str], where: str) -> None:
    """Checks that `read_labels` will give these labels back when `write_labels` has written them.

    Args:
      labels: in the order of their ids.
      where: what they are the labels of, for the error.

    Raises:
      InputError: one is empty, is there twice, has a line break, whitespace around it or U+FEFF at its beginning, or
        is not valid Unicode; names it and its id.
    """
    ids: dict[str, int] = {}
    for index, label in enumerate(labels):
        if not label:
            problem = "is empty"
        elif "\n" in label or "\r" in label:
            problem = "contains a line break"
        elif _as_read(label) != label:
            problem = "begins or ends with whitespace or U+FEFF"
        elif not files.is_unicode(label):
            problem = "is not valid Unicode (it contains an unpaired surrogate)"
        elif ids.setdefault(label, index) != index:
            problem = f"is also label {ids[label]}"
        else:
            continue
        raise InputError(
            f"{where}: label {index}, {label!r:.60}, {problem}; {LABELS_FILE} has one label per line, all different, "
            "without surrounding whitespace. Rename it."
        )


def write_labels(path: str | os.PathLike[str], labels: Sequence[str]) -> None:
    """Writes what `read_labels` reads.

    Raises:
      InputError: they could not be read again; see `check_labels`.
      OSError: the file cannot be written.
    """
    check_labels(labels, os.fspath(path))
    with atomic.replacing(path) as file:
        file.writelines(f"{label}\n" for label in labels)


# --- Both files ------------------------------------------------------------------------------------------------------


def save(folder: str, fields: Mapping[str, Any]) -> None:
    """Writes `task.json` and, where there are labels, `labels.txt`.

    Raises:
      OSError: they cannot be written.
    """
    if fields["labels"]:
        write_labels(os.path.join(folder, LABELS_FILE), fields["labels"])
    with atomic.replacing(os.path.join(folder, TASK_FILE)) as file:
        json.dump(fields, file, indent=2, ensure_ascii=False)
        file.write("\n")


def load(
    folder: str,
    description: type[Any],
    task: str,
    problem_types: Collection[str],
    types: Mapping[str, tuple[type, ...]],
) -> dict[str, Any] | None:
    """Reads what `save` wrote; None where the directory has no `task.json`.

    Args:
      folder: of the model.
      description: the dataclass of the task; a field with the default None may be null.
      task: what errors call the task: "classification".
      problem_types: those of the task.
      types: of fields that are not `str`.

    Returns:
      Arguments for `description`.

    Raises:
      InputError: it describes another kind of model, a file is damaged, or the two do not fit together.
    """
    path = file_system.path(folder) / TASK_FILE
    if not path.exists():
        return None
    content = _read(path)
    kind = content.get("problem_type")
    if isinstance(kind, str) and kind not in problem_types:
        raise InputError(
            f"{folder} holds a model for {kind}, not for {task} ({TASK_FILE}); give another --output_dir, or "
            "--overwrite_output_dir to start over."
        )
    fields = _checked(path, content, description, types)
    labels = fields["labels"]
    if labels:
        found = read_labels(os.path.join(folder, LABELS_FILE))
        if found != labels:
            raise InputError(
                f"{os.path.join(folder, LABELS_FILE)} has the labels {_listed(found, labels)}, but {path} has "
                f"{_listed(labels, found)}; the model knows them by number, so restore the original file."
            )
    return fields


def setting(folder: str | os.PathLike[str], key: str, kind: type) -> Any:
    """A value of a directory's `task.json`, for code that does not know the task yet; None if there is none.

    Args:
      folder: of the model.
      key: of the value.
      kind: its type: `str` or `bool`.

    Raises:
      InputError: the file cannot be read, or the value is of another type.
    """
    path = os.path.join(folder, TASK_FILE)
    return json_files.get(json_files.read_object(path, _ADVICE), key, kind, path) if file_system.isfile(path) else None


def check_same_model(folder: str, compared: Iterable[tuple[str, Any, Any]]) -> None:
    """Checks that the model in a directory belongs to the given task.

    Args:
      folder: for the error.
      compared: what is compared, its value here, and in the directory.

    Raises:
      InputError: the values differ; names the first difference.
    """
    for what, here, there in compared:
        if here != there:
            raise InputError(
                f"{folder} holds a model for {what} {_listed(there, here)}, where this command has "
                f"{_listed(here, there)}; give another --output_dir, or --overwrite_output_dir to start over."
            )


def may_read(folder: str, path: str) -> bool:
    """Whether data that `task.json` names is read without a flag: only in the model's own directory.

    A model may come from anyone, and its `task.json` could name any file of this machine.
    """
    return file_system.is_inside(path, folder)


def check_may_read(folder: str, flag: str, path: str) -> None:
    """Checks `may_read`.

    Args:
      folder: of the model.
      flag: its name, by which the user can ask for the data.
      path: what `task.json` names.

    Raises:
      InputError: it must be asked for.
    """
    if not may_read(folder, path):
        raise InputError(
            f"--{flag} is missing, and {os.path.join(folder, TASK_FILE)} names a path outside its "
            f"directory; to read it, give --{flag}={path}."
        )


def _read(path: Path) -> dict[str, Any]:
    return json_files.read_object(path, _ADVICE)


def _checked(
    path: Path, content: dict[str, Any], description: type[Any], types: Mapping[str, tuple[type, ...]]
) -> dict[str, Any]:
    """The content, its keys and types those of the fields."""
    fields = {field.name: field for field in dataclasses.fields(description)}
    added = {name: field.default for name, field in fields.items() if field.metadata.get(MAY_BE_MISSING)}
    content = {**added, **content}
    wrong = sorted(fields.keys() ^ content.keys())
    if wrong:
        what = "lacks" if wrong[0] in fields else "has the unknown"
        raise InputError(f"{path} {what} key {wrong[0]!r}; {_ADVICE}")
    for name, value in content.items():
        kinds = (list,) if name == "labels" else types.get(name, (str,))
        may_be_missing = value is None and fields[name].default is None
        all_names = name != "labels" or (isinstance(value, list) and all(isinstance(label, str) for label in value))
        if not may_be_missing and (type(value) not in kinds or not all_names):
            raise InputError(f"{path}: {name} cannot be {json_files.shown(value)}; {_ADVICE}")
    return {**content, "labels": tuple(content["labels"])}


def _listed(value: Any, other: Any) -> str:
    """A value as shown in an error next to another one: of long lists, only where they differ."""
    if not isinstance(value, tuple):
        return str(value).lower() if isinstance(value, bool) else repr(value)
    if max(len(value), len(other)) <= MOST_NAMED:
        return ", ".join(map(repr, value)) or "(none)"
    first = next(index for index, pair in enumerate(zip_longest(value, other)) if pair[0] != pair[1])
    return f"({len(value)}, number {first}: {value[first]!r})" if first < len(value) else f"({len(value)})"
