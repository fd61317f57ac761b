"""Groups of rows by length, and their scores."""

import numpy as np
import pytest

from bert_tf2.reports.groups import LengthGroups, figure, interval, mean_scores

INTERVALS = ("exact, 95 % interval", "F1, 95 % interval")


@pytest.mark.parametrize(
    ("lengths", "most", "bounds", "group_of_row"),
    [
        ([], 3, [], []),
        ([5, 5, 5], 3, [(5, 5)], [0, 0, 0]),
        ([1, 2, 3, 4, 5, 6], 3, [(1, 2), (3, 4), (5, 6)], [0, 0, 1, 1, 2, 2]),
        ([9, 1, 1, 1, 2], 2, [(1, 1), (2, 9)], [1, 0, 0, 0, 1]),
        ([1000, 3], 6, [(3, 3), (1000, 1000)], [1, 0]),
    ],
)
def test_groups(lengths: list[int], most: int, bounds: list[tuple[int, int]], group_of_row: list[int]) -> None:
    groups = LengthGroups.of(lengths, most)
    assert groups.bounds == bounds
    assert groups.group_of_row.tolist() == group_of_row


def test_groups_have_similar_sizes() -> None:
    groups = LengthGroups.of(np.random.default_rng(0).integers(1, 1000, 6000))
    assert np.abs(np.bincount(groups.group_of_row) - 1000).max() < 30
    assert groups.names[0].startswith("1 to ")
    assert LengthGroups.of([1000, 3]).names == ["3", "1,000"]


def test_mean_scores() -> None:
    scores = {"exact": np.array([1, 0, 1, 1.0]), "F1": np.array([1, 0.5, 1, 1])}
    table = mean_scores(["who", "what", "why"], np.array([0, 0, 2, 2]), scores, "question word", "questions")
    assert table.headers == ["question word", "questions", "exact", "F1", *INTERVALS]
    assert table.rows == [
        ["who", 2, 0.5, 0.75, "0.095 to 0.905", "0.198 to 0.973"],
        ["why", 2, 1.0, 1.0, "0.342 to 1.000", "0.342 to 1.000"],
    ]


def test_interval() -> None:
    assert interval(0.49, 0.9433) == "0.490 to 0.943"
    assert interval(float("nan"), float("nan")) == "–"


def test_figure() -> None:
    assert figure("accuracy", 0.9, (0.82563, 0.9448)) == ("accuracy", "90.0 %", "95 % interval 82.6 to 94.5")
    assert figure("accuracy", float("nan"), (float("nan"), float("nan"))) == ("accuracy", "–", "")
