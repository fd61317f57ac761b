"""BERT's encoder as a Keras model (Devlin et al. 2018, arXiv:1810.04805).

Shapes: `B` batch, `S` sequence, `H` hidden, `N` heads, `D` head size (`H = N·D`), `I` intermediate, `V` vocabulary.
Between embeddings and the last layer the hidden states are one matrix `[B*S, H]`, so that every dense layer is a single
2-D matmul. Numbers follow google-research/bert `modeling.py`: LayerNorm epsilon 1e-12, tanh-approximated GELU, −10000
on the scores of padding.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import keras
import tensorflow as tf

from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError
from bert_tf2.modeling import fused_ops

ACTIVATIONS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "gelu": lambda x: tf.nn.gelu(x, approximate=True),
    "gelu_exact": tf.nn.gelu,
    "relu": tf.nn.relu,
    "tanh": tf.tanh,
    "linear": tf.identity,
}

PADDING_SCORE = -10000.0

POOLER_VARIABLES = ("bert/pooler/dense/kernel", "bert/pooler/dense/bias")
"""By their names in checkpoints; without effect on what is computed from all positions."""


class BertOutputs(NamedTuple):
    """What `BertModel` returns.

    Attributes:
      embedding_output: float `[B, S, H]`, what the first layer reads.
      encoder_layers: one float `[B, S, H]` for each layer.
      sequence_output: float `[B, S, H]`, the last layer.
      pooled_output: float `[B, H]`, the transformed first position.
    """

    embedding_output: tf.Tensor
    encoder_layers: tuple[tf.Tensor, ...]
    sequence_output: tf.Tensor
    pooled_output: tf.Tensor


def dropout(x: tf.Tensor, rate: float, seed: tf.Tensor | None, site: int) -> tf.Tensor:
    """Dropout whose mask is a function of `seed` and `site` alone; no state.

    Args:
      x: any float tensor.
      rate: probability that an element becomes 0, in [0, 1).
      seed: int64 `[2]`, different for each step and replica; None switches dropout off.
      site: which dropout of the model this is; different sites draw independent masks.
    """
    return fused_ops.dropout(x, *_mask(rate, seed, site))


def _mask(rate: float, seed: tf.Tensor | None, site: int) -> tuple[tf.Tensor, float]:
    """The last arguments of the functions of `fused_ops` that drop."""
    return fused_ops.mask_seed(seed, site), 0.0 if seed is None else rate


# Dropout sites of one step are numbered below this; `training` leaves that much room between two steps' seeds.
MAX_DROPOUT_SITES = 1024

# Models narrower than this are toys: XLA would compile for longer than it saves.
_LEAST_FUSED_SIZE = 128


def fuses(config: BertConfig, dropout_seed: tf.Tensor | None) -> bool:
    """Whether to fuse what stands between matmuls (see `fused_ops`): in the training of models of real size."""
    return dropout_seed is not None and config.hidden_size >= _LEAST_FUSED_SIZE


class Dense(keras.layers.Layer):
    """`activation(x @ kernel + bias)` on a matrix.

    Args:
      inputs: columns of `x`.
      outputs: columns of the result.
      stddev: of the truncated normal that the kernel starts from; the bias starts at 0.
      activation: a key of `ACTIVATIONS`.
    """

    def __init__(self, inputs: int, outputs: int, stddev: float, activation: str = "linear", **options: Any) -> None:
        super().__init__(**options)
        self.kernel = self.add_weight(name="kernel", shape=(inputs, outputs), initializer=truncated_normal(stddev))
        self.bias = self.add_weight(name="bias", shape=(outputs,), initializer="zeros", autocast=False)
        self._activation = ACTIVATIONS[activation]
        self.built = True

    def call(self, x: tf.Tensor, fuse: bool = False) -> tf.Tensor:
        """`x [R, inputs] -> [R, outputs]`; for `fuse` see `fused_ops`."""
        return fused_ops.bias_activation(self.project(x), self.bias, self._activation, fuse=fuse)

    def project(self, x: tf.Tensor) -> tf.Tensor:
        """`x @ kernel`: without bias and activation, in the type of `x`."""
        return fused_ops.matmul(x, tf.cast(self.kernel, x.dtype))

    def named_variables(self, prefix: str) -> dict[str, keras.Variable]:
        """`{prefix/kernel, prefix/bias}`."""
        return {f"{prefix}/kernel": self.kernel, f"{prefix}/bias": self.bias}


class LayerNorm(keras.layers.Layer):
    """Layer normalisation over the last axis (Ba et al. 2016), in float32, epsilon 1e-12."""

    def __init__(self, size: int, **options: Any) -> None:
        super().__init__(**options)
        self.gamma = self.add_weight(name="gamma", shape=(size,), initializer="ones", autocast=False)
        self.beta = self.add_weight(name="beta", shape=(size,), initializer="zeros", autocast=False)
        self.built = True

    def call(self, x: tf.Tensor, fuse: bool = False) -> tf.Tensor:
        """`x [..., size]`, same shape and type out; for `fuse` see `fused_ops`."""
        return fused_ops.layer_norm(x, self.gamma, self.beta, *_mask(0.0, None, 0), fuse=fuse)

    def named_variables(self, prefix: str) -> dict[str, keras.Variable]:
        """`{prefix/gamma, prefix/beta}`."""
        return {f"{prefix}/gamma": self.gamma, f"{prefix}/beta": self.beta}


class Embeddings(keras.layers.Layer):
    """Word, position and segment embeddings, their sum normalised."""

    def __init__(self, config: BertConfig, **options: Any) -> None:
        super().__init__(**options)
        self.config = config

        def table(name: str, rows: int) -> keras.Variable:
            shape = (rows, config.hidden_size)
            start = truncated_normal(config.initializer_range)
            return self.add_weight(name=name, shape=shape, initializer=start, autocast=False)  # few rows are read

        self.word_embeddings = table("word_embeddings", config.vocab_size)
        self.position_embeddings = table("position_embeddings", config.max_position_embeddings)
        self.token_type_embeddings = table("token_type_embeddings", config.type_vocab_size)
        self.layer_norm = LayerNorm(config.hidden_size, name="layer_norm")
        self.built = True

    def call(
        self,
        input_ids: tf.Tensor,
        token_type_ids: tf.Tensor,
        dropout_seed: tf.Tensor | None = None,
        position_ids: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """`input_ids [B, S], token_type_ids [B, S] -> [B, S, H]`; positions are 0, 1, ... unless `[B, S]` are given."""
        longest = self.config.max_position_embeddings
        if input_ids.shape[1] is not None and input_ids.shape[1] > longest:
            raise InputError(
                f"The sequences have {input_ids.shape[1]} positions but the model's max_position_embeddings is "
                f"{longest}; use shorter sequences or a config (and checkpoint) with more positions."
            )
        words = tf.gather(self.word_embeddings, input_ids)  # [B, S, H]
        if position_ids is None:
            positions = tf.convert_to_tensor(self.position_embeddings)[: tf.shape(input_ids)[1]]  # [S, H]
        else:
            positions = tf.gather(self.position_embeddings, position_ids)  # [B, S, H]
        # A matmul with a handful of rows is faster than a gather, whose gradient has to be scattered.
        types = tf.one_hot(token_type_ids, self.config.type_vocab_size, dtype=words.dtype)  # [B, S, types]
        segments = tf.tensordot(types, tf.convert_to_tensor(self.token_type_embeddings), 1)  # [B, S, H]
        normalised = fused_ops.layer_norm(
            words + segments + positions,
            self.layer_norm.gamma,
            self.layer_norm.beta,
            *_mask(self.config.hidden_dropout_prob, dropout_seed, 0),
            fuse=fuses(self.config, dropout_seed),
        )
        return tf.cast(normalised, self.compute_dtype)

    def named_variables(self, prefix: str) -> dict[str, keras.Variable]:
        """The three tables and the LayerNorm under Google's names."""
        return {
            f"{prefix}/word_embeddings": self.word_embeddings,
            f"{prefix}/token_type_embeddings": self.token_type_embeddings,
            f"{prefix}/position_embeddings": self.position_embeddings,
            **self.layer_norm.named_variables(f"{prefix}/LayerNorm"),
        }


