"""Logs when XLA compiled for a new batch shape, and how long that took, to explain single slow steps.

TensorFlow does not report when XLA compiles. But it does so when a shape occurs for the first time, and that step takes
longer; so steps with both are reported.
"""

import logging
import math

import numpy as np
from numpy.typing import NDArray

from bert_tf2.errors import counted
from bert_tf2.io.progress import duration
from bert_tf2.modeling import fused_ops, unpadded

logger = logging.getLogger(__name__)

_MOST_LINES = 12
_LEAST_SECONDS = 0.2  # less is not worth a line
_LEAST_PART = 0.5  # of the usual time of the steps; less may be noise

Shape = tuple[int, int, int]


class Compilations:
    """The shapes that a run has seen, and the usual time of its steps.

    Make it before the step is traced.

    Args:
      compiles: whether XLA compiles the whole step; else only what `fused_ops` fuses.
    """

    def __init__(self, compiles: bool) -> None:
        self._compiles = compiles
        self._uses = fused_ops.uses()
        self._known: set[Shape] = set()
        self._usual = math.inf  # seconds of a step
        self._lines = 0

    def after(self, step: int, shapes: NDArray[np.int32], seconds: float) -> float:
        """Records some steps, and logs what is worth logging.

        Args:
          step: the number of steps before them.
          shapes: of their batches, see `step.Totals.shapes`.
          seconds: what they took.

        Returns:
          How many of these seconds were spent compiling for a new shape; 0 for the first step.
        """
        met = [
            (rows, columns, 0 if self._compiles else unpadded.rounded(tokens))
            for rows, columns, *parts in shapes.tolist()
            for tokens in parts
        ]
        new = [shape for shape in dict.fromkeys(met) if shape not in self._known]
        is_first, compiling = not self._known, 0.0
        self._known.update(new)
        steps = f"step {step + 1}" if len(shapes) == 1 else f"steps {step + 1} to {step + len(shapes)}"
        if new and (self._compiles or fused_ops.uses() > self._uses):
            usual = len(shapes) * self._usual
            if is_first:
                what = "the whole step" if self._compiles else "everything between its matmuls"
                self._say(
                    f"The first step took {_shown_seconds(seconds)}: it was traced, and XLA compiled {what} for "
                    f"{_shown(new)}. This is expected; XLA compiles again for each new shape."
                )
            elif seconds - usual >= max(_LEAST_SECONDS, _LEAST_PART * usual):
                compiling = seconds - usual
                self._say(f"XLA compiled for {_shown(new)}: {steps} took {_shown_seconds(compiling)} longer.")
        if not is_first:
            self._usual = min(self._usual, seconds / len(shapes))
        return compiling

    def _say(self, text: str) -> None:
        self._lines += 1
        if self._lines <= _MOST_LINES:
            logger.info("%s%s", text, " Further shapes are not logged." if self._lines == _MOST_LINES else "")


def _shown(shapes: list[Shape]) -> str:
    return "; ".join(
        f"{counted(rows, 'row')} of {counted(columns, 'position')}"
        + (f", up to {counted(tokens, 'token')}" if tokens else "")
        for rows, columns, tokens in shapes
    )


def _shown_seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)
