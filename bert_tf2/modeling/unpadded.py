"""Sequences without padding: only tokens go through the matmuls.

The encoder's matrices have a row for each position, `[B*S, H]`, and a row of padding costs as much as one of text.
Without padding they are `[T, H]`, the tokens of all sequences concatenated. Only attention needs to know which sequence
a token belongs to: queries, keys and values are laid out as `[B*S, H]`, with arbitrary finite values at padding, which
the attention mask hides. (Zeng et al., arXiv:2208.08124, call it unpadding.)

Shapes: `B` batch, `S` sequence, `T` rows without padding, `C` columns.
"""

import bisect
from typing import Any, NamedTuple

import tensorflow as tf

_SIZES_PER_OCTAVE = 8
_SMALLEST = 8
_LARGEST_EXPONENT = 30
_SIZES = sorted(
    {
        -(-(2**exponent * (_SIZES_PER_OCTAVE + step) // _SIZES_PER_OCTAVE) // _SMALLEST) * _SMALLEST
        for exponent in range(3, _LARGEST_EXPONENT)
        for step in range(_SIZES_PER_OCTAVE)
    }
)
"""The values of `T` if it is rounded up: eight from each power of two to the next."""


def rounded_size(tokens: int) -> int:
    """The number of rows, `T`, of `token_layout` for this many tokens if it is rounded up."""
    return _SIZES[bisect.bisect_left(_SIZES, max(tokens, 1))]


class TokenLayout(NamedTuple):
    """The positions of a batch's tokens.

    Attributes:
      positions: int32 `[T]`, the position in `[B*S]` of each row; 0 for padding rows.
      rows: int32 `[B*S]`, the row in `[T]` of each position; at padding that of another token.
      row_is_token: bool `[T, 1]`, False for padding rows, which only fill up `T`.
      position_is_token: bool `[B*S, 1]`, False at padding.
    """

    positions: tf.Tensor
    rows: tf.Tensor
    row_is_token: tf.Tensor
    position_is_token: tf.Tensor


def token_layout(input_mask: tf.Tensor, round_up: bool) -> TokenLayout:
    """The layout of a batch's tokens.

    Args:
      input_mask: int or bool `[B, S]`, 0 at padding.
      round_up: whether to round `T` up to one of a few sizes, because XLA compiles for each size.
    """
    is_token = tf.cast(tf.reshape(input_mask, [-1]), tf.bool)  # [B*S]
    positions = tf.cast(tf.where(is_token)[:, 0], tf.int32)
    tokens = tf.shape(positions)[0]
    size = tf.maximum(tokens, 1)
    if round_up:
        sizes = tf.constant(_SIZES)
        size = sizes[tf.searchsorted(sizes, size[None])[0]]
    rows = tf.maximum(tf.cumsum(tf.cast(is_token, tf.int32)) - 1, 0)
    positions = tf.pad(positions, [[0, size - tokens]])
    return TokenLayout(positions, rows, tf.range(size)[:, None] < tokens, is_token[:, None])


def without_padding(x: tf.Tensor, layout: TokenLayout) -> tf.Tensor:
    """`[B*S, C] -> [T, C]`; padding rows are copies of another token's, through which no gradient flows."""

    @tf.custom_gradient
    def gather(x: tf.Tensor) -> Any:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return tf.where(layout.position_is_token, tf.gather(upstream, layout.rows), tf.zeros([], upstream.dtype))

        return tf.gather(x, layout.positions), gradient

    return gather(x)


def with_padding(x: tf.Tensor, layout: TokenLayout) -> tf.Tensor:
    """`[T, C] -> [B*S, C]`; the values at padding are another token's, through which no gradient flows."""

    @tf.custom_gradient
    def gather(x: tf.Tensor) -> Any:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return tf.where(layout.row_is_token, tf.gather(upstream, layout.positions), tf.zeros([], upstream.dtype))

        return tf.gather(x, layout.rows), gradient

    return gather(x)
