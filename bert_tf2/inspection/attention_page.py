"""Attention as one self-contained HTML page; no TensorFlow, no network, no build step.

The page contains `attention.css`, after the style that all pages share, and `attention.js` of this directory; a content
security policy with their hashes allows nothing else. Everything from a text or a model is data: JSON, and the weights
as bytes.

Shapes: `L` layers, `N` heads, `S` pieces.
"""

import base64
import gzip
import html
import json
import math
from collections.abc import Sequence
from importlib import resources
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2.inspection.results import Attention
from bert_tf2.reports import assets

MOST_WEIGHTS = 40_000_000
"""The most weights in a page, a byte each before compression: enough for BERT-Base (144 heads) and 512 pieces."""
LEVELS = 255

_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="$policy">
<title>Attention, $title</title>
<style>$style</style>
</head>
<body>
<noscript><p>This page draws the attention with JavaScript, which is switched off.</p></noscript>
<main id="page"></main>
<script type="application/json" id="data">$data</script>
$weights
<script>$script</script>
</body>
</html>
""")


def shown_piece_count(layers: int, heads: int, pieces: int) -> int:
    """The number of a text's pieces, from the first, that the page shows."""
    return min(pieces, math.isqrt(MOST_WEIGHTS // (layers * heads)))


def shown_text_count(attentions: Sequence[Attention]) -> int:
    """The number of texts, from the first, that a page shows: at least one."""
    room, count = MOST_WEIGHTS, 0
    for attention in attentions:
        room -= attention.probabilities.size
        if count and room < 0:
            break
        count += 1
    return count


def encode(probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Probabilities as bytes: `round(255·√p)`, which resolves small probabilities better than large ones.

    The page's `(byte / 255)²` differs from the probability by at most 0.004; the smaller it is, the less.
    """
    return np.rint(np.sqrt(np.clip(probabilities, 0.0, 1.0)) * LEVELS).astype(np.uint8)


def render(model: str, attentions: Sequence[Attention]) -> str:
    """The HTML of the page.

    Args:
      model: the name of the model in the page.
      attentions: the attention of the model in one or several texts. Texts beyond `shown_text_count`, and the pieces of
        a text beyond `shown_piece_count`, are left out, which the page says.
    """
    texts, weights = [], []
    for number, attention in enumerate(attentions[: shown_text_count(attentions)]):
        layers, heads, pieces, _ = attention.probabilities.shape
        shown = shown_piece_count(layers, heads, pieces)
        parts = attention.pieces.pieces[:shown]
        texts.append(
            {
                "tokens": [piece.token for piece in parts],
                "segments": [piece.segment for piece in parts],
                "words": [piece.word for piece in parts],
                "pieces": pieces,
                "layers": layers,
                "heads": heads,
            }
        )
        packed = gzip.compress(encode(attention.probabilities[..., :shown, :shown]).tobytes(), 6, mtime=0)
        content = base64.b64encode(packed).decode()
        weights.append(f'<script type="application/octet-stream" id="weights-{number}">{content}</script>')
    style, script = (resources.files(__package__).joinpath(name).read_text("utf-8") for name in _ASSETS)
    style = assets.style(style)
    return _PAGE.substitute(
        policy=f"default-src 'none'; style-src {assets.source(style)}; script-src {assets.source(script)}; "
        "base-uri 'none'; form-action 'none'",
        title=html.escape(model),
        style=style,
        script=script,
        data=_json({"model": model, "texts": texts, "given": len(attentions)}),
        weights="\n".join(weights),
    )


_ASSETS = ("attention.css", "attention.js")


def _json(value: Any) -> str:
    """JSON that can be the content of any HTML element, because it contains no tags or entities."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
