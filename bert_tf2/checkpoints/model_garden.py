"""Checkpoints of TensorFlow's Model Garden and of TF-Hub, read with Google's names.

The Model Garden (tensorflow/models, official.nlp) saves objects (`tf.train.Checkpoint`): the keys are paths in a graph
of Python objects, `encoder/layer_with_weights-4/_attention_layer/_query_dense/kernel/.ATTRIBUTES/VARIABLE_VALUE`, and
differ by version and by what was saved. The checkpoint also contains the graph, with each variable's key and name;
these names come from the layers and have not changed. Its SavedModels on TF-Hub contain the same kind of checkpoint.
TF-Hub modules for TensorFlow 1 have Google's names, with the prefix `module/` in checkpoints of models trained from
them.

Attention kernels have an axis for the heads there, `[H, N, D]` and `[N, D, H]`; the kernels of scores are `[H, L]`, in
Google's checkpoints `[L, H]`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_SLOT = "/.OPTIMIZER_SLOT/"
_MODULE = re.compile(r"module(?:_\d+)?/(?=(?:bert|cls)/)")


def _parts(google: str, garden: str, *names: str) -> dict[str, str]:
    return {f"{garden}/{name}": f"{google}/{name}" for name in names}


# The end of a variable's name -> Google's name.
_LAYER = {
    **_parts("attention/self/query", "self_attention/query", "kernel", "bias"),
    **_parts("attention/self/key", "self_attention/key", "kernel", "bias"),
    **_parts("attention/self/value", "self_attention/value", "kernel", "bias"),
    **_parts("attention/output/dense", "self_attention/attention_output", "kernel", "bias"),
    **_parts("attention/output/dense", "self_attention_output", "kernel", "bias"),  # until 2020
    **_parts("attention/output/LayerNorm", "self_attention_layer_norm", "gamma", "beta"),
    **_parts("intermediate/dense", "intermediate", "kernel", "bias"),
    **_parts("output/dense", "output", "kernel", "bias"),
    **_parts("output/LayerNorm", "output_layer_norm", "gamma", "beta"),
}
_EMBEDDINGS, _MASKED_LM_BIAS = "bert/embeddings", "cls/predictions/output_bias"
_OTHERS = {
    "word_embeddings/embeddings": f"{_EMBEDDINGS}/word_embeddings",
    "position_embedding/embeddings": f"{_EMBEDDINGS}/position_embeddings",
    "type_embeddings/embeddings": f"{_EMBEDDINGS}/token_type_embeddings",
    **_parts(f"{_EMBEDDINGS}/LayerNorm", "embeddings/layer_norm", "gamma", "beta"),
    # until 2020
    "embedding_postprocessor/position_embeddings": f"{_EMBEDDINGS}/position_embeddings",
    "embedding_postprocessor/type_embeddings": f"{_EMBEDDINGS}/token_type_embeddings",
    **_parts(f"{_EMBEDDINGS}/LayerNorm", "embedding_postprocessor/layer_norm", "gamma", "beta"),
    **_parts("bert/pooler/dense", "pooler_transform", "kernel", "bias"),
    # A head with its own pooler does not use the encoder's, and takes precedence: see `_google_keys`.
    **_parts("bert/pooler/dense", "pooler_dense", "kernel", "bias"),
    **_parts("cls/predictions/transform/dense", "transform/dense", "kernel", "bias"),
    **_parts("cls/predictions/transform/LayerNorm", "transform/LayerNorm", "gamma", "beta"),
    "output_bias/bias": _MASKED_LM_BIAS,
}
_QUERY, _INTERMEDIATE = (
    "bert/encoder/layer_0/attention/self/query/kernel",
    "bert/encoder/layer_0/intermediate/dense/bias",
)
_NUMBERED = re.compile(r"(?<=/position_embedding)_\d+/")  # a layer with Keras's default name, until 2020
_LAYER_NAME = re.compile(r"(?:^|/)(?:transformer|encoder)/layer_(\d{1,9})/(.+)$")
_SCORES = re.compile(r"(?:^|/)([^/]+)/logits/(kernel|bias)$")
_SCORE_NAMES = {"kernel": "output_weights", "bias": "output_bias"}
_HEAD_POOLER, _ENCODER_POOLER = re.compile(r"(?:^|/)pooler_dense/"), re.compile(r"(?:^|/)pooler_transform/")


class _Variable(NamedTuple):
    """A variable of an object-based checkpoint.

    Attributes:
      name: its name.
      owners: the names of all attributes on the paths from the root to it.
    """

    name: str
    owners: frozenset[str]


class RenamedReader:
    """An open checkpoint with Google's names, with the interface of TensorFlow's checkpoint reader.

    Attributes:
      num_attention_heads: `N`, if the shapes imply it; else None.
    """

    def __init__(self, reader: Any, keys: Mapping[str, str], transposed: frozenset[str] = frozenset()) -> None:
        """Wraps a reader.

        Args:
          reader: the result of TensorFlow's `NewCheckpointReader`.
          keys: the keys in the checkpoint, by Google's names.
          transposed: Google's names of matrices that are transposed in the checkpoint.
        """
        self._reader, self._keys, self._transposed = reader, keys, transposed
        self._shapes: dict[str, list[int]] = reader.get_variable_to_shape_map()
        query = self._shapes.get(keys.get(_QUERY, ""), [])
        self.num_attention_heads: int | None = query[1] if len(query) == 3 else None

    def has_tensor(self, name: str) -> bool:
        """Whether there is a variable with this name of Google's."""
        return name in self._keys

    def get_variable_to_shape_map(self) -> dict[str, list[int]]:
        """The shapes of all variables in Google's format, by Google's names."""
        return {name: list(self._google_shape(name, self._shapes[key])) for name, key in self._keys.items()}

    def get_tensor(self, name: str) -> Any:
        """The array or scalar with this name of Google's, in the shape of Google's format."""
        array = self._reader.get_tensor(self._keys[name])
        if np.ndim(array) == 0:
            return array
        return array.T if name in self._transposed else array.reshape(self._google_shape(name, array.shape))

    def _google_shape(self, name: str, shape: Sequence[int]) -> tuple[int, ...]:
        if name in self._transposed:
            return tuple(shape[::-1])
        if len(shape) == 3 and name.endswith("attention/output/dense/kernel"):
            return shape[0] * shape[1], shape[2]
        if len(shape) == 3 and "/attention/self/" in name:
            return shape[0], shape[1] * shape[2]
        if len(shape) == 2 and "/attention/self/" in name and name.endswith("/bias"):
            return (shape[0] * shape[1],)
        return tuple(shape)


