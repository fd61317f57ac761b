"""A model's logits of windows, kept while they are computed, so that a prediction that was killed goes on.

Shapes: `F` windows, `S` `max_seq_length`.
"""

import hashlib
import shutil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2.input_pipeline import example_batches
from bert_tf2.input_pipeline.example_batches import ExampleArrays
from bert_tf2.io.resumable_output import UnfinishedOutput, unfinished_folder
from bert_tf2.io.spilled import SpilledArray
from bert_tf2.modeling.question_answering import END_LOGITS, START_LOGITS
from bert_tf2.modeling.task_model import Task
from bert_tf2.tasks.finetuning.runner import Finetuning, Outputs
from bert_tf2.training.distribution import Workers

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


def compute(
    finetuning: Finetuning,
    outputs: Outputs,
    windows: ExampleArrays,
    batch_size: int,
    output_file: str | None = None,
    directory: str | None = None,
) -> Logits:
    """Start and end logits of all windows.

    Args:
      finetuning: the model on its devices.
      outputs: from a batch to logits of S positions; what `Finetuning.compiled` made.
      windows: F of them.
      batch_size: windows of a batch, over all devices.
      output_file: what is made of the logits. Beside it is kept what is done, until `discard`; a later call with the
        same weights and windows goes on from there. None keeps nothing. Several workers keep nothing either, as each
        would have to know what all others have.
      directory: where goes what is too much for memory and not beside an output file, see `spilled`.

    Raises:
      InputError: another process computes for the same file.
      OSError: the logits cannot be written.
    """
    size = windows.max_length
    if output_file is None or not len(windows) or Workers.of(finetuning.strategy).count > 1:
        rows = [np.empty(0, np.int64)]
        found = {name: SpilledArray((size,), np.float32, directory) for name in (START_LOGITS, END_LOGITS)}
        if len(windows):
            for batch in finetuning.predict_batches(outputs, windows, batch_size):
                rows.append(batch[example_batches.ROW])
                for name, values in found.items():
                    values.append(batch[name])
        return Logits(np.concatenate(rows), *(values.finish() for values in found.values()))
    settings = _settings(finetuning, windows, batch_size)
    with UnfinishedOutput(output_file, (_ROWS, START_LOGITS, END_LOGITS), settings) as output:
        done = output.done.get("batches", 0)
        for batch in finetuning.predict_batches(outputs, windows, batch_size, done):
            output.append(_ROWS, batch[example_batches.ROW].astype(np.int64).tobytes())
            for name in (START_LOGITS, END_LOGITS):
                output.append(name, batch[name].astype(np.float32).tobytes())
            done += 1
            output.commit({"batches": done})
        output.commit({"batches": done}, at_once=True)
        start, end = (np.memmap(output.folder / name, np.float32, "r") for name in (START_LOGITS, END_LOGITS))
        return Logits(np.fromfile(output.folder / _ROWS, np.int64), start.reshape(-1, size), end.reshape(-1, size))


def discard(output_file: str) -> None:
    """Removes what `compute` has kept, once the file is written."""
    shutil.rmtree(unfinished_folder(output_file), ignore_errors=True)


def fingerprint(model: Task) -> str:
    """What tells a model's weights from others."""
    digest = hashlib.sha256()
    for name, variable in sorted(model.named_variables.items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(variable.numpy()).data)
    return digest.hexdigest()


def _settings(finetuning: Finetuning, windows: ExampleArrays, batch_size: int) -> dict[str, Any]:
    """What the logits follow from."""
    digest = hashlib.sha256()
    for values in (windows.row_splits, *(windows.tokens[name] for name in sorted(windows.tokens))):
        digest.update(np.ascontiguousarray(values).data)
    return {
        "weights": fingerprint(finetuning.model),
        "windows": digest.hexdigest(),
        "config": finetuning.foundation.bert_config.to_dict(),
        "precision": finetuning.precision.precision,
        "max_seq_length": windows.max_length,
        "batch_size": batch_size,
        "with_padding": finetuning.config.predicts_at_full_length,
    }
