"""Calibration and thresholds, number for number."""

import numpy as np
import pytest
from helpers.rounding import SUM, assert_close

from bert_tf2.metrics.calibration import Reliability, ThresholdScores
from bert_tf2.metrics.classification import Score


def test_the_error_is_the_weighted_mean_distance() -> None:
    reliability = Reliability()
    reliability.add(np.array([0.9, 0.92]), np.array([True, False]))  # one group
    reliability.add(np.array([0.51, 1.0]), np.array([True, True]))
    mean, true = reliability.curve()
    assert_close(mean, [0.51, 0.91, 1.0], SUM)
    assert_close(true, [1.0, 0.5, 1.0], SUM)
    assert reliability.error == pytest.approx((0.49 + 2 * 0.41 + 0) / 4)
    assert reliability.mean == pytest.approx((0.9 + 0.92 + 0.51 + 1) / 4)
    assert reliability.rows.sum() == 4


def test_scores_at_each_threshold_are_those_of_the_predictions() -> None:
    rng = np.random.default_rng(1)
    probabilities = rng.random((60, 3)).astype(np.float32)
    probabilities[:20] = np.round(probabilities[:20], 2)  # just at thresholds
    labels = (rng.random((60, 3)) < 0.4).astype(np.int32)
    scores = ThresholdScores(3)
    scores.add(probabilities[:25], labels[:25])
    scores.add(probabilities[25:], labels[25:])
    for index in range(99):
        predicted = probabilities >= (index + 1) / 100
        for label in range(3):
            right = int((predicted[:, label] & (labels[:, label] == 1)).sum())
            assert scores.scores(label)[index].support == labels[:, label].sum()
            total = int(predicted[:, label].sum() + labels[:, label].sum())
            assert scores.scores(label)[index].f1 == (2 * right / total if total else 0)
        right = int((predicted & (labels == 1)).sum())
        assert scores.scores()[index].f1 == 2 * right / int(predicted.sum() + labels.sum())


def test_ties_go_to_the_threshold_nearest_to_a_half() -> None:
    scores = ThresholdScores(2)
    scores.add(np.float32([[0.9, 0.2], [0.3, 0.1], [0.2, 0.6]]), np.array([[1, 1], [0, 0], [0, 1]]))
    assert scores.best(0) == (0.5, Score(1.0, 1.0, 1.0, 1))
    assert scores.best(1) == (0.2, Score(1.0, 1.0, 1.0, 2))
    assert scores.best() == (0.5, Score(1.0, pytest.approx(2 / 3), pytest.approx(0.8), 3))
