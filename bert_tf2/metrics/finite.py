"""The check that a model's outputs are finite; no TensorFlow."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2.errors import InputError


def check_finite(outputs: Mapping[str, NDArray[Any]]) -> None:
    """Rejects outputs of a model whose weights are corrupt.

    Args:
      outputs: arrays by name, such as "logits"; those that are not of floats are ignored.

    Raises:
      InputError: one holds NaN or infinity.
    """
    for name, values in outputs.items():
        if values.dtype.kind in "fV" and not np.isfinite(values.astype(np.float32, copy=False)).all():
            raise InputError(
                f"The model's {name.replace('_', ' ')} are not all finite: its training diverged, or the checkpoint is "
                "damaged. Use an earlier checkpoint, or train again with a lower learning rate."
            )
