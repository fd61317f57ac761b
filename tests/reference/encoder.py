"""BERT's encoder in plain NumPy, float64: hidden states and attention."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_GELU = {
    "gelu": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "gelu_exact": lambda x: 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
}


def encode(
    weights: Mapping[str, Array], heads: int, activation: str, ids: Array, mask: Array, segments: Array
) -> tuple[list[Array], list[Array]]:
    """The hidden states after each layer, `[B, S, H]`, and its attention, `[B, N, S, S]`.

    Args:
      weights: the weights by Google's names.
      heads: the number of attention heads, `N`.
      activation: "gelu" (with tanh) or "gelu_exact".
      ids, mask, segments: int `[B, S]`.
    """
    weight = {name: np.asarray(value, np.float64) for name, value in weights.items()}

    def dense(x: Array, name: str) -> Array:
        return x @ weight[f"{name}/kernel"] + weight[f"{name}/bias"]

    def norm(x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        variance = (centred**2).mean(-1, keepdims=True)
        return centred / np.sqrt(variance + 1e-12) * weight[f"{name}/gamma"] + weight[f"{name}/beta"]

    def by_head(x: Array) -> Array:  # [B, S, H] -> [B, N, S, D]
        return x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)

    tables = [weight[f"bert/embeddings/{kind}_embeddings"] for kind in ("word", "position", "token_type")]
    x = norm(tables[0][ids] + tables[1][: ids.shape[1]] + tables[2][segments], "bert/embeddings/LayerNorm")
    states, attentions = [], []
    for layer in range(sum(name.endswith("/intermediate/dense/bias") for name in weight)):
        prefix = f"bert/encoder/layer_{layer}"
        query, key, value = (by_head(dense(x, f"{prefix}/attention/self/{kind}")) for kind in ("query", "key", "value"))
        scores = query @ key.swapaxes(-1, -2) / math.sqrt(query.shape[-1]) - 10000.0 * (1 - mask[:, None, None, :])
        powers = np.exp(scores - scores.max(-1, keepdims=True))
        attentions.append(powers / powers.sum(-1, keepdims=True))
        context = (attentions[-1] @ value).transpose(0, 2, 1, 3).reshape(x.shape)
        x = norm(x + dense(context, f"{prefix}/attention/output/dense"), f"{prefix}/attention/output/LayerNorm")
        inner = _GELU[activation](dense(x, f"{prefix}/intermediate/dense"))
        x = norm(x + dense(inner, f"{prefix}/output/dense"), f"{prefix}/output/LayerNorm")
        states.append(x)
    return states, attentions
