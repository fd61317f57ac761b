"""The report on each label: precision, recall and F1, and the confusion matrix."""

import dataclasses
import json
import logging
import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2 import metrics
from bert_tf2.io import atomic, run_files
from bert_tf2.io.sparse_rows import SparseRows
from bert_tf2.io.spilled import row_ranges
from bert_tf2.metrics.classification import Confusions, LabelCounts, Score
from bert_tf2.tasks.classification.outputs import Probabilities
from bert_tf2.tasks.classification.task_description import TaskDescription
from bert_tf2.tasks.finetuning.evaluation_files import short, table

logger = logging.getLogger(__name__)


_MAX_LABELS_IN_MATRIX = 20  # with more, only the largest confusions are printed, and the picture has no numbers
_MAX_CONFUSIONS = 10
_MAX_LABELS_SHOWN = 200  # with more, only the most frequent labels are printed, and nothing is drawn
_MAX_LABELS_IN_SQUARE = 1000  # with more, only the matrix entries that are not 0 are written
_MAX_HEADER_WIDTH = 80


@dataclasses.dataclass(frozen=True)
class LabelReport:
    """Scores and confusions of each label.

    Attributes:
      labels: the L names.
      scores: the score of each label.
      confusions: how often each label was predicted for each true label; None for several labels per row.
    """

    labels: tuple[str, ...]
    scores: list[Score]
    confusions: Confusions | None

    @classmethod
    def of(
        cls,
        description: TaskDescription,
        labels: NDArray[Any] | SparseRows,
        probabilities: NDArray[np.float32] | Probabilities,
    ) -> "LabelReport | None":
        """The report of an evaluation; None for regression.

        Args:
          description: the description of the task.
          labels: the labels of the N rows, from `labels.encode`.
          probabilities: the probabilities, float32 [N, L], from `metrics.probabilities`.
        """
        kind, count = description.problem_type, len(description.labels)
        if kind == "regression":
            return None

        def predictions(begin: int, end: int) -> NDArray[Any]:
            return metrics.predictions(probabilities[begin:end], kind, description.threshold)

        if kind == "multi_label":
            return cls(description.labels, LabelCounts.of(labels, predictions).scores(), None)
        labels = np.asarray(labels)
        predicted = np.concatenate([predictions(begin, end) for begin, end in row_ranges(*probabilities.shape)])
        scores = metrics.per_label(labels, predicted, count)
        return cls(description.labels, scores, Confusions.of(labels, predicted, count))

    @property
    def matrix(self) -> NDArray[np.int64] | None:
        """int64 [L, L], a row per true label, a column per predicted label; None for several labels per row."""
        return None if self.confusions is None else self.confusions.matrix(len(self.labels))

    def text(self) -> str:
        """Tables for the log."""
        tables = [table([["label", "precision", "recall", "F1", "rows"], *self._score_rows()])]
        if len(self.labels) > _MAX_LABELS_SHOWN:
            tables[0] += (
                f"\n({_MAX_LABELS_SHOWN} of {len(self.labels):,} labels, the most frequent ones; "
                f"{run_files.LABEL_REPORT} has all)"
            )
        if self.confusions is not None and len(self.labels) <= _MAX_LABELS_IN_MATRIX:
            names = list(map(short, self.labels))
            numbers = [f"({index})" for index in range(len(names))]
            is_wide = sum(map(len, names)) > _MAX_HEADER_WIDTH
            rows = [f"{number} {name}" if is_wide else name for number, name in zip(numbers, names, strict=True)]
            matrix = self.confusions.matrix(len(names))
            cells = [[name, *map(str, counts)] for name, counts in zip(rows, matrix, strict=True)]
            tables.append(table([["true \\ predicted", *(numbers if is_wide else names)], *cells]))
        elif self.confusions is not None:
            confused = [[short(a), short(b), f"{count:,}"] for a, b, count in self._most_confused(self.confusions)]
            tables.append(table([["most often confused: true", "predicted", "rows"], *confused]))
        return "\n\n".join(tables)

    def _score_rows(self) -> list[list[str]]:
        """The cells of the first table, in the order of the labels."""
        support = [score.support for score in self.scores]
        shown = sorted(np.argsort(np.negative(support), kind="stable")[:_MAX_LABELS_SHOWN].tolist())
        return [
            [short(self.labels[index]), *(f"{value:.4f}" for value in self.scores[index][:3]), f"{support[index]:,}"]
            for index in shown
        ]

    def _most_confused(self, confusions: Confusions) -> list[tuple[str, str, int]]:
        """The largest off-diagonal entries: true label, predicted label, rows."""
        wrong = np.flatnonzero(confusions.true != confusions.predicted)
        order = wrong[np.argsort(-confusions.rows[wrong], kind="stable")[:_MAX_CONFUSIONS]]
        pairs = zip(*(column[order].tolist() for column in confusions), strict=True)
        return [(self.labels[true], self.labels[predicted], rows) for true, predicted, rows in pairs]

    def save(self, directory: str) -> list[str]:
        """Writes `label_report.json` and, if matplotlib is installed, `label_report.png`.

        With more than 1,000 labels, `confusions` has the matrix entries that are not 0 instead of the matrix; with more
        than 200, there is no picture.

        Returns:
          The paths of the files.

        Raises:
          OSError: a file cannot be written.
        """
        is_square = self.confusions is not None and len(self.labels) <= _MAX_LABELS_IN_SQUARE
        path = os.path.join(directory, run_files.LABEL_REPORT)
        content = {
            "labels": list(self.labels),
            "per_label": {label: score._asdict() for label, score in zip(self.labels, self.scores, strict=True)},
            "confusion_matrix": self.matrix.tolist() if is_square and self.matrix is not None else None,
        }
        if self.confusions is not None and not is_square:
            content["confusions"] = {name: values.tolist() for name, values in self.confusions._asdict().items()}
        with atomic.replacing(path) as file:
            json.dump(content, file, indent=1, ensure_ascii=False)
            file.write("\n")
        picture = os.path.join(directory, run_files.LABEL_PICTURE)
        return [path, picture] if self._draw(picture) else [path]

    def _draw(self, path: str) -> bool:
        """Draws the report; returns False if matplotlib is missing or there are too many labels."""
        if len(self.labels) > _MAX_LABELS_SHOWN:
            logger.info("%s was not drawn, as there are more than %d labels.", path, _MAX_LABELS_SHOWN)
            return False
        try:
            from matplotlib.figure import Figure
        except ImportError:
            logger.info("%s was not drawn, as matplotlib is not installed (pip install matplotlib).", path)
            return False
        matrix = self.matrix
        size = min(4 + 0.4 * len(self.labels), 20)
        figure = Figure(figsize=(size * (1.9 if matrix is not None else 1), size), layout="constrained")
        axes = figure.subplots(1, 1 if matrix is None else 2, squeeze=False)[0]
        _draw_scores(axes[-1], self.labels, self.scores)
        if matrix is not None:
            _draw_matrix(axes[0], self.labels, matrix)
        with atomic.replacing(path, "wb") as file, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph")  # the font lacks Chinese characters, which become boxes
            figure.savefig(file, format="png", dpi=120)
        return True


