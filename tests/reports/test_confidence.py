"""The section of a report on confidence."""

import numpy as np

from bert_tf2.reports import confidence
from bert_tf2.reports.page import Figures, Picture, Table

CONFIDENCES = np.array([0.95, 0.95, 0.85, 0.55, 0.4], np.float32)
IS_RIGHT = np.array([True, True, False, True, False])


def test_blocks() -> None:
    figures, curve, histogram, table = confidence.blocks(CONFIDENCES, IS_RIGHT, "questions", "exact match", "Why.")
    assert isinstance(figures, Figures)
    assert list(figures.values) == [
        ("expected calibration error", "36.0 %", "0 % is perfect"),
        ("mean confidence", "74.0 %", "overconfident"),
        ("exact match", "60.0 %", ""),
    ]
    assert isinstance(curve, Picture)
    assert isinstance(histogram, Picture)
    assert isinstance(table, Table)
    assert table.headers == ("min_confidence", "questions kept", "fraction kept", "their exact match", "95 % interval")
    assert table.rows == [
        ("0", 5, "100.0 %", "60.0 %", "23.1 to 88.2"),
        ("0.5", 4, "80.0 %", "75.0 %", "30.1 to 95.4"),
        ("0.6", 3, "60.0 %", "66.7 %", "20.8 to 93.9"),
        ("0.9", 2, "40.0 %", "100.0 %", "34.2 to 100.0"),
        ("0.99", 0, "0.0 %", "–", ""),
    ]
    assert table.note == "Why."


def test_verdicts() -> None:
    for said, verdict in ((0.5, "close to the accuracy"), (0.3, "underconfident")):
        confidences = np.full(4, said, np.float32)
        figures = next(confidence.blocks(confidences, np.array([True, False] * 2), "rows"))
        assert isinstance(figures, Figures)
        assert figures.values[1][2] == verdict
