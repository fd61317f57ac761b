"""Computes several prediction batches in parallel, on a CPU one per core; independent of tasks.

Threads that share a matmul wait for each other after each, and that is long where matmuls are short. So a process that
only predicts gives each batch one core (`use_a_core_a_batch`) and computes as many batches at a time as there are
cores, each of few tokens: enough for matmuls at their full rate, and few enough that no core has the last one for long.
A training needs all cores for one batch, and TensorFlow's setting holds for the whole process: so a process that trains
predicts batch by batch.
"""

import collections
import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self, TypeVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bert_tf2.configs.training import DistributionConfig

Input = TypeVar("Input")
Output = TypeVar("Output")

_TOKENS_OF_A_CORE = 384


def use_a_core_a_batch(config: DistributionConfig) -> None:
    """From now on, computes each batch on a single core; for commands that do not train.

    It holds for the whole process. Call it before TensorFlow starts its devices; later it has no effect, nor where the
    number of threads is set already, on a GPU, or where several machines predict together.

    Args:
      config: where the process will run.
    """
    if config.use_tpu or config.distribution_strategy in ("tpu", "multi_worker_mirrored"):
        return
    if tf.config.list_physical_devices("GPU") or tf.config.threading.get_intra_op_parallelism_threads():
        return
    # TensorFlow runs already, with threads of its own choice: then a batch has all cores.
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)


def number_of_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclasses.dataclass(frozen=True)
class Concurrency:
    """How batches of a prediction are formed and computed.

    Attributes:
      batches: how many are computed at a time.
      most_tokens: of a batch, which then has as many rows as fit; None: as many as its size says.
    """

    batches: int = 1
    most_tokens: int | None = None

    @classmethod
    def of(cls, strategy: tf.distribute.Strategy, compiles: bool, on_accelerator: int = 1) -> Self:
        """The concurrency that suits a process.

        Args:
          strategy: where it predicts; on several devices, and with several processes, one batch after the other.
          compiles: whether XLA compiles a program for each number of rows, so that there is to be one alone.
          on_accelerator: how many batches at a time on a GPU, at most: for their memory.
        """
        if strategy.num_replicas_in_sync > 1:
            return cls()
        if tf.config.list_physical_devices("GPU"):
            return cls(min(number_of_cores(), on_accelerator))
        if tf.config.threading.get_intra_op_parallelism_threads() != 1:
            return cls()
        return cls(number_of_cores(), None if compiles else _TOKENS_OF_A_CORE)

    def divide(self, lengths: NDArray[np.int64], most_rows: int) -> NDArray[np.int64]:
        """Splits rows into batches.

        Args:
          lengths: tokens of each of `N` rows, the longest first.
          most_rows: of a batch, unless `most_tokens` limits it.

        Returns:
          int64 `[batches + 1]`: batch `i` has the rows from number `i` of this to number `i + 1`.
        """
        splits = [0]
        of_few = -(-len(lengths) // self.batches)  # so that no core is left without some
        while splits[-1] < len(lengths):
            rows = most_rows
            if self.most_tokens is not None:
                rows = max(1, min(of_few, self.most_tokens // max(int(lengths[splits[-1]]), 1)))
            splits.append(min(splits[-1] + rows, len(lengths)))
        return np.array(splits)

    def map(self, compute: Callable[[Input], Output], inputs: Iterable[Input]) -> Iterator[Output]:
        """Yields `compute` of each input, in order; inputs are consumed as needed, and few results are held.

        Args:
          compute: called in other threads where `batches` is more than 1.
          inputs: iterated over in this thread.
        """
        if self.batches == 1:
            yield from map(compute, inputs)
            return
        pool = ThreadPoolExecutor(self.batches)
        pending: collections.deque[Future[Any]] = collections.deque()
        try:
            for one in inputs:
                pending.append(pool.submit(compute, one))
                if len(pending) > 2 * self.batches:  # so that no thread waits while a result is taken in
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


ONE_BY_ONE = Concurrency()
