"""The operations of a Transformer between its matmuls, in few passes over memory; matmuls with a custom gradient.

Between two matmuls a layer does a dozen cheap operations on each number. Run one by one, each of them reads and writes
a whole matrix; compiled together by XLA, they take a pass or two, and intermediate results are never written. So the
functions here are plain TensorFlow, to be read as definitions, and `fused` determines how they are run.
benchmarks/README.md has measurements of the gain.

Shapes: `R` rows, `C` columns, `B` batch, `Q` queries, `S` sequence, `N` heads, `D` head size.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

LAYER_NORM_EPSILON = 1e-12

_call_count = 0


def call_count() -> int:
    """How many times fused functions have been called or traced with `fuse=True` in this process."""
    return _call_count


def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds an argument `fuse` to a function: whether XLA compiles it, forward and backward; False by default.

    The gradient then recomputes the forward pass from the arguments instead of storing intermediate results, which is
    cheap and saves memory. Matmuls do not belong in such a function: on a CPU, oneDNN's are faster than XLA's, in
    bfloat16 twice as fast. XLA compiles once for each set of shapes.

    Args:
      function: takes tensors, followed by hashable Python values, and returns tensors. Its gradients are those with
        respect to the float tensors among the arguments.
    """

    @functools.partial(tf.function, jit_compile=True, autograph=False)
    def forward(tensors: list[tf.Tensor], constants: tuple[Any, ...]) -> Any:
        return function(*tensors, *constants)

    @functools.partial(tf.function, jit_compile=True, autograph=False)
    def backward(tensors: list[tf.Tensor], constants: tuple[Any, ...], upstream: list[tf.Tensor]) -> list[tf.Tensor]:
        floats = [tensor for tensor in tensors if tensor.dtype.is_floating]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(floats)
            results = tf.nest.flatten(function(*tensors, *constants))
        return tape.gradient(results, floats, upstream, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    @functools.wraps(function)
    def call(*arguments: Any, fuse: bool = False) -> Any:
        if not fuse:
            return function(*arguments)
        global _call_count
        _call_count += 1
        count = sum(hasattr(argument, "dtype") for argument in arguments)
        constants = arguments[count:]

        @tf.custom_gradient
        def run(*tensors: tf.Tensor) -> Any:
            def gradient(*upstream: tf.Tensor) -> list[tf.Tensor | None]:
                gradients = iter(backward(list(tensors), constants, list(upstream)))
                return [next(gradients) if tensor.dtype.is_floating else None for tensor in tensors]

            return forward(list(tensors), constants), gradient

        return run(*map(tf.convert_to_tensor, arguments[:count]))

    return call


@tf.custom_gradient
def matmul(x: tf.Tensor, kernel: tf.Tensor) -> Any:
    """`x [R, C] @ kernel [C, K] -> [R, K]`."""

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # As a batch of one: with a wide transposed kernel oneDNN's batched matmul is a fifth faster.
        x_gradient = tf.matmul(upstream[None], kernel[None], transpose_b=True)[0]
        return x_gradient, tf.matmul(x, upstream, transpose_a=True)

    return tf.matmul(x, kernel), gradient


def mask_seed(seed: tf.Tensor | None, site: int) -> tf.Tensor:
    """The seed of the mask of one dropout site in a step, uint32 `[2]`: see `layers.dropout`."""
    if seed is None:
        return tf.zeros([2], tf.uint32)
    site_seed = seed + tf.constant([0, site], tf.int64)
    return tf.random.stateless_uniform([2], seed=site_seed, minval=None, maxval=None, dtype=tf.uint32)


def _keep(seed: tf.Tensor, shape: tf.Tensor | tf.TensorShape, rate: float) -> tf.Tensor:
    """Which elements to keep, bool of the given shape.

    Element `i` depends on a hash of `i` and the seed (multiplications by odd numbers and shifts, as in MurmurHash3's
    finalizer), so that the mask fuses with the operation that it is applied to, and the gradient recomputes it instead
    of storing it.
    """

    def constant(value: int) -> tf.Tensor:
        return tf.constant(value, tf.uint32)

    def xor_shift(bits: tf.Tensor, shift: int) -> tf.Tensor:
        return tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, constant(shift)))

    # The index nominally depends on the seed; otherwise TensorFlow would fold it before XLA sees it, into a constant
    # as large as the mask: gigabytes for the scores of 512 positions.
    index = tf.cast(seed[0] < constant(0), tf.int32)
    for size in tf.unstack(shape) if isinstance(shape, tf.Tensor) else shape:
        index = index[..., None] * size + tf.range(size)
    bits = tf.bitcast(index, tf.uint32)
    bits = xor_shift(tf.bitwise.bitwise_xor(bits, seed[0]) * constant(0x9E3779B1), 16)
    bits = xor_shift(tf.bitwise.bitwise_xor(bits, seed[1]) * constant(0x85EBCA6B), 13)
    bits = xor_shift(bits * constant(0xC2B2AE35), 16)
    return bits >= constant(round(rate * 2**32))


