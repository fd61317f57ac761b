"""LoRA's variables: their names, merging them into kernels, and encoders that are created with them.

A kernel `W [C, K]` that is frozen has `A [C, rank]`, which starts at random, `B [rank, K]`, which starts at 0, and the
scalar scale, so that a checkpoint itself defines what its kernels are: `W + scale · A B` (Hu et al. 2021,
arXiv:2106.09685). No TensorFlow.
"""

import contextlib
import contextvars
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2.configs.lora import Lora

A, B, SCALE = "lora_a", "lora_b", "lora_scale"
"""Siblings of `kernel` in the names of variables."""

_KERNEL = "kernel"


def is_lora(name: str) -> bool:
    """Whether a variable belongs to LoRA, or to an optimizer's state for it."""
    return not {A, B, SCALE}.isdisjoint(name.split("/"))


def merged(kernel: NDArray[Any], a: NDArray[Any], b: NDArray[Any], scale: float) -> NDArray[np.float32]:
    """`W + scale · A B`, rounded once: `[C, K], [C, rank], [rank, K] -> float32 [C, K]`."""
    change = np.asarray(a, np.float64) @ np.asarray(b, np.float64)
    return (np.asarray(kernel, np.float64) + float(scale) * change).astype(np.float32)


def merged_variables(variables: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """A model's variables by name without those of LoRA, which are merged into the kernels."""
    plain = {name: value for name, value in variables.items() if not is_lora(name)}
    for name in variables:
        prefix, _, last = name.rpartition("/")
        if last == A:
            kernel = f"{prefix}/{_KERNEL}"
            plain[kernel] = merged(
                variables[kernel], variables[name], variables[f"{prefix}/{B}"], variables[f"{prefix}/{SCALE}"].item()
            )
    return plain


_of_new_encoders: contextvars.ContextVar[Lora | None] = contextvars.ContextVar("lora", default=None)


@contextlib.contextmanager
def in_new_encoders(config: Lora | None) -> Iterator[None]:
    """Inside, every new `BertModel` has LoRA, also as a part of another model."""
    token = _of_new_encoders.set(config)
    try:
        yield
    finally:
        _of_new_encoders.reset(token)


def of_new_encoders() -> Lora | None:
    """The LoRA of `in_new_encoders`; None outside."""
    return _of_new_encoders.get()
