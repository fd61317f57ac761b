"""Sequences without padding: only tokens go through the matmuls.

The encoder's matrices have a row for each position, `[B*S, H]`, and a row that is padding costs as much as one that is
text. Without padding they are `[T, H]`, the tokens of all sequences one after the other. Attention alone needs to know
which sequence a token is of: its queries, keys and values are laid out as `[B*S, H]`, with anything finite at padding,
which its mask hides. (Zeng et al., arXiv:2208.08124, call it unpadding.)

Shapes: `B` batch, `S` sequence, `T` rows without padding, `C` columns.
"""

import bisect
from typing import Any, NamedTuple

import tensorflow as tf

_SIZES_OF_AN_OCTAVE = 8
_SMALLEST = 8
_LARGEST_EXPONENT = 30
_SIZES = sorted(
    {
        -(-(2**exponent * (_SIZES_OF_AN_OCTAVE + step) // _SIZES_OF_AN_OCTAVE) // _SMALLEST) * _SMALLEST
        for exponent in range(3, _LARGEST_EXPONENT)
        for step in range(_SIZES_OF_AN_OCTAVE)
    }
)
"""Allowed numbers of rows where XLA compiles for each: eight between a power of two and the next one."""


def rounded(tokens: int) -> int:
    """The number of rows that `find` uses for this many tokens if there should be few different ones."""
    return _SIZES[bisect.bisect_left(_SIZES, max(tokens, 1))]


class Places(NamedTuple):
    """The positions of a batch's tokens.

    Attributes:
      positions: int32 `[T]`, the place in `[B*S]` of each row without padding.
      rows: int32 `[B*S]`, the row without padding of each place; at padding that of another token.
      is_token: bool `[T, 1]`, False for rows that only fill up `T`.
      is_text: bool `[B*S, 1]`, False at padding.
    """

    positions: tf.Tensor
    rows: tf.Tensor
    is_token: tf.Tensor
    is_text: tf.Tensor


def find(input_mask: tf.Tensor, few_sizes: bool) -> Places:
    """The places of tokens.

    Args:
      input_mask: `[B, S]`, 0 at padding.
      few_sizes: whether `T` is rounded up, so that few different ones occur: where XLA compiles for each.
    """
    is_text = tf.reshape(input_mask, [-1]) > 0  # [B*S]
    positions = tf.cast(tf.where(is_text)[:, 0], tf.int32)
    tokens = tf.shape(positions)[0]
    size = tf.maximum(tokens, 1)
    if few_sizes:
        sizes = tf.constant(_SIZES)
        size = sizes[tf.searchsorted(sizes, size[None])[0]]
    rows = tf.maximum(tf.cumsum(tf.cast(is_text, tf.int32)) - 1, 0)
    positions = tf.pad(positions, [[0, size - tokens]])
    return Places(positions, rows, tf.range(size)[:, None] < tokens, is_text[:, None])


def without_padding(x: tf.Tensor, places: Places) -> tf.Tensor:
    """`[B*S, C] -> [T, C]`; rows that fill up `T` are those of another token."""

    @tf.custom_gradient
    def gather(x: tf.Tensor) -> Any:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return tf.where(places.is_text, tf.gather(upstream, places.rows), tf.zeros([], upstream.dtype))

        return tf.gather(x, places.positions), gradient

    return gather(x)


def with_padding(x: tf.Tensor, places: Places) -> tf.Tensor:
    """`[T, C] -> [B*S, C]`; at padding stand the values of another token, through which no gradient flows."""

    @tf.custom_gradient
    def gather(x: tf.Tensor) -> Any:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return tf.where(places.is_token, tf.gather(upstream, places.positions), tf.zeros([], upstream.dtype))

        return tf.gather(x, places.rows), gradient

    return gather(x)
