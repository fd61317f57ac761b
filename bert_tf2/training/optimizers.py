"""Optimizers; BERT's own follows google-research/bert `optimization.py`.

To add one, write a subclass of `Optimizer` that defines its slots and its update, and add it to `OPTIMIZERS`;
checkpoints, moving averages, frozen layers and replicas need nothing else.
"""

import contextlib
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import keras
import tensorflow as tf

from bert_tf2 import checkpoints
from bert_tf2.configs.training import OptimizerConfig
from bert_tf2.errors import InputError, counted

EXCLUDED_FROM_WEIGHT_DECAY = ("LayerNorm", "layer_norm", "bias")
# Elements of the smallest variable whose update XLA compiles: that takes a tenth of a second per shape.
_MIN_FUSED = 65_536


def trained_names(names: Sequence[str], config: OptimizerConfig) -> list[str]:
    """The names of the variables that are not frozen.

    Args:
      names: of all variables of a model.
      config: the flags.

    Raises:
      InputError: the model has fewer layers than are to be frozen.
    """
    layers = _number_of_layers(names)
    if config.num_frozen_layers > layers:
        raise InputError(
            f"--num_frozen_layers={config.num_frozen_layers}, but the model has {counted(layers, 'layer')}."
        )
    frozen = [f"bert/encoder/layer_{index}/" for index in range(config.num_frozen_layers)]
    if config.num_frozen_layers or config.freeze_embeddings:
        frozen.append("bert/embeddings/")
    return [name for name in names if not name.startswith(tuple(frozen))]


def layerwise_scales(names: Sequence[str], decay: float) -> dict[str, float]:
    """The factor of each variable's learning rate: 1 for heads, times `decay` for each level below.

    The levels, from the top: heads, pooler, the layers, the embeddings; as in ELECTRA (arXiv:2003.10555, appendix B).

    Args:
      names: of all variables of a model.
      decay: from 0 to 1.
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
    matches = [re.match(r"bert/encoder/layer_(\d+)/", name) for name in names]
    return max((int(match[1]) + 1 for match in matches if match), default=0)


_Shared = dict[str, tf.Tensor]


class Slot(NamedTuple):
    """A tensor that an optimizer keeps for a variable.

    Attributes:
      name: in checkpoints, `<variable>/<name>`; optimizers whose slots have another meaning need other names.
      shape: of the slot, which need not be the variable's.
      start: the initial value of every element.
    """

    name: str
    shape: Sequence[int]
    start: float = 0.0


class _Step(NamedTuple):
    """Tensors shared by the updates of all variables in a step.

    Attributes:
      taken: whether the step is taken, bool scalar; a skipped step must not change variables and slots.
      rate: learning rate, float32 scalar; 0 in a skipped step.
      scale: factor of the gradients, float32 scalar; 0 in a skipped step.
      updates: the number of this update, from 1; float32 scalar.
      average_decay: decay of the moving averages, float32 scalar; 1 in a skipped step.
    """

    taken: tf.Tensor
    rate: tf.Tensor
    scale: tf.Tensor
    updates: tf.Tensor
    average_decay: tf.Tensor

    def decay(self, value: float | tf.Tensor) -> tf.Tensor:
        """A decay, such as a moment's; 1 in a skipped step, so that the moment does not change."""
        return tf.where(self.taken, value, 1.0)


class _State(NamedTuple):
    """The state of one variable."""

    slots: dict[str, tf.Variable]
    average: tf.Variable | None
    decay: float
    rate_scale: float | tf.Tensor


