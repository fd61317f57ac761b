"""Checkpoints of models with LoRA: its settings, and loading into models without LoRA or with a different one."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bert_tf2.configs.lora import KERNELS, Lora
from bert_tf2.errors import InputError
from bert_tf2.modeling import lora

if TYPE_CHECKING:
    import tensorflow as tf

logger = logging.getLogger(__name__)

Read = Callable[[Any, str, str], Any]
"""`google.read`: from an open checkpoint, a name and the checkpoint's prefix to the array."""

_A = re.compile(rf"bert/encoder/layer_\d+/(.+)/{lora.A}")
_NAMES = {path: name for name, path in KERNELS.items()}


def of_model(variables: Mapping[str, "tf.Variable"]) -> Lora | None:
    """The LoRA that a model has, by the names and shapes of its variables; None without it."""
    shapes = {name: variable.shape.as_list() for name, variable in variables.items()}
    return _described(shapes, lambda name: variables[name].numpy(), "The model")


def of_checkpoint(reader: Any, prefix: str, read: Read) -> Lora | None:
    """The LoRA that an open checkpoint has; None without it.

    Raises:
      InputError: it is corrupt, or adapts weights for which LoRA is not supported here.
    """
    return _described(reader.get_variable_to_shape_map(), lambda name: read(reader, name, prefix), prefix)


def _described(shapes: Mapping[str, Sequence[int]], value: Callable[[str], Any], where: str) -> Lora | None:
    paths = {name: match[1] for name in shapes if (match := _A.fullmatch(name))}
    if not paths:
        return None
    unknown = [name for name, path in paths.items() if path not in _NAMES or len(shapes[name]) != 2]
    if unknown:
        raise InputError(
            f"{where} has {unknown[0]}, which is not a LoRA weight of a BERT kernel; use another checkpoint."
        )
    first = min(paths)
    rank = int(shapes[first][1])
    alpha = float(value(f"{first.removesuffix(lora.A)}{lora.SCALE}")) * rank
    return Lora(rank, float(f"{alpha:.6g}"), tuple({_NAMES[path] for path in paths.values()}))


def check_same(trained: Lora | None, kept: Lora | None, prefix: str) -> None:
    """Checks that a checkpoint has the LoRA of the model that it is to be used for.

    Args:
      trained: the model's.
      kept: the checkpoint's.
      prefix: the checkpoint.

    Raises:
      InputError: they are not the same.
    """
    if trained != kept:
        has, asks = (f"with {one.flags}" if one else "without LoRA (--lora_rank=0)" for one in (kept, trained))
        raise InputError(
            f"{prefix} was trained {has}, but this command is {asks}; give the flags of the training, or another "
            "--output_dir."
        )


def in_common(
    variables: Mapping[str, "tf.Variable"], reader: Any, prefix: str, read: Read, average: str
) -> tuple[Mapping[str, "tf.Variable"], Any]:
    """The variables to load and the reader to use: unchanged if both have the same LoRA, otherwise without LoRA.

    Args:
      variables: the model's.
      reader: of the checkpoint.
      prefix: its name in messages.
      read: see `Read`.
      average: see `MergedReader`.
    """
    kept = of_checkpoint(reader, prefix, read)
    if kept == of_model(variables):
        return variables, reader
    if kept:
        logger.info("%s has %s, which is merged into the kernels.", prefix, kept)
    plain = {name: variable for name, variable in variables.items() if not lora.is_lora(name)}
    return plain, MergedReader(reader, average)


class MergedReader:
    """A checkpoint with its LoRA merged into the kernels, `W + scale · A B`; one without LoRA is unchanged.

    Args:
      reader: of the checkpoint, as what `google.open_reader` returns.
      average: what a moving average is called, after the name of its variable; these are merged as well.
    """

    def __init__(self, reader: Any, average: str) -> None:
        self._reader = reader
        shapes: dict[str, list[int]] = reader.get_variable_to_shape_map()
        self._shapes = {name: shape for name, shape in shapes.items() if not lora.is_lora(name)}
        self._factors: dict[str, tuple[str, ...]] = {}  # of what is merged: names of W, A, B and the scale
        for name in shapes:
            prefix, part, ending = name.partition(f"/{lora.A}")
            kernel = f"{prefix}/kernel"
            if part and kernel in shapes and ending in ("", f"/{average}"):
                factors = (kernel, name, f"{prefix}/{lora.B}{ending}", f"{prefix}/{lora.SCALE}")
                self._factors[kernel + ending], self._shapes[kernel + ending] = factors, shapes[kernel]

    def get_variable_to_shape_map(self) -> dict[str, list[int]]:
        """Shapes by name, without those of LoRA."""
        return dict(self._shapes)

    def has_tensor(self, name: str) -> bool:
        """Whether there is such an array."""
        return name in self._shapes

    def get_tensor(self, name: str) -> Any:
        """An array; raises what the reader does."""
        if name not in self._factors:
            return self._reader.get_tensor(name)
        return lora.merged(*map(self._reader.get_tensor, self._factors[name]))
