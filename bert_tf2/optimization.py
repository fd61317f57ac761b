"""Optimizers and learning rates; BERT's own follow google-research/bert `optimization.py`."""

import contextlib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, NamedTuple

import keras
import tensorflow as tf

from bert_tf2.checkpoints import AVERAGE
from bert_tf2.configs.training import OptimizerConfig
from bert_tf2.errors import InputError

Schedule = Callable[[tf.Tensor], tf.Tensor]

EXCLUDED_FROM_WEIGHT_DECAY = ("LayerNorm", "layer_norm", "bias")


def make_schedule(name: str, peak: float, num_train_steps: int, num_warmup_steps: int) -> Schedule:
    """A learning rate with linear warm-up from 0.

    The decay runs from step 0, as in the original: the end of the warm-up does not reach `peak` but the value of the
    decay there, and the first step of a warm-up trains at rate 0.

    Args:
      name: "linear", to 0 at `num_train_steps`; "cosine", likewise along half a wave; "constant".
      peak: the highest rate.
      num_train_steps: steps in all.
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


def linear_schedule(peak: float, num_train_steps: int, num_warmup_steps: int) -> Schedule:
    """The original's schedule; see `make_schedule`."""
    return make_schedule("linear", peak, num_train_steps, num_warmup_steps)


def trained_names(names: Sequence[str], config: OptimizerConfig) -> list[str]:
    """Those of a model's variables that are not frozen.

    Raises:
      InputError: more layers are to be frozen than there are.
    """
    layers = _number_of_layers(names)
    if config.num_frozen_layers > layers:
        raise InputError(f"--num_frozen_layers={config.num_frozen_layers}, but the model has {layers} layers.")
    frozen = [f"bert/encoder/layer_{index}/" for index in range(config.num_frozen_layers)]
    if config.num_frozen_layers or config.freeze_embeddings:
        frozen.append("bert/embeddings/")
    return [name for name in names if not name.startswith(tuple(frozen))]


def layerwise_scales(names: Sequence[str], decay: float) -> dict[str, float]:
    """What each variable's learning rate is multiplied by: 1 for heads, times `decay` for each level below.

    The levels, from above: heads, pooler, the layers, the embeddings; as in ELECTRA (arXiv:2003.10555, appendix B).
    """
    layers = _number_of_layers(names)

    def depth(name: str) -> int:
        if name.startswith("bert/embeddings/"):
            return layers + 2
        if layer := re.match(r"bert/encoder/layer_(\d+)/", name):
            return layers + 1 - int(layer[1])
        return 1 if name.startswith("bert/pooler/") else 0

    return {name: decay ** depth(name) for name in names}


def _number_of_layers(names: Sequence[str]) -> int:
    found = [re.match(r"bert/encoder/layer_(\d+)/", name) for name in names]
    return max((int(match[1]) + 1 for match in found if match), default=0)


class _Step(NamedTuple):
    """What the update of one step needs besides gradients; tensors, float32 scalars.

    Attributes:
      rate: learning rate; 0 in a step that is skipped.
      scale: what gradients are multiplied by; 0 in a step that is skipped.
      beta_1, beta_2: decays of the moments; 1 in a step that is skipped.
      updates: which update this is, from 1.
      average_decay: of the moving averages; 1 in a step that is skipped.
    """

    rate: tf.Tensor
    scale: tf.Tensor
    beta_1: tf.Tensor
    beta_2: tf.Tensor
    updates: tf.Tensor
    average_decay: tf.Tensor


class _Slots(NamedTuple):
    """What belongs to one variable."""

    m: tf.Variable
    v: tf.Variable
    average: tf.Variable | None
    decay: float
    rate_scale: float