class Optimizer:
    """Slots by name, decoupled weight decay, moving averages; subclasses define the slots and the update.

    Create it inside the scope of the strategy that the variables belong to.

    Args:
      variables: the variables to train, by name.
      weight_decay: decay of every variable whose name matches none of `exclude`.
      exclude: regular expressions, searched for in the names.
      rate_scales: factors of the learning rates by variable name, 1 by default.
      ema_decay: decay of the moving averages of the weights; 0 for no averages.
      fuse: whether XLA compiles the update of each large variable into one pass over its memory, in place. Only for a
        single device.
    """

    def __init__(
        self,
        variables: Mapping[str, keras.Variable],
        *,
        weight_decay: float = 0.01,
        exclude: Sequence[str] = EXCLUDED_FROM_WEIGHT_DECAY,
        rate_scales: Mapping[str, float] | None = None,
        ema_decay: float = 0.0,
        fuse: bool = False,
    ) -> None:
        self._fuse = fuse
        self.variables = checkpoints.tf_variables(variables)
        self._ema_decay = ema_decay
        self._states = {}
        for name, variable in self.variables.items():
            excluded = any(re.search(pattern, name) for pattern in exclude)
            slots = self.slots(variable.shape.as_list())
            self._states[name] = _State(
                slots={slot.name: _variable(tf.fill(slot.shape, slot.start)) for slot in slots},
                average=_variable(variable) if ema_decay else None,
                decay=0.0 if excluded else weight_decay,
                rate_scale=(rate_scales or {}).get(name, 1.0),
            )

    @classmethod
    def slots(cls, shape: Sequence[int]) -> Sequence[Slot]:
        """The slots for a variable of this shape."""
        raise NotImplementedError

    def named_slots(self) -> dict[str, tf.Variable]:
        """All slots under their names in checkpoints."""
        return {
            f"{name}/{slot}": variable for name, state in self._states.items() for slot, variable in state.slots.items()
        }

    def foreign_slots(self) -> set[str]:
        """The names in checkpoints of the slots that only other optimizers have for these variables."""
        shapes = {name: variable.shape.as_list() for name, variable in self.variables.items()}
        all_slots = [(name, kind.slots(shape)) for kind in OPTIMIZERS.values() for name, shape in shapes.items()]
        return {f"{name}/{slot.name}" for name, slots in all_slots for slot in slots} - set(self.named_slots())

    def named_averages(self) -> dict[str, tf.Variable]:
        """The moving averages under TF1's names; empty without `ema_decay`."""
        states = self._states.items()
        return {f"{name}/{checkpoints.AVERAGE}": state.average for name, state in states if state.average is not None}

    def start_averages(self) -> None:
        """Sets the moving averages to the weights; call it after loading weights."""
        for name, state in self._states.items():
            if state.average is not None:
                state.average.assign(self.variables[name])

    @contextlib.contextmanager
    def averages_in_place(self) -> Iterator[None]:
        """A context in which the variables have the values of their moving averages, if there are any."""
        averaged = {name: state.average for name, state in self._states.items() if state.average is not None}
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
          scale: float32 scalar, the factor of each gradient. 0 leaves variables and slots unchanged to the last bit,
            even if a gradient is not finite.
          updates_done: the number of earlier updates, for bias correction.
        """
        taken = scale > 0
        step = _Step(
            taken=taken,
            rate=tf.where(taken, learning_rate, 0.0),
            scale=scale,
            updates=tf.cast(updates_done, tf.float32) + 1.0,
            average_decay=tf.where(taken, self._ema_decay, 1.0),
        )
        shared = self._shared(step)

        def update_all(
            strategy: tf.distribute.Strategy, gradients: Mapping[str, tf.Tensor], step: _Step, shared: _Shared
        ) -> None:
            for name, gradient in gradients.items():
                variable, state = self.variables[name], self._states[name]
                fuse = self._fuse and variable.shape.num_elements() >= _MIN_FUSED
                update = self._fused_update if fuse else self._update_with_average
                # As a tensor: XLA compiles once for all variables of a shape, whatever their factors are.
                state = state._replace(rate_scale=tf.constant(state.rate_scale))
                strategy.extended.update(variable, update, args=(state, gradient, step, shared), group=False)

        tf.distribute.get_replica_context().merge_call(update_all, (dict(gradients), step, shared))

    def _update_with_average(
        self, variable: tf.Variable, state: _State, gradient: tf.Tensor, step: _Step, shared: _Shared
    ) -> None:
        gradient = tf.math.multiply_no_nan(gradient, step.scale)
        self._update(variable, state, gradient, step._replace(rate=step.rate * state.rate_scale), shared)
        if state.average is not None:
            state.average.assign(state.average * step.average_decay + variable * (1.0 - step.average_decay))

    @functools.cached_property
    def _fused_update(self) -> Any:
        """`_update_with_average`, compiled once for each shape."""
        return tf.function(self._update_with_average, jit_compile=True, autograph=False)

    def _shared(self, step: _Step) -> _Shared:
        """Scalars that are computed once per step rather than for each variable."""
        return {}

    def _update(self, variable: tf.Variable, state: _State, gradient: tf.Tensor, step: _Step, shared: _Shared) -> None:
        """Updates a variable and its slots in place.

        Args:
          variable: the weights.
          state: their slots and weight decay (0 for none).
          gradient: clipped; zeros in a skipped step.
          step: tensors of the step, with the learning rate of the variable.
          shared: the result of `_shared`.
        """
        raise NotImplementedError


class _Adam(Optimizer):
    """Keeps decaying means of the gradient, `adam_m`, and of its square, `adam_v`, under the original's names."""

    BETA_1: ClassVar[float] = 0.9
    BETA_2: ClassVar[float] = 0.999
    EPSILON: ClassVar[float] = 1e-6

    @classmethod
    def slots(cls, shape: Sequence[int]) -> Sequence[Slot]:
        """Both moments, of the variable's shape."""
        return Slot("adam_m", shape), Slot("adam_v", shape)

    def _shared(self, step: _Step) -> _Shared:
        return {
            "beta_1": step.decay(self.BETA_1),
            "beta_2": step.decay(self.BETA_2),
            "power_1": tf.pow(self.BETA_1, step.updates),
            "power_2": tf.pow(self.BETA_2, step.updates),
            "epsilon": tf.constant(self.EPSILON),
        }

    def _update(self, variable: tf.Variable, state: _State, gradient: tf.Tensor, step: _Step, shared: _Shared) -> None:
        """Decay, then TensorFlow's one-pass kernel for moments and weights."""
        if state.decay:
            variable.assign(variable * (1.0 - step.rate * state.decay))
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=state.slots["adam_m"].handle,
            v=state.slots["adam_v"].handle,
            beta1_power=shared["power_1"],
            beta2_power=shared["power_2"],
            lr=step.rate,
            beta1=shared["beta_1"],
            beta2=shared["beta_2"],
            epsilon=shared["epsilon"],
            grad=gradient,
        )


