"""The sections of `report.html` about labels, confusions and values.

Shapes: `N` rows, `L` labels.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from bert_tf2 import metrics
from bert_tf2.metrics.classification import Confusions, LabelCounts, Score
from bert_tf2.reports import pictures
from bert_tf2.reports.page import Block, Figures, Picture, Section, Table, Text, shown_as_number, shown_as_percent
from bert_tf2.tasks.classification import report_rows, report_thresholds
from bert_tf2.tasks.classification.evaluated import Evaluated

_MAX_LABELS_DRAWN = 20
_MAX_CONFUSIONS = 30


def sections(evaluated: Evaluated) -> list[Section]:
    """The sections for the problem type, between learning curves and lengths."""
    kind = evaluated.description.problem_type
    errors = Section("Worst errors", list(report_rows.worst(evaluated)))
    if kind == "regression":
        return [Section("Predictions and true values", list(_values(evaluated))), errors]
    labels = _several_labels(evaluated) if kind == "multi_label" else _single_labels(evaluated)
    confusions = [Section("Confusions", list(_confusions(evaluated)))] if kind == "single_label" else []
    thresholds = Section("Calibration and thresholds", list(report_thresholds.blocks(evaluated)))
    return [Section("Labels", list(labels)), *confusions, thresholds, errors]


def _single_labels(evaluated: Evaluated) -> Iterator[Block]:
    names, labels = evaluated.description.labels, np.asarray(evaluated.labels)
    predicted, count = evaluated.scores.predicted, len(names)
    scores = metrics.per_label(labels, predicted, count)
    majority = max(range(count), key=lambda label: scores[label].support)
    fraction = shown_as_percent(scores[majority].support / len(labels))
    yield Text(f"{fraction} of the rows are {names[majority]!r}: the accuracy of always predicting it.")
    yield from _label_scores(names, scores, np.bincount(predicted, minlength=count).tolist())


def _several_labels(evaluated: Evaluated) -> Iterator[Block]:
    counts = LabelCounts.of(evaluated.labels, evaluated.predictions)
    threshold = evaluated.description.threshold
    yield Figures(
        [
            ("true labels per row", f"{counts.true.sum() / counts.rows:.2f}", "on average"),
            ("predicted per row", f"{counts.predicted.sum() / counts.rows:.2f}", "on average"),
            ("threshold", f"{threshold:g}", "labels with at least this probability are predicted"),
        ]
    )
    yield from _label_scores(evaluated.description.labels, counts.scores(), counts.predicted.tolist())


def _label_scores(names: Sequence[str], scores: Sequence[Score], predicted: Sequence[int]) -> Iterator[Block]:
    order = sorted(range(len(names)), key=lambda label: -scores[label].support)
    drawn = order[:_MAX_LABELS_DRAWN]
    which = "each label" if len(drawn) == len(names) else f"the {len(drawn)} most frequent labels"
    for title, values, unit in (
        ("Rows", [scores[label].support for label in drawn], "rows"),
        ("F1", [scores[label].f1 for label in drawn], "F1"),
    ):
        svg = pictures.bars([names[label] for label in drawn], values, unit)
        yield Picture(svg, f"{title} of {which}", f"{title} of {which}")
    rows = [(names[label], scores[label].support, predicted[label], *scores[label][:3]) for label in order]
    yield Table(("label", "rows", "predicted", "precision", "recall", "F1"), rows, "Scores of each label")


def _confusions(evaluated: Evaluated) -> Iterator[Block]:
    names, labels = evaluated.description.labels, np.asarray(evaluated.labels)
    count = len(names)
    confusions = Confusions.of(labels, evaluated.scores.predicted, count)
    is_wrong = confusions.true != confusions.predicted
    shown = np.arange(count)
    if count > _MAX_LABELS_DRAWN:
        ends = np.concatenate([confusions.true[is_wrong], confusions.predicted[is_wrong]])
        wrong = np.bincount(ends, np.tile(confusions.rows[is_wrong], 2), count)
        shown = np.sort(np.argsort(-wrong, kind="stable")[:_MAX_LABELS_DRAWN])
        yield Text(f"The picture shows the {len(shown)} labels, of {count:,}, that are confused most often.")
    position = np.full(count, len(shown))  # in the picture; all other labels share the last one
    position[shown] = np.arange(len(shown))
    counts = np.zeros((len(shown) + 1, len(shown) + 1), np.int64)
    np.add.at(counts, (position[confusions.true], position[confusions.predicted]), confusions.rows)
    row_names = [names[label] for label in shown.tolist()]
    has_others = len(shown) < count
    columns, counts = [*row_names, *["others"] * has_others], counts[:-1, : len(shown) + has_others]
    svg = pictures.matrix(row_names, columns, counts, "truth", "prediction")
    yield Picture(svg, "Predicted label by true label", "Predictions for each true label, in percent")
    order = np.flatnonzero(is_wrong)
    order = order[np.argsort(-confusions.rows[order], kind="stable")[:_MAX_CONFUSIONS]]
    label_rows = np.bincount(labels, minlength=count).tolist()
    pairs = zip(*(column[order].tolist() for column in confusions), strict=True)
    rows = [(names[true], names[predicted], rows, rows / label_rows[true]) for true, predicted, rows in pairs]
    if rows:
        yield Table(("truth", "prediction", "rows", "fraction of the true label"), rows, "Most frequent confusions")


def _values(evaluated: Evaluated) -> Iterator[Block]:
    labels = np.asarray(evaluated.labels, np.float64)
    predicted = evaluated.scores.predicted.astype(np.float64)
    errors = predicted - labels
    square, spread = float(np.mean(errors**2)), float(np.var(labels))
    yield Figures(
        [
            ("mean absolute error", shown_as_number(float(np.abs(errors).mean())), ""),
            ("root mean squared error", shown_as_number(math.sqrt(square)), ""),
            ("mean error", shown_as_number(float(errors.mean())), "above 0: predictions are too high"),
            ("R²", shown_as_number(1 - square / spread if spread else math.nan), "fraction of the variance explained"),
        ]
    )
    svg = pictures.scatter(labels, predicted, "true value", "prediction")
    yield Picture(svg, "Predictions by true value", "Predictions (dashed: the true values)")
    svg = pictures.histogram(errors, "prediction − true value", "rows", mark=0.0)
    yield Picture(svg, "Rows by error", "Errors")
