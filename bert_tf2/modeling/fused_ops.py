"""The operations of a Transformer between its matmuls, in few passes over memory; matmuls with a custom gradient.

Between two matmuls a layer does a dozen cheap operations on each number. Run one by one, each of them reads and writes
a whole matrix; compiled together by XLA, they take a pass or two, and intermediate results are never written. So the
functions here are plain TensorFlow, to be read as definitions, and `fused` defines how they are run.
benchmarks/README.md has measurements of the gain.

Shapes: `R` rows, `C` columns, `B` batch, `Q` queries, `S` sequence, `N` heads, `D` head size.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

LAYER_NORM_EPSILON = 1e-12

_uses = 0


def uses() -> int:
    """How often a fused function has become a part of something in this process: of what XLA will compile."""
    return _uses


def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds an argument `fuse` to a function: whether XLA compiles it, forward and backward.

    The gradient then recomputes the forward pass from the arguments instead of storing intermediate results, which is
    cheap and saves memory. Matmuls do not belong in such a function: on a CPU, oneDNN's are faster than XLA's, in
    bfloat16 twice as fast. XLA compiles once for each set of shapes.

    Args:
      function: of tensors and, after them, hashable Python values; returns tensors. Gradients reach the float tensors
        among the arguments.
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
        global _uses
        _uses += 1
        count = sum(hasattr(argument, "dtype") for argument in arguments)
        constants = arguments[count:]

        @tf.custom_gradient
        def run(*tensors: tf.Tensor) -> Any:
            def gradient(*upstream: tf.Tensor) -> list[tf.Tensor | None]:
                found = iter(backward(list(tensors), constants, list(upstream)))
                return [next(found) if tensor.dtype.is_floating else None for tensor in tensors]

            return forward(list(tensors), constants), gradient

        return run(*map(tf.convert_to_tensor, arguments[:count]))

    return call


@tf.custom_gradient
def matmul(x: tf.Tensor, kernel: tf.Tensor) -> Any:
    """`x [R, C] @ kernel [C, K] -> [R, K]`."""

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # As a batch of one: with a wide transposed kernel oneDNN's matmul of batches is a fifth faster.
        towards_x = tf.matmul(upstream[None], kernel[None], transpose_b=True)[0]
        return towards_x, tf.matmul(x, upstream, transpose_a=True)

    return tf.matmul(x, kernel), gradient


def mask_seed(seed: tf.Tensor | None, site: int) -> tf.Tensor:
    """The seed of the mask of one dropout of a step, uint32 `[2]`: see `layers.dropout`."""
    if seed is None:
        return tf.zeros([2], tf.uint32)
    of_site = seed + tf.constant([0, site], tf.int64)
    return tf.random.stateless_uniform([2], seed=of_site, minval=None, maxval=None, dtype=tf.uint32)


def _keep(seed: tf.Tensor, shape: tf.Tensor | tf.TensorShape, rate: float) -> tf.Tensor:
    """Which elements to keep, bool of that shape.

    That of element `i` is a hash of `i` and the seed (multiplications by odd numbers and shifts, as in MurmurHash3's
    last step), so that it fuses with what it is applied to, and the gradient makes it again instead of keeping it.
    """

    def constant(value: int) -> tf.Tensor:
        return tf.constant(value, tf.uint32)

    def folded(bits: tf.Tensor, shift: int) -> tf.Tensor:
        return tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, constant(shift)))

    # The index is made to follow from the seed: else TensorFlow would fold it before XLA sees it, into a constant as
    # large as the mask, gigabytes of them for scores of 512 positions.
    index = tf.cast(seed[0] < constant(0), tf.int32)
    for size in tf.unstack(shape) if isinstance(shape, tf.Tensor) else shape:
        index = index[..., None] * size + tf.range(size)
    bits = tf.bitcast(index, tf.uint32)
    bits = folded(tf.bitwise.bitwise_xor(bits, seed[0]) * constant(0x9E3779B1), 16)
    bits = folded(tf.bitwise.bitwise_xor(bits, seed[1]) * constant(0x85EBCA6B), 13)
    bits = folded(bits * constant(0xC2B2AE35), 16)
    return bits >= constant(round(rate * 2**32))


def _dropped(x: tf.Tensor, seed: tf.Tensor, rate: float) -> tf.Tensor:
    """Of a float32 tensor."""
    if not rate:
        return x
    shape = x.shape if x.shape.is_fully_defined() else tf.shape(x)
    return tf.where(_keep(seed, shape, rate), x * (1.0 / (1.0 - rate)), 0.0)


def _wide(x: tf.Tensor) -> tf.Tensor:
    return tf.cast(x, tf.float32)


@fused
def dropout(x: tf.Tensor, seed: tf.Tensor, rate: float) -> tf.Tensor:
    """0 with probability `rate`, else scaled by `1 / (1 - rate)`; `seed`, uint32 `[2]`, determines the mask."""
    return tf.cast(_dropped(_wide(x), seed, rate), x.dtype)


@fused
def _wide_bias_activation(x: tf.Tensor, bias: tf.Tensor, activation: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    return tf.cast(activation(tf.nn.bias_add(_wide(x), bias)), x.dtype)


def bias_activation(
    x: tf.Tensor, bias: tf.Tensor, activation: Callable[[tf.Tensor], tf.Tensor], fuse: bool = False
) -> tf.Tensor:
    """`activation(x + bias)`: `x [R, C], bias float32 [C] -> [R, C]`; in float32 where fused, else in the type of x.

    In the type of x TensorFlow does it inside the matmul, where no gradient is asked for.
    """
    if fuse:
        return _wide_bias_activation(x, bias, activation, fuse=True)
    return activation(tf.nn.bias_add(x, tf.cast(bias, x.dtype)))


def _normalised(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
    mean = tf.reduce_mean(x, axis=-1, keepdims=True)
    centred = x - mean
    variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
    return centred * tf.math.rsqrt(variance + LAYER_NORM_EPSILON) * gamma + beta


@fused
def layer_norm(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, seed: tf.Tensor, rate: float) -> tf.Tensor:
    """`dropout(layer_norm(x))` in float32: `x [..., C] -> [..., C]`."""
    return tf.cast(_dropped(_normalised(_wide(x), gamma, beta), seed, rate), x.dtype)


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
    """`layer_norm(residual + dropout(x + bias))` in float32: `x, residual [R, C] -> [R, C]`."""
    added = _wide(residual) + _dropped(tf.nn.bias_add(_wide(x), bias), seed, rate)
    return tf.cast(_normalised(added, gamma, beta), x.dtype)


@fused
def split_heads(x: tf.Tensor, bias: tf.Tensor, batch: tf.Tensor | int, heads: int) -> tf.Tensor:
    """`x + bias`, head by head: `[B*S, N*D] -> [B, N, S, D]`; `batch` is `B`, `heads` is `N`."""
    added = tf.cast(tf.nn.bias_add(_wide(x), bias), x.dtype)
    return tf.transpose(tf.reshape(added, [batch, -1, heads, x.shape[1] // heads]), [0, 2, 1, 3])


@fused
def _softmax(scores: tf.Tensor, bias: tf.Tensor, scale: float) -> tf.Tensor:
    # Not fused, and in float32 on a CPU, TensorFlow multiplies and adds inside the matmul that the scores come from.
    return tf.cast(tf.nn.softmax(_wide(scores) * scale + bias), scores.dtype)


@fused
def _score_gradient(
    probabilities: tf.Tensor,
    towards_dropped: tf.Tensor,
    context: tf.Tensor,
    towards_context: tf.Tensor,
    seed: tf.Tensor,
    rate: float,
    scale: float,
) -> tf.Tensor:
    """The gradient back through dropout, softmax and scale.

    The softmax's needs a sum over each row of probabilities times their gradients. It equals the sum over the row of
    the context times its gradient, which is shorter (Dao et al., arXiv:2205.14135, appendix B.4).
    """
    sums = tf.reduce_sum(_wide(context) * _wide(towards_context), axis=-1, keepdims=True)  # [B, N, Q, 1]
    towards_probabilities = _dropped(_wide(towards_dropped), seed, rate)  # [B, N, Q, S]
    return tf.cast(_wide(probabilities) * (towards_probabilities - sums) * scale, probabilities.dtype)


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

    For its gradient it keeps a single tensor of `[B, N, Q, S]`, the probabilities before dropout.

    Args:
      query: float `[B, N, Q, D]`.
      key: float `[B, N, S, D]`.
      value: float `[B, N, S, D]`.
      score_bias: float32 that broadcasts to `[B, N, Q, S]`; it gets no gradient.
      seed: uint32 `[2]`, see `mask_seed`.
      rate: of the dropout.
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
            towards_dropped = tf.matmul(upstream, value, transpose_b=True)
            of_probabilities = probabilities, towards_dropped, context, upstream, seed
            towards_scores = _score_gradient(*of_probabilities, rate, scale, fuse=fuse)
            return (
                tf.matmul(towards_scores, key),
                tf.matmul(towards_scores, query, transpose_a=True),
                tf.matmul(dropped, upstream, transpose_a=True),
            )

        return context, gradient

    return attend(query, key, value)


@fused
def cross_entropy(scores: tf.Tensor, bias: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The negative log-likelihood of each row's label, and 1 where its score is the first of the highest, else 0.

    Args:
      scores: float `[R, C]`.
      bias: float32 `[C]`, added to the scores in float32.
      labels: int `[R]`.

    Returns:
      Two float32 `[R]`.
    """
    logits = tf.nn.bias_add(_wide(scores), bias)
    columns = tf.range(tf.shape(logits)[1], dtype=labels.dtype)
    highest = tf.stop_gradient(tf.reduce_max(logits, axis=1, keepdims=True))
    of_label = tf.reduce_sum(tf.where(columns == labels[:, None], logits - highest, 0.0), axis=1)
    losses = tf.math.log(tf.reduce_sum(tf.exp(logits - highest), axis=1)) - of_label
    best = tf.reduce_min(tf.where(logits == highest, columns, columns[-1]), axis=1)
    return losses, _wide(best == labels)
