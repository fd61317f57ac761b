"""The section of `report.html` about calibration and thresholds.

Shapes: `N` rows, `L` labels.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from bert_tf2.io.spilled import row_ranges
from bert_tf2.metrics.calibration import Reliability, ThresholdScores
from bert_tf2.reports import confidence
from bert_tf2.reports.page import Block, Figures, Table
from bert_tf2.tasks.classification.evaluated import Evaluated

_MAX_LABELS = 100  # with several labels per row, thresholds are sought for the most frequent ones only
_LEFT_OUT = (
    "--min_confidence leaves the label of less confident predictions out of predictions.jsonl and predictions.csv."
)
_CHOSEN_HERE = (
    "These thresholds were chosen on the same rows that they are scored on, so they gain less on other rows; check "
    "them on another file."
)


def blocks(evaluated: Evaluated) -> Iterator[Block]:
    """Yields calibration and thresholds, for single labels or several labels per row."""
    if evaluated.description.problem_type == "multi_label":
        yield from _of_several(evaluated)
        return
    yield from confidence.blocks(evaluated.scores.confidences, evaluated.scores.is_right, "rows", note=_LEFT_OUT)
    if len(evaluated.description.labels) == 2:
        thresholds = ThresholdScores(1)
        for begin, end in row_ranges(*evaluated.logits.shape):
            thresholds.add(evaluated.probabilities(begin, end)[:, 1:], np.asarray(evaluated.labels[begin:end])[:, None])
        name = evaluated.description.labels[1]
        yield _table([name], thresholds, [0], 0.5, "Threshold with the best F1")


def _of_several(evaluated: Evaluated) -> Iterator[Block]:
    labels, shape = evaluated.labels, evaluated.logits.shape
    counts = sum((labels[begin:end].sum(axis=0) for begin, end in row_ranges(*shape)), np.zeros(shape[1]))
    chosen = np.sort(np.argsort(-counts, kind="stable")[:_MAX_LABELS])
    reliability, thresholds = Reliability(), ThresholdScores(len(chosen))
    for begin, end in row_ranges(*shape):
        probabilities, is_true = evaluated.probabilities(begin, end)[:, chosen], labels[begin:end][:, chosen]
        reliability.add(probabilities, is_true)
        thresholds.add(probabilities, is_true)
    which = "" if len(chosen) == shape[1] else f", of the {len(chosen)} most frequent labels"
    yield Figures([confidence.calibration_error(reliability)])
    yield confidence.calibration(reliability, "probability of a label", "fraction that has it")
    names = [evaluated.description.labels[label] for label in chosen.tolist()]
    title, columns = f"Thresholds with the best F1{which}", [None, *range(len(chosen))]
    yield _table(["all together", *names], thresholds, columns, evaluated.description.threshold, title)


def _table(
    names: Sequence[str], thresholds: ThresholdScores, labels: Sequence[int | None], current: float, title: str
) -> Table:
    """The best threshold of each label, and how its scores differ from those at the current threshold.

    Args:
      names: the names of the labels.
      thresholds: scores of labels at the thresholds 0.01 to 0.99.
      labels: the indices of the labels in `thresholds`; None: all labels together.
      current: the current threshold.
      title: the title of the table.
    """
    index = min(max(round(100 * current), 1), 99) - 1  # of the nearest threshold
    rows = []
    for name, label in zip(names, labels, strict=True):
        best, score = thresholds.best(label)
        before = thresholds.scores(label)[index]
        rows.append((name, score.support, before.f1, score.f1, best, score.precision, score.recall))
    headers = ("label", "rows", f"F1 at {current:g}", "best F1", "at", "precision", "recall")
    return Table(headers, rows, title, _CHOSEN_HERE)
