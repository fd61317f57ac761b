"""A report as data, and the one self-contained HTML page that shows it.

    report = Report("Evaluation", "of a model", [Section("Scores", [Figures([("accuracy", "91.3 %", "")])])])
    html = render(report)

All text is escaped; only `Picture.svg` is inserted unescaped. The page makes no requests, follows the browser's light
or dark theme, and fits narrow and wide screens. Long content is truncated, so that the page stays small regardless of
the number of rows.
"""

import dataclasses
import itertools
import math
import re
import unicodedata
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from bert_tf2.errors import InputError, counted, inflected
from bert_tf2.reports import assets

PACKAGES = ("jinja2", "matplotlib")
"""The packages that reports need; the extra `report` installs them."""

MOST_ROWS = 500
"""The number of rows of a table that are shown."""
MOST_EXAMPLES = 200
"""The number of cards of `Examples` that are shown."""

_MOST_CHARACTERS = 1200  # shown of an example's text
_BEFORE_FIRST_MARK = 200  # those of them before the first mark
_MOST_IN_CELL = 300  # characters shown in a cell, or in the title of an example
_MOST_IN_FACT = 600  # characters shown of an example's fact
_MOST_IN_LINE = 28  # characters in a cell that does not wrap
_NUMBER = re.compile(r"(-?[\d,]*\.?\d+)( %)?( to -?[\d,]*\.?\d+)?")  # text such as 91.3 %, 89.9 to 92.5

MarkKind = Literal["right", "wrong", "missed"]


@dataclasses.dataclass(frozen=True)
class Table:
    """A table that can be sorted by clicking on a header.

    Attributes:
      headers: the header of each column.
      rows: the cells of each row. Numbers are formatted in the same way throughout a column, NaN is shown as a dash.
        Text that is a number ("91.3 %") is sorted as a number.
      caption: text above the table.
      note: text below it.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[str | int | float]]
    caption: str = ""
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Picture:
    """A drawing by `reports.pictures`.

    Attributes:
      svg: trusted SVG, which is not escaped.
      alt: a description, for people who cannot see it.
      caption: text above the picture.
    """

    svg: str
    alt: str
    caption: str = ""


@dataclasses.dataclass(frozen=True)
class Figures:
    """The most important numbers, large.

    Attributes:
      values: the label, value ("91.3 %") and small print ("95 % interval 89.9 to 92.5") of each number.
    """

    values: Sequence[tuple[str, str, str]]


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph of plain text."""

    text: str


@dataclasses.dataclass(frozen=True)
class Code:
    """Lines to be copied, such as a command."""

    text: str


