"""A model's logits for windows, saved while they are computed, so that an interrupted prediction can resume.

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
      windows: int64 `[F]`, the index of the window of each row.
      start: float32 `[F, S]`, start logits.
      end: float32 `[F, S]`, end logits.
    """

    def __init__(self, windows: NDArray[np.int64], start: Floats, end: Floats) -> None:
        self._row_of_window = np.argsort(windows)
        self._start, self._end = start, end

    def of_windows(self, first: int, last: int) -> tuple[Floats, Floats]:
        """Start and end logits of windows `first` to `last` (exclusive), in order, each `[last - first, S]`."""
        rows = self._row_of_window[first:last]
        return self._start[rows], self._end[rows]


def compute(outputs: OutputBatches) -> Logits:
    """Computes start and end logits of all windows.

    Logits are saved next to `outputs.output_file` until `outputs.discard`; a later call with the same weights and
    windows resumes from them.

    Args:
      outputs: the batches of the model's outputs for F windows: logits of S positions each.

    Raises:
      InputError: another process is computing logits for the same file.
      OSError: the logits cannot be written.
    """
    sizes = dict.fromkeys((START_LOGITS, END_LOGITS), outputs.examples.max_length)
    depends_on = {}
    if outputs.output_file is not None:
        depends_on = {"weights": fingerprint(outputs.model), "windows": kept_outputs.digest(outputs.examples)}
    windows, values = kept_outputs.compute(outputs, sizes, depends_on)
    return Logits(windows, values[START_LOGITS], values[END_LOGITS])
