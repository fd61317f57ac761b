"""Evaluations of classifiers for their reports, without a model: random logits, texts of any kind."""

from typing import Any

import numpy as np

from bert_tf2.configs.choices import ProblemType
from bert_tf2.io.sparse_rows import SparseRows
from bert_tf2.tasks.classification.evaluated import Evaluated
from bert_tf2.tasks.classification.examples import Examples
from bert_tf2.tasks.classification.features import Features
from bert_tf2.tasks.classification.task_description import TaskDescription
from bert_tf2.tokenization.fast_wordpiece import Ragged

HOSTILE = '<script>alert(1)</script> & "so on" 中文'
LIMIT = 128


def of_logits(
    kind: ProblemType,
    names: tuple[str, ...],
    labels: Any,
    logits: Any,
    lengths: Any = None,
    texts: list[str] | None = None,
    pairs: list[str] | None = None,
    threshold: float = 0.5,
) -> Evaluated:
    """An evaluation with the given values; `lengths` are those of rows before truncation, including special tokens."""
    logits = np.asarray(logits, np.float32)
    count = len(logits)
    full_lengths = np.full(count, 9) if lengths is None else np.asarray(lengths)
    encoded: Any = np.asarray(labels, np.float32 if kind == "regression" else np.int32)
    if kind == "multi_label":
        rows, columns = np.nonzero(encoded)
        splits = np.searchsorted(rows, np.arange(count + 1))
        encoded = SparseRows(splits.astype(np.int64), columns.astype(np.int32), len(names))
    splits = np.concatenate([[0], np.cumsum(np.minimum(full_lengths, LIMIT))])
    ids = Ragged(np.zeros(splits[-1], np.int32), splits)
    truncated = int((full_lengths > LIMIT).sum())
    features = Features(
        ids, np.diff(splits), encoded, LIMIT, truncated, int(full_lengths.max()), None, full_lengths.astype(np.int64)
    )
    texts = texts or [f"text {row}" for row in range(count)]
    examples = Examples("dev.csv", range(2, count + 2), range(count), texts, pairs, None)
    return Evaluated(TaskDescription("a", kind, names, LIMIT, threshold=threshold), examples, encoded, features, logits)


def made_up(kind: ProblemType, count: int, names: tuple[str, ...] = (), pairs: bool = False) -> Evaluated:
    """An evaluation of a model that is mostly right, with realistic probabilities."""
    rng = np.random.default_rng(1)
    lengths = np.minimum(rng.lognormal(3.5, 0.7, count).astype(np.int64) + 3, 600)
    size = len(names)
    if kind == "regression":
        labels: Any = np.round(rng.uniform(0, 5, count) * 4) / 4
        logits = (labels * 0.9 + 0.3 + rng.normal(0, 0.5, count))[:, None]
    elif kind == "multi_label":
        labels = rng.random((count, size)) < rng.uniform(0.05, 0.4, size)
        logits = np.where(labels, 1.2, -2.2) + rng.normal(0, 1.4, (count, size))
    else:
        labels = rng.choice(size, count, p=rng.dirichlet(np.full(size, 3.0)))
        logits = rng.normal(0, 1.6, (count, size)) + 3.2 * np.eye(size)[labels]
        logits += np.eye(size)[(labels + 1) % size]  # the label that is predicted wrongly most often
    words = ["the", "film", "a", "story", "that", "was", "is", "not", "very", "good", "bad", "dull", "moving", "plot,"]
    texts = [" ".join(rng.choice(words, max(length - 3, 1)).tolist()) for length in lengths.tolist()]
    texts[:: max(1, count // 40)] = [HOSTILE] * len(texts[:: max(1, count // 40)])
    second = [" ".join(rng.choice(words, 9).tolist()) for _ in texts] if pairs else None
    return of_logits(kind, names, labels, logits, lengths, texts, second)
