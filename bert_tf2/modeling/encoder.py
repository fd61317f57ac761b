"""BERT's encoder as a Keras model (Devlin et al. 2018, arXiv:1810.04805).

Shapes: `B` batch, `S` sequence, `H` hidden, `N` heads, `D` head size (`H = N·D`), `I` intermediate, `V` vocabulary.
Between embeddings and the last layer the hidden states are one matrix `[B*S, H]`, so that every dense layer is a single
2-D matmul. Numbers follow google-research/bert `modeling.py`: LayerNorm epsilon 1e-12, tanh-approximated GELU, −10000
on the scores of padding.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from bert_tf2.configs.lora import Lora
from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError
from bert_tf2.modeling import fused_ops, unpadded
from bert_tf2.modeling.keras_model import INPUT_IDS, INPUT_MASK, SEGMENT_IDS, BertBase, features
from bert_tf2.modeling.layers import (
    ConfiguredLayer,
    Dense,
    Embeddings,
    LayerNorm,
    call_seed,
    dropout_mask,
    flat_positions,
    fuses,
)
from bert_tf2.modeling.lora import lora_in_scope
from bert_tf2.modeling.unpadded import TokenLayout

PADDING_SCORE = -10000.0

POOLER_VARIABLES = ("bert/pooler/dense/kernel", "bert/pooler/dense/bias")
"""The pooler's names in checkpoints; it has no effect on the hidden states."""


class BertOutputs(NamedTuple):
    """The outputs of `BertModel`.

    Attributes:
      embedding_output: float `[B, S, H]`, the input of the first layer.
      encoder_layers: the output of each layer, float `[B, S, H]`.
      sequence_output: float `[B, S, H]`, the output of the last layer.
      pooled_output: float `[B, H]`, the last layer's first position after the pooler (dense and tanh).

    Examples:
      >>> from bert_tf2.modeling import BertOutputs
      >>> BertOutputs._fields
      ('embedding_output', 'encoder_layers', 'sequence_output', 'pooled_output')
    """

    embedding_output: tf.Tensor
    encoder_layers: tuple[tf.Tensor, ...]
    sequence_output: tf.Tensor
    pooled_output: tf.Tensor


