"""LoRA: which kernels it adapts, its rank and scale; no TensorFlow."""

import dataclasses
from typing import Any

from bert_tf2.errors import InputError

KERNELS = {
    "query": "attention/self/query",
    "key": "attention/self/key",
    "value": "attention/self/value",
    "attention_output": "attention/output/dense",
    "intermediate": "intermediate/dense",
    "output": "output/dense",
}
"""The dense layers of an encoder layer that LoRA can adapt -> their names in Google's checkpoints."""

DEFAULT_LAYERS = ("query", "value")
"""The choice of Hu et al."""


def layer_names(names: str) -> tuple[str, ...]:
    """The names in a comma-separated list, the form of `--lora_layers`: `"query,value"`."""
    return tuple(filter(None, map(str.strip, names.split(","))))


@dataclasses.dataclass(frozen=True)
class Lora:
    """Low-rank updates of frozen kernels, `W + alpha / rank · A B` (Hu et al. 2021, arXiv:2106.09685).

    Attributes:
      rank: columns of A and rows of B.
      alpha: numerator of the scale; None means the rank, a scale of 1.
      layers: keys of `KERNELS`, in any order; they are stored in the order of `KERNELS`.

    Raises:
      InputError: a value is invalid.

    Example:
      >>> Lora(8, layers=["value", "query"])
      Lora(rank=8, alpha=8.0, layers=('query', 'value'))
    """

    rank: int
    alpha: float | None = None
    layers: tuple[str, ...] = DEFAULT_LAYERS

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise InputError(f"A rank of {self.rank} for LoRA; it must be at least 1.")
        alpha = float(self.rank if self.alpha is None else self.alpha)
        if not 0 < alpha < float("inf"):
            raise InputError(f"An alpha of {alpha:g} for LoRA; it must be a number above 0.")
        unknown = [name for name in self.layers if name not in KERNELS]
        if unknown or not self.layers:
            what = f"Unknown layer for LoRA, {unknown[0]!r}" if unknown else "No layers for LoRA"
            raise InputError(f"{what}; choose one or more of {', '.join(KERNELS)}.")
        object.__setattr__(self, "alpha", alpha)
        object.__setattr__(self, "layers", tuple(name for name in KERNELS if name in self.layers))

    @property
    def scale(self) -> float:
        """The factor of `A B`."""
        assert self.alpha is not None
        return self.alpha / self.rank

    @property
    def flags(self) -> str:
        """The equivalent flags."""
        return f"--lora_rank={self.rank} --lora_alpha={self.alpha:g} --lora_layers={','.join(self.layers)}"

    def __str__(self) -> str:
        return f"LoRA of rank {self.rank} (alpha {self.alpha:g}) on {', '.join(self.layers)}"

    def to_dict(self) -> dict[str, Any]:
        """The attributes as JSON values."""
        return {"rank": self.rank, "alpha": self.alpha, "layers": list(self.layers)}
