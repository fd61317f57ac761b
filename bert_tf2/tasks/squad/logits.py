"""A model's logits for windows, saved while they are computed, so that a killed prediction can continue.

Shapes: `F` windows, `S` `max_seq_length`.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from bert_tf2.input_pipeline.example_batches import ROW, ExampleArrays
from bert_tf2.io.resumable_output import UnfinishedOutput
from bert_tf2.io.spilled import SpilledArray
from bert_tf2.modeling.question_answering import END_LOGITS, START_LOGITS
from bert_tf2.tasks.finetuning.outputs import OutputBatches, fingerprint

Floats = NDArray[np.float32]

_ROWS = "rows"


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
    size, windows = outputs.examples.max_length, outputs.examples
    if outputs.output_file is None or not len(windows):
        rows = [np.empty(0, np.int64)]
        found = {name: SpilledArray((size,), np.float32, outputs.directory) for name in (START_LOGITS, END_LOGITS)}
        for batch in outputs.batches():
            rows.append(batch[ROW])
            for name, values in found.items():
                values.append(batch[name])
        return Logits(np.concatenate(rows), *(values.finish() for values in found.values()))
    settings = {**outputs.settings, "weights": fingerprint(outputs.model), "windows": _digest(windows)}
    with UnfinishedOutput(outputs.output_file, (_ROWS, START_LOGITS, END_LOGITS), settings) as output:
        done = output.done.get("batches", 0)
        for batch in outputs.batches(done):
            output.append(_ROWS, batch[ROW].astype(np.int64).tobytes())
            for name in (START_LOGITS, END_LOGITS):
                output.append(name, batch[name].astype(np.float32).tobytes())
            done += 1
            output.commit({"batches": done})
        output.commit({"batches": done}, at_once=True)
        start, end = (np.memmap(output.folder / name, np.float32, "r") for name in (START_LOGITS, END_LOGITS))
        return Logits(np.fromfile(output.folder / _ROWS, np.int64), start.reshape(-1, size), end.reshape(-1, size))


def _digest(windows: ExampleArrays) -> str:
    digest = hashlib.sha256()
    for values in (windows.row_splits, *(windows.tokens[name] for name in sorted(windows.tokens))):
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()
