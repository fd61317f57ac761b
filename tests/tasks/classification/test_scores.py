"""The numbers in eval_results.txt: losses computed by hand, and the original's `loss`."""

import math

import numpy as np
import pytest

from bert_tf2.io import spilled
from bert_tf2.tasks.classification.scores import pool_windows, result_names, results, row_losses


def test_losses_match_hand_computed_ones() -> None:
    single = row_losses(np.array([[0.0, math.log(3)], [2.0, 2.0]]), np.array([1, 0]), "single_label")
    assert single == pytest.approx([-math.log(0.75), math.log(2)])
    several = row_losses(np.array([[0.0, math.log(3)]]), np.array([[1, 0]]), "multi_label")
    assert several == pytest.approx([(math.log(2) + math.log(4)) / 2])
    assert row_losses(np.array([[1.5]]), np.array([1.0]), "regression") == pytest.approx([0.25])


def test_large_logits_do_not_overflow() -> None:
    assert row_losses(np.array([[1000.0, -1000.0]]), np.array([1]), "single_label") == pytest.approx([2000])
    assert row_losses(np.array([[1000.0, -1000.0]]), np.array([[0, 0]]), "multi_label") == pytest.approx([500])


def test_loss_is_averaged_over_batches_and_eval_loss_over_rows() -> None:
    logits, labels = np.array([[2.0], [0.0], [3.0]]), np.zeros(3)
    scores = results(logits, labels, "regression", ("mean_squared_error",), 0.5, batch_size=2)
    assert scores == pytest.approx({"eval_mean_squared_error": 13 / 3, "eval_loss": 13 / 3, "loss": (2 + 9) / 2})
    assert list(scores) == result_names(("mean_squared_error",))


@pytest.mark.parametrize("values_at_once", [1, 4, 1000])
def test_pooling_of_windows(monkeypatch: pytest.MonkeyPatch, values_at_once: int) -> None:
    monkeypatch.setattr(spilled, "VALUES_AT_ONCE", values_at_once)
    logits = np.array([[1, 2], [3, -2], [5, 0], [7, 8]], np.float32)
    splits = np.array([0, 3, 4])
    assert pool_windows(logits, splits, "mean").tolist() == [[3, 0], [7, 8]]
    assert pool_windows(logits, splits, "max").tolist() == [[5, 2], [7, 8]]
