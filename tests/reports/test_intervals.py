"""Confidence intervals: Wilson's against hand-computed values, the bootstrap against the theory for a mean."""

import math

import numpy as np
import pytest

from bert_tf2.reports import intervals
from bert_tf2.reports.intervals import bootstrap, bootstrap_sums, wilson


@pytest.mark.parametrize(
    ("successes", "count", "expected"),
    [
        (90, 100, (0.825634, 0.944770)),
        (0, 10, (0.0, 0.277533)),
        (10, 10, (0.722467, 1.0)),
        (1, 2, (0.094531, 0.905469)),
        (812, 872, (0.912431, 0.946172)),
    ],
)
def test_wilson(successes: int, count: int, expected: tuple[float, float]) -> None:
    assert wilson(successes, count) == pytest.approx(expected, abs=1e-6)


def test_wilson_without_trials_is_nan() -> None:
    assert all(map(math.isnan, wilson(0, 0)))


def test_bootstrap_of_a_mean_matches_the_normal_distribution() -> None:
    values = np.random.default_rng(1).normal(5, 2, 400)
    low, high = bootstrap(values, lambda rows: float(rows.mean()), seed=7)
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.3 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.3 * error)
    assert (low, high) == bootstrap(values, lambda rows: float(rows.mean()), seed=7)
    assert (low, high) != bootstrap(values, lambda rows: float(rows.mean()), seed=8)


def test_bootstrap_of_rows_of_any_shape() -> None:
    rows = np.array([[1, 1], [0, 1]] * 50)
    low, high = bootstrap(rows, lambda sample: float(np.mean(sample[:, 0] == sample[:, 1])))
    assert low == pytest.approx(0.4, abs=0.03)
    assert high == pytest.approx(0.6, abs=0.03)


def test_bootstrap_of_sums_gives_the_same_interval() -> None:
    rows = np.random.default_rng(1).normal(5, 2, (300, 2))
    expected = bootstrap(rows, lambda sample: float(sample[:, 0].sum() / sample[:, 1].sum()))
    assert bootstrap_sums(rows, lambda sums: float(sums[0] / sums[1])) == pytest.approx(expected)


def test_interval_of_many_rows_is_scaled_from_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(0, 1, 2500)
    monkeypatch.setattr(intervals, "MOST_RESAMPLED", 100)
    low, high = bootstrap(values, lambda rows: float(rows.mean()))
    assert high - low == pytest.approx(2 * 1.96 / 50, rel=0.25)
    assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.01), "the value is that of all rows"


def test_undefined_statistic_has_no_interval() -> None:
    assert all(map(math.isnan, bootstrap(np.zeros(3), lambda rows: math.nan)))
    assert all(map(math.isnan, bootstrap(np.zeros(0), lambda rows: 1.0)))
    assert all(map(math.isnan, bootstrap_sums(np.zeros((0, 2)), lambda sums: 1.0)))
