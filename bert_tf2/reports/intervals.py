"""95 % confidence intervals of scores.

Shapes: `N` rows.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
MOST_RESAMPLED = 20_000
"""Of more rows, a sample of this size is resampled, and the interval is scaled by the square root of the ratio."""

_AT_ONCE = 100  # resamples per matrix product; with fewer, the products are many times slower

_Z = 1.959963984540054  # the 97.5 % quantile of the normal distribution


def wilson(successes: float, count: float) -> tuple[float, float]:
    """Wilson's score interval of a fraction: low and high, both in [0, 1]; NaN if `count` is 0.

    Args:
      successes: the number of successes, from 0 to `count`; may be fractional.
      count: the number of trials.

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
    """The percentile bootstrap: low and high; NaN if the statistic is undefined.

    Args:
      values: [N, ...], the data of each row.
      statistic: computes the statistic from rows of `values`, drawn with replacement; called about 1,000 times.
      seed: the random seed; the same seed gives the same interval.

    Example:
      `bootstrap(np.stack([truths, predictions], axis=1), lambda rows: np.mean(rows[:, 0] == rows[:, 1]))`
    """
    rng = np.random.default_rng(seed)
    sample = _sample(values, rng)
    resamples = (sample[rng.integers(0, len(sample), len(sample))] for _ in range(RESAMPLES))
    return _interval(map(statistic, resamples), lambda: statistic(values), len(sample), len(values))


def bootstrap_sums(
    values: NDArray[Any], statistic: Callable[[NDArray[np.float64]], float], seed: int = 0
) -> tuple[float, float]:
    """`bootstrap` for a statistic that is a function of the sums of the columns; much faster.

    Args:
      values: [N, K].
      statistic: computes the statistic from the column sums, float64 [K], of N rows, or of fewer if N is large.
      seed: the random seed; the same seed gives the same interval, up to rounding.

    Example:
      `bootstrap_sums(errors[:, None] ** 2, lambda sums: sums[0] / len(errors))`
    """
    rng = np.random.default_rng(seed)
    sample = _sample(values, rng).astype(np.float64)
    sums = _resampled_sums(sample, rng)
    return _interval(map(statistic, sums), lambda: statistic(values.sum(axis=0)), len(sample), len(values))


def _sample(values: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """The rows to resample: all, or a random `MOST_RESAMPLED` of more."""
    if len(values) <= MOST_RESAMPLED:
        return values
    return values[np.sort(rng.choice(len(values), MOST_RESAMPLED, replace=False))]


def _resampled_sums(values: NDArray[np.float64], rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """The column sums of each resample."""
    count = len(values)
    for _ in range(RESAMPLES // _AT_ONCE):
        draws = (rng.integers(0, max(count, 1), count) for _ in range(_AT_ONCE))
        draw_counts = np.stack([np.bincount(rows, minlength=count) for rows in draws])  # how often each row is drawn
        yield from draw_counts.astype(np.float64) @ values


def _interval(
    statistics: Iterable[float], full_statistic: Callable[[], float], sample_size: int, count: int
) -> tuple[float, float]:
    """The quantiles of the resamples' statistics; those of a sample are scaled, and centred on the full statistic."""
    if not count:
        return math.nan, math.nan
    finite = np.array([value for value in statistics if math.isfinite(value)])
    if not len(finite):
        return math.nan, math.nan
    low, high = (float(bound) for bound in np.quantile(finite, (0.025, 0.975)))
    if sample_size == count:
        return low, high
    centre, scale, value = float(np.mean(finite)), math.sqrt(sample_size / count), full_statistic()
    return value + scale * (low - centre), value + scale * (high - centre)


def f1_interval(right: int, predicted: int, true: int) -> tuple[float, float]:
    """The interval of an F1: low and high; NaN if no item is predicted or true.

    It is computed from Wilson's interval of the Jaccard index J, the fraction of the items predicted or true that are
    both: F1 is 2 J / (1 + J).

    Args:
      right: the number of predicted items that are true.
      predicted: the number of predicted items.
      true: the number of true items.

    Example:
      `f1_interval(90, 100, 110)` is `(0.7992, 0.9004)`, rounded; the F1 is 0.8571.
    """
    low, high = wilson(right, predicted + true - right)
    return 2 * low / (1 + low), 2 * high / (1 + high)
