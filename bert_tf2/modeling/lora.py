"""LoRA's variables: their names, merging them into kernels, and encoders that are created with them.

A frozen kernel `W [C, K]` has `A [C, rank]`, initialized randomly, `B [rank, K]`, initialized to 0, and a scalar scale,
so that the variables of a checkpoint suffice to compute its kernels: `W + scale · A B` (Hu et al. 2021,
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
"""The last parts of variable names, in place of `kernel`."""

_KERNEL = "kernel"


def is_lora(name: str) -> bool:
    """Whether a variable is one of LoRA, or an optimizer slot of one."""
    return not {A, B, SCALE}.isdisjoint(name.split("/"))


def merged(kernel: NDArray[Any], a: NDArray[Any], b: NDArray[Any], scale: float) -> NDArray[np.float32]:
    """`W + scale · A B`, rounded once: `[C, K], [C, rank], [rank, K] -> float32 [C, K]`."""
    update = np.asarray(a, np.float64) @ np.asarray(b, np.float64)
    return (np.asarray(kernel, np.float64) + float(scale) * update).astype(np.float32)


def merged_variables(variables: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """A model's variables by name, those of LoRA merged into the kernels."""
    plain = {name: value for name, value in variables.items() if not is_lora(name)}
    for name in variables:
        prefix, _, last = name.rpartition("/")
        if last == A:
            kernel = f"{prefix}/{_KERNEL}"
            plain[kernel] = merged(
                variables[kernel], variables[name], variables[f"{prefix}/{B}"], variables[f"{prefix}/{SCALE}"].item()
            )
    return plain


_lora_in_scope: contextvars.ContextVar[Lora | None] = contextvars.ContextVar("lora", default=None)


@contextlib.contextmanager
def lora_scope(config: Lora | None) -> Iterator[None]:
    """A context in which every new `BertModel` has LoRA, also as a part of another model."""
    token = _lora_in_scope.set(config)
    try:
        yield
    finally:
        _lora_in_scope.reset(token)


def lora_in_scope() -> Lora | None:
    """The LoRA config of the current `lora_scope`; None outside of one."""
    return _lora_in_scope.get()