class Optimizer:
    """Two moments for each variable, decoupled weight decay, moving averages; subclasses say what an update is.

    The moments live here under their variable's name, so that a checkpoint can store them as `<name>/adam_m` and
    `<name>/adam_v`. Make it inside the scope of the strategy that the variables belong to.

    Args:
      variables: what to train, by name.
      weight_decay: decay of every variable whose name matches none of `exclude`.
      beta_1: decay of the first moment.
      beta_2: decay of the second moment.
      epsilon: added to the root of the second moment; the class's own where it is None.
      exclude: regular expressions, searched for in the names.
      rate_scales: what to multiply each variable's learning rate by, 1 by default.
      ema_decay: decay of the moving averages of the weights; 0 keeps none.
    """

    DEFAULT_EPSILON: ClassVar[float] = 1e-6

    def __init__(
        self,
        variables: Mapping[str, keras.Variable],
        *,
        weight_decay: float = 0.01,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float | None = None,
        exclude: Sequence[str] = EXCLUDED_FROM_WEIGHT_DECAY,
        rate_scales: Mapping[str, float] | None = None,
        ema_decay: float = 0.0,
    ) -> None:
        self.variables = {name: variable.value for name, variable in variables.items()}
        self._beta_1, self._beta_2 = beta_1, beta_2
        self._epsilon = self.DEFAULT_EPSILON if epsilon is None else epsilon
        self._ema_decay = ema_decay
        self._slots = {}
        for name, variable in self.variables.items():
            excluded = any(re.search(pattern, name) for pattern in exclude)
            self._slots[name] = _Slots(
                m=_slot(tf.zeros(variable.shape, variable.dtype)),
                v=_slot(tf.zeros(variable.shape, variable.dtype)),
                average=_slot(variable) if ema_decay else None,
                decay=0.0 if excluded else weight_decay,
                rate_scale=(rate_scales or {}).get(name, 1.0),
            )

    def named_slots(self) -> dict[str, tf.Variable]:
        """The moments under the names that the original's checkpoints have for them, and the moving averages."""
        m = {f"{name}/adam_m": slots.m for name, slots in self._slots.items()}
        v = {f"{name}/adam_v": slots.v for name, slots in self._slots.items()}
        return m | v

    def named_averages(self) -> dict[str, tf.Variable]:
        """The moving averages under TF1's names for them; empty where none are kept."""
        slots = self._slots.items()
        return {f"{name}/{AVERAGE}": slot.average for name, slot in slots if slot.average is not None}

    def start_averages(self) -> None:
        """Sets the moving averages to the weights: for use when the weights have been loaded."""
        for name, slots in self._slots.items():
            if slots.average is not None:
                slots.average.assign(self.variables[name])

    @contextlib.contextmanager
    def averages_in_place(self) -> Iterator[None]:
        """Inside, the variables have the values of their moving averages, where any are kept."""
        averaged = {name: slots.average for name, slots in self._slots.items() if slots.average is not None}
        trained = {name: tf.identity(self.variables[name]) for name in averaged}
        for name, average in averaged.items():
            self.variables[name].assign(average)
        try:
            yield
        finally:
            for name, value in trained.items():
                self.variables[name].assign(value)

    def apply(
        self,
        gradients: Mapping[str, tf.Tensor],
        learning_rate: tf.Tensor,
        scale: tf.Tensor,
        updates_done: tf.Tensor | int = 0,
    ) -> None:
        """Updates every variable that has a gradient; call it in replica context.

        Args:
          gradients: dense, already summed over replicas, by variable name.
          learning_rate: float32 scalar.
          scale: float32 scalar, what each gradient is multiplied by. 0 leaves variables and moments as they are to the
            last bit, even where a gradient is not finite.
          updates_done: how many updates came before, for bias correction.
        """
        on = scale > 0
        step = _Step(
            rate=tf.where(on, learning_rate, 0.0),
            scale=scale,
            beta_1=tf.where(on, self._beta_1, 1.0),
            beta_2=tf.where(on, self._beta_2, 1.0),
            updates=tf.cast(updates_done, tf.float32) + 1.0,
            average_decay=tf.where(on, self._ema_decay, 1.0),
        )

        def update_all(strategy: tf.distribute.Strategy, gradients: Mapping[str, tf.Tensor], step: _Step) -> None:
            for name, gradient in gradients.items():
                arguments = (self._slots[name], gradient, step)
                strategy.extended.update(self.variables[name], self._update_with_average, args=arguments, group=False)

        tf.distribute.get_replica_context().merge_call(update_all, (dict(gradients), step))

    def _update_with_average(self, variable: tf.Variable, slots: _Slots, gradient: tf.Tensor, step: _Step) -> None:
        self._update(variable, slots, gradient, step)
        if slots.average is not None:
            slots.average.assign(slots.average * step.average_decay + variable * (1.0 - step.average_decay))

    def _update(self, variable: tf.Variable, slots: _Slots, gradient: tf.Tensor, step: _Step) -> None:
        raise NotImplementedError


class BertAdam(Optimizer):
    """Adam as BERT was trained with: no bias correction, epsilon outside the root, decoupled weight decay.

    For a gradient `g`: `m = β1·m + (1-β1)·g`, `v = β2·v + (1-β2)·g²`, `w = w - lr·(m / (√v + ε) + decay·w)`.
    """

    def _update(self, variable: tf.Variable, slots: _Slots, gradient: tf.Tensor, step: _Step) -> None:
        # The fused kernel multiplies the rate by sqrt(1 - beta2_power) / (1 - beta1_power), Adam's bias correction,
        # which BERT's Adam leaves out: powers of 0 make that factor 1.
        zero = tf.zeros([])
        _fused_adam(variable, slots, gradient, step, powers=(zero, zero), epsilon=tf.constant(self._epsilon))


