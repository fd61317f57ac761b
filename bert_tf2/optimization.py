"""BERT's optimizer and its learning rate; follows google-research/bert `optimization.py`."""

import re
from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

Schedule = Callable[[tf.Tensor], tf.Tensor]

EXCLUDED_FROM_WEIGHT_DECAY = ("LayerNorm", "layer_norm", "bias")


def linear_schedule(peak: float, num_train_steps: int, num_warmup_steps: int) -> Schedule:
    """Linear warm-up from 0, then linear decay to 0 at `num_train_steps`.

    The decay runs from step 0, so that the end of the warm-up does not reach `peak` but the value of the decay there,
    and the first step of a warm-up trains at rate 0.

    Returns:
      A function from the number of finished steps, an int scalar, to a float32 scalar.
    """

    def learning_rate(step: tf.Tensor) -> tf.Tensor:
        done = tf.cast(step, tf.float32)
        share = tf.minimum(done / max(num_train_steps, 1), 1.0)
        decayed = peak * (1.0 - share)
        if num_warmup_steps == 0:
            return decayed
        return tf.where(done < num_warmup_steps, peak * (done / num_warmup_steps), decayed)

    return learning_rate


class BertAdam:
    """Adam as BERT was trained with: no bias correction, epsilon outside the root, decoupled weight decay.

    For a gradient `g`: `m = β1·m + (1-β1)·g`, `v = β2·v + (1-β2)·g²`, `w = w - lr·(m / (√v + ε) + decay·w)`.

    The moments live here under their variable's name, so that a checkpoint can store them as `<name>/adam_m` and
    `<name>/adam_v`. Make it inside the scope of the strategy that the variables belong to.

    Args:
      variables: what to train, by name.
      weight_decay: decay of every variable whose name matches none of `exclude`.
      beta_1: decay of the first moment.
      beta_2: decay of the second moment.
      epsilon: added to the root of the second moment.
      exclude: regular expressions, searched for in the names.
    """

    def __init__(
        self,
        variables: Mapping[str, keras.Variable],
        *,
        weight_decay: float = 0.01,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-6,
        exclude: Sequence[str] = EXCLUDED_FROM_WEIGHT_DECAY,
    ) -> None:
        self.variables = {name: variable.value for name, variable in variables.items()}
        self._beta_1, self._beta_2, self._epsilon = beta_1, beta_2, epsilon
        self._decay = {
            name: 0.0 if any(re.search(pattern, name) for pattern in exclude) else weight_decay for name in variables
        }
        self._m = {name: _zeros_like(variable) for name, variable in self.variables.items()}
        self._v = {name: _zeros_like(variable) for name, variable in self.variables.items()}

    def named_slots(self) -> dict[str, tf.Variable]:
        """The moments under the names that the original's checkpoints have for them."""
        m = {f"{name}/adam_m": slot for name, slot in self._m.items()}
        return m | {f"{name}/adam_v": slot for name, slot in self._v.items()}

    def apply(self, gradients: Mapping[str, tf.Tensor], learning_rate: tf.Tensor, scale: tf.Tensor) -> None:
        """Updates every variable that has a gradient; call it in replica context.

        Args:
          gradients: dense, already summed over replicas, by variable name.
          learning_rate: float32 scalar.
          scale: float32 scalar, what each gradient is multiplied by. 0 leaves variables and moments as they are to the
            last bit, even where a gradient is not finite.
        """
        on = scale > 0
        rate = tf.where(on, learning_rate, 0.0)
        # The fused kernel multiplies the rate by sqrt(1 - beta2_power) / (1 - beta1_power), Adam's bias correction,
        # which BERT's Adam leaves out: powers of 0 make that factor 1.
        beta_1, beta_2 = tf.where(on, self._beta_1, 1.0), tf.where(on, self._beta_2, 1.0)

        def update(
            variable: tf.Variable,
            m: tf.Variable,
            v: tf.Variable,
            gradient: tf.Tensor,
            decay: float,
            rate: tf.Tensor,
            scale: tf.Tensor,
            beta_1: tf.Tensor,
            beta_2: tf.Tensor,
        ) -> None:
            if decay:
                variable.assign(variable * (1.0 - rate * decay))
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=0.0,
                beta2_power=0.0,
                lr=rate,
                beta1=beta_1,
                beta2=beta_2,
                epsilon=self._epsilon,
                grad=tf.math.multiply_no_nan(gradient, scale),
            )

        def update_all(
            strategy: tf.distribute.Strategy, gradients: Mapping[str, tf.Tensor], *scalars: tf.Tensor
        ) -> None:
            for name, gradient in gradients.items():
                arguments = (self._m[name], self._v[name], gradient, self._decay[name], *scalars)
                strategy.extended.update(self.variables[name], update, args=arguments, group=False)

        tf.distribute.get_replica_context().merge_call(update_all, (dict(gradients), rate, scale, beta_1, beta_2))


def _zeros_like(variable: tf.Variable) -> tf.Variable:
    return tf.Variable(tf.zeros(variable.shape, variable.dtype), trainable=False)


def clipping_scale(gradients: Sequence[tf.Tensor], clip_norm: float) -> tuple[tf.Tensor, tf.Tensor]:
    """What to multiply gradients by so that their global norm is at most `clip_norm`.

    Returns:
      The scale, float32, 0 where a gradient is not finite; and the global norm before clipping.
    """
    norm = tf.linalg.global_norm(gradients)
    return tf.where(tf.math.is_finite(norm), clip_norm / tf.maximum(norm, clip_norm), 0.0), norm
