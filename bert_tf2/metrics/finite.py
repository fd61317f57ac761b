"""The check that a model's outputs are finite; no TensorFlow."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2.errors import Diverged


def check_finite(outputs: Mapping[str, NDArray[Any]]) -> None:
    """Rejects outputs of a model whose weights are corrupt.

    Args:
      outputs: arrays by name, such as "logits"; arrays of other types than floats are ignored.

    Raises:
      Diverged: one contains NaN or infinity.
    """
    for name, values in outputs.items():
        if values.dtype.kind in "fV" and not np.isfinite(values.astype(np.float32, copy=False)).all():
            raise Diverged(
                f"The model's {name.replace('_', ' ')} are not all finite: its training diverged, or the checkpoint is "
                "damaged. Use an earlier checkpoint, or train again with a lower learning rate."
            )
