"""Drawings for a report, as SVG with the colours and the font of its page, light or dark.

    svg = lines({"training": (steps, losses)}, "step", "loss")

matplotlib is imported when a drawing is made. It draws with placeholder colours, which are then replaced by the CSS
variables of the page. Text stays text, so that it can be selected and searched.
"""

import io
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bert_tf2.reports.page import shortened

MOST_POINTS = 400
"""The most points drawn of a line; of more, evenly spaced ones are drawn."""
MOST_DOTS = 1500
"""The most points drawn of a scatter plot, likewise."""

_INK, _MUTED, _LINE, _ON_SERIES = "#010101", "#020202", "#030303", "#040404"
_SERIES = tuple(f"#0505{number:02x}" for number in range(1, 7))
_VARIABLES = {
    _INK: "--ink",
    _MUTED: "--muted",
    _LINE: "--line",
    _ON_SERIES: "--on-series",
    **{colour: f"--series-{number}" for number, colour in enumerate(_SERIES, 1)},
}
_WIDTH, _HEIGHT = 400, 260  # pixels; at 72 dpi a pixel is a point
_LONGEST_NAME = 24
_MOST_BINS = 30
_MOST_WITH_COUNTS = 8  # the most labels of a matrix with room for counts in its cells

_STYLE = {
    "axes.edgecolor": _LINE,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": _MUTED,
    "axes.labelsize": 11.5,
    "axes.prop_cycle": f"cycler('color', {list(_SERIES)})",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.unicode_minus": False,
    "figure.dpi": 72,
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "font.size": 11.5,
    "grid.color": _LINE,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 11.5,
    "legend.labelcolor": _INK,
    "lines.linewidth": 2,
    "lines.markersize": 4.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "bert_tf2",
    "text.color": _INK,
    "text.parse_math": False,
    "xtick.color": _MUTED,
    "xtick.labelsize": 10.5,
    "xtick.major.size": 0,
    "ytick.color": _MUTED,
    "ytick.labelsize": 10.5,
    "ytick.major.size": 0,
}


def lines(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]], x_label: str, y_label: str, diagonal: bool = False
) -> str:
    """A line chart.

    Args:
      series: the x and y of the points of each series, by name; a single series has no legend. Points that are not
        finite are left out.
      x_label: the label of the horizontal axis.
      y_label: the label of the vertical axis.
      diagonal: whether to draw the line x = y, with both axes from 0 to 1.
    """
    with _drawing() as drawing:
        axes = drawing.axes
        if diagonal:
            axes.plot([0, 1], [0, 1], color=_MUTED, linewidth=1, linestyle=(0, (4, 4)))
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        for number, (name, points) in enumerate(series.items()):
            x, y = _thin_out(np.asarray(points[0], np.float64), np.asarray(points[1], np.float64), MOST_POINTS)
            marker = "o" if len(x) <= _MOST_BINS else ""
            axes.plot(x, y, marker=marker, label=_short(name), color=_SERIES[number % len(_SERIES)])
        if len(series) > 1:
            axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1), ncols=3, borderaxespad=0, handlelength=1.2)
        axes.set(xlabel=x_label, ylabel=y_label)
        if not any(np.mod(points[0], 1).any() for points in series.values()):  # steps, for example
            axes.xaxis.get_major_locator().set_params(integer=True)
    return drawing.svg


def bars(labels: Sequence[str], values: Sequence[float], x_label: str) -> str:
    """Horizontal bars, the first at the top, with their values.

    Args:
      labels: the labels of the bars.
      values: the lengths of the bars.
      x_label: the label of the horizontal axis.
    """
    with _drawing(height=70 + 24 * len(labels)) as drawing:
        axes = drawing.axes
        positions = range(len(labels))
        axes.barh(positions, values, 0.68, color=_SERIES[0])
        for y, value in zip(positions, values, strict=True):
            axes.annotate(_number(value), (value, y), (4, 0), textcoords="offset points", va="center", size=10.5)
        axes.set_yticks(positions, [_short(label) for label in labels])
        axes.set(ylim=(len(labels) - 0.4, -0.6), xlabel=x_label)
        axes.margins(x=0.12)
        axes.grid(axis="y", visible=False)
    return drawing.svg


