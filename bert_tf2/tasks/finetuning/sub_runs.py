"""The runs of a command that has several (`seeds`, `search`), each in its own directory.

Each is done once, however often the command is killed and repeated: `finished.json` in a run's directory says that it
is finished, and with which flags and files.
"""

import gc
import json
import logging
import os
from collections.abc import Callable
from typing import Any, TypeVar

from bert_tf2.io import atomic, file_system, json_files, run_dir, run_files
from bert_tf2.io.spreadsheets import Workbook
from bert_tf2.tasks.finetuning.config import FinetuningConfig

logger = logging.getLogger(__name__)

Config = TypeVar("Config", bound=FinetuningConfig)
Results = dict[str, float]

_WITHOUT_EFFECT = ("output_dir", "overwrite_output_dir", "report_to")


def run_once(config: Config, run: Callable[[Config], Results | None], is_chief: bool) -> Results | None:
    """Runs, unless `finished.json` in the run's directory says that the same run is finished.

    Only runs that train are recorded: evaluation and prediction without training are always done again.

    Args:
      config: the flags of the run, with its own `output_dir`.
      run: trains, evaluates and predicts according to the flags; returns the results of the evaluation, None if there
        was none.
      is_chief: whether this process is the one that writes files.

    Returns:
      The results of the evaluation; None if there was none.

    Raises:
      InputError: `finished.json` is corrupt; or an error of `run`.
      OSError: `finished.json` cannot be written; or an error of `run`.
    """
    is_recorded = config.do_train and not config.dry_run
    path = os.path.join(config.output_dir, run_files.FINISHED)
    record = _record(config) if is_recorded else {}
    if is_recorded and not config.overwrite_output_dir and file_system.exists(path):
        finished = json_files.read_object(path, "remove it, and the run is made again.")
        results = json_files.get(finished, "results", dict, path)
        finished.pop("results", None)
        if finished == record:
            logger.info("%s is finished, as %s says; remove that file to run it again.", config.output_dir, path)
            return None if results is None else json_files.with_nan(results)
    results = run(config)
    gc.collect()  # frees the memory of this run's model for the next one
    if is_recorded and is_chief:
        scores = None if results is None else json_files.without_nan(results)
        with atomic.replacing(path) as file:
            file.write(json.dumps({**record, "results": scores}, indent=1) + "\n")
    return results


def plain_flags(config: FinetuningConfig) -> dict[str, Any]:
    """All flags, with values that JSON can represent."""
    return json_files.plain(run_dir.flat_values(config))


def _record(config: FinetuningConfig) -> dict[str, Any]:
    """What a run depends on: the flags, and the sizes and times of the files that they name."""
    flags = {name: value for name, value in plain_flags(config).items() if name not in _WITHOUT_EFFECT}
    return {
        "flags": flags,
        "files": {name: _file_states(value) for name, value in flags.items() if _is_path(name, value)},
    }


def _is_path(name: str, value: Any) -> bool:
    return isinstance(value, str) and name.endswith(("_file", "_dir"))


def _file_states(path: str) -> list[list[Any]]:
    """Name, size and modification time of a file, or of each file in a directory."""
    if workbook := Workbook.of(path):  # `reviews.xlsx#Sheet2`
        path = workbook.path
    if file_system.isdir(path):
        names = sorted(file_system.listdir(path))
        paths = [os.path.join(path, name) for name in names]
    else:
        paths = [path]
    stats = [(os.path.basename(file), file_system.stat(file)) for file in paths if file_system.isfile(file)]
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]
