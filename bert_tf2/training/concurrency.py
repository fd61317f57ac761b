"""Computes several prediction batches in parallel, on a CPU one per core; independent of tasks.

Threads that share a matmul wait for each other at its end, which takes long compared with short matmuls. So a process
that only predicts gives each batch one core (`use_a_core_a_batch`) and computes as many batches at a time as there are
cores, each of few tokens: enough for matmuls at their full rate, and few enough that no core works on the last batch
for long. Training needs all cores for one batch, and TensorFlow's setting applies to the whole process: so a process
that trains predicts batch by batch.
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

_TOKENS_PER_CORE = 384


def use_a_core_a_batch(config: DistributionConfig) -> None:
    """Makes TensorFlow compute each batch on a single core; for commands that do not train.

    It affects the whole process. Call it before TensorFlow starts its devices; later it has no effect. Nor has it if
    the number of threads is already set, on a GPU or TPU, or if several machines predict together.

    Args:
      config: where the process will run.
    """
    if config.use_tpu or config.distribution_strategy in ("tpu", "multi_worker_mirrored"):
        return
    if tf.config.list_physical_devices("GPU") or tf.config.threading.get_intra_op_parallelism_threads():
        return
    with contextlib.suppress(RuntimeError):  # TensorFlow has already started; then a batch uses all cores
        tf.config.threading.set_intra_op_parallelism_threads(1)


def number_of_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclasses.dataclass(frozen=True)
class Concurrency:
    """How batches of a prediction are formed and computed.

    Attributes:
      batches: the number of batches computed at a time.
      max_tokens: maximum tokens per batch, which then has as many rows as fit; None if the number of rows is fixed.
    """

    batches: int = 1
    max_tokens: int | None = None

    @classmethod
    def of(cls, strategy: tf.distribute.Strategy, compiles: bool, on_accelerator: int = 1) -> Self:
        """The concurrency that suits a process.

        Args:
          strategy: where it predicts; with several devices or processes, one batch after the other.
          compiles: whether XLA compiles, a program for each number of rows, which is then fixed.
          on_accelerator: maximum number of batches at a time on a GPU, limited by its memory.
        """
        if strategy.num_replicas_in_sync > 1:
            return cls()
        if tf.config.list_physical_devices("GPU"):
            return cls(min(number_of_cores(), on_accelerator))
        if tf.config.threading.get_intra_op_parallelism_threads() != 1:
            return cls()
        return cls(number_of_cores(), None if compiles else _TOKENS_PER_CORE)

    def divide(self, lengths: NDArray[np.int64], max_rows: int) -> NDArray[np.int64]:
        """Splits rows into batches.

        Args:
          lengths: int64 `[N]`, tokens of each row, the longest first.
          max_rows: maximum rows per batch, unless `max_tokens` limits it.

        Returns:
          `splits`, int64 `[batches + 1]`: batch `i` has the rows `splits[i]` to `splits[i + 1]`.
        """
        splits = [0]
        rows_per_core = -(-len(lengths) // self.batches)  # so that every core has some
        while splits[-1] < len(lengths):
            rows = max_rows
            if self.max_tokens is not None:
                rows = max(1, min(rows_per_core, self.max_tokens // max(int(lengths[splits[-1]]), 1)))
            splits.append(min(splits[-1] + rows, len(lengths)))
        return np.array(splits)

    def map(self, compute: Callable[[Input], Output], inputs: Iterable[Input]) -> Iterator[Output]:
        """Yields `compute` of each input, in order; inputs are consumed as needed, and few results are held.

        Args:
          compute: called in other threads if `batches` is more than 1.
          inputs: iterated over in the caller's thread.
        """
        if self.batches == 1:
            yield from map(compute, inputs)
            return
        pool = ThreadPoolExecutor(self.batches)
        pending: collections.deque[Future[Any]] = collections.deque()
        try:
            for batch in inputs:
                pending.append(pool.submit(compute, batch))
                if len(pending) > 2 * self.batches:  # so that no thread is idle while the caller uses a result
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


ONE_BY_ONE = Concurrency()
