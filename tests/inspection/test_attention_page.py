"""The attention page: its content, escaping and size, and its behaviour in a browser."""

import base64
import gzip
import html.parser
import json
import re

import numpy as np
import pytest
from helpers.browser import CHROMIUM, browser

from bert_tf2.inspection import attention_page
from bert_tf2.inspection.pieces import Piece, TextPieces
from bert_tf2.inspection.results import Attention
from bert_tf2.reports import assets

HOSTILE = "</script><script>alert(1)</script>"


def attention(tokens, layers=2, heads=3, seed=0):
    pieces = tuple(
        Piece(token, number, int(number > 3), None if token in ("[CLS]", "[SEP]") else number)
        for number, token in enumerate(tokens)
    )
    logits = 3 * np.random.default_rng(seed).normal(size=(layers, heads, len(tokens), len(tokens)))
    powers = np.exp(logits)
    probabilities = (powers / powers.sum(-1, keepdims=True)).astype(np.float32)
    return Attention(TextPieces(" ".join(tokens), None, tuple(tokens), pieces), probabilities)


class Reader(html.parser.HTMLParser):
    """The elements of a page and the text of each script."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.scripts, self.policy, self._open = [], {}, "", None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append(tag)
        self._open = values.get("id", tag) if tag in ("script", "style", "title") else None
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"]
        assert not {"src", "href", "style", "onclick"} & values.keys()

    def handle_data(self, data):
        if self._open:
            self.scripts[self._open] = self.scripts.get(self._open, "") + data

    def handle_endtag(self, tag):
        self._open = None


def weights(reader, number, layers, heads, pieces):
    packed = base64.b64decode(reader.scripts[f"weights-{number}"])
    return np.frombuffer(gzip.decompress(packed), np.uint8).reshape(layers, heads, pieces, pieces)


def test_page_contains_tokens_and_weights():
    texts = [attention(["[CLS]", "a", "##b", "[SEP]", "c", "[SEP]"]), attention(["[CLS]", "x", "[SEP]"], seed=1)]
    reader = Reader(attention_page.render("tiny", texts))
    data = json.loads(reader.scripts["data"])
    assert data["model"] == "tiny"
    assert data["given"] == 2
    assert data["texts"][0] == {
        "tokens": ["[CLS]", "a", "##b", "[SEP]", "c", "[SEP]"],
        "segments": [0, 0, 0, 0, 1, 1],
        "words": [None, 1, 2, None, 4, None],
        "pieces": 6,
        "layers": 2,
        "heads": 3,
    }
    for number, text in enumerate(texts):
        levels = weights(reader, number, 2, 3, len(text.pieces.pieces))
        assert np.abs((levels / 255.0) ** 2 - text.probabilities).max() < 0.004
    assert attention_page.encode(np.array([0.0, 1e-4, 0.25, 1.0], np.float32)).tolist() == [0, 3, 128, 255]


def test_text_is_escaped():
    """No token or model name can close an element, and only the page's own script and style are allowed."""
    page = attention_page.render(HOSTILE, [attention(["[CLS]", HOSTILE, "&amp;", "$data", "[SEP]"])])
    reader = Reader(page)
    assert reader.tags.count("script") == 3
    assert json.loads(reader.scripts["data"])["texts"][0]["tokens"][1:4] == [HOSTILE, "&amp;", "$data"]
    assert json.loads(reader.scripts["data"])["model"] == HOSTILE
    assert page.count("alert(1)") == 3  # title, model name, token
    assert reader.policy.startswith("default-src 'none'; style-src 'sha256-")
    for name in ("style", "script"):
        assert assets.source(reader.scripts[name]) in reader.policy
    assert "unsafe" not in reader.policy
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)
    assert "innerHTML" not in page


def test_size_is_bounded(monkeypatch):
    monkeypatch.setattr(attention_page, "MOST_WEIGHTS", 2 * 3 * 16)
    text = attention(["[CLS]", *"abcdef", "[SEP]"])
    assert attention_page.shown_piece_count(2, 3, 8) == 4
    reader = Reader(attention_page.render("tiny", [text, text]))
    data = json.loads(reader.scripts["data"])
    assert [(len(each["tokens"]), each["pieces"]) for each in data["texts"]] == [(4, 8)]
    assert data["given"] == 2
    np.testing.assert_array_equal(weights(reader, 0, 2, 3, 4), attention_page.encode(text.probabilities[..., :4, :4]))
    small = attention(["[CLS]", "[SEP]"])
    assert attention_page.shown_text_count([small] * 9) == 4
    assert attention_page.shown_text_count([text, small]) == 1


