"""The page: whole, escaped, small, and nothing in it that asks for anything."""

import base64
import hashlib
import re
import sys
from html.parser import HTMLParser

import pytest

from bert_tf2.errors import InputError
from bert_tf2.reports import page
from bert_tf2.reports.page import (
    Block,
    Code,
    Example,
    Examples,
    Figures,
    Links,
    Mark,
    Picture,
    Report,
    Section,
    Table,
    Text,
    render,
)

HOSTILE = "<script>alert('x')</script> & \"quotes\" {{ 7 * 7 }} 中文"
SHOWN = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &#34;quotes&#34; {{ 7 * 7 }} 中文"
VOID = {"meta", "input", "br", "link", "img", "path", "use", "rect"}


class Outline(HTMLParser):
    """The elements of a page; fails where they are not nested."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(html)
        assert not self._open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def rendered(*blocks: Block, title: str = "Scores") -> str:
    return render(Report("A report", "of a model", [Section(title, blocks)]))


def test_every_text_is_escaped() -> None:
    blocks = [
        Table([HOSTILE], [[HOSTILE]], HOSTILE, HOSTILE),
        Picture("<svg></svg>", HOSTILE, HOSTILE),
        Figures([(HOSTILE, HOSTILE, HOSTILE)]),
        Text(HOSTILE),
        Code(HOSTILE),
        Links([(HOSTILE, HOSTILE)]),
        Examples([Example(HOSTILE, HOSTILE, [(HOSTILE, HOSTILE)], [Mark(0, 8, HOSTILE, "wrong")])]),
    ]
    html = render(Report(HOSTILE, HOSTILE, [Section(HOSTILE, blocks)]))
    assert "<script>alert" not in html
    assert html.count(SHOWN) >= 22
    assert len(Outline(html).all("script")) == 1


def test_nothing_is_asked_for_and_the_policy_says_so() -> None:
    html = rendered(Picture("<svg></svg>", "a"), Links([("a b.csv", "a table")]))
    outline = Outline(html)
    policy = next(meta["content"] for meta in outline.all("meta") if "http-equiv" in meta)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'"
    )
    assert "://" not in html
    assert not re.search(r"@import|url\((?!#)|\ssrc=", html)
    assert [link["href"] for link in outline.all("a")] == ["#scores-1", "a%20b.csv"]


def test_the_contents_lead_to_the_sections() -> None:
    titles = ["Überblick", "中文", "Scores", "Scores"]
    outline = Outline(render(Report("A", "b", [Section(title, []) for title in titles])))
    names = ["uberblick-1", "2", "scores-3", "scores-4"]
    assert [section["id"] for section in outline.all("section")] == names
    assert [link["href"] for link in outline.all("a")] == [f"#{name}" for name in names]


def test_numbers_of_a_column_are_formatted_alike_and_sorted_as_numbers() -> None:
    rows = [("a", 12345, 0.5, 123.456, "x"), ("b", 7, 0.12345, float("nan"), 3)]
    html = rendered(Table(("name", "rows", "F1", "seconds", "mixed"), rows))
    cells = re.findall(r"<td(.*?)>(.*?)</td>", html)
    assert [text for _, text in cells] == ["a", "12,345", "0.500", "123", "x", "b", "7", "0.123", "–", "3"]
    orders = [re.findall('data-order="(.*?)"', attributes) for attributes, _ in cells]
    assert orders == [[], ["12345.0"], ["0.5"], ["123.456"], [], [], ["7.0"], ["0.12345"], ["nan"], []]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.25, 1.0], ["0.250", "1.000"]),
        ([12.34, 5.0], ["12.3", "5.0"]),
        ([1.5e-5, 3e-5], ["0.0000150", "0.0000300"]),
        ([0.0], ["0.000"]),
        ([float("inf")], ["inf"]),
    ],
)
def test_decimals(values: list[float], expected: list[str]) -> None:
    html = rendered(Table(["a"], [[value] for value in values]))
    assert re.findall(r'<td class="number".*?>(.*?)</td>', html) == expected


def test_a_row_of_other_cells_is_refused() -> None:
    with pytest.raises(ValueError, match="A row of the table 'Labels' does not have 2 cells"):
        rendered(Table(["a", "b"], [["x"]], "Labels"))


def test_long_tables_and_texts_are_shown_in_part() -> None:
    rows = [(f"label {number} {'x' * 500}", number) for number in range(10_000)]
    examples = [Example("a → b" * 99, "y" * 1_000_000, [("z", "1" * 9999)])] * 300
    html = rendered(Table(("label", "rows"), rows), Examples(examples))
    assert len(html) < 1_000_000
    assert html.count("<tr>") == 1 + page.MOST_ROWS
    assert "9,500 more rows are not shown." in html
    assert html.count("<h3>") == page.MOST_EXAMPLES
    assert "100 more are not shown." in html
    assert "… 998,800 more characters" in html


def test_a_single_thing_that_is_not_shown_is_singular() -> None:
    examples = [Example("a", "y" * 1201, [])] * (page.MOST_EXAMPLES + 1)
    html = rendered(Table(["a"], [["x"]] * (page.MOST_ROWS + 1)), Examples(examples))
    assert "1 more row is not shown." in html
    assert "1 more is not shown." in html
    assert "… 1 more character<" in html


def test_marks() -> None:
    text = "Peter Blackburn ran to Rome."
    marks = [Mark(0, 15, "PER", "right"), Mark(23, 27, "LOC", "missed"), Mark(20, 27, "ORG", "wrong")]
    html = rendered(Examples([Example("a", text, [], marks)]))
    (shown,) = re.findall(r'<p dir="auto">(.*?)</p>', html)
    assert shown == (
        '<mark class="right">Peter Blackburn<sup>PER</sup></mark> ran <mark class="wrong">to </mark>'
        '<mark class="missed wrong">Rome<sup>LOC</sup><sup>ORG</sup></mark>.'
    )


def test_a_long_text_is_shown_from_before_its_first_mark() -> None:
    text = f"{'a' * 5000}here{'b' * 5000}"
    html = rendered(Examples([Example("a", text, [], [Mark(5000, 5004, "X", "wrong")])]))
    (shown,) = re.findall(r'<p dir="auto">(.*?)</p>', html)
    assert shown == (
        f'<i>… 4,800 characters … </i>{"a" * 200}<mark class="wrong">here<sup>X</sup></mark>{"b" * 996}'
        "<i> … 4,004 more characters</i>"
    )


def test_pictures_in_a_row_stand_together() -> None:
    picture = Picture("<svg></svg>", "a")
    html = rendered(picture, picture, Text("b"), picture)
    assert [group.count("<figure>") for group in html.split('<div class="pictures">')[1:]] == [2, 1]


def test_without_jinja2_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert page.missing_packages() == ["jinja2"]
    with pytest.raises(InputError, match=r"A report needs jinja2, which is not installed: python -m pip install"):
        rendered()