class AdamW(Optimizer):
    """Adam with bias correction and decoupled weight decay (Loshchilov and Hutter, arXiv:1711.05101).

    With `m̂ = m / (1-β1ᵗ)` and `v̂ = v / (1-β2ᵗ)`: `w = w - lr·(m̂ / (√v̂ + ε) + decay·w)`.
    """

    DEFAULT_EPSILON = 1e-8

    def _update(self, variable: tf.Variable, slots: _Slots, gradient: tf.Tensor, step: _Step) -> None:
        powers = tf.pow(self._beta_1, step.updates), tf.pow(self._beta_2, step.updates)
        # The fused kernel adds epsilon to √v, not to √v̂.
        _fused_adam(variable, slots, gradient, step, powers, epsilon=self._epsilon * tf.sqrt(1.0 - powers[1]))


class Lamb(Optimizer):
    """Layer-wise adaptive moments for large batches (You et al., arXiv:1904.00962, algorithm 2).

    AdamW's step of each variable, its decay included, is scaled to the norm of the variable's weights. Variables
    without weight decay (LayerNorm, biases) are not scaled.
    """

    def _update(self, variable: tf.Variable, slots: _Slots, gradient: tf.Tensor, step: _Step) -> None:
        gradient = tf.math.multiply_no_nan(gradient, step.scale)
        m = slots.m.assign(slots.m * step.beta_1 + gradient * (1.0 - step.beta_1))
        v = slots.v.assign(slots.v * step.beta_2 + tf.square(gradient) * (1.0 - step.beta_2))
        corrected_m = m / (1.0 - tf.pow(self._beta_1, step.updates))
        corrected_v = v / (1.0 - tf.pow(self._beta_2, step.updates))
        direction = corrected_m / (tf.sqrt(corrected_v) + self._epsilon)
        trust = tf.ones([])
        if slots.decay:
            direction += slots.decay * variable
            weight_norm, direction_norm = tf.norm(variable), tf.norm(direction)
            usable = (weight_norm > 0) & (direction_norm > 0)
            trust = tf.where(usable, tf.math.divide_no_nan(weight_norm, direction_norm), 1.0)
        variable.assign_sub(step.rate * slots.rate_scale * trust * direction)


OPTIMIZERS: dict[str, type[Optimizer]] = {"bert": BertAdam, "adamw": AdamW, "lamb": Lamb}


def make_optimizer(variables: Mapping[str, keras.Variable], config: OptimizerConfig) -> Optimizer:
    """The optimizer of a model's variables, those that are frozen left out.

    Raises:
      InputError: more layers are to be frozen than there are, or all is frozen.
    """
    trained = trained_names(list(variables), config)
    if not trained:
        raise InputError("Everything is frozen; lower --num_frozen_layers.")
    return OPTIMIZERS[config.optimizer](
        {name: variables[name] for name in trained},
        weight_decay=config.weight_decay,
        rate_scales=layerwise_scales(list(variables), config.layerwise_learning_rate_decay),
        ema_decay=config.ema_decay,
    )


def _slot(value: tf.Tensor) -> tf.Variable:
    return tf.Variable(tf.convert_to_tensor(value), trainable=False)


def _fused_adam(
    variable: tf.Variable,
    slots: _Slots,
    gradient: tf.Tensor,
    step: _Step,
    powers: tuple[tf.Tensor, tf.Tensor],
    epsilon: tf.Tensor,
) -> None:
    """Decay, then TensorFlow's one-pass kernel for moments and weights."""
    rate = step.rate * slots.rate_scale
    if slots.decay:
        variable.assign(variable * (1.0 - rate * slots.decay))
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=slots.m.handle,
        v=slots.v.handle,
        beta1_power=powers[0],
        beta2_power=powers[1],
        lr=rate,
        beta1=step.beta_1,
        beta2=step.beta_2,
        epsilon=epsilon,
        grad=tf.math.multiply_no_nan(gradient, step.scale),
    )


def clipping_scale(norm: tf.Tensor, clip_norm: float) -> tf.Tensor:
    """What to multiply gradients of a global norm by so that it is at most `clip_norm`; float32 scalars."""
    return clip_norm / tf.maximum(norm, clip_norm)
