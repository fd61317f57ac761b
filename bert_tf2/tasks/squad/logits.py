"""A model's logits for windows, saved while they are computed, so that a killed prediction can continue.

Shapes: `F` windows, `S` `max_seq_length`.
"""

import numpy as np
from numpy.typing import NDArray

from bert_tf2.modeling.question_answering import END_LOGITS, START_LOGITS
from bert_tf2.tasks.finetuning import kept_outputs
from bert_tf2.tasks.finetuning.outputs import OutputBatches, fingerprint

Floats = NDArray[np.float32]


class Logits:
    """Start and end logits of windows, in memory or in files.

    Args:
      rows: int64 `[F]`, the window that each row is of.
      start: `[F, S]`.
      end: `[F, S]`.
    """

    def __init__(self, rows: NDArray[np.int64], start: Floats, end: Floats) -> None:
        self._place = np.argsort(rows)
        self._start, self._end = start, end

    def part(self, first: int, last: int) -> tuple[Floats, Floats]:
        """Those of windows `first` to `last` (not included), in their order, each `[last - first, S]`."""
        places = self._place[first:last]
        return self._start[places], self._end[places]


def compute(outputs: OutputBatches) -> Logits:
    """Start and end logits of all windows.

    What is done is kept beside `outputs.output_file`, until `outputs.discard`; a later call with the same weights and
    windows continues from there.

    Args:
      outputs: of the F windows, logits of S positions each.

    Raises:
      InputError: another process computes for the same file.
      OSError: the logits cannot be written.
    """
    sizes = dict.fromkeys((START_LOGITS, END_LOGITS), outputs.examples.max_length)
    follows_from = {}
    if outputs.output_file is not None:
        follows_from = {"weights": fingerprint(outputs.model), "windows": kept_outputs.digest(outputs.examples)}
    rows, values = kept_outputs.compute(outputs, sizes, follows_from)
    return Logits(rows, values[START_LOGITS], values[END_LOGITS])
