"""float32 numbers for JSON, many at a time; no TensorFlow.

The text of a number `x` from `rows_as_text` has at most six decimals: it is that of `json.dumps(round(float(x), 6))`,
as the original's `extract_features.py` writes it: `0.25`, `-0.0`, `1.2e-05`, `NaN`.

Written by our own compiled code, as no library writes that text: orjson, for one, writes `1.2e-5` and `null`, and does
not round. Python's own way, which numbers that are not finite or very large still take, is about 20 times slower
(755 ns a number instead of 36), longer than the model takes to compute it on a good device.
"""

import itertools
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2.numba_support import kernel


def rows_as_text(values: np.ndarray[Any, Any]) -> list[bytes]:
    """The numbers of each row, `", "` between them: `b"0.5, -1.25"`.

    Args:
      values: float32 [R, C].
    """
    compiled = kernel("bert_tf2.io._json_floats_numba")
    text = np.empty(values.size * compiled.MOST_CHARACTERS, np.uint8)
    ends = np.empty(len(values), np.int64)
    size = compiled.write_rows(np.ascontiguousarray(values), text, ends)
    if size != compiled.CANNOT:
        whole = text[:size].tobytes()
        bounds = [0, *ends.tolist()]
        return [whole[begin:end] for begin, end in itertools.pairwise(bounds)]
    return [json.dumps([round(value, 6) for value in row])[1:-1].encode() for row in values.tolist()]


def as_printed(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Numbers whose text in JSON is that of float32: 0.1, not 0.10000000149011612. Of any shape."""
    return values.astype(str).astype(np.float64)
