"""Attention as one self-contained HTML page; no TensorFlow, no network, no build step.

`attention.css` and `attention.js` beside this module are put into the page as they are; a content security policy with
their hashes allows nothing else. What comes from a text or a model is data: JSON, and the weights as bytes.

Shapes: `L` layers, `N` heads, `S` pieces.
"""

import base64
import gzip
import hashlib
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

MOST_WEIGHTS = 40_000_000
"""Weights in a page at most: all of BERT-Base (12 layers, 12 heads) for 512 pieces. A byte each, before compression."""
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


def shown_pieces(layers: int, heads: int, pieces: int) -> int:
    """How many of a text's pieces, the first ones, the page shows."""
    return min(pieces, math.isqrt(MOST_WEIGHTS // (layers * heads)))


def fitting(attentions: Sequence[Attention]) -> int:
    """How many of the texts, the first ones, a page shows: at least one."""
    room, count = MOST_WEIGHTS, 0
    for attention in attentions:
        room -= attention.probabilities.size
        if count and room < 0:
            break
        count += 1
    return count


def encode(probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Probabilities as bytes: `round(255·√p)`, so that small ones are told apart better than large ones.

    The page's `(byte / 255)²` differs from the probability by at most 0.004, and by less the smaller it is.
    """
    return np.rint(np.sqrt(np.clip(probabilities, 0.0, 1.0)) * LEVELS).astype(np.uint8)


def render(model: str, attentions: Sequence[Attention]) -> str:
    """The page.

    Args:
      model: what it calls the model.
      attentions: of one model; those beyond `fitting` are left out, and so are a text's pieces beyond `shown_pieces`.
        The page says so.
    """
    texts, weights = [], []
    for number, attention in enumerate(attentions[: fitting(attentions)]):
        layers, heads, pieces, _ = attention.probabilities.shape
        shown = shown_pieces(layers, heads, pieces)
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
    return _PAGE.substitute(
        policy=f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; "
        "form-action 'none'",
        title=html.escape(model),
        style=style,
        script=script,
        data=_json({"model": model, "texts": texts, "given": len(attentions)}),
        weights="\n".join(weights),
    )


_ASSETS = ("attention.css", "attention.js")


def _hash(content: str) -> str:
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _json(value: Any) -> str:
    """JSON that ends no element that it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
