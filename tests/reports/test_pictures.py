"""Drawings: SVG with the colours of the page, selectable text, deterministic."""

import re
from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
import pytest

from bert_tf2.reports import pictures

NAMES = ["$x^2$ & <b>", "好", "long " * 20]
DRAWINGS: dict[str, Callable[[], str]] = {
    "lines": lambda: pictures.lines({"<a>": ([1, 2], [0.5, 0.25]), "b": ([1, 2], [0.1, float("nan")])}, "step", "loss"),
    "diagonal": lambda: pictures.lines({"model": ([0.1, 0.9], [0.2, 0.8])}, "said", "true", diagonal=True),
    "bars": lambda: pictures.bars(NAMES, [3, 0.5, 12], "rows"),
    "histogram": lambda: pictures.histogram(np.arange(100), "tokens", "rows", 64, "limit"),
    "scatter": lambda: pictures.scatter([1, 2, 3], [1, 2, 4], "truth", "prediction"),
    "matrix": lambda: pictures.matrix(NAMES, NAMES, [[9, 1, 0], [0, 0, 0], [5, 0, 5]], "truth", "prediction"),
}
TEXTS = {
    "lines": {"step", "loss", "<a>", "b"},
    "diagonal": {"said", "true"},
    "bars": {"rows", "$x^2$ & <b>", "好", "3", "0.5", "12"},
    "histogram": {"tokens", "rows", "limit"},
    "scatter": {"truth", "prediction"},
    "matrix": {"truth", "prediction", "$x^2$ & <b>", "90 %", "9", "10 %", "50 %"},
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_drawings(name: str) -> None:
    svg = DRAWINGS[name]()
    root = ElementTree.fromstring(svg.replace("xlink:href", "href"))
    assert root.tag == "svg"
    assert root.keys() == ["viewBox", "width", "height", "style"]
    texts = {(element.text or "").strip() for element in root.iter("text")}
    assert TEXTS[name] <= texts
    assert all(len(text) <= 30 for text in texts)
    assert not re.search(r"#[0-9a-f]{6}\b|://|DejaVu|<metadata", svg), "colours, names and fonts are the page's"
    assert "var(--series-1)" in svg
    names = re.findall(r' id="(.*?)"', svg)
    assert all(f"#{one}" in svg for one in names)


def test_drawing_is_deterministic() -> None:
    assert DRAWINGS["matrix"]() == DRAWINGS["matrix"]()


def test_many_points_are_thinned_out() -> None:
    steps = np.arange(1_000_000)
    assert len(pictures.lines({"loss": (steps, np.sin(steps))}, "step", "loss")) < 30_000
    assert len(pictures.scatter(steps, steps, "x", "y")) < 400_000
    assert len(pictures.histogram(steps, "x", "y")) < 30_000


def test_ticks_of_steps_are_integers() -> None:
    svg = pictures.lines({"loss": ([4, 8], [0.5, 0.25])}, "step", "loss")
    assert re.findall(r">(\d+(?:\.\d+)?)</text>", svg)[:5] == ["4", "5", "6", "7", "8"]


def test_nothing_to_draw() -> None:
    for svg in (pictures.histogram([], "x", "y"), pictures.scatter([], [], "x", "y")):
        assert ">x</text>" in svg


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1, 2, 3], [0.5, 1.5, 2.5, 3.5]), ([0, 59], np.arange(0, 62, 2) - 0.5), ([0.5, 0.5], np.linspace(0, 1, 31))],
)
def test_bins_of_a_histogram(values: list[float], expected: list[float]) -> None:
    assert pictures._edges(np.asarray(values)).tolist() == pytest.approx(list(expected))
