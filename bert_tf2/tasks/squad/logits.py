"""A model's logits of windows, kept while they are computed, so that a prediction that was killed goes on.

Shapes: `F` windows, `S` `max_seq_length`.
"""

import hashlib
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2 import example_batches
from bert_tf2.distribution import Workers
from bert_tf2.evaluation import Arrays
from bert_tf2.example_batches import ExampleArrays
from bert_tf2.tasks.finetuning import Finetuning, Outputs
from bert_tf2.tasks.squad.model import END_LOGITS, START_LOGITS
from bert_tf2.tasks.unfinished_output import UnfinishedOutput, unfinished_folder
from bert_tf2.training_step import Task

Floats = NDArray[np.float32]

_ROWS = "rows"


def compute(
    finetuning: Finetuning, outputs: Outputs, windows: ExampleArrays, batch_size: int, output_file: str | None = None
) -> tuple[Floats, Floats]:
    """Start and end logits of all windows in their order, each `[F, S]`.

    Args:
      finetuning: the model on its devices.
      outputs: from a batch to logits of S positions; what `Finetuning.compiled` made.
      windows: F of them.
      batch_size: windows of a batch, over all devices.
      output_file: what is made of the logits. Beside it is kept what is done, until `discard`; a later call with the
        same weights and windows goes on from there. None keeps nothing. Several workers keep nothing either, as each
        would have to know what all others have.

    Raises:
      InputError: another process computes for the same file.
      OSError: the logits cannot be written.
    """
    found = {name: np.empty([len(windows), windows.max_length], np.float32) for name in (START_LOGITS, END_LOGITS)}
    if not len(windows):
        return found[START_LOGITS], found[END_LOGITS]
    if output_file is None or Workers.of(finetuning.strategy).count > 1:
        for batch in finetuning.predict_batches(outputs, windows, batch_size):
            _put(found, batch[example_batches.ROW], batch)
        return found[START_LOGITS], found[END_LOGITS]
    settings = _settings(finetuning, windows, batch_size)
    with UnfinishedOutput(output_file, (_ROWS, *found), settings) as output:
        done = output.done.get("batches", 0)
        rows = np.fromfile(output.folder / _ROWS, np.int64)
        size = windows.max_length
        _put(found, rows, {name: np.fromfile(output.folder / name, np.float32).reshape(-1, size) for name in found})
        for batch in finetuning.predict_batches(outputs, windows, batch_size, done):
            rows = batch[example_batches.ROW]
            _put(found, rows, batch)
            output.append(_ROWS, rows.astype(np.int64).tobytes())
            for name in found:
                output.append(name, batch[name].astype(np.float32).tobytes())
            done += 1
            output.commit({"batches": done})
        output.commit({"batches": done}, at_once=True)
    return found[START_LOGITS], found[END_LOGITS]


def discard(output_file: str) -> None:
    """Removes what `compute` has kept, once the file is written."""
    shutil.rmtree(unfinished_folder(output_file), ignore_errors=True)


def _put(found: Mapping[str, Floats], rows: NDArray[np.int64], batch: Arrays) -> None:
    for name, values in found.items():
        values[rows] = batch[name]


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