def histogram(values: ArrayLike, x_label: str, y_label: str, mark: float | None = None, mark_label: str = "") -> str:
    """A histogram of at most 30 bins.

    Args:
      values: numbers, of which those that are not finite are left out.
      x_label: the label of the horizontal axis.
      y_label: the label of the vertical axis: what is counted.
      mark: where to draw a vertical line; None for no line.
      mark_label: the label of that line.
    """
    numbers = np.asarray(values)
    numbers = numbers[np.isfinite(numbers)]
    with _drawing() as drawing:
        axes = drawing.axes
        if len(numbers):
            counts, edges = np.histogram(numbers, _edges(numbers))
            axes.stairs(counts, edges, fill=True, color=_SERIES[0])
        if mark is not None:
            axes.axvline(mark, color=_SERIES[1], linewidth=1.5)
            is_left = mark < sum(axes.get_xlim()) / 2
            axes.annotate(
                *(mark_label, (mark, 1), (5 if is_left else -5, -3)),
                xycoords=axes.get_xaxis_transform(),
                textcoords="offset points",
                ha="left" if is_left else "right",
                va="top",
                color=_SERIES[1],
            )
        axes.grid(axis="x", visible=False)
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.set_ylim(bottom=0)
    return drawing.svg


def scatter(x: ArrayLike, y: ArrayLike, x_label: str, y_label: str) -> str:
    """A scatter plot, with the line x = y.

    Args:
      x, y: [N] each; points that are not finite are left out.
      x_label: the label of the horizontal axis.
      y_label: the label of the vertical axis.
    """
    columns = _thin_out(np.asarray(x, np.float64), np.asarray(y, np.float64), MOST_DOTS)
    with _drawing() as drawing:
        axes = drawing.axes
        axes.plot(*columns, linestyle="", marker="o", markersize=3.5, alpha=0.45, markeredgewidth=0, color=_SERIES[0])
        if len(columns[0]):
            ends = [np.min(columns), np.max(columns)]
            axes.plot(ends, ends, color=_MUTED, linewidth=1, linestyle=(0, (4, 4)))
        axes.set(xlabel=x_label, ylabel=y_label)
    return drawing.svg


def matrix(rows: Sequence[str], columns: Sequence[str], counts: ArrayLike, row_label: str, column_label: str) -> str:
    """A confusion matrix: each cell shows its percentage of its row, as a number and by its colour.

    Args:
      rows: the names of the R rows.
      columns: the names of the C columns.
      counts: int [R, C].
      row_label: the label of the vertical axis.
      column_label: the label of the horizontal axis.
    """
    numbers = np.asarray(counts)
    fractions = numbers / np.maximum(numbers.sum(axis=1, keepdims=True), 1)
    most = max(len(rows), len(columns))
    with_counts = most <= _MOST_WITH_COUNTS
    size = 58 if with_counts else 36
    with _drawing(max(340, 150 + size * len(columns)), 110 + size * 0.75 * len(rows)) as drawing:
        _draw_cells(drawing.axes, fractions)
        for (row, column), count in np.ndenumerate(numbers):
            if count:
                fraction = fractions[row, column]
                percent = f"{100 * fraction:.0f} %" if with_counts else f"{100 * fraction:.0f}"
                text = f"{percent}\n{count:,}" if with_counts else percent
                colour = _ON_SERIES if fraction > 0.55 else _INK
                drawing.axes.text(column, row, text, ha="center", va="center", color=colour, size=10)
        slanted = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
        is_wide = any(len(_short(name)) * 6 > size for name in columns)
        drawing.axes.set_xticks(range(len(columns)), [_short(name) for name in columns], **(slanted if is_wide else {}))
        drawing.axes.set_yticks(range(len(rows)), [_short(name) for name in rows])
        drawing.axes.set(xlabel=column_label, ylabel=row_label)
        drawing.axes.grid(visible=False)
        drawing.axes.spines[:].set_visible(False)
    return drawing.svg


