"""Confidence intervals of 95 %, given the number of rows that were scored.

Shapes: `N` rows.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
MOST_RESAMPLED = 20_000
"""Of more rows, so many are resampled, and the interval is scaled by the square root of the ratio."""

_AT_ONCE = 100  # resamples; of fewer, products of matrices are many times slower

_Z = 1.959963984540054  # the 97.5 % quantile of the normal distribution


def wilson(successes: float, count: float) -> tuple[float, float]:
    """Wilson's score interval of a fraction: low and high, both in [0, 1]; NaN of nothing.

    Args:
      successes: from 0 to `count`.
      count: of trials.

    Example:
      `wilson(90, 100)` is `(0.8256, 0.9448)`, rounded.
    """
    if not count:
        return math.nan, math.nan
    fraction, square = successes / count, _Z * _Z / count
    middle = fraction + square / 2
    half = _Z * math.sqrt(fraction * (1 - fraction) / count + square / (4 * count))
    return max(0.0, (middle - half) / (1 + square)), min(1.0, (middle + half) / (1 + square))


def bootstrap(values: NDArray[Any], statistic: Callable[[NDArray[Any]], float], seed: int = 0) -> tuple[float, float]:
    """The percentile bootstrap: low and high; NaN where the statistic is not defined.

    Args:
      values: [N, ...], what the statistic is computed from, for each row.
      statistic: takes rows of `values`, drawn with replacement; called about 1,000 times.
      seed: the same seed gives the same interval.

    Example:
      `bootstrap(np.stack([truths, predictions], axis=1), lambda rows: np.mean(rows[:, 0] == rows[:, 1]))`
    """
    rng = np.random.default_rng(seed)
    drawn = _drawn(values, rng)
    resamples = (drawn[rng.integers(0, len(drawn), len(drawn))] for _ in range(RESAMPLES))
    return _interval(map(statistic, resamples), lambda: statistic(values), len(drawn), len(values))


def bootstrap_sums(
    values: NDArray[Any], statistic: Callable[[NDArray[np.float64]], float], seed: int = 0
) -> tuple[float, float]:
    """`bootstrap` of a statistic that follows from the sums of all columns, much faster.

    Args:
      values: [N, K].
      statistic: takes the sums over as many rows as there are in `values`, float64 [K], or over fewer.
      seed: the same seed gives the same interval, but for rounding.

    Example:
      `bootstrap_sums(errors[:, None] ** 2, lambda sums: sums[0] / len(errors))`
    """
    rng = np.random.default_rng(seed)
    drawn = _drawn(values, rng).astype(np.float64)
    sums = _sums_of_resamples(drawn, rng)
    return _interval(map(statistic, sums), lambda: statistic(values.sum(axis=0)), len(drawn), len(values))


def _drawn(values: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """The rows to resample: all, or some where they are many."""
    if len(values) <= MOST_RESAMPLED:
        return values
    return values[np.sort(rng.choice(len(values), MOST_RESAMPLED, replace=False))]


def _sums_of_resamples(values: NDArray[np.float64], rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    count = len(values)
    for _ in range(RESAMPLES // _AT_ONCE):
        drawings = (rng.integers(0, max(count, 1), count) for _ in range(_AT_ONCE))
        times = np.stack([np.bincount(rows, minlength=count) for rows in drawings])  # how often each row is drawn
        yield from times.astype(np.float64) @ values


def _interval(statistics: Iterable[float], whole: Callable[[], float], drawn: int, count: int) -> tuple[float, float]:
    """Quantiles of the statistics of resamples; those of a part of the rows are scaled, and moved to the whole one."""
    if not count:
        return math.nan, math.nan
    finite = np.array([value for value in statistics if math.isfinite(value)])
    if not len(finite):
        return math.nan, math.nan
    low, high = (float(bound) for bound in np.quantile(finite, (0.025, 0.975)))
    if drawn == count:
        return low, high
    centre, scale, value = float(np.mean(finite)), math.sqrt(drawn / count), whole()
    return value + scale * (low - centre), value + scale * (high - centre)


def f1_interval(right: int, predicted: int, true: int) -> tuple[float, float]:
    """The interval of an F1: low and high; NaN if nothing is predicted or true.

    It follows from Wilson's interval of Jaccard's index J, the fraction of all predicted or true items that are both:
    F1 is 2 J / (1 + J).

    Args:
      right: the number of predicted items that are true.
      predicted: the number of predicted items.
      true: the number of true items.

    Example:
      `f1_interval(90, 100, 110)` is `(0.7992, 0.9004)`, rounded; the F1 is 0.8571.
    """
    low, high = wilson(right, predicted + true - right)
    return 2 * low / (1 + low), 2 * high / (1 + high)
