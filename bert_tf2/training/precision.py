"""The precision of the computation, and whether XLA compiles it: the user's choice, or what suits the device.

Weights and moments are float32 in every precision. bfloat16 has the range of float32 and needs nothing else; float16
needs a scaled loss, so that small gradients do not vanish (Micikevicius et al., arXiv:1710.03740).
"""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from bert_tf2.configs.training import PrecisionConfig
from bert_tf2.errors import InputError

logger = logging.getLogger(__name__)

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
_BFLOAT16_CPU_FEATURES = {"avx512_bf16", "amx_bf16"}  # their names in Linux


def resolved(config: PrecisionConfig) -> PrecisionConfig:
    """Resolves "auto" for the devices of this machine; logs if another precision would be faster.

    Raises:
      InputError: the device does not compute in this precision.
    """
    device = _device_type()
    fastest = _fastest_precision(device)
    if config.precision == "float32" != fastest:
        logger.info("Computing in float32; --precision=%s would be faster on this %s.", fastest, device)
    precision = fastest if config.precision == "auto" else config.precision
    if precision == "float16" and device == "TPU":
        raise InputError("--precision=float16: a TPU computes in bfloat16; give --precision=bfloat16.")
    jit = config.jit if config.jit != "auto" else "off" if device == "CPU" else "on"
    if "auto" in (config.precision, config.jit):
        logger.info("Precision %s, XLA %s (%s).", precision, jit, device)
    return PrecisionConfig(precision, jit)


@contextlib.contextmanager
def policy(config: PrecisionConfig) -> Iterator[None]:
    """A context in which new models compute in this precision; pass the result of `resolved`."""
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(_POLICIES[config.precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(previous)


def _device_type() -> str:
    return next((kind for kind in ("TPU", "GPU") if tf.config.list_physical_devices(kind)), "CPU")


def _fastest_precision(device: str) -> str:
    if device == "TPU":
        return "bfloat16"
    if device == "GPU":
        details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
        capability = details.get("compute_capability", (0, 0))
        return "bfloat16" if capability >= (8, 0) else "float16" if capability >= (7, 0) else "float32"
    return "bfloat16" if _cpu_features() & _BFLOAT16_CPU_FEATURES else "float32"


def _cpu_features() -> set[str]:
    """The processor's features as Linux lists them; empty on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return {feature for line in lines if line.startswith("flags") for feature in line.partition(":")[2].split()}


class LossScale:
    """Dynamic loss scaling: doubled after many finite steps, halved after one that overflowed, never below 1.

    In precisions other than float16 the scale is 1 and has no variables. It is the same on all replicas, as the summed
    gradients decide whether a step overflowed.

    Args:
      precision: of the model.
      start: the scale of the first step.
      steps_to_double: consecutive finite steps after which the scale is doubled.
    """

    def __init__(self, precision: str, start: float = 2.0**15, steps_to_double: int = 2000) -> None:
        self._steps_to_double = steps_to_double
        self._scale = self._good_steps = None
        if precision == "float16":
            options: dict[str, Any] = {"trainable": False, "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA}
            self._scale = tf.Variable(start, dtype=tf.float32, **options)
            self._good_steps = tf.Variable(0, dtype=tf.int64, **options)

    @property
    def variables(self) -> Mapping[str, tf.Variable]:
        """The variables by their names in checkpoints."""
        if self._scale is None:
            return {}
        return {"loss_scale": self._scale, "good_steps": self._good_steps}

    def value(self) -> tf.Tensor:
        """The factor of the loss in the current step, float32 scalar."""
        return tf.ones([]) if self._scale is None else self._scale.value()

    def update(self, finite: tf.Tensor) -> None:
        """Records whether the gradients of a step were finite; call it outside replica context."""
        if self._scale is None or self._good_steps is None:
            return
        good = tf.where(finite, self._good_steps + 1, 0)
        doubles = good >= self._steps_to_double
        grown = tf.where(doubles, self._scale * 2.0, self._scale.value())
        self._scale.assign(tf.where(finite, grown, tf.maximum(self._scale / 2.0, 1.0)))
        self._good_steps.assign(tf.where(doubles, tf.zeros_like(good), good))
