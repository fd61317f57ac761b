"""A model's outputs, saved while they are computed, so that a killed prediction can continue.

Shapes: `N` examples.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bert_tf2.input_pipeline.example_batches import ROW, ExampleArrays
from bert_tf2.io.resumable_output import UnfinishedOutput
from bert_tf2.io.spilled import SpilledArray
from bert_tf2.tasks.finetuning.outputs import OutputBatches

Floats = NDArray[np.float32]

_ROWS = "rows"


class KeptOutputs(NamedTuple):
    """Outputs in the order in which they were computed, in memory or in files.

    Attributes:
      rows: int64 `[N]`, the number of the example that each output belongs to.
      values: by name, float32 `[N, size]`.
    """

    rows: NDArray[np.int64]
    values: Mapping[str, Floats]


def compute(outputs: OutputBatches, sizes: Mapping[str, int], digests: Mapping[str, str]) -> KeptOutputs:
    """Computes all outputs of N examples.

    Finished batches are saved next to `outputs.output_file` until they are discarded (`outputs.discard` of this
    package); a later call with the same settings continues from there.

    Args:
      outputs: the outputs to compute.
      sizes: the number of values per example of each required output, by name.
      digests: digests of weights and examples, on which the outputs depend in addition to `outputs.settings`.

    Raises:
      InputError: another process is computing outputs for the same file.
      OSError: the outputs cannot be saved.
    """
    if outputs.output_file is None or not len(outputs.examples):
        rows = [np.empty(0, np.int64)]
        growing = {name: SpilledArray((size,), np.float32, outputs.directory) for name, size in sizes.items()}
        for batch in outputs.batches():
            rows.append(batch[ROW])
            for name, array in growing.items():
                array.append(batch[name])
        return KeptOutputs(np.concatenate(rows), {name: array.finish() for name, array in growing.items()})
    settings: dict[str, Any] = {**outputs.settings, **digests}
    with UnfinishedOutput(outputs.output_file, (_ROWS, *sizes), settings) as output:
        done = output.done.get("batches", 0)
        for batch in outputs.batches(done):
            output.append(_ROWS, batch[ROW].astype(np.int64).tobytes())
            for name in sizes:
                output.append(name, batch[name].astype(np.float32).tobytes())
            done += 1
            output.commit({"batches": done})
        output.commit({"batches": done}, at_once=True)
        values = {
            name: np.memmap(output.directory / name, np.float32, "r").reshape(-1, size) for name, size in sizes.items()
        }
        return KeptOutputs(np.fromfile(output.directory / _ROWS, np.int64), values)


def digest(examples: ExampleArrays) -> str:
    """A digest of the tokens of examples."""
    sha256 = hashlib.sha256()
    for values in (examples.row_splits, *(examples.tokens[name] for name in sorted(examples.tokens))):
        sha256.update(np.ascontiguousarray(values).data)
    return sha256.hexdigest()