def test_bert_base_fits():
    assert attention_page.shown_piece_count(12, 12, 512) == 512
    assert attention_page.shown_piece_count(24, 16, 512) == 322


# --- In a browser ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


def show(chromium, path, **window):
    """Opens a page of two texts; returns the weights of the first."""
    texts = [attention(["[CLS]", HOSTILE, "##b", "[SEP]", "c", "[SEP]"]), attention(["[CLS]", "x", "[SEP]"])]
    path.write_text(attention_page.render("tiny", texts), encoding="utf-8")
    chromium.open(path, fragment="#layer=1&head=2&piece=1&special=0", **window)
    chromium.wait_for("document.documentElement.dataset.ready")
    return texts[0].probabilities.astype(np.float64)


def ranks(chromium):
    """The rows of the list: the position and weight of each piece."""
    rows = chromium.value("[...document.querySelectorAll('.ranks li')].map(row => row.innerText.split('\\n'))")
    return [(int(row[0]), float(row[-1].removesuffix(" %")) / 100) for row in rows]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_in_a_browser(chromium, tmp_path):
    probabilities = show(chromium, tmp_path / "attention.html")
    assert chromium.value("document.querySelector('.one h2').innerText") == "Layer 1, head 2"
    assert chromium.value("document.querySelectorAll('.cell').length") == 2 * (3 + 1)
    assert chromium.value("document.querySelectorAll('.strip .piece')[1].innerText") == HOSTILE
    weights = probabilities[1, 2, 1]
    best = sorted((1, 2, 4), key=lambda position: -weights[position])  # without [CLS] and [SEP]
    assert ranks(chromium) == [(position, pytest.approx(weights[position], abs=0.005)) for position in best]

    # In the text, by keyboard: the next piece, then none, which shows the means.
    chromium.value("document.querySelectorAll('.strip .piece')[1].focus()")
    chromium.press("ArrowRight")
    assert chromium.value("document.querySelector('.one h3').innerText") == "##b (piece 2) attends to"
    chromium.press("Escape")
    shown = dict(ranks(chromium))
    means = probabilities[1, 2].mean(0)
    assert {position: pytest.approx(means[position], abs=0.005) for position in (1, 2, 4)} == shown

    # In the grid, by keyboard: the head to the left, then the one above.
    chromium.value("document.querySelector('.cell[aria-pressed=true]').focus()")
    for key, title in (
        ("ArrowLeft", "Layer 1, head 1"),
        ("ArrowUp", "Layer 0, head 1"),
        ("End", "Layer 0, mean of all heads"),
    ):
        chromium.press(key)
        assert chromium.value("document.querySelector('.one h2').innerText") == title
    assert "layer=0&head=mean&piece=-1" in chromium.value("location.hash")

    # Under the pointer: which pieces attend to a piece.
    chromium.point_at("document.querySelectorAll('.side.right .piece')[4]")
    assert chromium.value("document.querySelector('.one h3').innerText") == "c (piece 4) is attended to by"
    mean = probabilities[0].mean(0)[:, 4]
    assert dict(ranks(chromium))[2] == pytest.approx(mean[2], abs=0.005)

    # Another text, and, before that is shown, a piece that it does not have.
    chromium.value("document.querySelector('.texts select').value = '1'")
    chromium.value(
        "document.querySelector('.texts select').dispatchEvent(new Event('change'));"
        "document.querySelectorAll('.strip .piece')[5].click()"
    )
    chromium.wait_for("document.querySelectorAll('.strip .piece').length === 3")
    assert "text=1&layer=0&head=mean&piece=-1" in chromium.value("location.hash")
    assert chromium.problems == []


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1400])
def test_page_fits_the_window_and_makes_no_requests(chromium, tmp_path, width, scheme):
    show(chromium, tmp_path / "attention.html", width=width, scheme=scheme)
    assert chromium.value("innerWidth") == width
    assert chromium.value("document.documentElement.scrollWidth") <= width
    background = chromium.value("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(18, 21, 26)") == (scheme == "dark")
    assert chromium.problems == []