@dataclasses.dataclass(frozen=True)
class Links:
    """Links to files in the directory of the page.

    Attributes:
      files: the path of each file, relative to that directory, and its description.
    """

    files: Sequence[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Mark:
    """A highlighted span of a text.

    Attributes:
      begin: the index of its first character.
      end: the index after its last character.
      label: text shown after it.
      kind: determines the colour: predicted correctly, predicted wrongly, or missed.
    """

    begin: int
    end: int
    label: str
    kind: MarkKind


@dataclasses.dataclass(frozen=True)
class Example:
    """A card with a text.

    Attributes:
      title: the kind of example, by which cards can be filtered.
      text: the text; of a long text only a part is shown, which begins shortly before the first mark.
      facts: names and values shown below the text.
      marks: highlighted spans of `text`; they may overlap.
    """

    title: str
    text: str
    facts: Sequence[tuple[str, str]]
    marks: Sequence[Mark] = ()


@dataclasses.dataclass(frozen=True)
class Examples:
    """Cards that can be filtered by words and by title."""

    rows: Sequence[Example]


Block = Table | Picture | Figures | Text | Code | Links | Examples


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a report, with an entry in the table of contents."""

    title: str
    blocks: Sequence[Block]


@dataclasses.dataclass(frozen=True)
class Report:
    """A page."""

    title: str
    subtitle: str
    sections: Sequence[Section]


def missing_packages() -> list[str]:
    """The names in `PACKAGES` that are not installed."""
    missing = []
    for name, module in zip(PACKAGES, ("jinja2", "matplotlib.figure"), strict=True):
        try:
            __import__(module)
        except ImportError:
            missing.append(name)
    return missing


def render(report: Report) -> str:
    """The HTML of a report.

    Raises:
      InputError: jinja2 is not installed.
      ValueError: a row of a table has more or fewer cells than there are headers.
    """
    try:
        import jinja2
    except ImportError:
        raise InputError(
            "A report needs jinja2, which is not installed: python -m pip install 'bert-tf2[report]'."
        ) from None

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bert_tf2.reports", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = assets.template("page.js")
    return environment.get_template("page.html").render(
        report=report,
        sections=[(_slug(section.title, number), section) for number, section in enumerate(report.sections, 1)],
        kind=lambda block: type(block).__name__,
        groups=_groups,
        table=_table_layout,
        card=_card,
        shortened=shortened,
        counted=counted,
        inflected=inflected,
        href=urllib.parse.quote,
        most_examples=MOST_EXAMPLES,
        most_in_fact=_MOST_IN_FACT,
        script=script,
        script_source=assets.source(script),
        style=assets.style(assets.template("page.css")),
    )


def _slug(title: str, number: int) -> str:
    """The id of a section's HTML element."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub("[^a-z0-9]+", "-", f"{plain} {number}").strip("-")


def _groups(blocks: Sequence[Block]) -> Iterator[Sequence[Block]]:
    """Consecutive pictures together, which are shown side by side if there is room; other blocks alone."""
    pictures: list[Block] = []
    for block in blocks:
        if isinstance(block, Picture):
            pictures.append(block)
            continue
        if pictures:
            yield pictures
            pictures = []
        yield [block]
    if pictures:
        yield pictures


# --- Tables ----------------------------------------------------------------------------------------------------------


_NOTHING = {"", "–"}


class _Cell(NamedTuple):
    text: str
    order: str = ""  # the sort key of a number
    is_long: bool = False  # whether to wrap it, if necessary within words


class _TableLayout(NamedTuple):
    is_number: Sequence[bool]  # whether each column is numeric
    rows: Sequence[Sequence[_Cell]]
    left_out: int  # the number of rows that are not shown


def _table_layout(table: Table) -> _TableLayout:
    rows = table.rows[:MOST_ROWS]
    if any(len(row) != len(table.headers) for row in rows):
        raise ValueError(f"A row of the table {table.caption!r} does not have {counted(len(table.headers), 'cell')}.")
    columns = [_column(column) for column in zip(*rows, strict=True)] if rows else [(False, ()) for _ in table.headers]
    cells = list(zip(*(cells for _, cells in columns), strict=True))
    return _TableLayout([is_number for is_number, _ in columns], cells, len(table.rows) - len(rows))


def _column(values: Sequence[str | int | float]) -> tuple[bool, Sequence[_Cell]]:
    """Whether a column is numeric, and its cells."""
    if any(isinstance(value, str) for value in values):
        texts = [value if isinstance(value, str) else f"{value:,}" for value in values]
        if all(_NUMBER.fullmatch(text) or text in _NOTHING for text in texts) and set(texts) - _NOTHING:
            return True, list(map(_numeral_cell, texts))
        return False, [_Cell(shortened(text), is_long=len(text) > _MOST_IN_LINE) for text in texts]
    numbers = [float(value) for value in values]
    decimals = None if all(isinstance(value, int) for value in values) else _decimals(numbers)
    return True, [_number_cell(value, decimals) for value in numbers]


def shortened(text: str, most: int = _MOST_IN_CELL) -> str:
    """The text, truncated to `most` characters, the last of which is then an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _numeral_cell(text: str) -> _Cell:
    number = _NUMBER.fullmatch(text)
    return _Cell(text, "nan" if number is None else number[1].replace(",", ""))


def _number_cell(value: float, decimals: int | None) -> _Cell:
    if math.isnan(value):
        return _Cell("–", "nan")
    return _Cell(f"{value:,.{decimals or 0}f}" if math.isfinite(value) else str(value), repr(value))


def _decimals(numbers: Sequence[float]) -> int:
    """The number of decimals with which the largest number of a column has about three digits."""
    magnitudes = [abs(value) for value in numbers if math.isfinite(value) and value]
    if not magnitudes or 1e-3 <= max(magnitudes) <= 1:
        return 3
    return min(max(2 - math.floor(math.log10(max(magnitudes))), 0), 12)


# --- Examples --------------------------------------------------------------------------------------------------------


class _Piece(NamedTuple):
    """A span of a text with the same marks throughout."""

    text: str
    kinds: str  # the kinds of the marks, as CSS classes
    labels: Sequence[str]  # the labels of the marks that end with this span


class _Card(NamedTuple):
    before: int  # the number of characters omitted before `pieces`
    pieces: Sequence[_Piece]
    after: int  # the number of characters omitted after them


def _card(example: Example) -> _Card:
    text, first = example.text, 0
    if len(text) > _MOST_CHARACTERS and example.marks:
        first = max(0, min(mark.begin for mark in example.marks) - _BEFORE_FIRST_MARK)
        first = min(first, len(text) - _MOST_CHARACTERS)
    last = min(len(text), first + _MOST_CHARACTERS)
    return _Card(first, list(_pieces(text, example.marks, first, last)), len(text) - last)


def _pieces(text: str, marks: Sequence[Mark], first: int, last: int) -> Iterator[_Piece]:
    edges = {first, last, *(edge for mark in marks for edge in (mark.begin, mark.end) if first < edge < last)}
    for begin, end in itertools.pairwise(sorted(edges)):
        covering = [mark for mark in marks if mark.begin <= begin and end <= mark.end]
        kinds = " ".join(dict.fromkeys(mark.kind for mark in covering))
        labels = [mark.label for mark in covering if min(mark.end, last) == end]
        yield _Piece(text[begin:end], kinds, labels)


def shown_as_percent(value: float) -> str:
    """A fraction formatted for a report: "91.3 %"; a dash for NaN."""
    return "–" if math.isnan(value) else f"{100 * value:.1f} %"


def shown_as_percents(low: float, high: float) -> str:
    """An interval of fractions formatted for a report: "89.9 to 92.5"; empty if it is undefined."""
    return "" if math.isnan(low) or math.isnan(high) else f"{100 * low:.1f} to {100 * high:.1f}"


def shown_as_number(value: Any) -> str:
    """A number formatted for a report: integers in full, floats with four digits, a dash for NaN."""
    if isinstance(value, int):
        return f"{value:,}"
    return "–" if math.isnan(value) else f"{value:.4g}"
