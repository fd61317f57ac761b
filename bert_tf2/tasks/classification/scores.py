"""The evaluation results in `eval_results.txt`; no TensorFlow.

Shapes: `N` rows, `L` labels. Follows google-research/bert `run_classifier.py`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2 import metrics
from bert_tf2.configs.choices import ProblemType
from bert_tf2.configs.long_texts import WindowPooling
from bert_tf2.io import spilled
from bert_tf2.io.sparse_rows import SparseRows
from bert_tf2.io.spilled import row_ranges

Array = NDArray[Any]


def pool_windows(
    logits: NDArray[np.float32], window_splits: NDArray[np.int64], pooling: WindowPooling, directory: str | None = None
) -> NDArray[np.float32]:
    """Pools a model's outputs for windows into those for the rows: float32 [N, L].

    Args:
      logits: the outputs for each of M windows, float32 [M, L].
      window_splits: int64 [N + 1]; the windows of row `i` are `window_splits[i]` to `window_splits[i + 1]`, at least
        one.
      pooling: whether to take the mean or the maximum over the windows.
      directory: for data that exceeds memory, see `spilled.empty`.
    """
    pooled = spilled.empty((len(window_splits) - 1, logits.shape[1]), np.float32, directory)
    operation = np.maximum if pooling == "max" else np.add
    for begin, end in row_ranges(*pooled.shape):
        splits = window_splits[begin : end + 1]
        block = np.asarray(logits[splits[0] : splits[-1]], np.float64)
        reduced = operation.reduceat(block, splits[:-1] - splits[0], axis=0)
        pooled[begin:end] = reduced / np.diff(splits)[:, None] if pooling == "mean" else reduced
    return pooled


def row_losses(logits: Array, labels: Array, problem_type: ProblemType) -> NDArray[np.float64]:
    """The loss of each row, as in training: float64 [N].

    Args:
      logits: the model's outputs, [N, L].
      labels: the label ids, int [N]; for several labels 0 or 1, [N, L]; for regression the values, float [N].
      problem_type: see `configs.choices.PROBLEM_TYPES`.
    """
    values = np.asarray(logits, np.float64)
    if problem_type == "single_label":
        from scipy import special

        return np.asarray(-special.log_softmax(values, axis=1)[np.arange(len(values)), labels])
    if problem_type == "regression":
        return np.asarray((values[:, 0] - labels) ** 2)
    # log(1 + exp(-z)) for labels that apply, log(1 + exp(z)) for others.
    return np.asarray(np.logaddexp(0.0, np.where(labels > 0, -values, values)).mean(axis=1))


def result_names(names: Sequence[str]) -> list[str]:
    """The keys of `results`."""
    return [*(f"eval_{name}" for name in names), "eval_loss", "loss"]


def results(
    logits: Array,
    labels: Array | SparseRows,
    problem_type: ProblemType,
    names: Sequence[str],
    threshold: float,
    batch_size: int,
) -> dict[str, float]:
    """The results of an evaluation.

    Args:
      logits: see `row_losses`.
      labels: see `row_losses`; may be sparse.
      problem_type: see `row_losses`.
      names: names of the metrics, for `metrics.evaluate`.
      threshold: minimum probability of a predicted label, for several labels.
      batch_size: rows per evaluation batch.

    Returns:
      `eval_<metric>` for each metric; `eval_loss`, the mean loss of the rows; `loss`, the mean of the mean losses of
      batches in the order of the rows, which differs from `eval_loss` if the last batch is smaller.
    """
    blocks = row_ranges(*logits.shape)
    losses = np.concatenate([row_losses(logits[begin:end], labels[begin:end], problem_type) for begin, end in blocks])
    batches = [losses[begin : begin + batch_size].mean() for begin in range(0, len(losses), batch_size)]
    scores = metrics.evaluate(problem_type, logits, labels, names, threshold)
    return {
        **{f"eval_{name}": value for name, value in scores.items()},
        "eval_loss": float(losses.mean()),
        "loss": float(np.mean(batches)),
    }
