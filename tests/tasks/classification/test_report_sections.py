"""The sections of a classifier's report, and the size of the page for many rows."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from helpers.evaluations import HOSTILE, made_up, of_logits

from bert_tf2.reports import pictures
from bert_tf2.reports.page import Block, Example, Examples, Figures, Picture, Report, Section, Table, Text, render
from bert_tf2.tasks.classification import report_rows
from bert_tf2.tasks.classification.report_sections import sections

THREE = ("bad", "fair", "good")
SIX = of_logits(
    "single_label",
    THREE,
    [0, 0, 1, 2, 2, 2],
    np.log([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.1, 0.2, 0.7], [0.9, 0.05, 0.05]]),
    lengths=[5, 5, 200, 9, 300, 9],
)


def blocks(sections: list[Section], title: str, kind: type[Block]) -> Iterator:
    (section,) = [section for section in sections if section.title == title]
    return (block for block in section.blocks if isinstance(block, kind))


def table(sections: list[Section], title: str, caption: str) -> list:
    (table,) = [block for block in blocks(sections, title, Table) if block.caption == caption]
    return list(table.rows)


def cards(sections: list[Section]) -> list[Example]:
    return list(next(blocks(sections, "Worst errors", Examples)).rows)


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces pictures, which are slow to draw and tested elsewhere."""
    for name in ("bars", "histogram", "lines", "matrix", "scatter"):
        monkeypatch.setattr(pictures, name, lambda *_, **__: "<svg></svg>")


@pytest.fixture
def six_rows(without_pictures: None) -> list[Section]:
    return sections(SIX)


def test_labels_and_confusions(six_rows: list[Section]) -> None:
    assert [section.title for section in six_rows] == [
        *("Labels", "Confusions", "Calibration and thresholds", "Worst errors"),
    ]
    (text,) = blocks(six_rows, "Labels", Text)
    assert text.text.startswith("50.0 % of the rows are 'good'")
    assert table(six_rows, "Labels", "Scores of each label") == [
        ("good", 3, 2, 1.0, pytest.approx(2 / 3), pytest.approx(0.8)),
        ("bad", 2, 2, 0.5, 0.5, 0.5),
        ("fair", 1, 2, 0.5, 1.0, pytest.approx(2 / 3)),
    ]
    assert table(six_rows, "Confusions", "Most frequent confusions") == [
        ("bad", "fair", 1, 0.5),
        ("good", "bad", 1, pytest.approx(1 / 3)),
    ]


def test_worst_errors_come_first(six_rows: list[Section]) -> None:
    first, second = cards(six_rows)
    assert (first.title, second.title) == ("good → bad", "bad → fair")
    assert first.text == "text 5"
    assert first.facts == [
        *(("confidence", "90.0 %"), ("probability of the true label", "5.0 %"), ("loss", "2.996")),
        *(("tokens", "9"), ("id", "5"), ("line", "7")),
    ]


def test_calibration_and_withheld_predictions(six_rows: list[Section]) -> None:
    (figures,) = blocks(six_rows, "Calibration and thresholds", Figures)
    # Bins of 1/15: two rows with 0.7, three with 0.8, one with 0.9.
    error = (2 * abs(0.7 - 0.5) + 3 * abs(0.8 - 1) + abs(0.9 - 0)) / 6
    assert figures.values[0][:2] == ("expected calibration error", f"{100 * error:.1f} %")
    assert [value for _, value, _ in figures.values[1:]] == ["78.3 %", "66.7 %"]
    kept = table(six_rows, "Calibration and thresholds", "Accuracy if uncertain predictions are withheld")
    assert [row[:4] for row in kept] == [
        ("0", 6, "100.0 %", "66.7 %"),
        ("0.8", 4, "66.7 %", "75.0 %"),
        ("0.9", 1, "16.7 %", "0.0 %"),
        ("0.95", 0, "0.0 %", "–"),
    ]


@pytest.mark.usefixtures("without_pictures")
def test_lengths() -> None:
    section = report_rows.lengths(SIX)
    figures, picture, by_length = section.blocks
    assert isinstance(figures, Figures)
    assert isinstance(picture, Picture)
    assert isinstance(by_length, Table)
    assert figures.values[2] == ("truncated", "33.3 %", "2 of 6 rows")
    assert [row[:3] for row in by_length.rows] == [
        ("5", 2, "50.0 %"),
        ("9", 2, "50.0 %"),
        ("more than 128: truncated", 2, "100.0 %"),
    ]


