"""Learning rates by step; the linear one is that of google-research/bert `optimization.py`."""

import math
from collections.abc import Callable

import tensorflow as tf

Schedule = Callable[[tf.Tensor], tf.Tensor]


def make_schedule(name: str, peak: float, num_train_steps: int, num_warmup_steps: int) -> Schedule:
    """A learning rate schedule with linear warm-up from 0.

    The decay runs from step 0, as in the original: the end of the warm-up does not reach `peak` but the value of the
    decay there, and the first step of a warm-up trains at rate 0.

    Args:
      name: "linear", to 0 at `num_train_steps`; "cosine", likewise along half a wave; "constant".
      peak: the peak rate.
      num_train_steps: total number of steps.
      num_warmup_steps: steps of the warm-up.

    Returns:
      A function from the number of finished steps, an int scalar, to a float32 scalar.
    """

    def decayed(done: tf.Tensor) -> tf.Tensor:
        share = tf.minimum(done / max(num_train_steps, 1), 1.0)
        if name == "linear":
            return peak * (1.0 - share)
        if name == "cosine":
            return peak * 0.5 * (1.0 + tf.cos(math.pi * share))
        return tf.constant(peak)

    def learning_rate(step: tf.Tensor) -> tf.Tensor:
        done = tf.cast(step, tf.float32)
        if num_warmup_steps == 0:
            return decayed(done)
        return tf.where(done < num_warmup_steps, peak * (done / num_warmup_steps), decayed(done))

    return learning_rate
