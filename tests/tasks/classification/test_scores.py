"""The numbers of eval_results.txt: losses by hand, and what the original's `loss` is."""

import math

import numpy as np
import pytest

from bert_tf2.io import spilled
from bert_tf2.tasks.classification.scores import pool_windows, result_names, results, row_losses


def test_losses_by_hand() -> None:
    single = row_losses(np.array([[0.0, math.log(3)], [2.0, 2.0]]), np.array([1, 0]), "single_label")
    assert single == pytest.approx([-math.log(0.75), math.log(2)])
    several = row_losses(np.array([[0.0, math.log(3)]]), np.array([[1, 0]]), "multi_label")
    assert several == pytest.approx([(math.log(2) + math.log(4)) / 2])
    assert row_losses(np.array([[1.5]]), np.array([1.0]), "regression") == pytest.approx([0.25])


def test_large_scores_do_not_overflow() -> None:
    assert row_losses(np.array([[1000.0, -1000.0]]), np.array([1]), "single_label") == pytest.approx([2000])
    assert row_losses(np.array([[1000.0, -1000.0]]), np.array([[0, 0]]), "multi_label") == pytest.approx([500])


def test_loss_is_the_mean_of_batches_and_eval_loss_that_of_rows() -> None:
    logits, labels = np.array([[2.0], [0.0], [3.0]]), np.zeros(3)
    found = results(logits, labels, "regression", ("mean_squared_error",), 0.5, batch_size=2)
    assert found == pytest.approx({"eval_mean_squared_error": 13 / 3, "eval_loss": 13 / 3, "loss": (2 + 9) / 2})
    assert list(found) == result_names(("mean_squared_error",))


@pytest.mark.parametrize("values_at_once", [1, 4, 1000])
def test_windows_become_one(monkeypatch: pytest.MonkeyPatch, values_at_once: int) -> None:
    monkeypatch.setattr(spilled, "VALUES_AT_ONCE", values_at_once)
    logits = np.array([[1, 2], [3, -2], [5, 0], [7, 8]], np.float32)
    splits = np.array([0, 3, 4])
    assert pool_windows(logits, splits, "mean").tolist() == [[3, 0], [7, 8]]
    assert pool_windows(logits, splits, "max").tolist() == [[5, 2], [7, 8]]
