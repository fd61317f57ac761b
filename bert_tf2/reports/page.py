"""A report as data, and the one self-contained HTML page that shows it.

    report = Report("Evaluation", "of a model", [Section("Scores", [Figures([("accuracy", "91.3 %", "")])])])
    html = render(report)

All text is escaped; only `Picture.svg` is inserted as it is. The page makes no requests, follows the browser's light or
dark theme, and fits narrow and wide screens. Long content is truncated, so that the page stays small regardless of the
number of rows.
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
"""What reports need; the extra `report` installs them."""

MOST_ROWS = 500
"""Rows of a table that are shown."""
MOST_EXAMPLES = 200
"""Cards of `Examples` that are shown."""

_MOST_CHARACTERS = 1200  # of an example's text
_BEFORE_FIRST_MARK = 200  # of these, where the text has marks
_MOST_IN_CELL = 300  # and in the title of an example
_MOST_IN_FACT = 600
_MOST_IN_LINE = 28  # characters of a cell that does not wrap
_NUMBER = re.compile(r"(-?[\d,]*\.?\d+)( %)?( to -?[\d,]*\.?\d+)?")  # as text: 91.3 %, 89.9 to 92.5

MarkKind = Literal["right", "wrong", "missed"]


@dataclasses.dataclass(frozen=True)
class Table:
    """A table that a click on a header sorts.

    Attributes:
      headers: one for each column.
      rows: of as many cells; numbers are formatted alike in a column, NaN is a dash. Texts that are numbers ("91.3 %")
        are sorted as such.
      caption: above the table.
      note: below it.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[str | int | float]]
    caption: str = ""
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Picture:
    """A drawing of `reports.pictures`.

    Attributes:
      svg: trusted SVG, which is not escaped.
      alt: what it shows, for people who do not see it.
      caption: above the picture.
    """

    svg: str
    alt: str
    caption: str = ""


@dataclasses.dataclass(frozen=True)
class Figures:
    """The most important numbers, large.

    Attributes:
      values: label, value ("91.3 %") and small print ("95 % interval 89.9 to 92.5") of each.
    """

    values: Sequence[tuple[str, str, str]]


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph of plain text."""

    text: str


@dataclasses.dataclass(frozen=True)
class Code:
    """Lines to be copied: a command."""

    text: str


@dataclasses.dataclass(frozen=True)
class Links:
    """Files beside the page.

    Attributes:
      files: the name of each within the directory of the page, and what it is.
    """

    files: Sequence[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Mark:
    """Characters of a text that are highlighted.

    Attributes:
      begin: the first character, from 0.
      end: the one after the last.
      label: shown beside them.
      kind: decides the colour: predicted correctly, predicted wrongly, or missed.
    """

    begin: int
    end: int
    label: str
    kind: MarkKind


@dataclasses.dataclass(frozen=True)
class Example:
    """A card.

    Attributes:
      title: the kind of example, by which cards can be selected.
      text: if it is long, only a part is shown, which begins shortly before the first mark.
      facts: further names and values.
      marks: highlighted characters of `text`; they may overlap.
    """

    title: str
    text: str
    facts: Sequence[tuple[str, str]]
    marks: Sequence[Mark] = ()


@dataclasses.dataclass(frozen=True)
class Examples:
    """Cards, which can be filtered by their words and titles."""

    rows: Sequence[Example]


Block = Table | Picture | Figures | Text | Code | Links | Examples


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a report, which the table of contents names."""

    title: str
    blocks: Sequence[Block]


@dataclasses.dataclass(frozen=True)
class Report:
    """A page."""

    title: str
    subtitle: str
    sections: Sequence[Section]


def missing_packages() -> list[str]:
    """Those of `PACKAGES` that are not installed."""
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
        table=_laid_out,
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
    """The id of a section."""
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
    order: str = ""  # what numbers are sorted by
    is_long: bool = False  # wraps, perhaps within words


class _LaidOut(NamedTuple):
    is_number: Sequence[bool]  # of each column
    rows: Sequence[Sequence[_Cell]]
    left_out: int


def _laid_out(table: Table) -> _LaidOut:
    rows = table.rows[:MOST_ROWS]
    if any(len(row) != len(table.headers) for row in rows):
        raise ValueError(f"A row of the table {table.caption!r} does not have {counted(len(table.headers), 'cell')}.")
    columns = [_column(column) for column in zip(*rows, strict=True)] if rows else [(False, ()) for _ in table.headers]
    cells = list(zip(*(cells for _, cells in columns), strict=True))
    return _LaidOut([is_number for is_number, _ in columns], cells, len(table.rows) - len(rows))


def _column(values: Sequence[str | int | float]) -> tuple[bool, Sequence[_Cell]]:
    """Whether a column is one of numbers, and its cells."""
    if any(isinstance(value, str) for value in values):
        texts = [value if isinstance(value, str) else f"{value:,}" for value in values]
        if all(_NUMBER.fullmatch(text) or text in _NOTHING for text in texts) and set(texts) - _NOTHING:
            return True, list(map(_numeral_cell, texts))
        return False, [_Cell(shortened(text), is_long=len(text) > _MOST_IN_LINE) for text in texts]
    numbers = [float(value) for value in values]
    decimals = None if all(isinstance(value, int) for value in values) else _decimals(numbers)
    return True, [_number_cell(value, decimals) for value in numbers]


def shortened(text: str, most: int = _MOST_IN_CELL) -> str:
    """At most so many characters of a text, the last one an ellipsis if it has more."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _numeral_cell(text: str) -> _Cell:
    number = _NUMBER.fullmatch(text)
    return _Cell(text, "nan" if number is None else number[1].replace(",", ""))


def _number_cell(value: float, decimals: int | None) -> _Cell:
    if math.isnan(value):
        return _Cell("–", "nan")
    return _Cell(f"{value:,.{decimals or 0}f}" if math.isfinite(value) else str(value), repr(value))


def _decimals(numbers: Sequence[float]) -> int:
    """How many decimals show about three digits of the numbers of a column."""
    sizes = [abs(value) for value in numbers if math.isfinite(value) and value]
    if not sizes or 1e-3 <= max(sizes) <= 1:
        return 3
    return min(max(2 - math.floor(math.log10(max(sizes))), 0), 12)


# --- Examples --------------------------------------------------------------------------------------------------------


class _Piece(NamedTuple):
    """Characters of a text with the same marks."""

    text: str
    kinds: str  # their kinds, for CSS
    labels: Sequence[str]  # of the marks that end here


class _Card(NamedTuple):
    before: int  # characters that are left out
    pieces: Sequence[_Piece]
    after: int


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
    """A fraction as it stands in a report: "91.3 %"."""
    return "–" if math.isnan(value) else f"{100 * value:.1f} %"


def shown_as_percents(low: float, high: float) -> str:
    """An interval of fractions as it stands in a report: "89.9 to 92.5"; nothing if it is not defined."""
    return "" if math.isnan(low) or math.isnan(high) else f"{100 * low:.1f} to {100 * high:.1f}"


def shown_as_number(value: Any) -> str:
    """A number as it stands in a report: whole ones in full, others with four digits."""
    if isinstance(value, int):
        return f"{value:,}"
    return "–" if math.isnan(value) else f"{value:.4g}"