def _drop(x: tf.Tensor, seed: tf.Tensor, rate: float) -> tf.Tensor:
    """Dropout of a float32 tensor."""
    if not rate:
        return x
    shape = x.shape if x.shape.is_fully_defined() else tf.shape(x)
    return tf.where(_keep(seed, shape, rate), x * (1.0 / (1.0 - rate)), 0.0)


def _float32(x: tf.Tensor) -> tf.Tensor:
    return tf.cast(x, tf.float32)


@fused
def dropout(x: tf.Tensor, seed: tf.Tensor, rate: float) -> tf.Tensor:
    """0 with probability `rate`, else scaled by `1 / (1 - rate)`; `seed`, uint32 `[2]`, determines the mask."""
    return tf.cast(_drop(_float32(x), seed, rate), x.dtype)


@fused
def _float32_bias_activation(x: tf.Tensor, bias: tf.Tensor, activation: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    return tf.cast(activation(tf.nn.bias_add(_float32(x), bias)), x.dtype)


def bias_activation(
    x: tf.Tensor, bias: tf.Tensor, activation: Callable[[tf.Tensor], tf.Tensor], fuse: bool = False
) -> tf.Tensor:
    """`activation(x + bias)`: `x [R, C], bias float32 [C] -> [R, C]`; in float32 if fused, else in the dtype of `x`.

    In the dtype of `x`, TensorFlow does it inside the matmul if no gradient is needed.
    """
    if fuse:
        return _float32_bias_activation(x, bias, activation, fuse=True)
    return activation(tf.nn.bias_add(x, tf.cast(bias, x.dtype)))


def _normalize(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
    mean = tf.reduce_mean(x, axis=-1, keepdims=True)
    centred = x - mean
    variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
    return centred * tf.math.rsqrt(variance + LAYER_NORM_EPSILON) * gamma + beta


@fused
def layer_norm(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, seed: tf.Tensor, rate: float) -> tf.Tensor:
    """`dropout(layer_norm(x))`, computed in float32: `x [..., C] -> [..., C]`, in the dtype of `x`."""
    return tf.cast(_drop(_normalize(_float32(x), gamma, beta), seed, rate), x.dtype)


@fused
def add_and_norm(
    x: tf.Tensor,
    bias: tf.Tensor,
    residual: tf.Tensor,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    seed: tf.Tensor,
    rate: float,
) -> tf.Tensor:
    """`layer_norm(residual + dropout(x + bias))`, in float32: `x, residual [R, C] -> [R, C]`, in the dtype of `x`."""
    added = _float32(residual) + _drop(tf.nn.bias_add(_float32(x), bias), seed, rate)
    return tf.cast(_normalize(added, gamma, beta), x.dtype)


@fused
def split_heads(x: tf.Tensor, bias: tf.Tensor, batch: tf.Tensor | int, heads: int) -> tf.Tensor:
    """`x + bias`, head by head: `[B*S, N*D] -> [B, N, S, D]`; `batch` is `B`, `heads` is `N`."""
    added = tf.cast(tf.nn.bias_add(_float32(x), bias), x.dtype)
    return tf.transpose(tf.reshape(added, [batch, -1, heads, x.shape[1] // heads]), [0, 2, 1, 3])


@fused
def _softmax(scores: tf.Tensor, bias: tf.Tensor, scale: float) -> tf.Tensor:
    # If this is not fused, TensorFlow on a CPU does the float32 multiplication and addition inside the matmul before.
    return tf.cast(tf.nn.softmax(_float32(scores) * scale + bias), scores.dtype)


@fused
def _score_gradient(
    probabilities: tf.Tensor,
    dropped_gradient: tf.Tensor,
    context: tf.Tensor,
    context_gradient: tf.Tensor,
    seed: tf.Tensor,
    rate: float,
    scale: float,
) -> tf.Tensor:
    """The gradient of the unscaled scores: back through dropout, softmax and scale.

    The softmax's gradient needs the sum over each row of the probabilities times their gradients. It equals the sum
    over the row of the context times its gradient, which is shorter (Dao et al., arXiv:2205.14135, appendix B.4).
    """
    sums = tf.reduce_sum(_float32(context) * _float32(context_gradient), axis=-1, keepdims=True)  # [B, N, Q, 1]
    probability_gradient = _drop(_float32(dropped_gradient), seed, rate)  # [B, N, Q, S]
    return tf.cast(_float32(probabilities) * (probability_gradient - sums) * scale, probabilities.dtype)


def attention_probabilities(query: tf.Tensor, key: tf.Tensor, score_bias: tf.Tensor, fuse: bool = False) -> tf.Tensor:
    """`softmax(query·keyᵀ / √D + score_bias)`, softmax in float32; the arguments are those of `attention`.

    Returns:
      float `[B, N, Q, S]`; each row, over the keys, sums to 1.
    """
    scores = tf.matmul(query, key, transpose_b=True)  # [B, N, Q, S]
    return _softmax(scores, score_bias, _scale(query), fuse=fuse)


def _scale(query: tf.Tensor) -> float:
    return 1.0 / math.sqrt(query.shape[-1])


def attention(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    score_bias: tf.Tensor,
    seed: tf.Tensor,
    rate: float,
    fuse: bool = False,
) -> tf.Tensor:
    """`dropout(softmax(query·keyᵀ / √D + score_bias))·value`, softmax in float32.

    For the gradient it stores a single tensor of shape `[B, N, Q, S]`, the probabilities before dropout.

    Args:
      query: float `[B, N, Q, D]`.
      key: float `[B, N, S, D]`.
      value: float `[B, N, S, D]`.
      score_bias: float32, broadcastable to `[B, N, Q, S]`; it gets no gradient.
      seed: uint32 `[2]`, see `mask_seed`.
      rate: the dropout rate.
      fuse: see `fused`.

    Returns:
      float `[B, N, Q, D]`.
    """
    scale = _scale(query)

    @tf.custom_gradient
    def attend(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> Any:
        probabilities = attention_probabilities(query, key, score_bias, fuse=fuse)  # [B, N, Q, S]
        context = tf.matmul(dropout(probabilities, seed, rate, fuse=fuse), value)  # [B, N, Q, D]

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            dropped = dropout(probabilities, seed, rate, fuse=fuse)  # [B, N, Q, S]
            dropped_gradient = tf.matmul(upstream, value, transpose_b=True)
            gradient_inputs = probabilities, dropped_gradient, context, upstream, seed
            score_gradient = _score_gradient(*gradient_inputs, rate, scale, fuse=fuse)
            return (
                tf.matmul(score_gradient, key),
                tf.matmul(score_gradient, query, transpose_a=True),
                tf.matmul(dropped, upstream, transpose_a=True),
            )

        return context, gradient

    return attend(query, key, value)


@fused
def cross_entropy(scores: tf.Tensor, bias: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The negative log-likelihood of each row's label, and 1 where the label is the argmax of the scores, else 0.

    Args:
      scores: float `[R, C]`.
      bias: float32 `[C]`, added to the scores in float32.
      labels: int `[R]`.

    Returns:
      Two float32 `[R]`.
    """
    logits = tf.nn.bias_add(_float32(scores), bias)
    columns = tf.range(tf.shape(logits)[1], dtype=labels.dtype)
    highest = tf.stop_gradient(tf.reduce_max(logits, axis=1, keepdims=True))
    label_score = tf.reduce_sum(tf.where(columns == labels[:, None], logits - highest, 0.0), axis=1)
    losses = tf.math.log(tf.reduce_sum(tf.exp(logits - highest), axis=1)) - label_score
    predicted = tf.reduce_min(tf.where(logits == highest, columns, columns[-1]), axis=1)  # the first of equal scores
    return losses, _float32(predicted == labels)
