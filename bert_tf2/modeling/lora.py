"""LoRA's variables: their names, merging them into kernels, and encoders that are created with them.

A frozen kernel `W [C, K]` has `A [C, rank]`, initialized randomly, `B [rank, K]`, initialized to 0, and a scalar scale,
so that the variables of a checkpoint suffice to compute its kernels: `W + scale · A B` (Hu et al. 2021,
arXiv:2106.09685). No TensorFlow.
"""

import contextlib
import contextvars
from collections.abc import Callable, Container, Iterator, Mapping
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


def merged_value(name: str, names: Container[str], read: Callable[[str], NDArray[Any]]) -> NDArray[Any]:
    """The value of one of a model's variables, of a kernel with LoRA after merging it.

    Args:
      name: of the variable, which is not one of LoRA.
      names: of all variables of the model.
      read: the value of a variable by its name; called only for what is needed.
    """
    prefix, _, last = name.rpartition("/")
    factors = [f"{prefix}/{part}" for part in (A, B, SCALE)]
    if last != _KERNEL or factors[0] not in names:
        return read(name)
    a, b, scale = map(read, factors)
    return merged(read(name), a, b, scale.item())


def merged_variables(variables: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """A model's variables by name, those of LoRA merged into the kernels."""
    return {name: merged_value(name, variables, variables.__getitem__) for name in variables if not is_lora(name)}


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