def config_values(reader: Any) -> dict[str, int] | None:
    """The values of a `BertConfig` that an open checkpoint implies; None if it does not imply the number of heads."""
    shapes = reader.get_variable_to_shape_map()
    heads = getattr(reader, "num_attention_heads", None)
    words, positions, types = (f"{_EMBEDDINGS}/{kind}_embeddings" for kind in ("word", "position", "token_type"))
    if heads is None or not shapes.keys() >= {words, positions, types, _INTERMEDIATE}:
        return None
    layers = {match[1] for name in shapes if (match := re.match(r"bert/encoder/layer_(\d+)/", name))}
    return {
        "vocab_size": shapes[words][0],
        "hidden_size": shapes[words][1],
        "num_hidden_layers": len(layers),
        "num_attention_heads": heads,
        "intermediate_size": shapes[_INTERMEDIATE][0],
        "max_position_embeddings": shapes[positions][0],
        "type_vocab_size": shapes[types][0],
    }


def with_google_names(reader: Any) -> Any:
    """An open checkpoint with Google's names; one that already has them, or is of another model, is unchanged.

    Raises:
      ValueError: the checkpoint has two encoders, or its object graph is corrupt.
    """
    shapes: Mapping[str, list[int]] = reader.get_variable_to_shape_map()
    if _GRAPH in shapes:
        return _object_based(reader, shapes)
    if any(map(_MODULE.match, shapes)):
        keys: dict[str, str] = {}
        for name in shapes:
            _add(keys, _MODULE.sub("", name), name)
        return RenamedReader(reader, keys)
    return reader


