"""Runs several commands in one process, for `ram://`, whose files disappear with the process."""

import importlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from bert_tf2 import cli
from bert_tf2.io import file_system


def call(command: str, arguments: Sequence[str]) -> None:
    """Runs a command with the flags of a command line; it must succeed."""
    before = set(flags.FLAGS)
    try:
        importlib.import_module(f"bert_tf2.commands.{command}").main([command, *arguments])
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"{command}: {end.code}") from end
    finally:
        for name in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, name)
        cli._SETTINGS.clear()


def copy_tree(source: str, target: str) -> None:
    """Copies the files of a directory and its subdirectories from one file system to another."""
    root = file_system.path(source)
    for path in root.rglob("*"):
        if path.is_file():
            final = file_system.path(target) / path.relative_to(root)
            final.parent.mkdir(parents=True, exist_ok=True)
            with path.open("rb") as original, final.open("wb") as file:
                shutil.copyfileobj(original, file)


def names_in(directory: str) -> set[str]:
    """The files of a directory and its subdirectories, as relative paths."""
    root: Path = file_system.path(directory)
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
