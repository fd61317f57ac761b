"""The output of evaluations of all fine-tuning tasks: `eval_results.txt`, and tables for the log."""

import logging
import os
from collections.abc import Mapping, Sequence

import numpy as np

from bert_tf2.io import atomic, run_files

logger = logging.getLogger(__name__)

_MAX_NAME_LENGTH = 24


def report(output_dir: str, results: Mapping[str, float], with_events: bool) -> None:
    """Writes the results of an evaluation and logs them.

    Args:
      output_dir: the directory to write to.
      results: the results, including `global_step`.
      with_events: whether to write them for TensorBoard, too; false if the training's last evaluation has done that.

    Raises:
      OSError: they cannot be written.
    """
    from bert_tf2.training.tensorboard import event_writer, write_scalars

    path = os.path.join(output_dir, run_files.EVAL_RESULTS)
    lines = write_eval_results(path, results)
    if with_events:
        events = event_writer(os.path.join(output_dir, run_files.EVAL_EVENTS))
        scalars = {name: value for name, value in results.items() if name != "global_step"}
        write_scalars(events, int(results["global_step"]), scalars, "eval")
    logger.info("\n".join(["***** Eval results *****", *(f"  {line}" for line in lines), f"Wrote {path}."]))


def write_eval_results(path: str, results: Mapping[str, float]) -> list[str]:
    """Writes `name = value` lines sorted by name, as google-research/bert `run_classifier.py` does.

    Args:
      path: the path of `eval_results.txt`.
      results: integers (`global_step`) are written as such, all other numbers as NumPy prints a float32.

    Returns:
      The lines, for the log.
    """
    lines = [f"{name} = {_printed(value)}" for name, value in sorted(results.items())]
    with atomic.replacing(path) as file:
        file.writelines(f"{line}\n" for line in lines)
    return lines


def table(rows: Sequence[Sequence[str]]) -> str:
    """Formats rows of cells as a table: the first column left-aligned, all others right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def short(name: str) -> str:
    """A label as shown in a table, truncated if it is long."""
    return name if len(name) <= _MAX_NAME_LENGTH else f"{name[: _MAX_NAME_LENGTH - 3]}..."


def _printed(value: float) -> str:
    return str(value) if isinstance(value, int | np.integer) else str(np.float32(value))
