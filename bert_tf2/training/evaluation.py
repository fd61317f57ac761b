"""A task's metrics and outputs over a dataset, without dropout, on any strategy; independent of tasks."""

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf2.input_pipeline.record_batches import EXAMPLE_WEIGHTS, Share, distribute
from bert_tf2.io.progress import Progress
from bert_tf2.metrics.finite import check_finite
from bert_tf2.modeling.task_model import Batch, Task, Weighted
from bert_tf2.training.concurrency import ONE_BY_ONE, Concurrency

Arrays = dict[str, np.ndarray[Any, Any]]

_PREPARING = "tracing and compiling the model"


def evaluate(
    task: Task,
    strategy: tf.distribute.Strategy,
    batches: Callable[[Share], tf.data.Dataset],
    steps: int | None,
    concurrency: Concurrency = ONE_BY_ONE,
) -> dict[str, float]:
    """Computes the task's metrics over a dataset.

    Args:
      task: model and losses.
      strategy: where it runs.
      batches: creates a process's share of the batches; rows with `example_weights` 0 do not count.
      steps: number of batches, for the progress display; None if unknown.
      concurrency: how many batches are computed at a time; their sizes do not change.

    Returns:
      Each metric: sums and weights added over all batches, divided once; and `loss`, the mean of the batches' losses
      weighted by their examples.

    Raises:
      InputError: the loss or a metric is not finite.
    """

    @tf.function(reduce_retracing=True, autograph=False)
    def evaluate_batch(batch: Batch) -> dict[str, Weighted]:
        def replica(batch: Batch) -> dict[str, Weighted]:
            add = functools.partial(tf.distribute.get_replica_context().all_reduce, tf.distribute.ReduceOp.SUM)
            weights = add(task.loss_weights(batch))
            loss, metrics = task.loss(batch, weights, None)
            examples = add(tf.reduce_sum(batch[EXAMPLE_WEIGHTS]))
            loss, metrics = add((loss, metrics))
            return {"loss": (loss * examples, examples), **metrics}

        per_replica = strategy.run(replica, args=(batch,))
        return tf.nest.map_structure(lambda value: strategy.experimental_local_results(value)[0], per_replica)

    def to_arrays(batch: Any) -> Arrays:
        return {name: np.array(values) for name, values in evaluate_batch(batch).items()}  # [2] each

    totals: dict[str, tuple[float, float]] = {}
    iterator = iter(distribute(batches, strategy))
    # The first batch is computed in this thread, which traces the function.
    results = itertools.chain(map(to_arrays, itertools.islice(iterator, 1)), concurrency.map(to_arrays, iterator))
    with Progress("Evaluating", steps, unit="batch", preparing=_PREPARING) as progress:
        for sums in results:
            check_finite({"loss and metrics": np.array(list(sums.values()))})
            for name, (total, weight) in sums.items():
                total_before, weight_before = totals.get(name, (0.0, 0.0))
                totals[name] = (total_before + float(total), weight_before + float(weight))
            progress.update()
    return {name: total / weight if weight else math.nan for name, (total, weight) in totals.items()}


def predict_batches(
    outputs: Callable[[Batch], Mapping[str, tf.Tensor]],
    strategy: tf.distribute.Strategy,
    batches: Callable[[Share], tf.data.Dataset],
    steps: int | None,
    done: int = 0,
    concurrency: Concurrency = ONE_BY_ONE,
) -> Iterator[Arrays]:
    """A model's outputs for each example of a dataset, batch by batch.

    Args:
      outputs: from a batch to named tensors, each `[B, ...]`.
      strategy: where it runs.
      batches: creates a process's share of the batches; rows with `example_weights` 0 are omitted.
      steps: number of batches, for the progress display; None if unknown.
      done: the number of batches that an earlier run has computed and `batches` omits.
      concurrency: how many batches are computed at a time.

    Yields:
      For each output an array `[B, ...]`, the same on all workers; in the order of the batches.

    Raises:
      InputError: an output is not finite.
    """
    dataset = distribute(batches, strategy)

    # Traced once, for any number of columns: a program for the first batch's shape alone would round differently.
    @tf.function(input_signature=[dataset.element_spec], autograph=False)
    def predict_batch(batch: Batch) -> dict[str, tf.Tensor]:
        def replica(batch: Batch) -> dict[str, tf.Tensor]:
            return {**outputs(batch), EXAMPLE_WEIGHTS: batch[EXAMPLE_WEIGHTS]}

        per_replica = strategy.run(replica, args=(batch,))
        return {name: strategy.gather(value, axis=0) for name, value in per_replica.items()}

    def arrays(batch: Any) -> Arrays:
        return {name: value.numpy() for name, value in predict_batch(batch).items()}

    with Progress("Predicting", steps, unit="batch", initial=done, preparing=_PREPARING) as progress:
        predict_batch.get_concrete_function()  # traced here, not in the threads of the batches
        for batch_outputs in concurrency.map(arrays, dataset):
            is_example = batch_outputs.pop(EXAMPLE_WEIGHTS) > 0
            batch_outputs = {name: value[is_example] for name, value in batch_outputs.items()}
            check_finite(batch_outputs)
            yield batch_outputs
            progress.update()
