"""The checkpoints of a directory: TensorFlow's file `checkpoint`, and finding checkpoints by path.

The file may come from an untrusted source, so entries outside the directory are not followed.
"""

import functools
import glob
import json
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from bert_tf2.errors import InputError
from bert_tf2.io import file_system, run_files
from bert_tf2.io.atomic import replacing

logger = logging.getLogger(__name__)

STATE_FILE = run_files.CHECKPOINT_LIST
_SAVED_VARIABLES = "variables/variables"  # the prefix of the checkpoint in a SavedModel
_TRAINING_CHECKPOINT = re.compile(r"model\.ckpt-(\d+)\.index")


def latest(directory: str | os.PathLike[str]) -> str | None:
    """The prefix of the newest checkpoint listed in the file `checkpoint` of a directory; None without that file.

    Raises:
      InputError: the file cannot be parsed, or that checkpoint is not in the directory.
    """
    if not is_listed(directory):
        return None
    state_file = file_system.path(directory) / STATE_FILE
    listed = read_state(directory)
    if listed is None:
        raise InputError(
            f'{state_file} does not name a checkpoint; write model_checkpoint_path: "model.ckpt-N" into it.'
        )
    if not exists(listed[-1]):
        raise InputError(
            f"{state_file} names {listed[-1]}, which does not exist (its .index and .data files); restore them, or "
            "name another checkpoint of the directory in that file."
        )
    return listed[-1]


def newest_first(directory: str | os.PathLike[str]) -> list[str]:
    """The prefixes of a directory's checkpoints, by its file `checkpoint`, or, if that cannot be parsed, by step.

    Raises:
      InputError: the newest checkpoint in the file is outside the directory.
    """
    listed = read_state(directory)
    if listed is not None:
        return listed[::-1]
    matches = [
        (match, path)
        for path in file_system.path(directory).iterdir()
        if (match := _TRAINING_CHECKPOINT.fullmatch(path.name))
    ]
    ordered = sorted(((int(match[1]), path) for match, path in matches), reverse=True)
    return [os.fspath(path).removesuffix(".index") for _, path in ordered]


def read_state(directory: str | os.PathLike[str]) -> list[str] | None:
    """The prefixes that the file `checkpoint` lists, the newest last; None if it is missing or cannot be parsed.

    For an entry outside the directory, such as an absolute path after the directory was copied, the checkpoint of the
    same base name in the directory is used. Older entries without such a checkpoint are dropped.

    Raises:
      InputError: the newest entry is outside the directory, and there is no such checkpoint.
    """
    try:
        state = tf.train.get_checkpoint_state(os.fspath(directory))
    except ValueError:  # the file exists, but lists no checkpoint
        state = None
    if state is None:
        return None
    newest = str(state.model_checkpoint_path)
    older = [path for path in state.all_model_checkpoint_paths if path != newest]
    inside = [path for path in map(functools.partial(_path_inside, directory), older) if path is not None]
    last = _path_inside(directory, newest)
    if last is None:
        raise InputError(
            f"{os.path.join(directory, STATE_FILE)} names {newest}, which is outside the directory, and there is no "
            f"{os.path.basename(newest)} in it; write model_checkpoint_path with a checkpoint of the directory."
        )
    return [*(path for path in dict.fromkeys(inside) if path != last), last]


def _path_inside(directory: str | os.PathLike[str], prefix: str) -> str | None:
    """The prefix of the same base name in the directory.

    None if the given prefix is outside the directory, and no checkpoint of that name is in it.
    """
    name = os.path.basename(prefix)
    inside = os.path.join(directory, name)
    if name and file_system.realpath(os.path.dirname(prefix)) == file_system.realpath(directory):
        return inside
    if not name or not exists(inside):
        return None
    _warn_of_outside(os.fspath(directory), prefix, inside)
    return inside


@functools.cache  # so that a process warns only once
def _warn_of_outside(directory: str, prefix: str, inside: str) -> None:
    logger.warning(
        "%s names %s, which is outside the directory; %s is used instead.",
        file_system.path(directory) / STATE_FILE,
        prefix,
        inside,
    )