@keras.saving.register_keras_serializable("bert_tf2")
class EncoderLayer(ConfiguredLayer):
    """One Transformer layer: self-attention and feed-forward, each followed by a residual connection and a LayerNorm.

    Args:
      config: the model config.
      site: the number of its first dropout site; it uses three.
    """

    def __init__(self, config: BertConfig, site: int, **options: Any) -> None:
        super().__init__(config, **{"autocast": False, **options})  # the score bias stays float32; the sublayers cast
        self.site = site
        hidden, stddev = config.hidden_size, config.initializer_range
        # With explicit names, because Keras numbers unnamed layers per process, and TensorFlow adds gradients in an
        # order that depends on names: a second model would differ from the first in the last bit.
        inner: dict[str, Any] = {"dtype": self.dtype_policy}
        self.query = Dense(hidden, hidden, stddev, name="query", **inner)
        self.key = Dense(hidden, hidden, stddev, name="key", **inner)
        self.value = Dense(hidden, hidden, stddev, name="value", **inner)
        self.attention_output = Dense(hidden, hidden, stddev, name="attention_output", **inner)
        self.attention_norm = LayerNorm(hidden, name="attention_norm", **inner)
        wide, activation = config.intermediate_size, config.hidden_act
        self.intermediate = Dense(hidden, wide, stddev, activation, name="intermediate", **inner)
        self.output_dense = Dense(wide, hidden, stddev, name="output", **inner)
        self.output_norm = LayerNorm(hidden, name="output_norm", **inner)
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """For Keras's serialization."""
        return {**super().get_config(), "site": self.site}

    def call(
        self,
        x: tf.Tensor,
        score_bias: tf.Tensor,
        dropout_seed: tf.Tensor | None = None,
        rows: tf.Tensor | None = None,
        layout: TokenLayout | None = None,
    ) -> tf.Tensor:
        """The hidden states after the layer.

        Args:
          x: float `[B*S, H]`, or `[T, H]` without padding.
          score_bias: float32 `[B, 1, 1 or Q, S]`, added to the attention scores.
          dropout_seed: int64 `[2]`; None switches dropout off.
          rows: int32 `[B*Q]`, rows of `x` to compute, `Q` of each sequence; all by default, then `Q = S`.
          layout: the positions of the tokens if `x` is without padding, else None.

        Returns:
          float `[B*Q, H]`, or `[T, H]` without padding if all rows are computed.
        """
        queries = x if rows is None else tf.gather(x, rows)  # [B*Q, H]
        query_layout = layout if rows is None else None
        attended = self._attend(queries, x, score_bias, dropout_seed, query_layout, layout)  # [B*Q, H]
        x = self._project_add_norm(attended, self.attention_output, queries, self.attention_norm, dropout_seed, 1)
        inner = self.intermediate(x, fuse=fuses(self.config, dropout_seed))  # [B*Q, I]
        return self._project_add_norm(inner, self.output_dense, x, self.output_norm, dropout_seed, 2)  # [B*Q, H]

    def _attend(
        self,
        queries: tf.Tensor,
        x: tf.Tensor,
        score_bias: tf.Tensor,
        dropout_seed: tf.Tensor | None,
        query_layout: TokenLayout | None,
        key_layout: TokenLayout | None,
    ) -> tf.Tensor:
        config, fuse = self.config, fuses(self.config, dropout_seed)
        heads = functools.partial(self._heads, batch=_batch(score_bias), fuse=fuse)
        context = fused_ops.attention(
            heads(self.query, queries, query_layout),
            heads(self.key, x, key_layout),
            heads(self.value, x, key_layout),
            score_bias,
            *dropout_mask(config.attention_probs_dropout_prob, dropout_seed, self.site),
            fuse=fuse,
        )  # [B, N, Q, D]
        merged = tf.reshape(tf.transpose(context, [0, 2, 1, 3]), [-1, config.hidden_size])  # [B*Q, H]
        return merged if query_layout is None else unpadded.without_padding(merged, query_layout)

    def _heads(
        self, dense: Dense, x: tf.Tensor, layout: TokenLayout | None, *, batch: tf.Tensor | int, fuse: bool
    ) -> tf.Tensor:
        """Queries, keys or values of each head: `[B*S, H] -> [B, N, S, D]`."""
        projected = dense.project(x)
        if layout is not None:
            projected = unpadded.with_padding(projected, layout)
        return fused_ops.split_heads(projected, dense.bias, batch, self.config.num_attention_heads, fuse=fuse)

    def attention_probabilities(self, x: tf.Tensor, score_bias: tf.Tensor) -> tf.Tensor:
        """The attention weights of each head, without dropout.

        Args:
          x: float `[B*S, H]`, the input of the layer.
          score_bias: as for `call`, `[B, 1, 1 or S, S]`.

        Returns:
          float32 `[B, N, S, S]`: how much each position (next to last axis) attends to each (last axis).
        """
        batch = _batch(score_bias)
        query, key = (self._heads(dense, x, None, batch=batch, fuse=False) for dense in (self.query, self.key))
        return tf.cast(fused_ops.attention_probabilities(query, key, score_bias), tf.float32)

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
            *dropout_mask(self.config.hidden_dropout_prob, dropout_seed, self.site + site),
            fuse=fuses(self.config, dropout_seed),
        )

    def dense_layers(self) -> dict[str, Dense]:
        """The dense layers by their names in `configs.lora.KERNELS`."""
        return {
            "query": self.query,
            "key": self.key,
            "value": self.value,
            "attention_output": self.attention_output,
            "intermediate": self.intermediate,
            "output": self.output_dense,
        }

    def add_lora(self, config: Lora) -> None:
        """Freezes the layer, and adds LoRA to the kernels of `config.layers`."""
        layers: list[Any] = [*self.dense_layers().values(), self.attention_norm, self.output_norm]
        for layer in layers:
            layer.trainable = False
        for name in config.layers:
            self.dense_layers()[name].add_lora(config.rank, config.scale)

    def named_variables(self, prefix: str) -> dict[str, keras.Variable]:
        """The layer's variables by Google's names, which begin with `prefix`."""
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


