"""The section of a report on confidence: calibration, and the accuracy if uncertain predictions are withheld.

Shapes: `N` predictions.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bert_tf2.metrics.calibration import Reliability
from bert_tf2.reports import pictures
from bert_tf2.reports.intervals import wilson
from bert_tf2.reports.page import Block, Figures, Picture, Table, shown_as_percent, shown_as_percents

_THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_CLOSE = 0.01  # a smaller difference between confidence and accuracy is not called over- or underconfident


def blocks(
    confidences: NDArray[np.float32], is_right: NDArray[np.bool_], unit: str, right: str = "accuracy", note: str = ""
) -> Iterator[Block]:
    """Mean confidence, expected calibration error, calibration curve, and the effect of `--min_confidence`.

    Args:
      confidences: float32 [N], the probability of each prediction.
      is_right: bool [N], whether each prediction is right.
      unit: what the predictions are about, such as "rows".
      right: the name of the fraction of right predictions.
      note: an explanation of `--min_confidence`, shown below its table.
    """
    reliability = Reliability()
    reliability.add(confidences, is_right)
    yield Figures([calibration_error(reliability), *_means(reliability, is_right, right)])
    yield calibration(reliability, "confidence", "fraction that is right")
    svg = pictures.histogram(confidences, "confidence", unit)
    yield Picture(svg, f"{unit.capitalize()} by confidence", "Confidence, the probability of the prediction")
    yield _withholding_table(confidences, is_right, unit, right, note)


def calibration_error(reliability: Reliability) -> tuple[str, str, str]:
    """The expected calibration error, as an entry of `Figures`."""
    return "expected calibration error", shown_as_percent(reliability.error), "0 % is perfect"


def calibration(reliability: Reliability, what: str, true: str) -> Picture:
    """The calibration curve.

    Args:
      reliability: the reliability of the predictions.
      what: the label of the probabilities.
      true: the label of the observed frequencies.
    """
    predicted, observed = reliability.curve()
    svg = pictures.lines({"model": (predicted.tolist(), observed.tolist())}, what, true, diagonal=True)
    return Picture(svg, f"{true} by {what}", "Calibration (dashed: perfect)")


def _means(reliability: Reliability, is_right: NDArray[np.bool_], right: str) -> Iterator[tuple[str, str, str]]:
    fraction = float(is_right.mean())
    difference = reliability.mean - fraction
    verdict = "overconfident" if difference > 0 else "underconfident"
    verdict = f"close to the {right}" if abs(difference) < _CLOSE else verdict
    yield "mean confidence", shown_as_percent(reliability.mean), verdict
    yield right, shown_as_percent(fraction), ""


def _withholding_table(
    confidences: NDArray[np.float32], is_right: NDArray[np.bool_], unit: str, right: str, note: str
) -> Table:
    rows: list[tuple[str | int | float, ...]] = []
    for threshold in _THRESHOLDS:
        is_kept = confidences >= np.float32(threshold)
        kept, correct = int(is_kept.sum()), int((is_kept & is_right).sum())
        if rows and kept == rows[-1][1]:
            continue
        interval = shown_as_percents(*wilson(correct, kept))
        fraction = shown_as_percent(correct / kept if kept else math.nan)
        rows.append((f"{threshold:g}", kept, shown_as_percent(kept / len(is_kept)), fraction, interval))
    headers = ("min_confidence", f"{unit} kept", "fraction kept", f"their {right}", "95 % interval")
    return Table(headers, rows, f"{right.capitalize()} if uncertain predictions are withheld", note)
