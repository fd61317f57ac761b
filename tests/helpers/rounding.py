"""How much two computations of the same float32 numbers may differ: one rule for all tests.

float32 rounds each operation by up to half of `EPSILON`, relative to the numbers that it adds, not to their sum: where
large numbers cancel, the result has the error of the large ones. The order of a sum, and so its rounding, depends on
the processor, its libraries, the batch and the padding. So two computations may differ by

    depth · EPSILON · scale

where `scale` is the magnitude of the terms (by default, the largest absolute value of the expected array; if the result
is a difference, such as a loss near 0, pass that of its terms) and `depth` is the sum of consecutive operations:

- a matrix product, softmax or mean over tens to thousands of terms loses about `SUM` roundings (the errors of n terms
  grow with √n at most, and are added in blocks);
- a layer of the encoder has 8 of those in a row: four dense layers, two products and the softmax of attention, and its
  layer normalizations (`forward`);
- a gradient passes through all of these, and back through twice as many (`backward`);
- training adds the errors of its steps, which are independent: √steps (`assert_trained_close`).

Measured on one machine with default settings, with ONEDNN_MAX_CPU_ISA=AVX2 and SSE41, and with TF_ENABLE_ONEDNN_OPTS=0,
differences are about half of the bound or less.

Equal bits may only be expected if the same program runs again on the same shapes: a resumed run, a copied file, the
same call twice; never with other batches, other padding or another way of computing the same number.
"""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

EPSILON = float(np.finfo(np.float32).eps)  # 2^-23: the step between numbers at 1
SUM = 4  # a sum in another order, or a handful of elementwise operations
LOSS = 2 * SUM  # a loss of equal logits
_SUMS_OF_A_LAYER = 8
_ADAM = 48


def forward(layers: int) -> int:
    """The depth of an encoder with this number of layers, embeddings, a head and a loss."""
    return SUM * (_SUMS_OF_A_LAYER * layers + 4)


def backward(layers: int) -> int:
    """The depth of its gradients."""
    return 3 * forward(layers)


def bound(expected: npt.ArrayLike, depth: float, scale: float | None = None) -> float:
    """The largest allowed difference from `expected`; by default, `scale` is its largest absolute value."""
    return depth * EPSILON * (largest(expected) if scale is None else scale)


def largest(values: npt.ArrayLike) -> float:
    """The largest absolute value; 0 if there are no values."""
    return float(np.max(np.abs(np.asarray(values, np.float64)), initial=0.0))


def assert_close(
    actual: npt.ArrayLike, expected: npt.ArrayLike, depth: float, scale: float | None = None, name: str = ""
) -> None:
    """Fails unless both have the same shape and each number is within `bound`."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape, name
    np.testing.assert_allclose(actual, expected, rtol=0, atol=bound(expected, depth, scale), err_msg=name)


def assert_results_close(
    actual: Mapping[str, float], expected: Mapping[str, float], depth: float, scale: float | None = None
) -> None:
    """`assert_close` for each number of an evaluation."""
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert_close(actual[name], value, depth, scale, name)


def assert_trained_close(
    actual: Mapping[str, npt.ArrayLike], expected: Mapping[str, npt.ArrayLike], layers: int, steps: int, rate: float
) -> None:
    """Fails unless weights are the same after `steps` steps of an optimizer of at most `rate` each.

    The scale is the largest possible change of a weight, rate · steps. Adam divides a gradient by its own magnitude, so
    that elements with tiny gradients have the rounding errors of large ones: the root mean square must satisfy the rule
    at the depth of the losses, and each element 48 times that. Key biases are excluded: their true gradient is 0, and
    Adam turns its rounding error into full steps.
    """
    assert actual.keys() == expected.keys()
    limit = bound(1, forward(layers) * math.sqrt(steps), rate * steps)
    for name, values in expected.items():
        if not name.endswith("key/bias"):
            difference = np.asarray(actual[name], np.float64) - np.asarray(values, np.float64)
            assert math.sqrt(np.mean(difference**2)) <= limit, name
            assert largest(difference) <= _ADAM * limit, name
