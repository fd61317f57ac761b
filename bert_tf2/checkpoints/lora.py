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
"""`google.read`: reads an array, given an open checkpoint, the array's name and the checkpoint's prefix."""

_A = re.compile(rf"bert/encoder/layer_\d+/(.+)/{lora.A}")
_NAMES = {path: name for name, path in KERNELS.items()}


def model_lora(variables: Mapping[str, "tf.Variable"]) -> Lora | None:
    """The LoRA config of a model, inferred from its variables; None without LoRA."""
    shapes = {name: variable.shape.as_list() for name, variable in variables.items()}
    return _infer_lora(shapes, lambda name: variables[name].numpy(), "The model")


def checkpoint_lora(reader: Any, prefix: str, read: Read) -> Lora | None:
    """The LoRA config of an open checkpoint; None without LoRA.

    Raises:
      InputError: the checkpoint is corrupt, or has LoRA for weights for which it is not supported.
    """
    return _infer_lora(reader.get_variable_to_shape_map(), lambda name: read(reader, name, prefix), prefix)


def _infer_lora(shapes: Mapping[str, Sequence[int]], value: Callable[[str], Any], where: str) -> Lora | None:
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


def check_same(expected: Lora | None, saved: Lora | None, prefix: str) -> None:
    """Checks that a checkpoint has the same LoRA as the model into which it is to be loaded.

    Args:
      expected: the model's LoRA.
      saved: the checkpoint's LoRA.
      prefix: the prefix of the checkpoint.

    Raises:
      InputError: they differ.
    """
    if expected != saved:
        has, asks = (f"with {one.flags}" if one else "without LoRA (--lora_rank=0)" for one in (saved, expected))
        raise InputError(
            f"{prefix} was trained {has}, but this command is {asks}; give the flags of the training, or another "
            "--output_dir."
        )


def reconcile(
    variables: Mapping[str, "tf.Variable"], reader: Any, prefix: str, read: Read, average: str
) -> tuple[Mapping[str, "tf.Variable"], Any]:
    """The variables to load and the reader to use: unchanged if both have the same LoRA, otherwise without LoRA.

    Args:
      variables: the model's variables, by Google's names.
      reader: the open checkpoint.
      prefix: the checkpoint's name in messages.
      read: see `Read`.
      average: see `MergedReader`.

    Raises:
      InputError: see `checkpoint_lora`.
    """
    saved = checkpoint_lora(reader, prefix, read)
    if saved == model_lora(variables):
        return variables, reader
    if saved:
        logger.info("%s has %s, which is merged into the kernels.", prefix, saved)
    plain = {name: variable for name, variable in variables.items() if not lora.is_lora(name)}
    return plain, MergedReader(reader, average)


class MergedReader:
    """An open checkpoint with its LoRA merged into the kernels, `W + scale · A B`; one without LoRA is unchanged.

    Args:
      reader: the result of `google.open_reader`.
      average: the last part of a moving average's name; averages are merged, too.
    """

    def __init__(self, reader: Any, average: str) -> None:
        self._reader = reader
        shapes: dict[str, list[int]] = reader.get_variable_to_shape_map()
        self._shapes = {name: shape for name, shape in shapes.items() if not lora.is_lora(name)}
        self._factors: dict[str, tuple[str, ...]] = {}  # for each merged array, the names of W, A, B and the scale
        for name in shapes:
            prefix, separator, suffix = name.partition(f"/{lora.A}")
            kernel = f"{prefix}/kernel"
            if separator and kernel in shapes and suffix in ("", f"/{average}"):
                factors = (kernel, name, f"{prefix}/{lora.B}{suffix}", f"{prefix}/{lora.SCALE}")
                self._factors[kernel + suffix], self._shapes[kernel + suffix] = factors, shapes[kernel]

    def get_variable_to_shape_map(self) -> dict[str, list[int]]:
        """The shapes by name, without the variables of LoRA."""
        return dict(self._shapes)

    def has_tensor(self, name: str) -> bool:
        """Whether there is an array of this name."""
        return name in self._shapes

    def get_tensor(self, name: str) -> Any:
        """The array of this name; raises the errors of the reader."""
        if name not in self._factors:
            return self._reader.get_tensor(name)
        return lora.merged(*map(self._reader.get_tensor, self._factors[name]))
