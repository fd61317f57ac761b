"""Learning rates by step; the linear one is that of google-research/bert `optimization.py`."""

import math
from collections.abc import Callable

import tensorflow as tf

Schedule = Callable[[tf.Tensor], tf.Tensor]


def make_schedule(name: str, peak: float, num_train_steps: int, num_warmup_steps: int) -> Schedule:
    """Creates a learning rate schedule with linear warm-up from 0.

    The decay starts at step 0, as in the original: so the warm-up ends not at `peak` but at the decayed rate of that
    step, and its first step trains at rate 0.

    Args:
      name: "linear", to 0 at `num_train_steps`; "cosine", to 0 along half a wave; "constant".
      peak: the peak rate.
      num_train_steps: total number of steps.
      num_warmup_steps: steps of the warm-up.

    Returns:
      A function from the number of finished steps, an int scalar, to a float32 scalar.
    """

    def decayed_rate(steps: tf.Tensor) -> tf.Tensor:
        fraction = tf.minimum(steps / max(num_train_steps, 1), 1.0)
        if name == "linear":
            return peak * (1.0 - fraction)
        if name == "cosine":
            return peak * 0.5 * (1.0 + tf.cos(math.pi * fraction))
        return tf.constant(peak)

    def learning_rate(step: tf.Tensor) -> tf.Tensor:
        steps = tf.cast(step, tf.float32)
        if num_warmup_steps == 0:
            return decayed_rate(steps)
        return tf.where(steps < num_warmup_steps, peak * (steps / num_warmup_steps), decayed_rate(steps))

    return learning_rate
