"""Confidence intervals of 95 %, given the number of rows that were scored.

Shapes: `N` rows.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
MOST_RESAMPLED = 20_000
"""Rows that are drawn at once; the interval of more follows from that of these by the root of their ratio."""

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
      statistic: takes as many rows, drawn with replacement, in the form of `values`; 1,000 times.
      seed: the same seed gives the same interval.

    Example:
      `bootstrap(np.stack([truths, predictions], axis=1), lambda rows: np.mean(rows[:, 0] == rows[:, 1]))`
    """
    if not len(values):
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    drawn = min(len(values), MOST_RESAMPLED)
    drawings = (values[rng.integers(0, len(values), drawn)] for _ in range(RESAMPLES))
    statistics = np.fromiter(map(statistic, drawings), np.float64, RESAMPLES)
    statistics = statistics[np.isfinite(statistics)]
    if not len(statistics):
        return math.nan, math.nan
    low, high = (float(bound) for bound in np.quantile(statistics, (0.025, 0.975)))
    if drawn == len(values):
        return low, high
    centre, scale = float(np.mean(statistics)), math.sqrt(drawn / len(values))
    return centre + scale * (low - centre), centre + scale * (high - centre)
