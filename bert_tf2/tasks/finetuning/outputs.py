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
from bert_tf2.modeling.task_model import Task
from bert_tf2.training.evaluation import Arrays


@dataclasses.dataclass(frozen=True)
class OutputBatches:
    """The outputs of N examples, batch by batch, the longest examples first.

    Attributes:
      examples: the examples.
      compute: makes the batches, but for so many at the beginning, and computes each when it is asked for.
      model: whose outputs they are.
      settings: what they follow from, beside examples and weights, as JSON can have it.
      directory: where goes what is too much for memory, see `spilled`.
      output_file: what will be made of them. Beside it can be kept what is done, so that a run that was killed
        continues. None: keep nothing.
    """

    examples: ExampleArrays
    compute: Callable[[int], Iterator[Arrays]]
    model: Task
    settings: Mapping[str, Any]
    directory: str | None = None
    output_file: str | None = None

    def batches(self, done: int = 0) -> Iterator[Arrays]:
        """Outputs `[B, ...]` by name; `example_batches.ROW`, int64 `[B]`, says of which examples they are.

        Args:
          done: how many batches, the first ones, are left out.
        """
        return self.compute(done) if len(self.examples) else iter(())

    def in_order(self) -> Arrays:
        """All outputs by name, each `[N, ...]` in the order of the examples, from `spilled.empty`."""
        found: Arrays = {}
        for part in self.batches():
            rows = part.pop(ROW)
            for name, values in part.items():
                if name not in found:
                    shape = (len(self.examples), *values.shape[1:])
                    found[name] = spilled.empty(shape, values.dtype, self.directory)
                found[name][rows] = values
        return found


def discard(output_file: str) -> None:
    """Removes the outputs kept for a file, once it is written."""
    resumable_output.discard(output_file)


def fingerprint(model: Task) -> str:
    """A fingerprint of a model's weights."""
    digest = hashlib.sha256()
    for name, variable in sorted(model.named_variables.items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(variable.numpy()).data)
    return digest.hexdigest()
