"""Pages in headless Chromium, if it is installed: narrow and wide, light and dark, without requests or errors."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.browser import CHROMIUM, Browser, browser
from helpers.evaluations import HOSTILE, made_up

from bert_tf2.reports.page import Code, Example, Examples, Links, Mark, Report, Section, Table, Text, render
from bert_tf2.tasks.classification import report_rows
from bert_tf2.tasks.classification.report_sections import sections

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]

LABELS = ("negative", "neutral", "positive")
LONG = "https://example.org/" + "x" * 300


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A report for each kind of problem, with everything else that a page can contain."""
    kinds = {"single_label": LABELS, "multi_label": (HOSTILE, "angry", LONG), "regression": ()}
    marks = [Mark(0, 15, "PER", "right"), Mark(23, 27, "LOC", "missed"), Mark(20, 27, "ORG", "wrong")]
    others = Section(
        "Others",
        [
            Text(LONG),
            Code(f"python run_classifier.py --train_file={LONG}"),
            Links([(f"{LONG}.csv", LONG)]),
            Table([f"column {number}" for number in range(30)], [[LONG, *range(29)]]),
            Examples([Example(LONG, "Peter Blackburn ran to Rome.", [(LONG, LONG)], marks), Example("a", LONG, [])]),
        ],
    )
    directory, paths = tmp_path_factory.mktemp("pages"), {}
    for kind, names in kinds.items():
        evaluated = made_up(kind, 400, names, pairs=kind == "regression")
        report = Report(f"Evaluation of {LONG}", LONG, [*sections(evaluated), report_rows.lengths(evaluated), others])
        paths[kind] = directory / f"{kind}.html"
        paths[kind].write_text(render(report), encoding="utf-8")
    return paths


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1400])
@pytest.mark.parametrize("kind", ["single_label", "multi_label", "regression"])
def test_pages_fit_and_make_no_requests(
    chromium: Browser, pages: dict[str, Path], kind: str, width: int, scheme: str
) -> None:
    chromium.open(pages[kind], width, scheme=scheme)
    assert chromium.value("innerWidth") == width
    assert chromium.value("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    rights = "[...document.querySelectorAll('main > section > *')].map((each) => each.getBoundingClientRect().right)"
    assert chromium.value(f"Math.max(...{rights})") <= width
    assert chromium.problems == []
    red, green, blue = chromium.value("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (red + green + blue < 3 * 60) == (scheme == "dark")
    assert chromium.value("document.querySelectorAll('script').length") == 1


def test_tables_are_sorted_and_examples_filtered(chromium: Browser, pages: dict[str, Path]) -> None:
    chromium.open(pages["single_label"])
    column = "[...document.querySelectorAll('table')][0].tBodies[0].rows"
    click = "document.querySelectorAll('table')[0].tHead.rows[0].cells[%d].firstChild.click()"
    values = f"[...{column}].map((row) => Number(row.cells[1].dataset.order))"
    chromium.value(click % 1)
    assert chromium.value(values) == sorted(chromium.value(values), reverse=True)
    chromium.value(click % 1)
    assert chromium.value(values) == sorted(chromium.value(values))
    chromium.value(click % 0)
    assert chromium.value(f"[...{column}].map((row) => row.cells[0].textContent)") == list(LABELS)

    shown = "[...document.querySelectorAll('#worst-errors-4 li')].filter((card) => !card.hidden)"
    count = chromium.value(f"{shown}.length")
    assert count == 50
    chromium.value(
        "(() => { const input = document.querySelector('.examples input'); input.value = 'ALERT(1)';"
        "input.dispatchEvent(new Event('input')); })()"
    )
    texts = chromium.value(f"{shown}.map((card) => card.querySelector('p').textContent)")
    assert 0 < len(texts) < count
    assert set(texts) == {HOSTILE}
    assert chromium.value("document.querySelector('.examples output').textContent") == f"{len(texts)} of 50"
    assert chromium.problems == []
