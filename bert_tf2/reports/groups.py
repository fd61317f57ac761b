"""Tables of scores by group, for example by length.

Shapes: `N` rows, `G` groups.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bert_tf2.reports.intervals import wilson
from bert_tf2.reports.page import Table, shown_as_percent, shown_as_percents

Array = NDArray[np.int64]


class LengthGroups(NamedTuple):
    """Rows grouped by length, in groups of about the same size.

    Attributes:
      bounds: the least and the greatest length in each of the G groups, ascending.
      group_of_row: int64 [N], the group of each row.
    """

    bounds: list[tuple[int, int]]
    group_of_row: Array

    @classmethod
    def of(cls, lengths: Sequence[int] | Array, most: int = 6) -> "LengthGroups":
        """Groups rows.

        Args:
          lengths: int [N], the length of each row.
          most: the maximum number of groups; rows of the same length are always in the same group.
        """
        values = np.asarray(lengths, np.int64)
        if not len(values):
            return cls([], values)
        ends = np.unique(np.quantile(values, np.arange(1, most + 1) / most, method="inverted_cdf"))
        group_of_row = np.searchsorted(ends, values)
        present, group_of_row = np.unique(group_of_row, return_inverse=True)
        members = [values[group_of_row == number] for number in range(len(present))]
        return cls([(int(group.min()), int(group.max())) for group in members], group_of_row)

    @property
    def names(self) -> list[str]:
        """The names of the groups: `3 to 5`, or `4` if all lengths are the same."""
        return [f"{low:,} to {high:,}" if low < high else f"{low:,}" for low, high in self.bounds]


def interval(low: float, high: float) -> str:
    """An interval for a table: `0.899 to 0.925`; a dash if it is undefined."""
    return "–" if math.isnan(low) or math.isnan(high) else f"{low:.3f} to {high:.3f}"


def figure(label: str, fraction: float, bounds: tuple[float, float]) -> tuple[str, str, str]:
    """A fraction and its 95 % interval, as an entry of `Figures`."""
    shown = shown_as_percents(*bounds)
    return label, shown_as_percent(fraction), f"95 % interval {shown}" if shown else ""


def mean_scores(
    names: Sequence[str], group_of_row: Array, scores: Mapping[str, NDArray[np.float64]], header: str, counted: str
) -> Table:
    """A table with a row for each group: its size, and the means of the scores with their intervals.

    The intervals are Wilson's for a fraction, which are slightly too wide for scores between 0 and 1.

    Args:
      names: the names of the G groups; empty groups are omitted.
      group_of_row: int64 [N], the group of each row.
      scores: the scores of the rows, from 0 to 1, by name, float64 [N] each.
      header: the header of the groups' names.
      counted: the header of their sizes, such as "questions".
    """
    counts = np.bincount(group_of_row, minlength=len(names))
    sums = {name: np.bincount(group_of_row, values, len(names)) for name, values in scores.items()}
    headers = [header, counted, *scores, *(f"{name}, 95 % interval" for name in scores)]
    rows: list[list[str | int | float]] = []
    for number, name in enumerate(names):
        if count := int(counts[number]):
            totals = [float(total[number]) for total in sums.values()]
            intervals = [interval(*wilson(total, count)) for total in totals]
            rows.append([name, count, *(total / count for total in totals), *intervals])
    return Table(headers, rows)