class BertAdam(_Adam):
    """BERT's variant of Adam: no bias correction, epsilon outside the root, decoupled weight decay.

    For a gradient `g`: `m = β1·m + (1-β1)·g`, `v = β2·v + (1-β2)·g²`, `w = w - lr·(m / (√v + ε) + decay·w)`.
    """

    def _shared(self, step: _Step) -> _Shared:
        # The fused kernel multiplies the rate by sqrt(1 - power_2) / (1 - power_1), Adam's bias correction, which
        # BERT's Adam omits: powers of 0 make that factor 1.
        zero = tf.zeros([])
        return {**super()._shared(step), "power_1": zero, "power_2": zero}


class AdamW(_Adam):
    """Adam with bias correction and decoupled weight decay (Loshchilov and Hutter, arXiv:1711.05101).

    With `m̂ = m / (1-β1ᵗ)` and `v̂ = v / (1-β2ᵗ)`: `w = w - lr·(m̂ / (√v̂ + ε) + decay·w)`.
    """

    EPSILON = 1e-8

    def _shared(self, step: _Step) -> _Shared:
        shared = super()._shared(step)
        # The fused kernel adds epsilon to √v, not to √v̂.
        return {**shared, "epsilon": self.EPSILON * tf.sqrt(1.0 - shared["power_2"])}


class Lamb(_Adam):
    """Layer-wise adaptive moments for large batches (You et al., arXiv:1904.00962, algorithm 2).

    AdamW's step of each variable, its decay included, is scaled to the norm of the variable's weights. Variables
    without weight decay (LayerNorm, biases) are not scaled.
    """

    def _update(self, variable: tf.Variable, state: _State, gradient: tf.Tensor, step: _Step, shared: _Shared) -> None:
        m, v = state.slots["adam_m"], state.slots["adam_v"]
        m = m.assign(m * shared["beta_1"] + gradient * (1.0 - shared["beta_1"]))
        v = v.assign(v * shared["beta_2"] + tf.square(gradient) * (1.0 - shared["beta_2"]))
        corrected_m = m / (1.0 - shared["power_1"])
        corrected_v = v / (1.0 - shared["power_2"])
        direction = corrected_m / (tf.sqrt(corrected_v) + self.EPSILON)
        trust = tf.ones([])
        if state.decay:
            direction += state.decay * variable
            weight_norm, direction_norm = tf.norm(variable), tf.norm(direction)
            usable = (weight_norm > 0) & (direction_norm > 0)
            trust = tf.where(usable, tf.math.divide_no_nan(weight_norm, direction_norm), 1.0)
        variable.assign_sub(step.rate * trust * direction)


