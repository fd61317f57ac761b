"""Checkpoints as the Model Garden (official.nlp) saves its models: objects, attributes and names of variables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

Arrays = Mapping[str, np.ndarray]
_DENSE, _NORM = ("kernel", "bias"), ("gamma", "beta")


def objects(tree: Mapping[str, Any]) -> tf.train.Checkpoint:
    """An object with attributes of these names, which are objects or variables."""
    return tf.train.Checkpoint(
        **{name: objects(item) if isinstance(item, dict) else item for name, item in tree.items()}
    )


class Garden:
    """Makes the objects of a model from arrays by Google's names.

    Args:
      arrays: the arrays by Google's names.
      heads: the number of attention heads, N.
      of_2020: whether to use the names of the first releases.
    """

    def __init__(self, arrays: Arrays, heads: int, of_2020: bool = False) -> None:
        self.arrays, self.heads, self.of_2020 = arrays, heads, of_2020
        # Created once, as the masked-LM head shares this object.
        self.words = self.variable("bert/embeddings/word_embeddings", "word_embeddings/embeddings")
        self.layers = len({name.split("/")[2] for name in arrays if name.startswith("bert/encoder/")})

    def variable(self, google: str, name: str) -> tf.Variable:
        array = self.arrays[google]
        if "/attention/self/" in google:
            array = array.reshape(*array.shape[:-1], self.heads, -1)
        elif google.endswith("attention/output/dense/kernel"):
            array = array.reshape(self.heads, -1, array.shape[-1])
        elif google.endswith("output_weights"):
            array = array.T
        return tf.Variable(array, name=name)

    def layer(self, google: str, name: str, parts: tuple[str, str] = _DENSE) -> dict[str, Any]:
        return {part: self.variable(f"{google}/{part}", f"{name}/{part}") for part in parts}

    def scores(self, google: str, name: str) -> dict[str, Any]:
        return {
            "kernel": self.variable(f"{google}output_weights", f"{name}/kernel"),
            "bias": self.variable(f"{google}output_bias", f"{name}/bias"),
        }

    def block(self, index: int) -> dict[str, Any]:
        """A TransformerEncoderBlock."""
        google, name = f"bert/encoder/layer_{index}", f"transformer/layer_{index}"
        attention = {
            f"_{part}_dense": self.layer(f"{google}/attention/self/{part}", f"{name}/self_attention/{part}")
            for part in ("query", "key", "value")
        }
        output, outside = f"{google}/attention/output/dense", {}
        if self.of_2020:
            outside["_attention_output_dense"] = self.layer(output, f"{name}/self_attention_output")
        else:
            attention["_output_dense"] = self.layer(output, f"{name}/self_attention/attention_output")
        norm = f"{name}/self_attention_layer_norm"
        return {
            "_attention_layer": attention,
            **outside,
            "_attention_layer_norm": self.layer(f"{google}/attention/output/LayerNorm", norm, _NORM),
            "_intermediate_dense": self.layer(f"{google}/intermediate/dense", f"{name}/intermediate"),
            "_output_dense": self.layer(f"{google}/output/dense", f"{name}/output"),
            "_output_layer_norm": self.layer(f"{google}/output/LayerNorm", f"{name}/output_layer_norm", _NORM),
        }

    def encoder(self) -> dict[str, Any]:
        """A BertEncoder."""
        of = "bert/embeddings"
        tables = (
            self.words,
            self.variable(f"{of}/position_embeddings", "position_embedding/embeddings"),
            self.variable(f"{of}/token_type_embeddings", "type_embeddings/embeddings"),
        )
        layers = [
            *({"embeddings": table} for table in tables),
            self.layer(f"{of}/LayerNorm", "embeddings/layer_norm", _NORM),
            *map(self.block, range(self.layers)),
            self.layer("bert/pooler/dense", "pooler_transform"),
        ]
        return {f"layer_with_weights-{index}": layer for index, layer in enumerate(layers)}

    def masked_lm(self) -> dict[str, Any]:
        name = "cls/predictions"
        return {
            "embedding_table": self.words,
            "dense": self.layer(f"{name}/transform/dense", f"{name}/transform/dense"),
            "layer_norm": self.layer(f"{name}/transform/LayerNorm", f"{name}/transform/LayerNorm", _NORM),
            "output_bias/bias": self.variable(f"{name}/output_bias", f"{name}/output_bias/bias"),
        }


def save(prefix: Path, **items: Any) -> str:
    """Saves objects as `tf.train.Checkpoint(**items)`; returns the prefix."""
    return str(objects(items).save(str(prefix)))