def write_state(directory: Path, prefixes: Sequence[str]) -> None:
    """Writes the file `checkpoint`, with relative paths, so that the directory can be moved.

    Args:
      directory: the directory of the checkpoints.
      prefixes: the prefixes to list, the newest last.

    Raises:
      OSError: the file cannot be written.
    """
    names = [json.dumps(os.path.relpath(prefix, directory)) for prefix in prefixes]
    with replacing(directory / STATE_FILE) as file:
        file.write(f"model_checkpoint_path: {names[-1]}\n")
        file.writelines(f"all_model_checkpoint_paths: {name}\n" for name in names)


def find(path: str) -> str:
    """The prefix of a checkpoint, given its prefix, one of its files, or its directory.

    Of a directory with the file `checkpoint`, that is the newest listed checkpoint; else its only one.

    Raises:
      InputError: there is no checkpoint, or a directory has several.
    """
    if file_system.isdir(path):
        newest = latest(path)
        if newest:
            return newest
        prefixes = unlisted(path)
        if len(prefixes) == 1:
            return prefixes[0]
        if is_saved_model(path):
            return os.path.join(path, _SAVED_VARIABLES)
        names = ", ".join(map(os.path.basename, prefixes[:4])) or "NAME.ckpt"
        raise InputError(
            f"The directory {path} has {len(prefixes) or 'no'} checkpoints; give the path of one, with its name "
            f"({names})."
        )
    prefix = re.sub(r"\.(index|data-\d{5}-of-\d{5})$", "", path)
    if not exists(prefix):
        raise InputError(
            f"There is no checkpoint {prefix}: {prefix}.index and {prefix}.data-00000-of-00001 were expected; "
            "check the path (it ends in .ckpt or .ckpt-N, without .index)."
        )
    return prefix


def is_saved_model(directory: str | os.PathLike[str]) -> bool:
    """Whether a directory is a SavedModel, such as those of TF-Hub, without another checkpoint in it."""
    return exists(os.path.join(directory, _SAVED_VARIABLES)) and not has_checkpoint(directory)


def assets_directory(directory: str) -> str:
    """The directory of a model's other files, given that of its weights: the same, or the assets of a SavedModel."""
    parent = os.path.dirname(directory) if os.path.basename(directory) == os.path.dirname(_SAVED_VARIABLES) else ""
    saved_model = next((path for path in (directory, parent) if path and is_saved_model(path)), None)
    return os.path.join(saved_model, "assets") if saved_model else directory


def is_listed(directory: str | os.PathLike[str]) -> bool:
    """Whether a directory has the file `checkpoint`, from which runs resume."""
    return (file_system.path(directory) / STATE_FILE).exists()


def has_checkpoint(directory: str | os.PathLike[str]) -> bool:
    """Whether a directory has a checkpoint, listed or not."""
    return is_listed(directory) or bool(unlisted(directory))


def unlisted(directory: str | os.PathLike[str]) -> list[str]:
    """The prefixes of a directory's checkpoints, by its files; if any has `.ckpt` in its name, only those."""
    indexes = sorted(map(os.fspath, file_system.path(directory).glob("*.index")))
    prefixes = [prefix for prefix in (path.removesuffix(".index") for path in indexes) if exists(prefix)]
    return [prefix for prefix in prefixes if ".ckpt" in os.path.basename(prefix)] or prefixes


def exists(prefix: str) -> bool:
    """Whether the files of a checkpoint exist."""
    return file_system.exists(f"{prefix}.index") and bool(_data_files(prefix))


def _data_files(prefix: str) -> list[Path]:
    path = file_system.path(prefix)
    return list(path.parent.glob(f"{glob.escape(path.name)}.data-*"))


def remove(prefix: str) -> None:
    """Deletes a checkpoint's files, `.index` first."""
    for file in [f"{prefix}.index", *map(os.fspath, _data_files(prefix))]:
        file_system.remove(file)
