"""The layers that the encoder and its heads are made of, and their dropout.

Shapes: `B` batch, `S` sequence, `H` hidden, `R` rows.
"""

import math
from collections.abc import Callable
from typing import Any, NoReturn, Self

import keras
import tensorflow as tf

from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError
from bert_tf2.modeling import fused_ops, lora

ACTIVATIONS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "gelu": lambda x: tf.nn.gelu(x, approximate=True),
    "gelu_exact": tf.nn.gelu,
    "relu": tf.nn.relu,
    "tanh": tf.tanh,
    "linear": tf.identity,
}


def dropout(x: tf.Tensor, rate: float, seed: tf.Tensor | None, site: int) -> tf.Tensor:
    """Stateless dropout: the mask is a function of `seed` and `site` alone.

    Args:
      x: any float tensor.
      rate: probability that an element becomes 0, in [0, 1).
      seed: int64 `[2]`, different for each step and replica; None switches dropout off.
      site: the number of this dropout in the model; different sites draw independent masks.
    """
    return fused_ops.dropout(x, *dropout_mask(rate, seed, site))


def dropout_mask(rate: float, seed: tf.Tensor | None, site: int) -> tuple[tf.Tensor, float]:
    """The last arguments of the functions in `fused_ops` that apply dropout: the mask's seed, and the rate."""
    return fused_ops.mask_seed(seed, site), 0.0 if seed is None else rate


def refuse_quantization() -> NoReturn:
    """Replaces Keras's `quantize`.

    Raises:
      InputError: always.
    """
    raise InputError(
        "BERT's layers have no quantized form in Keras; export the model with export_model.py --format=onnx "
        "--quantize=int8, or compute in bfloat16 with dtype='mixed_bfloat16'."
    )


def call_seed(training: bool, seed: tf.Tensor | None) -> tf.Tensor | None:
    """The seed of all dropout masks of a model's call: int64 `[2]`, drawn at random if `seed` is None.

    Outside of training, None.
    """
    if not training:
        return None
    return tf.random.uniform([2], maxval=2**62, dtype=tf.int64) if seed is None else seed


# The numbers of dropout sites are below this; `training` keeps the seeds of consecutive steps that far apart.
MAX_DROPOUT_SITES = 1024

# With narrower models, compiling takes XLA longer than it saves.
_MIN_FUSED_SIZE = 128


def fuses(config: BertConfig, dropout_seed: tf.Tensor | None) -> bool:
    """Whether to fuse the operations between matmuls (see `fused_ops`): in training, for models of real size."""
    return dropout_seed is not None and config.hidden_size >= _MIN_FUSED_SIZE


@keras.saving.register_keras_serializable("bert_tf2")
class Dense(keras.layers.Layer):
    """`activation(x @ kernel + bias)` on a matrix; LoRA adds `lora_scale · lora_a @ lora_b` to the kernel.

    Args:
      inputs: the number of columns of `x`.
      outputs: the number of columns of the result.
      stddev: of the truncated normal that initializes the kernel; the bias is initialized to 0.
      activation: a key of `ACTIVATIONS`.
    """

    def __init__(self, inputs: int, outputs: int, stddev: float, activation: str = "linear", **options: Any) -> None:
        super().__init__(**options)
        self.kernel = self.add_weight(name="kernel", shape=(inputs, outputs), initializer=truncated_normal(stddev))
        self.bias = self.add_weight(name="bias", shape=(outputs,), initializer="zeros", autocast=False)
        self.lora_a: Any = None
        self.lora_b: Any = None
        self.lora_scale: Any = None
        self._activation = ACTIVATIONS[activation]
        self.built = True

    def call(self, x: tf.Tensor, fuse: bool = False) -> tf.Tensor:
        """`x [R, inputs] -> [R, outputs]`; for `fuse` see `fused_ops`."""
        return fused_ops.bias_activation(self.project(x), self.bias, self._activation, fuse=fuse)

    def project(self, x: tf.Tensor) -> tf.Tensor:
        """`x @ kernel`, without bias and activation, in the dtype of `x`."""
        projected = fused_ops.matmul(x, tf.cast(self.kernel, x.dtype))
        if self.lora_a is None:
            return projected
        low = fused_ops.matmul(x, tf.cast(self.lora_a, x.dtype)) * tf.cast(self.lora_scale, x.dtype)  # [R, rank]
        return projected + fused_ops.matmul(low, tf.cast(self.lora_b, x.dtype))

    def add_lora(self, rank: int, scale: float) -> None:
        """Freezes kernel and bias, and adds `scale · A B` to the kernel, initially 0.

        A is initialized uniformly within `1 / √inputs`, as in the code of Hu et al., B to 0.
        """
        inputs, outputs = self.kernel.shape
        bound = 1.0 / math.sqrt(inputs)
        self.trainable = True
        self.kernel.trainable = self.bias.trainable = False
        uniform = keras.initializers.RandomUniform(-bound, bound)
        self.lora_a = self.add_weight(name=lora.A, shape=(inputs, rank), initializer=uniform)
        self.lora_b = self.add_weight(name=lora.B, shape=(rank, outputs), initializer="zeros")
        constant = keras.initializers.Constant(scale)
        self.lora_scale = self.add_weight(name=lora.SCALE, initializer=constant, trainable=False, autocast=False)

    def merge_lora(self) -> None:
        """Merges what `add_lora` added into the kernel, and removes the variables of LoRA."""
        variables = self.lora_a, self.lora_b, self.lora_scale
        self.kernel.assign(lora.merged(*(variable.value.numpy() for variable in (self.kernel, *variables))))
        self.lora_b.assign(tf.zeros(self.lora_b.shape))  # functions that were traced with it still add it
        self.lora_a = self.lora_b = self.lora_scale = None
        for variable in variables:
            self._untrack_variable(variable)

    def quantize(self, *_: Any, **__: Any) -> NoReturn:
        """Not supported, because it would quantize models that contain this layer only in part.

        See `refuse_quantization`.
        """
        refuse_quantization()

    def named_variables(self, prefix: str) -> dict[str, keras.Variable]:
        """The variables by name: `prefix/kernel`, `prefix/bias`, with LoRA also `lora_a`, `lora_b`, `lora_scale`."""
        names = {"kernel": self.kernel, "bias": self.bias}
        if self.lora_a is not None:
            names |= {lora.A: self.lora_a, lora.B: self.lora_b, lora.SCALE: self.lora_scale}
        return {f"{prefix}/{name}": variable for name, variable in names.items()}