class EncoderLayer(keras.layers.Layer):
    """One Transformer layer: self-attention and feed-forward, each with a residual and a LayerNorm behind it.

    Args:
      config: the model's.
      site: number of its first dropout; it uses three.
    """

    def __init__(self, config: BertConfig, site: int, **options: Any) -> None:
        super().__init__(**{"autocast": False, **options})  # the score bias stays float32; the sublayers cast
        self.config, self.site = config, site
        hidden, stddev = config.hidden_size, config.initializer_range
        # Named, for else Keras would number the layers of a process, and the order in which TensorFlow adds gradients
        # depends on names: a second model would differ from the first in the last bit.
        self.query = Dense(hidden, hidden, stddev, name="query")
        self.key = Dense(hidden, hidden, stddev, name="key")
        self.value = Dense(hidden, hidden, stddev, name="value")
        self.attention_output = Dense(hidden, hidden, stddev, name="attention_output")
        self.attention_norm = LayerNorm(hidden, name="attention_norm")
        self.intermediate = Dense(hidden, config.intermediate_size, stddev, config.hidden_act, name="intermediate")
        self.output_dense = Dense(config.intermediate_size, hidden, stddev, name="output")
        self.output_norm = LayerNorm(hidden, name="output_norm")
        self.built = True

    def call(
        self,
        x: tf.Tensor,
        score_bias: tf.Tensor,
        dropout_seed: tf.Tensor | None = None,
        rows: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """The hidden states behind the layer.

        Args:
          x: float `[B*S, H]`.
          score_bias: float32 `[B, 1, 1 or Q, S]`, added to the attention scores.
          dropout_seed: int64 `[2]`; None switches dropout off.
          rows: int32 `[B*Q]`, rows of `x` to compute, `Q` of each sequence; all by default, then `Q = S`.

        Returns:
          float `[B*Q, H]`.
        """
        queries = x if rows is None else tf.gather(x, rows)  # [B*Q, H]
        attended = self._attend(queries, x, score_bias, dropout_seed)  # [B*Q, H]
        x = self._project_add_norm(attended, self.attention_output, queries, self.attention_norm, dropout_seed, 1)
        inner = self.intermediate(x, fuse=fuses(self.config, dropout_seed))  # [B*Q, I]
        return self._project_add_norm(inner, self.output_dense, x, self.output_norm, dropout_seed, 2)  # [B*Q, H]

    def _attend(
        self, queries: tf.Tensor, x: tf.Tensor, score_bias: tf.Tensor, dropout_seed: tf.Tensor | None
    ) -> tf.Tensor:
        config, fuse = self.config, fuses(self.config, dropout_seed)
        batch = score_bias.shape[0] or tf.shape(score_bias)[0]

        def heads(dense: Dense, x: tf.Tensor) -> tf.Tensor:  # [B*S, H] -> [B, N, S, D]
            return fused_ops.split_heads(dense.project(x), dense.bias, batch, config.num_attention_heads, fuse=fuse)

        context = fused_ops.attention(
            heads(self.query, queries),
            heads(self.key, x),
            heads(self.value, x),
            score_bias,
            *_mask(config.attention_probs_dropout_prob, dropout_seed, self.site),
            fuse=fuse,
        )  # [B, N, Q, D]
        return tf.reshape(tf.transpose(context, [0, 2, 1, 3]), [-1, config.hidden_size])  # [B*Q, H]

    def _project_add_norm(
        self,
        x: tf.Tensor,
        dense: Dense,
        residual: tf.Tensor,
        norm: LayerNorm,
        dropout_seed: tf.Tensor | None,
        site: int,
    ) -> tf.Tensor:
        """`norm(residual + dropout(dense(x)))`."""
        return fused_ops.add_and_norm(
            dense.project(x),
            dense.bias,
            residual,
            norm.gamma,
            norm.beta,
            *_mask(self.config.hidden_dropout_prob, dropout_seed, self.site + site),
            fuse=fuses(self.config, dropout_seed),
        )

    def named_variables(self, prefix: str) -> dict[str, keras.Variable]:
        """The layer's variables under Google's names."""
        return {
            **self.query.named_variables(f"{prefix}/attention/self/query"),
            **self.key.named_variables(f"{prefix}/attention/self/key"),
            **self.value.named_variables(f"{prefix}/attention/self/value"),
            **self.attention_output.named_variables(f"{prefix}/attention/output/dense"),
            **self.attention_norm.named_variables(f"{prefix}/attention/output/LayerNorm"),
            **self.intermediate.named_variables(f"{prefix}/intermediate/dense"),
            **self.output_dense.named_variables(f"{prefix}/output/dense"),
            **self.output_norm.named_variables(f"{prefix}/output/LayerNorm"),
        }


@keras.saving.register_keras_serializable("bert_tf2")
class BertModel(keras.Model):
    """The encoder: token ids to hidden states, a Keras 3 model.

    All variables exist as soon as the model does. They start from a truncated normal of `initializer_range`, biases
    from 0, LayerNorms from 1 and 0; call `keras.utils.set_random_seed` before for the same start every time.

    Args:
      config: the sizes.
      recompute: whether training keeps of each layer its input alone and computes the rest again for its gradients
        (Chen et al., arXiv:1604.06174): a third more work, for the memory of one layer instead of all.
      **options: of `keras.Model`.
    """

    def __init__(self, config: BertConfig, recompute: bool = False, **options: Any) -> None:
        super().__init__(**{"name": "bert", **options})
        config.check_memory()
        self.config, self.recompute = config, recompute
        self.embeddings = Embeddings(config, name="embeddings")
        layers = range(config.num_hidden_layers)
        self.encoder = [EncoderLayer(config, site=1 + 3 * index, name=f"layer_{index}") for index in layers]
        self.pooler = Dense(config.hidden_size, config.hidden_size, config.initializer_range, "tanh", name="pooler")
        self.built = True

    @property
    def embedding_table(self) -> keras.Variable:
        """The word embeddings `[V, H]`, which the masked-LM head shares."""
        return self.embeddings.word_embeddings

    def call(
        self,
        input_ids: tf.Tensor,
        input_mask: tf.Tensor | None = None,
        token_type_ids: tf.Tensor | None = None,
        training: bool = False,
        dropout_seed: tf.Tensor | None = None,
        position_ids: tf.Tensor | None = None,
        sequence_ids: tf.Tensor | None = None,
        output_positions: tf.Tensor | None = None,
    ) -> BertOutputs:
        """Encodes a batch.

        Args:
          input_ids: int `[B, S]`, indices into the vocabulary.
          input_mask: int or bool `[B, S]`, 0 at padding; all ones by default.
          token_type_ids: int `[B, S]`, segment of each position; all zeros by default.
          training: whether to apply dropout.
          dropout_seed: int64 `[2]` that all of this call's dropout masks follow from; drawn anew where it is None.
          position_ids: int `[B, S]`; 0, 1, ... by default.
          sequence_ids: int `[B, S]`, for rows of several sequences: 1, 2, ..., 0 at padding. A position attends to its
            own sequence alone, and `input_mask` has no say.
          output_positions: int `[B, Q]`, positions at which the last layer is wanted. It is computed there alone; its
            hidden states are then `[B, Q, H]`, and `pooled_output` is that of the first of them.

        Raises:
          InputError: `S` is more than `max_position_embeddings`.
        """
        # Keras rebuilds the models that it loads with placeholders of floats.
        input_ids, token_type_ids, position_ids, sequence_ids, output_positions = (
            None if values is None else tf.cast(values, tf.int32)
            for values in (input_ids, token_type_ids, position_ids, sequence_ids, output_positions)
        )
        if not training:
            dropout_seed = None
        elif dropout_seed is None:
            dropout_seed = tf.random.uniform([2], maxval=2**62, dtype=tf.int64)
        input_mask = tf.ones_like(input_ids) if input_mask is None else input_mask
        token_type_ids = tf.zeros_like(input_ids) if token_type_ids is None else token_type_ids

        shape = tf.concat([tf.shape(input_ids), [self.config.hidden_size]], axis=0)
        if sequence_ids is None:
            score_bias = ((1.0 - tf.cast(input_mask, tf.float32)) * PADDING_SCORE)[:, None, None, :]  # [B, 1, 1, S]
        else:
            is_other = tf.cast(sequence_ids[:, :, None] != sequence_ids[:, None, :], tf.float32)
            score_bias = (is_other * PADDING_SCORE)[:, None]  # [B, 1, S, S]
        embedding_output = self.embeddings(input_ids, token_type_ids, dropout_seed, position_ids)
        x = tf.reshape(embedding_output, [-1, self.config.hidden_size])  # [B*S, H]
        layers = []
        for layer in self.encoder[:-1]:
            x = self._run(layer, x, score_bias, dropout_seed)
            layers.append(tf.reshape(x, shape))  # [B, S, H]
        rows = None
        if output_positions is not None:
            rows = flat_positions(output_positions, tf.shape(input_ids)[1])
            shape = tf.concat([tf.shape(output_positions), [self.config.hidden_size]], axis=0)
            if sequence_ids is not None:
                score_bias = tf.gather(score_bias[:, 0], output_positions, batch_dims=1)[:, None]  # [B, 1, Q, S]
        x = self._run(self.encoder[-1], x, score_bias, dropout_seed, rows)
        layers.append(tf.reshape(x, shape))  # [B, S, H] or [B, Q, H]
        pooled_output = self.pooler(layers[-1][:, 0])  # [B, H]
        return BertOutputs(embedding_output, tuple(layers), layers[-1], pooled_output)

    def _run(
        self,
        layer: Callable[..., tf.Tensor],
        x: tf.Tensor,
        score_bias: tf.Tensor,
        dropout_seed: tf.Tensor | None,
        rows: tf.Tensor | None = None,
    ) -> tf.Tensor:
        if self.recompute and dropout_seed is not None:
            return tf.recompute_grad(functools.partial(layer, rows=rows))(x, score_bias, dropout_seed)
        return layer(x, score_bias, dropout_seed, rows)

    def named_variables(self) -> dict[str, keras.Variable]:
        """Every variable under its name in Google's checkpoints, `bert/...`."""
        named = self.embeddings.named_variables("bert/embeddings")
        for index, layer in enumerate(self.encoder):
            named |= layer.named_variables(f"bert/encoder/layer_{index}")
        return named | self.pooler.named_variables("bert/pooler/dense")

    def get_config(self) -> dict[str, Any]:
        """For Keras's serialisation."""
        return {**super().get_config(), "config": self.config.to_dict(), "recompute": self.recompute}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """For Keras's serialisation."""
        return cls(**{**config, "config": BertConfig.from_dict(config["config"])})


def flat_positions(positions: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Positions in sequences of a length, int `[B, Q]`, as rows of the matrix `[B*S, H]`: int32 `[B*Q]`."""
    starts = tf.range(tf.shape(positions)[0]) * length
    return tf.reshape(tf.cast(positions, tf.int32) + starts[:, None], [-1])


def truncated_normal(stddev: float) -> keras.initializers.Initializer:
    """A new truncated-normal initializer; one instance would draw the same numbers for every variable."""
    return keras.initializers.TruncatedNormal(stddev=stddev)
