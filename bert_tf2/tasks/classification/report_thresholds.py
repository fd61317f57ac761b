"""The section of `report.html` about calibration and thresholds.

Shapes: `N` rows, `L` labels.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from bert_tf2.io.spilled import row_ranges
from bert_tf2.metrics.calibration import Reliability, ThresholdScores
from bert_tf2.reports import pictures
from bert_tf2.reports.intervals import wilson
from bert_tf2.reports.page import Block, Figures, Picture, Table, shown_as_percent
from bert_tf2.tasks.classification.evaluated import Evaluated, RowScores

_MOST_LABELS = 100  # of several a row, the most frequent ones, for which thresholds are looked for
_LEAST_CONFIDENCES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_CLOSE = 0.01  # a difference of confidence and accuracy that is not worth mentioning
_CHOSEN_HERE = (
    "These thresholds were chosen on the same rows that they are scored on, so they gain less on other rows; check "
    "them on another file."
)


def blocks(evaluated: Evaluated) -> Iterator[Block]:
    """Calibration and thresholds, of one label a row or of several."""
    if evaluated.description.problem_type == "multi_label":
        yield from _of_several(evaluated)
        return
    scores, reliability = evaluated.scores, Reliability()
    reliability.add(scores.confidences, scores.is_right)
    yield from _certainty(reliability, scores)
    yield from _calibration(reliability, "confidence", "fraction that is right")
    svg = pictures.histogram(scores.confidences, "confidence", "rows")
    yield Picture(svg, "Rows by confidence", "Confidence, the probability of the label")
    yield _least_confidences(scores)
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
    yield Figures([_error(reliability)])
    yield from _calibration(reliability, "probability of a label", "fraction that has it")
    names = [evaluated.description.labels[label] for label in chosen.tolist()]
    title, places = f"Thresholds with the best F1{which}", [None, *range(len(chosen))]
    yield _table(["all together", *names], thresholds, places, evaluated.description.threshold, title)


def _error(reliability: Reliability) -> tuple[str, str, str]:
    return "expected calibration error", shown_as_percent(reliability.error), "0 % is perfect"


def _certainty(reliability: Reliability, scores: RowScores) -> Iterator[Block]:
    right = float(scores.is_right.mean())
    difference = reliability.mean - right
    verdict = "overconfident" if difference > 0 else "underconfident"
    verdict = "close to the accuracy" if abs(difference) < _CLOSE else verdict
    figures = [_error(reliability), ("mean confidence", shown_as_percent(reliability.mean), verdict)]
    yield Figures([*figures, ("accuracy", shown_as_percent(right), "")])


def _calibration(reliability: Reliability, what: str, true: str) -> Iterator[Block]:
    said, came_true = reliability.curve()
    svg = pictures.lines({"model": (said.tolist(), came_true.tolist())}, what, true, diagonal=True)
    yield Picture(svg, f"{true} by {what}", "Calibration (dashed: perfect)")


def _least_confidences(scores: RowScores) -> Table:
    rows: list[tuple[str | int | float, ...]] = []
    for least in _LEAST_CONFIDENCES:
        is_kept = scores.confidences >= np.float32(least)
        kept, right = int(is_kept.sum()), int((is_kept & scores.is_right).sum())
        if rows and kept == rows[-1][1]:
            continue
        low, high = wilson(right, kept)
        interval = f"{100 * low:.1f} to {100 * high:.1f}" if kept else ""
        accuracy = shown_as_percent(right / kept if kept else math.nan)
        rows.append((f"{least:g}", kept, shown_as_percent(kept / len(is_kept)), accuracy, interval))
    return Table(
        ("min_confidence", "rows kept", "fraction kept", "their accuracy", "95 % interval"),
        rows,
        "Accuracy if uncertain predictions are withheld",
        "--min_confidence leaves the label of less confident predictions out of predictions.jsonl and predictions.csv.",
    )


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
    headers = ("label", "rows", f"F1 at {present:g}", "best F1", "at threshold", "precision", "recall")
    return Table(headers, rows, title, _CHOSEN_HERE)
