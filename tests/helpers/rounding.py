"""How far two computations of the same float32 numbers may be apart: one rule for all tests.

float32 rounds each operation by up to half of `EPSILON`, relative to the numbers that it adds, not to their sum: where
large numbers cancel, what is left has the error of the large ones. The order of a sum, and so its rounding, depends on
the processor, its libraries, the batch and the padding. So two computations may differ by

    depth · EPSILON · scale

where `scale` is the magnitude of what was added (the largest absolute value of the expected array; where the result is
a difference, such as a loss near 0, that of its terms: pass it) and `depth` adds up the operations in a row:

- a matrix product, softmax or mean over tens to thousands of terms loses about `SUM` roundings (the errors of n terms
  grow with √n at most, and are added in blocks);
- a layer of the encoder has 8 of those in a row: four dense layers, two products and the softmax of attention, and its
  layer normalizations (`forward`);
- a gradient goes through all of it, and back through twice as many (`backward`);
- training adds the errors of its steps, which are independent: √steps (`assert_trained_close`).

Measured on one machine as it is, with ONEDNN_MAX_CPU_ISA=AVX2 and SSE41, and with TF_ENABLE_ONEDNN_OPTS=0, what differs
is about half of the bound or less.

Equal bits may be expected only where the same program runs again on the same shapes: a resumed run, a copied file, the
same call twice. Never of other batches, other padding or another way to the same number.
"""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

EPSILON = float(np.finfo(np.float32).eps)  # 2^-23: the step between numbers at 1
SUM = 4  # a sum in another order, or a handful of elementwise operations
LOSS = 2 * SUM  # a loss of logits that are the same
_SUMS_OF_A_LAYER = 8
_ADAM = 48


def forward(layers: int) -> int:
    """The depth of an encoder of so many layers with embeddings, a head and a loss."""
    return SUM * (_SUMS_OF_A_LAYER * layers + 4)


def backward(layers: int) -> int:
    """The depth of its gradients."""
    return 3 * forward(layers)


def bound(expected: npt.ArrayLike, depth: float, scale: float | None = None) -> float:
    """How far from `expected` its numbers may be; `scale` is their largest absolute value unless given."""
    return depth * EPSILON * (largest(expected) if scale is None else scale)


def largest(values: npt.ArrayLike) -> float:
    """The largest absolute value; 0 of nothing."""
    return float(np.max(np.abs(np.asarray(values, np.float64)), initial=0.0))


def assert_close(
    found: npt.ArrayLike, expected: npt.ArrayLike, depth: float, scale: float | None = None, name: str = ""
) -> None:
    """Fails unless both have the same shape and each number is within `bound`."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape, name
    np.testing.assert_allclose(found, expected, rtol=0, atol=bound(expected, depth, scale), err_msg=name)


def assert_results_close(
    found: Mapping[str, float], expected: Mapping[str, float], depth: float, scale: float | None = None
) -> None:
    """The same for the numbers of an evaluation, each by itself."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert_close(found[name], value, depth, scale, name)


def assert_trained_close(
    found: Mapping[str, npt.ArrayLike], expected: Mapping[str, npt.ArrayLike], layers: int, steps: int, rate: float
) -> None:
    """Fails unless weights are the same after so many steps of an optimizer from the same start, at most `rate` each.

    The scale is how far a weight can have moved, rate · steps. Adam divides a gradient by its own magnitude, so that
    elements whose gradient is tiny carry the rounding of the large ones: the root of the mean square is held to the
    rule, at the depth of the losses, and an element to 48 times that. Key biases are left out: their true gradient is
    0, and Adam makes steps of the rounding error that is there instead.
    """
    assert found.keys() == expected.keys()
    limit = bound(1, forward(layers) * math.sqrt(steps), rate * steps)
    for name, values in expected.items():
        if not name.endswith("key/bias"):
            difference = np.asarray(found[name], np.float64) - np.asarray(values, np.float64)
            assert math.sqrt(np.mean(difference**2)) <= limit, name
            assert largest(difference) <= _ADAM * limit, name