@keras.saving.register_keras_serializable("bert_tf2")
class LayerNorm(keras.layers.Layer):
    """Layer normalization over the last axis (Ba et al. 2016, arXiv:1607.06450), in float32, epsilon 1e-12."""

    def __init__(self, size: int, **options: Any) -> None:
        super().__init__(**options)
        self.gamma = self.add_weight(name="gamma", shape=(size,), initializer="ones", autocast=False)
        self.beta = self.add_weight(name="beta", shape=(size,), initializer="zeros", autocast=False)
        self.built = True

    def call(self, x: tf.Tensor, fuse: bool = False) -> tf.Tensor:
        """`x [..., size] -> [..., size]`, in the dtype of `x`; for `fuse` see `fused_ops`."""
        return fused_ops.layer_norm(x, self.gamma, self.beta, *dropout_mask(0.0, None, 0), fuse=fuse)

    def named_variables(self, prefix: str) -> dict[str, keras.Variable]:
        """The variables by name: `prefix/gamma`, `prefix/beta`."""
        return {f"{prefix}/gamma": self.gamma, f"{prefix}/beta": self.beta}


class ConfiguredLayer(keras.layers.Layer):
    """A layer defined by a `BertConfig`; its sublayers have the same precision.

    Args:
      config: the model config.
      **options: of `keras.layers.Layer`.
    """

    def __init__(self, config: BertConfig, **options: Any) -> None:
        super().__init__(**options)
        self.config = config

    def get_config(self) -> dict[str, Any]:
        """For Keras's serialization."""
        return {**super().get_config(), "config": self.config.to_dict()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """For Keras's serialization."""
        return cls(**{**config, "config": BertConfig.from_dict(config["config"])})


@keras.saving.register_keras_serializable("bert_tf2")
class Embeddings(ConfiguredLayer):
    """The sum of word, position and segment embeddings, normalized, with dropout."""

    def __init__(self, config: BertConfig, **options: Any) -> None:
        super().__init__(config, **options)

        def table(name: str, rows: int) -> keras.Variable:
            shape = (rows, config.hidden_size)
            initializer = truncated_normal(config.initializer_range)
            # Without autocast, which would cast the whole table to read a few rows.
            return self.add_weight(name=name, shape=shape, initializer=initializer, autocast=False)

        self.word_embeddings = table("word_embeddings", config.vocab_size)
        self.position_embeddings = table("position_embeddings", config.max_position_embeddings)
        self.token_type_embeddings = table("token_type_embeddings", config.type_vocab_size)
        self.layer_norm = LayerNorm(config.hidden_size, name="layer_norm", dtype=self.dtype_policy)
        self.built = True

    def call(
        self,
        input_ids: tf.Tensor,
        token_type_ids: tf.Tensor,
        dropout_seed: tf.Tensor | None = None,
        position_ids: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """`input_ids, token_type_ids [B, S] -> [B, S, H]`; `position_ids`, `[B, S]`, are 0, 1, ... by default."""
        words = tf.gather(self.word_embeddings, input_ids)  # [B, S, H]
        if position_ids is None:
            positions = tf.convert_to_tensor(self.position_embeddings)[: tf.shape(input_ids)[1]]  # [S, H]
        else:
            positions = tf.gather(self.position_embeddings, position_ids)  # [B, S, H]
        # A matmul with a handful of rows is faster than a gather, whose gradient must be scattered.
        types = tf.one_hot(token_type_ids, self.config.type_vocab_size, dtype=words.dtype)  # [B, S, types]
        segments = tf.tensordot(types, tf.convert_to_tensor(self.token_type_embeddings), 1)  # [B, S, H]
        normalized = fused_ops.layer_norm(
            words + segments + positions,
            self.layer_norm.gamma,
            self.layer_norm.beta,
            *dropout_mask(self.config.hidden_dropout_prob, dropout_seed, 0),
            fuse=fuses(self.config, dropout_seed),
        )
        return tf.cast(normalized, self.compute_dtype)

    def named_variables(self, prefix: str) -> dict[str, keras.Variable]:
        """The three tables and the LayerNorm by Google's names."""
        return {
            f"{prefix}/word_embeddings": self.word_embeddings,
            f"{prefix}/token_type_embeddings": self.token_type_embeddings,
            f"{prefix}/position_embeddings": self.position_embeddings,
            **self.layer_norm.named_variables(f"{prefix}/LayerNorm"),
        }


def flat_positions(positions: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """The rows in a matrix `[B*S, H]` of positions in its sequences of `length` S: `int [B, Q] -> int32 [B*Q]`."""
    starts = tf.range(tf.shape(positions)[0]) * length
    return tf.reshape(tf.cast(positions, tf.int32) + starts[:, None], [-1])


def truncated_normal(stddev: float) -> keras.initializers.Initializer:
    """A new truncated-normal initializer; a shared one would draw the same numbers for every variable."""
    return keras.initializers.TruncatedNormal(stddev=stddev)
