"""The description of a fine-tuned model in its directory, for any task: `task.json` and `labels.txt`.

A task describes itself by a frozen dataclass, whose fields are the keys of `task.json`. Two of them are `problem_type`,
which identifies the task, and `labels`.
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
"""Metadata of a field that the first versions of `task.json` did not have: if missing, it has its default."""


# --- Labels ----------------------------------------------------------------------------------------------------------


def read_labels(path: str) -> tuple[str, ...]:
    """Reads a file of labels, one per line in the order of their ids; trailing empty lines are ignored.

    Raises:
      InputError: the file cannot be read, is empty, has an empty line, or repeats a label.
    """
    labels = list(map(_stripped, files.read_lines(path)))
    while labels and not labels[-1]:
        labels.pop()
    if not labels:
        raise InputError(f"{path} is empty; expected one label per line.")
    seen = set()
    for number, label in enumerate(labels, 1):
        if not label or label in seen:
            problem = f"repeats the label {label!r}" if label else "is empty"
            raise InputError(f"{path}, line {number} {problem}; expected each label once, one per line.")
        seen.add(label)
    return tuple(labels)


def _stripped(line: str) -> str:
    return line.removeprefix("\ufeff").strip()


def check_labels(labels: Sequence[str], where: str) -> None:
    """Checks that `read_labels` returns these labels after `write_labels` has written them.

    Args:
      labels: the labels in the order of their ids.
      where: the source of the labels, for the error message.

    Raises:
      InputError: a label is empty, repeated or not valid Unicode, contains a line break, begins or ends with
        whitespace, or begins with U+FEFF; the message names the label and its id.
    """
    ids: dict[str, int] = {}
    for index, label in enumerate(labels):
        if not label:
            problem = "is empty"
        elif "\n" in label or "\r" in label:
            problem = "contains a line break"
        elif _stripped(label) != label:
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
    """Writes a file of labels for `read_labels`.

    Raises:
      InputError: the labels cannot be stored one per line; see `check_labels`.
      OSError: the file cannot be written.
    """
    check_labels(labels, os.fspath(path))
    with atomic.replacing(path) as file:
        file.writelines(f"{label}\n" for label in labels)


# --- Both files ------------------------------------------------------------------------------------------------------


def save(directory: str, fields: Mapping[str, Any]) -> None:
    """Writes `task.json` and, if there are labels, `labels.txt`.

    Args:
      directory: the directory of the model.
      fields: the content of `task.json`.

    Raises:
      InputError: the labels cannot be stored one per line.
      OSError: the files cannot be written.
    """
    if fields["labels"]:
        write_labels(os.path.join(directory, LABELS_FILE), fields["labels"])
    with atomic.replacing(os.path.join(directory, TASK_FILE)) as file:
        json.dump(fields, file, indent=2, ensure_ascii=False)
        file.write("\n")


def load(
    directory: str,
    description: type[Any],
    task: str,
    problem_types: Collection[str],
    types: Mapping[str, tuple[type, ...]],
) -> dict[str, Any] | None:
    """Reads the files that `save` wrote.

    Args:
      directory: the directory of the model.
      description: the dataclass of the task; a field whose default is None may be null.
      task: the name of the task in errors, such as "classification".
      problem_types: the problem types of the task.
      types: the allowed types of fields other than `str`, by name.

    Returns:
      Arguments for `description`; None if the directory has no `task.json`.

    Raises:
      InputError: the files describe another kind of model, are corrupt, or do not match each other.
    """
    path = file_system.path(directory) / TASK_FILE
    if not path.exists():
        return None
    content = _read(path)
    kind = content.get("problem_type")
    if isinstance(kind, str) and kind not in problem_types:
        raise InputError(
            f"{directory} holds a model for {kind}, not for {task} ({TASK_FILE}); give another --output_dir, or "
            "--overwrite_output_dir to start over."
        )
    fields = _checked(path, content, description, types)
    labels = fields["labels"]
    if labels:
        listed = read_labels(os.path.join(directory, LABELS_FILE))
        if listed != labels:
            raise InputError(
                f"{os.path.join(directory, LABELS_FILE)} has the labels {_shown(listed, labels)}, but {path} has "
                f"{_shown(labels, listed)}; the model knows them by number, so restore the original file."
            )
    return fields


def setting(directory: str | os.PathLike[str], key: str, kind: type) -> Any:
    """A value in a directory's `task.json`, without knowing the task; None if it or the file is missing.

    Args:
      directory: the directory of the model.
      key: the key of the value.
      kind: the type of the value: `str` or `bool`.

    Raises:
      InputError: the file cannot be read, or the value is of another type.
    """
    path = os.path.join(directory, TASK_FILE)
    return json_files.get(json_files.read_object(path, _ADVICE), key, kind, path) if file_system.isfile(path) else None


def check_same_model(directory: str, compared: Iterable[tuple[str, Any, Any]]) -> None:
    """Checks that the model in a directory was trained for the same task as that of the command.

    Args:
      directory: the directory, for the error message.
      compared: the name of each setting, its value in the command, and its value in the directory.

    Raises:
      InputError: a value differs; the message names the first difference.
    """
    for name, value, saved_value in compared:
        if value != saved_value:
            raise InputError(
                f"{directory} holds a model for {name} {_shown(saved_value, value)}, where this command has "
                f"{_shown(value, saved_value)}; give another --output_dir, or --overwrite_output_dir to start over."
            )


def may_read(directory: str, path: str) -> bool:
    """Whether a data file named in `task.json` may be read without a flag: only one in the model's own directory.

    A model may come from an untrusted source, and its `task.json` could name any file on this machine.
    """
    return file_system.is_inside(path, directory)


def check_may_read(directory: str, flag: str, path: str) -> None:
    """Checks `may_read`.

    Args:
      directory: the directory of the model.
      flag: the name of the flag with which the user can specify the data.
      path: the path in `task.json`.

    Raises:
      InputError: the path may only be read if the flag specifies it.
    """
    if not may_read(directory, path):
        raise InputError(
            f"--{flag} is missing, and {os.path.join(directory, TASK_FILE)} names a path outside its "
            f"directory; to read it, give --{flag}={path}."
        )


def _read(path: Path) -> dict[str, Any]:
    return json_files.read_object(path, _ADVICE)


def _checked(
    path: Path, content: dict[str, Any], description: type[Any], types: Mapping[str, tuple[type, ...]]
) -> dict[str, Any]:
    """The content with defaults for missing fields, after checking its keys and types."""
    fields = {field.name: field for field in dataclasses.fields(description)}
    defaults = {name: field.default for name, field in fields.items() if field.metadata.get(MAY_BE_MISSING)}
    content = {**defaults, **content}
    wrong = sorted(fields.keys() ^ content.keys())
    if wrong:
        problem = "lacks" if wrong[0] in fields else "has the unknown"
        raise InputError(f"{path} {problem} key {wrong[0]!r}; {_ADVICE}")
    for name, value in content.items():
        allowed = (list,) if name == "labels" else types.get(name, (str,))
        is_optional = value is None and fields[name].default is None
        are_strings = name != "labels" or (isinstance(value, list) and all(isinstance(label, str) for label in value))
        if not is_optional and (type(value) not in allowed or not are_strings):
            raise InputError(f"{path}: {name} cannot be {json_files.shown(value)}; {_ADVICE}")
    return {**content, "labels": tuple(content["labels"])}


def _shown(value: Any, other: Any) -> str:
    """A value for an error message that also shows another one; of long lists only the first difference."""
    if not isinstance(value, tuple):
        return str(value).lower() if isinstance(value, bool) else repr(value)
    if max(len(value), len(other)) <= MOST_NAMED:
        return ", ".join(map(repr, value)) or "(none)"
    first = next(index for index, pair in enumerate(zip_longest(value, other)) if pair[0] != pair[1])
    return f"({len(value)}, number {first}: {value[first]!r})" if first < len(value) else f"({len(value)})"
