"""Fast conversion of float32 numbers to JSON; no TensorFlow.

`rows_as_text` writes a number `x` with at most six decimals, as `json.dumps(round(float(x), 6))` does in the original's
`extract_features.py`: `0.25`, `-0.0`, `1.2e-05`, `NaN`.

This is our own compiled code, as no library writes the same text: orjson, for example, writes `1.2e-5` and `null`, and
does not round. Python's `json`, which still handles rows with very large or non-finite numbers, is about 20 times
slower (755 ns per number instead of 36), slower than a fast device computes them.
"""

import itertools
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2.numba_support import kernel


def rows_as_text(values: np.ndarray[Any, Any]) -> list[bytes]:
    """The numbers of each row, separated by `", "`: `b"0.5, -1.25"`.

    Args:
      values: float32 [R, C].
    """
    compiled = kernel("bert_tf2.io._json_floats_numba")
    text = np.empty(values.size * compiled.MOST_CHARACTERS, np.uint8)
    ends = np.empty(len(values), np.int64)
    size = compiled.write_rows(np.ascontiguousarray(values), text, ends)
    if size != compiled.UNSUPPORTED:
        content = text[:size].tobytes()
        bounds = [0, *ends.tolist()]
        return [content[begin:end] for begin, end in itertools.pairwise(bounds)]
    return [json.dumps([round(value, 6) for value in row])[1:-1].encode() for row in values.tolist()]


def as_printed(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Numbers that JSON prints as if they were float32: 0.1, not 0.10000000149011612. Any shape."""
    return values.astype(str).astype(np.float64)
