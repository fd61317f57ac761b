"""Scores of groups of rows, by length for example, as tables.

Shapes: `N` rows, `G` groups.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bert_tf2.reports.intervals import wilson
from bert_tf2.reports.page import Table, shown_as_percent

Array = NDArray[np.int64]


class LengthGroups(NamedTuple):
    """Rows grouped by their lengths, about as many in each group as the lengths allow.

    Attributes:
      bounds: G times the least and the greatest length of a group, ascending.
      of_row: int64 [N], the group of each row.
    """

    bounds: list[tuple[int, int]]
    of_row: Array

    @classmethod
    def of(cls, lengths: Sequence[int] | Array, most: int = 6) -> "LengthGroups":
        """Groups rows.

        Args:
          lengths: [N].
          most: groups at most; rows of one length are never divided.
        """
        values = np.asarray(lengths, np.int64)
        if not len(values):
            return cls([], values)
        ends = np.unique(np.quantile(values, np.arange(1, most + 1) / most, method="inverted_cdf"))
        of_row = np.searchsorted(ends, values)
        present, of_row = np.unique(of_row, return_inverse=True)
        members = [values[of_row == number] for number in range(len(present))]
        return cls([(int(one.min()), int(one.max())) for one in members], of_row)

    @property
    def names(self) -> list[str]:
        """What the groups are called: `3 to 5`, or `4` where all are of one length."""
        return [f"{low:,} to {high:,}" if low < high else f"{low:,}" for low, high in self.bounds]


def interval(low: float, high: float) -> str:
    """An interval as a table shows it: `0.899 to 0.925`; a dash where it is not defined."""
    return "–" if math.isnan(low) or math.isnan(high) else f"{low:.3f} to {high:.3f}"


def figure(label: str, fraction: float, bounds: tuple[float, float]) -> tuple[str, str, str]:
    """A fraction and its 95 % interval as `Figures` has them."""
    low, high = bounds
    small = "" if math.isnan(low) else f"95 % interval {100 * low:.1f} to {100 * high:.1f}"
    return label, shown_as_percent(fraction), small


def mean_scores(
    names: Sequence[str], of_row: Array, scores: Mapping[str, NDArray[np.float64]], header: str, counted: str
) -> Table:
    """A table with a row for each group: how many rows it has, and the mean of each score with its interval.

    The interval is that of a fraction, Wilson's; where scores lie between 0 and 1 it is a little too wide.

    Args:
      names: of the G groups; those without rows are left out.
      of_row: int64 [N], the group of each row.
      scores: [N] from 0 to 1 each, by what they are called.
      header: what the groups are.
      counted: what the rows are: "questions".
    """
    counts = np.bincount(of_row, minlength=len(names))
    sums = {name: np.bincount(of_row, values, len(names)) for name, values in scores.items()}
    headers = [header, counted, *scores, *(f"{name}, 95 % interval" for name in scores)]
    rows: list[list[str | int | float]] = []
    for number, name in enumerate(names):
        if count := int(counts[number]):
            totals = [float(total[number]) for total in sums.values()]
            intervals = [interval(*wilson(total, count)) for total in totals]
            rows.append([name, count, *(total / count for total in totals), *intervals])
    return Table(headers, rows)