def _batch(score_bias: tf.Tensor) -> tf.Tensor | int:
    """The batch size of `[B, 1, 1 or Q, S]`, an int if it is known statically."""
    return score_bias.shape[0] or tf.shape(score_bias)[0]


@keras.saving.register_keras_serializable("bert_tf2")
class BertModel(BertBase):
    """The encoder: token ids to hidden states, a Keras 3 model.

    All variables are created with the model: weights from a truncated normal of `initializer_range`, biases 0,
    LayerNorms 1 and 0. Call `keras.utils.set_random_seed` first for reproducible initial weights.

    Args:
      config: the model config.
      recompute: whether training keeps only each layer's input and recomputes the rest for the gradients (Chen et al.,
        arXiv:1604.06174): a third more work, but the memory of one layer instead of all.
      **options: of `keras.Model`: `name`, `dtype`, `trainable`.

    Examples:
      >>> import numpy as np
      >>> from bert_tf2 import BertConfig, BertModel
      >>> config = BertConfig(100, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
      >>> model = BertModel(config)
      >>> outputs = model(np.array([[2, 17, 45, 3]]))  # token ids [B, S]
      >>> outputs.sequence_output.shape, outputs.pooled_output.shape
      (TensorShape([1, 4, 8]), TensorShape([1, 8]))
    """

    def __init__(self, config: BertConfig, recompute: bool = False, **options: Any) -> None:
        super().__init__(config, recompute, **{"name": "bert", **options})
        inner: dict[str, Any] = {"dtype": self.dtype_policy}
        self.embeddings = Embeddings(config, name="embeddings", **inner)
        layers = range(config.num_hidden_layers)
        self.encoder = [EncoderLayer(config, site=1 + 3 * index, name=f"layer_{index}", **inner) for index in layers]
        hidden, stddev = config.hidden_size, config.initializer_range
        self.pooler = Dense(hidden, hidden, stddev, "tanh", name="pooler", **inner)
        self._lora: Lora | None = None
        if (lora_config := lora_in_scope()) is not None:
            self._add_lora(lora_config, self)
        self._complete()

    def _encoder(self) -> "BertModel":
        return self

    def _add_lora(self, config: Lora, model: Any) -> None:
        """Adds LoRA to the encoder of `model`, and freezes everything else in it but the pooler."""
        if self._lora is not None:
            raise InputError(f"The model has {self._lora} already; call merge_lora() first.")
        highest = min(self.config.hidden_size, self.config.intermediate_size)
        if config.rank > highest:
            raise InputError(
                f"A rank of {config.rank} for LoRA, but the kernels of this model have a rank of {highest}."
            )
        for keras_model in (model, self):
            if not keras_model.trainable:
                keras_model.trainable = True
        self.embeddings.trainable = False
        for layer in self.encoder:
            layer.add_lora(config)
        self._lora = config

    def _merge_lora(self) -> None:
        """Merges LoRA into the kernels and removes its variables."""
        if self._lora is None:
            raise InputError("The model has no LoRA to merge; add_lora() adds it.")
        for layer in self.encoder:
            for name in self._lora.layers:
                layer.dense_layers()[name].merge_lora()
        self._lora = None

    @property
    def embedding_table(self) -> keras.Variable:
        """The word embeddings `[V, H]`, which the masked-LM head shares."""
        return self.embeddings.word_embeddings

    def call(
        self,
        input_ids: Any,
        input_mask: tf.Tensor | None = None,
        token_type_ids: tf.Tensor | None = None,
        training: bool = False,
        dropout_seed: tf.Tensor | None = None,
        position_ids: tf.Tensor | None = None,
        sequence_ids: tf.Tensor | None = None,
        output_positions: tf.Tensor | None = None,
        skip_padding: bool = False,
    ) -> BertOutputs:
        """Encodes a batch.

        Args:
          input_ids: int `[B, S]`, indices into the vocabulary; or a tuple or dictionary of this and the other tensors
            (`keras_model.features`).
          input_mask: int or bool `[B, S]`, 0 at padding; all ones by default.
          token_type_ids: int `[B, S]`, the segment of each position; all zeros by default.
          training: whether to apply dropout.
          dropout_seed: int64 `[2]`, determines all dropout masks of this call; drawn at random if None.
          position_ids: int `[B, S]`; 0, 1, ... by default.
          sequence_ids: int `[B, S]`, for packed rows: the sequence of each position, 1, 2, ..., and 0 at padding. A
            position attends only to its own sequence, and `input_mask` is ignored.
          output_positions: int `[B, Q]`, the only positions at which to compute the last layer; its hidden states are
            then `[B, Q, H]`, and `pooled_output` is that of the first of them.
          skip_padding: whether to leave padding out everywhere but in attention (see `unpadded`): only tokens cost
            work, and their hidden states are the same; those at padding are copies of other tokens'.

        Returns:
          The hidden states in the compute dtype.

        Raises:
          InputError: `S` is more than `max_position_embeddings`.
        """
        if isinstance(input_ids, (Mapping, tuple, list)):
            inputs = features(input_ids, ("position_ids", "sequence_ids", "output_positions"))
            input_ids, input_mask, token_type_ids = inputs[INPUT_IDS], inputs[INPUT_MASK], inputs[SEGMENT_IDS]
            position_ids, sequence_ids = inputs.get("position_ids"), inputs.get("sequence_ids")
            output_positions = inputs.get("output_positions")
        # When Keras loads a model, it rebuilds it with float placeholders.
        input_ids, token_type_ids, position_ids, sequence_ids, output_positions = (
            None if values is None else tf.cast(values, tf.int32)
            for values in (input_ids, token_type_ids, position_ids, sequence_ids, output_positions)
        )
        dropout_seed = call_seed(training, dropout_seed)
        self._check_length(input_ids.shape[1])
        layout = None
        if skip_padding and input_mask is not None and sequence_ids is None:
            layout = unpadded.token_layout(input_mask, round_up=fuses(self.config, dropout_seed))
        input_mask = tf.ones_like(input_ids) if input_mask is None else input_mask
        token_type_ids = tf.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        score_bias = self._score_bias(input_mask, sequence_ids)
        x = self._embed(input_ids, token_type_ids, dropout_seed, position_ids, layout)  # [B*S, H] or [T, H]
        shape = tf.concat([tf.shape(input_ids), [self.config.hidden_size]], axis=0)

        def to_sequences(x: tf.Tensor) -> tf.Tensor:  # -> [B, S, H]
            return tf.reshape(x if layout is None else unpadded.with_padding(x, layout), shape)

        states = [to_sequences(x)]
        for layer in self.encoder[:-1]:
            x = self._run(layer, x, score_bias, dropout_seed, None, layout)
            states.append(to_sequences(x))
        if output_positions is None:
            states.append(to_sequences(self._run(self.encoder[-1], x, score_bias, dropout_seed, None, layout)))
        else:
            rows = flat_positions(output_positions, tf.shape(input_ids)[1])
            if layout is not None:
                rows = tf.gather(layout.rows, rows)
            if sequence_ids is not None:
                score_bias = tf.gather(score_bias[:, 0], output_positions, batch_dims=1)[:, None]  # [B, 1, Q, S]
            x = self._run(self.encoder[-1], x, score_bias, dropout_seed, rows, layout)
            states.append(tf.reshape(x, [*tf.unstack(tf.shape(output_positions)), self.config.hidden_size]))
        pooled_output = self.pooler(states[-1][:, 0])  # [B, H]
        return BertOutputs(states[0], tuple(states[1:]), states[-1], pooled_output)

    def attention_probabilities(
        self, input_ids: tf.Tensor, input_mask: tf.Tensor | None = None, token_type_ids: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, ...]:
        """The attention weights of each head of each layer, as `call` uses them outside of training.

        Args:
          input_ids, input_mask, token_type_ids: as for `call`.

        Returns:
          For each layer float32 `[B, N, S, S]`: how much each position (next to last axis) attends to each (last
          axis). Each row sums to 1; padding gets 0.

        Raises:
          InputError: `S` is more than `max_position_embeddings`.

        Examples:
          >>> import tensorflow as tf
          >>> from bert_tf2 import BertConfig, BertModel
          >>> config = BertConfig(100, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
          >>> layers = BertModel(config).attention_probabilities(tf.constant([[2, 17, 3]]))
          >>> len(layers), layers[0].shape
          (1, TensorShape([1, 2, 3, 3]))
        """
        input_mask = tf.ones_like(input_ids) if input_mask is None else input_mask
        outputs = self(input_ids, input_mask, token_type_ids)
        score_bias = self._score_bias(input_mask, None)
        layer_inputs = (outputs.embedding_output, *outputs.encoder_layers[:-1])
        return tuple(
            layer.attention_probabilities(tf.reshape(x, [-1, self.config.hidden_size]), score_bias)
            for layer, x in zip(self.encoder, layer_inputs, strict=True)
        )

    @staticmethod
    def _score_bias(input_mask: tf.Tensor, sequence_ids: tf.Tensor | None) -> tf.Tensor:
        """The bias of the attention scores: float32 `[B, 1, 1, S]`, or `[B, 1, S, S]` for `sequence_ids`."""
        if sequence_ids is None:
            return ((1.0 - tf.cast(input_mask, tf.float32)) * PADDING_SCORE)[:, None, None, :]
        is_other = tf.cast(sequence_ids[:, :, None] != sequence_ids[:, None, :], tf.float32)
        return (is_other * PADDING_SCORE)[:, None]

    def _check_length(self, length: int | None) -> None:
        longest = self.config.max_position_embeddings
        if length is not None and length > longest:
            raise InputError(
                f"The sequences have {length} positions but the model's max_position_embeddings is "
                f"{longest}; use shorter sequences, or a config and checkpoint with more positions."
            )

    def _embed(
        self,
        input_ids: tf.Tensor,
        token_type_ids: tf.Tensor,
        dropout_seed: tf.Tensor | None,
        position_ids: tf.Tensor | None,
        layout: TokenLayout | None,
    ) -> tf.Tensor:
        """The embeddings of all positions, `[B*S, H]`, or, with a `layout`, of the tokens alone, `[T, H]`."""
        if layout is not None:
            if position_ids is None:
                position_ids = tf.broadcast_to(tf.range(tf.shape(input_ids)[1]), tf.shape(input_ids))
            input_ids, token_type_ids, position_ids = (
                tf.gather(tf.reshape(values, [-1]), layout.positions)[None]  # [1, T]
                for values in (input_ids, token_type_ids, position_ids)
            )
        embedded = self.embeddings(input_ids, token_type_ids, dropout_seed, position_ids)
        return tf.reshape(embedded, [-1, self.config.hidden_size])

    def _run(
        self,
        layer: Callable[..., tf.Tensor],
        x: tf.Tensor,
        score_bias: tf.Tensor,
        dropout_seed: tf.Tensor | None,
        rows: tf.Tensor | None,
        layout: TokenLayout | None,
    ) -> tf.Tensor:
        """The output of a layer; with `recompute`, training keeps only its inputs."""
        if self.recompute and dropout_seed is not None:
            run = functools.partial(layer, rows=rows, layout=layout)
            return tf.recompute_grad(run)(x, score_bias, dropout_seed)
        return layer(x, score_bias, dropout_seed, rows, layout)

    def named_variables(self) -> dict[str, keras.Variable]:
        """All variables, by their names in Google's checkpoints, `bert/...`."""
        named = self.embeddings.named_variables("bert/embeddings")
        for index, layer in enumerate(self.encoder):
            named |= layer.named_variables(f"bert/encoder/layer_{index}")
        return named | self.pooler.named_variables("bert/pooler/dense")
