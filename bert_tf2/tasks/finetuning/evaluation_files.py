"""The output of evaluations of all fine-tuning tasks: `eval_results.txt`, and tables for the log."""

import logging
import os
from collections.abc import Mapping, Sequence

import numpy as np

from bert_tf2.io import atomic, run_files

logger = logging.getLogger(__name__)

_LONGEST_NAME = 24


def report(folder: str, results: Mapping[str, float], with_events: bool) -> None:
    """Writes the results of an evaluation and logs them.

    Args:
      folder: `output_dir`.
      results: `global_step` among them.
      with_events: whether to write them for TensorBoard, too: not where the training's last evaluation has done so.
    """
    from bert_tf2.training.tensorboard import event_writer, write_scalars

    path = os.path.join(folder, run_files.EVAL_RESULTS)
    lines = write_eval_results(path, results)
    if with_events:
        with event_writer(os.path.join(folder, run_files.EVAL_EVENTS)).as_default():
            scalars = {name: value for name, value in results.items() if name != "global_step"}
            write_scalars(int(results["global_step"]), scalars, "eval")
    logger.info("\n".join(["***** Eval results *****", *(f"  {line}" for line in lines), f"Wrote {path}."]))


def write_eval_results(path: str, results: Mapping[str, float]) -> list[str]:
    """Writes `name = value` lines sorted by name, as google-research/bert `run_classifier.py` does.

    Args:
      path: `eval_results.txt`.
      results: whole numbers (`global_step`) are written as such, others as float32 prints itself.

    Returns:
      The lines, for the log.
    """
    lines = [f"{name} = {_printed(value)}" for name, value in sorted(results.items())]
    with atomic.replacing(path) as file:
        file.writelines(f"{line}\n" for line in lines)
    return lines


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells in columns, the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def short(name: str) -> str:
    """A label as shown in a table."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 3]}..."


def _printed(value: float) -> str:
    return str(value) if isinstance(value, int | np.integer) else str(np.float32(value))
