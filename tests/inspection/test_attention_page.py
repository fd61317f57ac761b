"""The page with the attention: what is in it, that text stays text, its size, and what a browser makes of it."""

import base64
import gzip
import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bert_tf2.inspection import attention_page
from bert_tf2.inspection.pieces import Piece, TextPieces
from bert_tf2.inspection.results import Attention

HOSTILE = "</script><script>alert(1)</script>"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


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


def test_the_page_has_tokens_and_weights():
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


def test_text_stays_text():
    """Neither a token nor a model's name can end an element, and only the page's own script and style may run."""
    page = attention_page.render(HOSTILE, [attention(["[CLS]", HOSTILE, "&amp;", "$data", "[SEP]"])])
    reader = Reader(page)
    assert reader.tags.count("script") == 3
    assert json.loads(reader.scripts["data"])["texts"][0]["tokens"][1:4] == [HOSTILE, "&amp;", "$data"]
    assert json.loads(reader.scripts["data"])["model"] == HOSTILE
    assert page.count("alert(1)") == 3  # title, model's name, token
    assert reader.policy.startswith("default-src 'none'; style-src 'sha256-")
    for name in ("style", "script"):
        assert attention_page._hash(reader.scripts[name]) in reader.policy
    assert "unsafe" not in reader.policy
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)
    assert "innerHTML" not in page


def test_the_size_has_a_bound(monkeypatch):
    monkeypatch.setattr(attention_page, "MOST_WEIGHTS", 2 * 3 * 16)
    text = attention(["[CLS]", *"abcdef", "[SEP]"])
    assert attention_page.shown_pieces(2, 3, 8) == 4
    reader = Reader(attention_page.render("tiny", [text, text]))
    data = json.loads(reader.scripts["data"])
    assert [(len(each["tokens"]), each["pieces"]) for each in data["texts"]] == [(4, 8)]
    assert data["given"] == 2
    np.testing.assert_array_equal(weights(reader, 0, 2, 3, 4), attention_page.encode(text.probabilities[..., :4, :4]))
    small = attention(["[CLS]", "[SEP]"])
    assert attention_page.fitting([small] * 9) == 4
    assert attention_page.fitting([text, small]) == 1


def test_all_of_bert_base_fits():
    assert attention_page.shown_pieces(12, 12, 512) == 512
    assert attention_page.shown_pieces(24, 16, 512) == 322


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
@pytest.mark.parametrize("address", ["", "#layer=1&head=2&piece=1&special=0", "#text=1&reverse=1&piece=0"])
def test_in_a_browser(tmp_path: Path, address: str):
    texts = [attention(["[CLS]", HOSTILE, "##b", "[SEP]", "c", "[SEP]"]), attention(["[CLS]", "x", "[SEP]"])]
    path = tmp_path / "attention.html"
    path.write_text(attention_page.render("tiny", texts), encoding="utf-8")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [str(BROWSER), *options, "--virtual-time-budget=5000", "--dump-dom", f"file://{path}{address}"]
    dom = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    assert 'data-ready="true"' in dom
    assert dom.count('class="cell"') == 2 * (3 + 1)
    assert dom.count("<script") == 4
    pieces = len(texts["text=1" in address].pieces.pieces)
    assert len(re.findall(r'class="piece[ "]', dom)) == 3 * pieces
    title = re.search(r"<h2>(Layer [^<]*)</h2>", dom)
    assert title is not None
    assert title[1] == ("Layer 1, head 2" if "head=2" in address else "Layer 1, mean of all heads")
    if "piece=1" in address:
        row = np.round(100 * texts[0].probabilities[1, 2, 1].astype(np.float64), 1)
        shown = [float(value) for value in re.findall(r'class="value">([\d.]+) %', dom)]
        best = sorted(row[[1, 2, 4]], reverse=True)  # without [CLS] and [SEP]
        assert shown == pytest.approx(best, abs=0.5)
