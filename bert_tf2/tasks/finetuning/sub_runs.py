"""Runs of one command that have a directory each: each is done once, however often the command is killed and repeated.

`seeds` and `search` make the runs; what is finished is remembered in `finished.json` of a run's directory, with the
flags and the files that it was run with.
"""

import gc
import json
import logging
import math
import os
from collections.abc import Callable
from typing import Any, TypeVar

from bert_tf2.io import atomic, file_system, json_files, run_dir, run_files
from bert_tf2.tasks.finetuning.config import FinetuningConfig

logger = logging.getLogger(__name__)

Config = TypeVar("Config", bound=FinetuningConfig)
Results = dict[str, float]

_WITHOUT_EFFECT = ("output_dir", "overwrite_output_dir", "report_to")


def run_once(config: Config, run: Callable[[Config], Results | None], is_chief: bool) -> Results | None:
    """Runs, unless the run's directory says that the same has been done to the end.

    Only trainings are remembered: an evaluation or a prediction that is asked for alone is always made.

    Args:
      config: the flags of the run; `output_dir` is its own.
      run: does all that they ask for; returns the results of the evaluation, None if there was none.
      is_chief: whether this process writes.

    Returns:
      The results of the evaluation.

    Raises:
      InputError: `finished.json` is corrupt, or see `run`.
    """
    is_remembered = config.do_train and not config.dry_run
    path = os.path.join(config.output_dir, run_files.FINISHED)
    done = _content(config) if is_remembered else {}
    if is_remembered and not config.overwrite_output_dir and file_system.exists(path):
        kept = json_files.read_object(path, "remove it, and the run is made again.")
        results = kept.pop("results", None)
        if kept == done:
            logger.info("%s is finished, as %s says; remove that file to run it again.", config.output_dir, path)
            return None if results is None else json_files.with_nan(results)
    results = run(config)
    gc.collect()  # the model of this run, before the next one needs its memory
    if is_remembered and is_chief:
        scores = None if results is None else json_files.without_nan(results)
        with atomic.replacing(path) as file:
            file.write(json.dumps({**done, "results": scores}, indent=1) + "\n")
    return results


def plain_flags(config: FinetuningConfig) -> dict[str, Any]:
    """All flags with values that JSON has."""
    return {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in run_dir.flat_values(config).items()
    }


def _content(config: FinetuningConfig) -> dict[str, Any]:
    """What a run follows from: the flags, and size and time of the files that they name."""
    flags = {name: value for name, value in plain_flags(config).items() if name not in _WITHOUT_EFFECT}
    return {"flags": flags, "files": {name: _state(value) for name, value in flags.items() if _is_path(name, value)}}


def _is_path(name: str, value: Any) -> bool:
    return isinstance(value, str) and name.endswith(("_file", "_dir"))


def _state(path: str) -> list[list[Any]]:
    """Name, size and time of a file, or of the files in a directory."""
    if file_system.isdir(path):
        names = sorted(file_system.listdir(path))
        paths = [os.path.join(path, name) for name in names]
    else:
        paths = [path]
    states = [(os.path.basename(each), file_system.stat(each)) for each in paths if file_system.isfile(each)]
    return [[name, state.st_size, state.st_mtime_ns] for name, state in states]
