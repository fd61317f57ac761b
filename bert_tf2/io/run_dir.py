"""Output directories: one run at a time, with a record of each run; no TensorFlow."""

import contextlib
import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bert_tf2.errors import InputError
from bert_tf2.io import file_system, json_files, locks, run_files
from bert_tf2.io.atomic import replacing

_PACKAGES = ("bert-tf2", "tensorflow", "tensorflow-text", "keras", "numpy")


@contextlib.contextmanager
def locked(output_dir: str | os.PathLike[str]) -> Iterator[None]:
    """Keeps other processes from training in the directory; the lock ends with the process in any case.

    Raises:
      InputError: another process trains there.
    """
    lock = file_system.path(output_dir) / run_files.LOCK
    with locks.held(lock, f"trains in {os.fspath(output_dir)}", "give another --output_dir"):
        yield


def describe(output_dir: str | os.PathLike[str], config: Any) -> Path:
    """Writes a description of the run into `runs/`: command, configuration, versions; returns its path.

    `--config` accepts such a file to repeat the run.

    Args:
      output_dir: the directory.
      config: a dataclass whose fields, including those of nested dataclasses, are flags.
    """
    started = datetime.datetime.now().astimezone()
    description = {
        "started": started.isoformat(timespec="seconds"),
        "command": command(),
        "folder": os.getcwd(),
        "versions": versions(),
        "config": json_files.plain(flat_values(config)),
    }
    path = file_system.path(output_dir) / run_files.RUNS / f"{started:%Y%m%d-%H%M%S}-{os.getpid()}.json"
    with replacing(path) as file:
        json.dump(description, file, indent=2)
        file.write("\n")
    return path


def latest(output_dir: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The latest description that `describe` wrote; None if none can be read."""
    for path in sorted((file_system.path(output_dir) / run_files.RUNS).glob("*.json"), reverse=True):
        with contextlib.suppress(InputError):
            return json_files.read_object(path)
    return None


def command() -> str:
    """The command line that repeats this process."""
    module = sys.modules["__main__"].__spec__  # None if it is a script
    program = sys.argv[:1] if module is None else ["-m", module.name.removesuffix(".__main__")]
    return shlex.join([sys.executable, *program, *sys.argv[1:]])


def flat_values(config: Any) -> dict[str, Any]:
    """The values of a dataclass's fields by name, including those of nested dataclasses."""
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    own = {name: value for name, value in values.items() if not dataclasses.is_dataclass(value)}
    nested = [flat_values(value) for value in values.values() if dataclasses.is_dataclass(value)]
    return own | {name: value for inner in nested for name, value in inner.items()}


def versions() -> dict[str, str]:
    """The versions of Python, of this project, and of the packages that determine its numbers."""
    installed = {"python": platform.python_version()}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            installed[package] = importlib.metadata.version(package)
    return installed