def _draw_matrix(axes: Any, labels: Sequence[str], matrix: NDArray[np.int64]) -> None:
    """Draws the confusion matrix: colours show fractions of the true label, so that rare ones are visible."""
    fractions = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    names = list(map(_escaped, labels))
    axes.set_xticks(range(len(labels)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), names)
    axes.set(xlabel="predicted", ylabel="true", title="rows (colour: fraction of the true label)")
    if len(labels) <= _MAX_LABELS_IN_MATRIX:
        for (row, column), count in np.ndenumerate(matrix):
            colour = "white" if fractions[row, column] > 0.5 else "black"
            axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour)


def _draw_scores(axes: Any, labels: Sequence[str], scores: Sequence[Score]) -> None:
    positions = np.arange(len(labels))
    for index, (name, colour) in enumerate((("precision", "tab:blue"), ("recall", "tab:orange"), ("f1", "tab:green"))):
        values = [getattr(score, name) for score in scores]
        axes.barh(positions + 0.27 * (index - 1), values, 0.25, color=colour, label="F1" if name == "f1" else name)
    axes.set_yticks(positions, list(map(_escaped, labels)))
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set(xlim=(0, 1), title="scores of each label")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.05), ncols=3)


def _escaped(name: str) -> str:
    return short(name).replace("$", r"\$")  # matplotlib reads $ as the start of a formula