def _object_based(reader: Any, shapes: Mapping[str, list[int]]) -> Any:
    variables = _variables(reader.get_tensor(_GRAPH))
    keys = {key: variables[key] for key in shapes if key in variables}
    keys_by_name = _google_keys(keys)
    if f"{_EMBEDDINGS}/position_embeddings" not in keys_by_name:
        return reader  # another model: errors will show its own names
    # By the position embeddings, because a masked-LM head has word embeddings, too.
    encoder = keys_by_name[f"{_EMBEDDINGS}/position_embeddings"].removesuffix(_VALUE).rsplit("/", 2)[0]
    known = {*keys_by_name.values(), *(key for key, variable in keys.items() if _ENCODER_POOLER.search(variable.name))}
    others = {
        f"bert/{variable.name}" if key.startswith(f"{encoder}/") else key.removesuffix(_VALUE): key
        for key, variable in keys.items()
        if key not in known
    }
    transposed = frozenset(name for name in keys_by_name if name.endswith("output_weights"))
    return RenamedReader(reader, {**others, **keys_by_name}, transposed)


def _variables(graph: bytes) -> dict[str, _Variable]:
    """The variables of an object-based checkpoint by their keys, without those of optimizers."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    try:
        nodes = trackable_object_graph_pb2.TrackableObjectGraph.FromString(graph).nodes
    except DecodeError:
        raise ValueError("its object graph is corrupt") from None
    parents: dict[int, dict[int, str]] = {}  # object -> its parents -> the name of their attribute with the object
    for index, node in enumerate(nodes):
        for child in node.children:
            parents.setdefault(child.node_id, {})[index] = child.local_name

    def owners(index: int) -> frozenset[str]:
        reached, waiting, names = {index}, [index], set[str]()
        while waiting:
            direct = parents.get(waiting.pop(), {})
            names.update(direct.values())
            waiting += direct.keys() - reached
            reached |= direct.keys()
        return frozenset(names)

    return {
        attribute.checkpoint_key: _Variable(attribute.full_name, owners(index))
        for index, node in enumerate(nodes)
        for attribute in node.attributes
        if _is_model_variable(attribute.checkpoint_key)
    }


def _is_model_variable(key: str) -> bool:
    return key.endswith(_VALUE) and _SLOT not in key and "optimizer" not in key.split("/")


def _google_keys(variables: Mapping[str, _Variable]) -> dict[str, str]:
    """The keys of variables by Google's names; if several heads have the same name, the key of the first."""
    keys_by_name: dict[str, str] = {}
    uses_pooler = not any(_HEAD_POOLER.search(variable.name) for variable in variables.values())
    has_masked_lm = any(_google_name(variable) == _MASKED_LM_BIAS for variable in variables.values())
    for key, variable in variables.items():
        name = _google_name(variable, has_masked_lm)
        if name is None or (_ENCODER_POOLER.search(variable.name) and not uses_pooler):
            continue
        if name.startswith("bert/") and not _HEAD_POOLER.search(variable.name):
            _add(keys_by_name, name, key)
        else:
            keys_by_name.setdefault(name, key)
    return keys_by_name


def _add(keys_by_name: dict[str, str], name: str, key: str) -> None:
    if name in keys_by_name:
        raise ValueError(f"{keys_by_name[name]} and {key} are the same variable of BERT, so it holds several models")
    keys_by_name[name] = key


def _google_name(variable: _Variable, has_masked_lm: bool = False) -> str | None:
    layer = _LAYER_NAME.search(variable.name)
    if layer:
        tail = _LAYER.get(layer[2])
        return tail and f"bert/encoder/layer_{layer[1]}/{tail}"
    scores = _SCORES.search(variable.name)
    if scores:
        return f"{_score_prefix(scores[1], variable, has_masked_lm)}{_SCORE_NAMES[scores[2]]}"
    name = _NUMBERED.sub("/", f"/{variable.name}")
    return next((google for tail, google in _OTHERS.items() if name.endswith(f"/{tail}")), None)


def _score_prefix(head: str, variable: _Variable, has_masked_lm: bool) -> str:
    """The prefix of Google's names for the weights and bias of a head's scores.

    Args:
      head: the component before `logits` in the variable's name: the head's name, or `transform`, which all older heads
        have, so that `variable.owners` and `has_masked_lm` decide.
      variable: the weights or the bias.
      has_masked_lm: whether the model also has a masked-LM head.
    """
    if head == "next_sentence" or (head == "transform" and has_masked_lm):
        return "cls/seq_relationship/"
    if head == "transform" and "span_labeling" in variable.owners:
        return "cls/squad/"
    return ""