def _draw_cells(axes: Any, fractions: NDArray[np.float64]) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.colors import to_rgba
    from matplotlib.patches import Rectangle

    cells = [Rectangle((column - 0.48, row - 0.47), 0.96, 0.94) for row, column in np.ndindex(fractions.shape)]
    colours = [to_rgba(_SERIES[0], 0.06 + 0.94 * float(fraction)) for fraction in fractions.ravel()]
    axes.add_collection(PatchCollection(cells, facecolors=colours, edgecolors="none"))
    axes.set(xlim=(-0.5, fractions.shape[1] - 0.5), ylim=(fractions.shape[0] - 0.5, -0.5))


# --- Figures ---------------------------------------------------------------------------------------------------------


class _Drawing:
    """A figure; `svg` is set when the `with` block of `_drawing` ends."""

    def __init__(self, axes: Any) -> None:
        self.axes = axes
        self.svg = ""


@contextmanager
def _drawing(width: float = _WIDTH, height: float = _HEIGHT) -> Iterator[_Drawing]:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width / 72, height / 72))
        drawing = _Drawing(figure.subplots())
        drawing.axes.set_axisbelow(True)
        yield drawing
        file = io.StringIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph")  # browsers have fonts for glyphs that matplotlib lacks
            warnings.filterwarnings("ignore", message="constrained_layout not applied")  # because names are too long
            figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    drawing.svg = _for_page(file.getvalue(), width, height)


def _for_page(text: str, width: float, height: float) -> str:
    """An SVG element with the colours and the font of the page, without unused ids."""
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    used = set(re.findall(r"[\"'(]#([\w.-]+)[\"')]", text))
    text = re.sub(r"<[^>]*>", lambda tag: _simplify(tag[0], used), text)
    wide = 'class="wide"' if width > _WIDTH * 1.3 else f'style="max-width: {1.1 * width:.0f}px"'
    start = rf'<svg \1 width="{width:.0f}" height="{height:.0f}" {wide}>'
    text = re.sub(r"^<svg[^>]*?(viewBox=\"[^\"]*\")[^>]*>", start, text)
    return re.sub(r"\n\s*", "\n", text.strip())


def _simplify(tag: str, used: set[str]) -> str:
    """A tag with the colours and the font of the page, without an unused id and unnecessary digits."""
    tag = re.sub(r' id="([\w.-]+)"', lambda match: match[0] if match[1] in used else "", tag)
    tag = re.sub(r" ?font-family: [^;\"]*;?", "", tag)
    tag = re.sub(r"(font: [^;\"]*?px) [^;\"]*", r"\1 var(--font)", tag)
    tag = re.sub(r' transform="rotate\(-?0 [^"]*"', "", tag)
    tag = re.sub(r"(\.\d\d)\d+", r"\1", tag)
    return re.sub("#0[0-9a-f]{5}", lambda match: f"var({_VARIABLES.get(match[0], '--ink')})", tag)


def _thin_out(x: NDArray[np.float64], y: NDArray[np.float64], most: int) -> tuple[Any, Any]:
    """The finite points; of more than `most`, evenly spaced ones, including the first and the last."""
    is_finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[is_finite], y[is_finite]
    if len(x) > most:
        rows = np.linspace(0, len(x) - 1, most).round().astype(np.int64)
        x, y = x[rows], y[rows]
    return x, y


def _edges(numbers: NDArray[Any]) -> NDArray[Any]:
    """The edges of bins of equal width; for integers, half-way between them."""
    low, high = numbers.min(), numbers.max()
    if numbers.dtype.kind in "iu":
        step = max(1, math.ceil((int(high) - int(low) + 1) / _MOST_BINS))
        return np.arange(int(low), int(high) + step + 1, step) - 0.5
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, _MOST_BINS + 1)


def _short(name: str) -> str:
    return shortened(" ".join(name.split()), _LONGEST_NAME)


def _number(value: float) -> str:
    return f"{int(value):,}" if float(value).is_integer() else f"{value:.3g}"
