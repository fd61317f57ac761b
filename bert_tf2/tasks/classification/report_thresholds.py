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

_MOST_LABELS = 100  # of several a row, the most frequent ones, for which thresholds are looked for
_LEFT_OUT = (
    "--min_confidence leaves the label of less confident predictions out of predictions.jsonl and predictions.csv."
)
_CHOSEN_HERE = (
    "These thresholds were chosen on the same rows that they are scored on, so they gain less on other rows; check "
    "them on another file."
)


def blocks(evaluated: Evaluated) -> Iterator[Block]:
    """Calibration and thresholds, of one label a row or of several."""
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
    chosen = np.sort(np.argsort(-counts, kind="stable")[:_MOST_LABELS])
    reliability, thresholds = Reliability(), ThresholdScores(len(chosen))
    for begin, end in row_ranges(*shape):
        probabilities, is_true = evaluated.probabilities(begin, end)[:, chosen], labels[begin:end][:, chosen]
        reliability.add(probabilities, is_true)
        thresholds.add(probabilities, is_true)
    which = "" if len(chosen) == shape[1] else f", of the {len(chosen)} most frequent labels"
    yield Figures([confidence.calibration_error(reliability)])
    yield confidence.calibration(reliability, "probability of a label", "fraction that has it")
    names = [evaluated.description.labels[label] for label in chosen.tolist()]
    title, places = f"Thresholds with the best F1{which}", [None, *range(len(chosen))]
    yield _table(["all together", *names], thresholds, places, evaluated.description.threshold, title)


def _table(
    names: Sequence[str], thresholds: ThresholdScores, labels: Sequence[int | None], present: float, title: str
) -> Table:
    """The best thresholds of labels by their numbers, None being all together, and what they gain."""
    place = min(max(round(100 * present), 1), 99) - 1  # of those that are tried, the nearest
    rows = []
    for name, label in zip(names, labels, strict=True):
        best, score = thresholds.best(label)
        before = thresholds.scores(label)[place]
        rows.append((name, score.support, before.f1, score.f1, best, score.precision, score.recall))
    headers = ("label", "rows", f"F1 at {present:g}", "best F1", "at", "precision", "recall")
    return Table(headers, rows, title, _CHOSEN_HERE)
