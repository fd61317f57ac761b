"""A model's outputs for examples, computed lazily.

Shapes: `N` examples.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from bert_tf2.input_pipeline.example_batches import ROW, ExampleArrays
from bert_tf2.io import resumable_output, spilled
from bert_tf2.modeling import lora
from bert_tf2.modeling.task_model import Task
from bert_tf2.training.evaluation import Arrays


@dataclasses.dataclass(frozen=True)
class OutputBatches:
    """The outputs of N examples, batch by batch, the longest examples first.

    Attributes:
      examples: the examples.
      compute: computes the batches one by one as they are needed; its argument is the number of batches to skip at the
        beginning.
      model: the model.
      settings: what the outputs depend on besides examples and weights, as JSON values.
      directory: where data that exceeds memory is stored, see `spilled`.
      output_file: the file that is going to be written from the outputs. Finished batches may be saved next to it, so
        that a killed run continues. None: do not save them.
    """

    examples: ExampleArrays
    compute: Callable[[int], Iterator[Arrays]]
    model: Task
    settings: Mapping[str, Any]
    directory: str | None = None
    output_file: str | None = None

    def batches(self, done: int = 0) -> Iterator[Arrays]:
        """Outputs `[B, ...]` by name; `example_batches.ROW`, int64 `[B]`, has the numbers of the examples.

        Args:
          done: number of batches to skip at the beginning.
        """
        return self.compute(done) if len(self.examples) else iter(())

    def in_order(self) -> Arrays:
        """All outputs by name, each `[N, ...]` in the order of the examples; in files if they exceed memory."""
        outputs: Arrays = {}
        for batch in self.batches():
            rows = batch.pop(ROW)
            for name, values in batch.items():
                if name not in outputs:
                    shape = (len(self.examples), *values.shape[1:])
                    outputs[name] = spilled.empty(shape, values.dtype, self.directory)
                outputs[name][rows] = values
        return outputs


def discard(output_file: str) -> None:
    """Removes the outputs saved next to `output_file`, which has now been written."""
    resumable_output.discard(output_file)


def fingerprint(model: Task) -> str:
    """A fingerprint of a model's weights; that of a model with LoRA is the same after merging it into the kernels."""
    digest, variables = hashlib.sha256(), model.named_variables
    for name in sorted(name for name in variables if not lora.is_lora(name)):
        digest.update(name.encode())
        # One after the other: together, the values would need as much memory as the model once more.
        value = lora.merged_value(name, variables, lambda part: variables[part].numpy())
        digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()