class Adafactor(Optimizer):
    """Adafactor: a second moment in little memory, steps relative to the weights (arXiv:1804.04235, algorithms 4, 5).

    For a matrix it keeps decaying means of `g²` over each row, `r`, and each column, `c`, whose product approximates
    the second moment: `v = r·cᵀ / mean(r)`; for any other shape `v` itself. With `ρ` the schedule's learning rate:
    `u = g / √v`, `û = u / max(1, RMS(u))`, `w = w - ρ·max(ε, RMS(w))·(û + decay·w)`. The paper has no weight decay;
    here it is decoupled, as in the other optimizers.
    """

    DECAY_EXPONENT: ClassVar[float] = -0.8  # the decay of the second moment is 1 - t^-0.8
    MIN_SQUARE: ClassVar[float] = 1e-30  # added to g²
    MIN_SCALE: ClassVar[float] = 1e-3  # ε, without which weights of zero would never change
    MAX_UPDATE: ClassVar[float] = 1.0  # of RMS(u)

    @classmethod
    def slots(cls, shape: Sequence[int]) -> Sequence[Slot]:
        """Row and column means of a matrix; for any other shape the second moment itself."""
        if len(shape) == 2:
            return Slot("adafactor_row", shape[:1]), Slot("adafactor_column", shape[1:])
        return (Slot("adafactor_v", shape),)

    def _shared(self, step: _Step) -> _Shared:
        return {"beta": step.decay(1.0 - tf.pow(step.updates, self.DECAY_EXPONENT))}

    def _update(self, variable: tf.Variable, state: _State, gradient: tf.Tensor, step: _Step, shared: _Shared) -> None:
        beta, square = shared["beta"], tf.square(gradient) + self.MIN_SQUARE

        def moment(name: str, value: tf.Tensor) -> tf.Tensor:
            slot = state.slots[name]
            return slot.assign(slot * beta + value * (1.0 - beta))

        if "adafactor_v" in state.slots:
            direction = gradient * tf.math.rsqrt(moment("adafactor_v", square))
        else:
            row = moment("adafactor_row", tf.reduce_mean(square, axis=1))
            column = moment("adafactor_column", tf.reduce_mean(square, axis=0))
            direction = gradient * tf.math.rsqrt(row / tf.reduce_mean(row))[:, None] * tf.math.rsqrt(column)[None]
        direction /= tf.maximum(1.0, _root_mean_square(direction) / self.MAX_UPDATE)
        rate = step.rate * tf.maximum(_root_mean_square(variable), self.MIN_SCALE)
        # If the very first step is skipped, its direction is 0 / 0.
        direction = tf.where(step.taken, direction, 0.0)
        variable.assign_sub(rate * (direction + state.decay * variable))


OPTIMIZERS: dict[str, type[Optimizer]] = {"bert": BertAdam, "adamw": AdamW, "lamb": Lamb, "adafactor": Adafactor}
"""The optimizers by the value of `--optimizer`."""


def make_optimizer(
    variables: Mapping[str, keras.Variable], config: OptimizerConfig, *, fuse: bool = False
) -> Optimizer:
    """Creates the optimizer of a model's variables, without those that the config or the model (`trainable`) freezes.

    Args:
      variables: of the model, by name.
      config: the flags.
      fuse: see `Optimizer`.

    Raises:
      InputError: the model has fewer layers than are to be frozen, or everything is frozen.
    """
    trained = [name for name in trained_names(list(variables), config) if variables[name].trainable]
    if not trained:
        raise InputError("All weights are frozen; lower --num_frozen_layers, or set trainable=True on some layer.")
    return OPTIMIZERS[config.optimizer](
        {name: variables[name] for name in trained},
        weight_decay=config.weight_decay,
        rate_scales=layerwise_scales(list(variables), config.layerwise_learning_rate_decay),
        ema_decay=config.ema_decay,
        fuse=fuse,
    )


def _variable(value: tf.Tensor) -> tf.Variable:
    return tf.Variable(tf.convert_to_tensor(value), trainable=False)


def _root_mean_square(x: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_mean(tf.square(x)))


def clipping_scale(norm: tf.Tensor, clip_norm: float) -> tf.Tensor:
    """The factor that limits the global norm of the gradients to `clip_norm`; float32 scalars."""
    return clip_norm / tf.maximum(norm, clip_norm)