@pytest.mark.usefixtures("without_pictures")
def test_threshold_of_two_labels() -> None:
    logits = np.log([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
    shown = sections(of_logits("single_label", ("no", "yes"), [0, 0, 1, 1, 1], logits))
    (row,) = table(shown, "Calibration and thresholds", "Threshold with the best F1")
    assert row == ("yes", 3, pytest.approx(0.5), 1.0, pytest.approx(0.3, abs=0.011), 1.0, 1.0)


@pytest.mark.usefixtures("without_pictures")
def test_several_labels() -> None:
    labels = [[1, 0], [1, 1], [0, 1], [0, 0]]
    logits = np.log([[9, 0.5], [0.5, 9], [0.1, 9], [9, 0.1]])
    shown = sections(of_logits("multi_label", ("rude", "angry"), labels, logits))
    assert [section.title for section in shown] == ["Labels", "Calibration and thresholds", "Worst errors"]
    rows = table(shown, "Calibration and thresholds", "Thresholds with the best F1")
    assert [row[0] for row in rows] == ["all together", "rude", "angry"]
    assert rows[1][:5] == ("rude", 2, 0.5, pytest.approx(0.8), pytest.approx(0.33))
    first, second = cards(shown)
    assert (first.title, second.title) == ("labels wrong", "labels missed")
    assert first.facts[0] == ("wrong", "rude (90.0 %)")
    assert second.facts[:2] == [("missed", "rude (33.3 %)"), ("right", "angry (90.0 %)")]


@pytest.mark.usefixtures("without_pictures")
def test_values() -> None:
    shown = sections(of_logits("regression", (), [1, 2, 3], [[1.5], [2], [1]]))
    assert [section.title for section in shown] == ["Predictions and true values", "Worst errors"]
    (figures,) = blocks(shown, "Predictions and true values", Figures)
    assert [value for _, value, _ in figures.values] == ["0.8333", "1.19", "-0.5", "-1.125"]
    first, second, third = cards(shown)
    assert [card.title for card in (first, second, third)] == ["too low", "too high", "too low"]
    assert first.facts[:3] == [("truth", "3"), ("prediction", "1"), ("loss", "4")]


@pytest.mark.usefixtures("without_pictures")
def test_picture_of_many_labels_has_the_most_confused_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Percentages are those of all rows of a label."""
    pictured: list[Any] = []
    monkeypatch.setattr(pictures, "matrix", lambda *arguments: pictured.append(arguments) or "<svg></svg>")
    labels = [*range(25), 3, 3, 3, 24]
    predicted = [*range(25), 7, 7, 0, 3]
    shown = sections(of_logits("single_label", tuple(map(str, range(25))), labels, np.eye(25)[predicted]))
    (rows, columns, counts, *_) = pictured[0]
    assert (len(rows), len(columns), columns[-1]) == (20, 21, "others")
    assert {"0", "3", "7", "24"} <= set(rows)
    assert counts[rows.index("3"), columns.index("7")] == 2
    assert counts[rows.index("3")].sum() == 4
    assert table(shown, "Confusions", "Most frequent confusions")[0] == ("3", "7", 2, 0.5)


@pytest.mark.usefixtures("without_pictures")
def test_no_errors() -> None:
    shown = sections(of_logits("single_label", ("a", "b"), [0, 1], [[9, 0], [0, 9]]))
    assert [text.text for text in blocks(shown, "Worst errors", Text)] == ["No row is wrong."]


@pytest.mark.parametrize("kind", ["single_label", "multi_label", "regression"])
def test_page_of_many_rows_is_small_and_escapes_text(kind) -> None:
    names = tuple(f"label {number} <b>" for number in range({"single_label": 21, "multi_label": 3}.get(kind, 0)))
    evaluated = made_up(kind, 4_000, names)
    page = render(Report("a", "b", [*sections(evaluated), report_rows.lengths(evaluated)]))
    assert len(page.encode()) < 2_000_000
    assert "<script>alert" not in page
    assert HOSTILE not in page
    assert "<b>" not in page.replace("<dd><b>", "")
