"""Logs when XLA compiled for a new batch shape, and how long that took, to explain single slow steps.

TensorFlow does not report when XLA compiles. But XLA compiles when a shape occurs for the first time, and such a step
takes longer; so slow steps with a new shape are logged.
"""

import logging
import math

import numpy as np
from numpy.typing import NDArray

from bert_tf2.errors import counted
from bert_tf2.io.progress import duration
from bert_tf2.modeling import fused_ops, unpadded

logger = logging.getLogger(__name__)

_MAX_LINES = 12
_MIN_SECONDS = 0.2  # less is not worth a line
_MIN_FRACTION = 0.5  # of the usual time of the steps; less may be noise

Shape = tuple[int, int, int]


class Compilations:
    """The shapes that a run has seen, and the usual time of its steps.

    Create it before the step is traced.

    Args:
      compiles: whether XLA compiles the whole step; else it compiles only what `fused_ops` fuses.
    """

    def __init__(self, compiles: bool) -> None:
        self._compiles = compiles
        self._uses = fused_ops.call_count()
        self._seen: set[Shape] = set()
        self._usual_seconds = math.inf  # of a step
        self._lines = 0

    def record(self, step: int, shapes: NDArray[np.int32], seconds: float) -> float:
        """Records some steps, and logs the compilations among them.

        Args:
          step: the number of steps before them.
          shapes: of their batches, see `step.Totals.shapes`.
          seconds: the time that they took together.

        Returns:
          The seconds spent compiling for a new shape; 0 for the first step.
        """
        occurring = [
            (rows, columns, 0 if self._compiles else unpadded.rounded_size(tokens))
            for rows, columns, *token_counts in shapes.tolist()
            for tokens in token_counts
        ]
        new = [shape for shape in dict.fromkeys(occurring) if shape not in self._seen]
        is_first, compiling_seconds = not self._seen, 0.0
        self._seen.update(new)
        steps = f"step {step + 1}" if len(shapes) == 1 else f"steps {step + 1} to {step + len(shapes)}"
        if new and (self._compiles or fused_ops.call_count() > self._uses):
            usual_seconds = len(shapes) * self._usual_seconds
            if is_first:
                scope = "the whole step" if self._compiles else "everything between its matmuls"
                self._log(
                    f"The first step took {_format_seconds(seconds)}: it was traced, and XLA compiled {scope} for "
                    f"{_format_shapes(new)}. This is expected; XLA compiles again for each new shape."
                )
            elif seconds - usual_seconds >= max(_MIN_SECONDS, _MIN_FRACTION * usual_seconds):
                compiling_seconds = seconds - usual_seconds
                self._log(
                    f"XLA compiled for {_format_shapes(new)}: {steps} took {_format_seconds(compiling_seconds)} longer."
                )
        if not is_first:
            self._usual_seconds = min(self._usual_seconds, seconds / len(shapes))
        return compiling_seconds

    def _log(self, text: str) -> None:
        self._lines += 1
        if self._lines <= _MAX_LINES:
            logger.info("%s%s", text, " Further shapes are not logged." if self._lines == _MAX_LINES else "")


def _format_shapes(shapes: list[Shape]) -> str:
    return "; ".join(
        f"{counted(rows, 'row')} of {counted(columns, 'position')}"
        + (f", up to {counted(tokens, 'token')}" if tokens else "")
        for rows, columns, tokens in shapes
    )


def _format_seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)
