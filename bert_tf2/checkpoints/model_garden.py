"""Checkpoints of TensorFlow's Model Garden and of TF-Hub, seen under Google's names.

The Model Garden (tensorflow/models, official.nlp) saves objects (`tf.train.Checkpoint`): the keys are paths in a graph
of Python objects, `encoder/layer_with_weights-4/_attention_layer/_query_dense/kernel/.ATTRIBUTES/VARIABLE_VALUE`, and
differ by version and by what was saved. The graph, which is in the checkpoint, too, has the name of each variable
beside its key; these names are those of the layers and have stayed the same. Its SavedModels on TF-Hub are the same
kind of checkpoint. Modules of TF-Hub for TensorFlow 1 have Google's names, which are below `module/` in what was
trained on them.

Attention kernels have their heads apart there, `[H, N, D]` and `[N, D, H]`; scores are `[H, L]`, in Google's `[L, H]`.
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


# What the name of a variable ends in -> Google's name.
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
    # Heads with a pooler of their own do not use that of the encoder: it goes before, see `_places`.
    **_parts("bert/pooler/dense", "pooler_dense", "kernel", "bias"),
    **_parts("cls/predictions/transform/dense", "transform/dense", "kernel", "bias"),
    **_parts("cls/predictions/transform/LayerNorm", "transform/LayerNorm", "gamma", "beta"),
    "output_bias/bias": _MASKED_LM_BIAS,
}
_QUERY, _INTERMEDIATE = (
    "bert/encoder/layer_0/attention/self/query/kernel",
    "bert/encoder/layer_0/intermediate/dense/bias",
)
_NUMBERED = re.compile(r"(?<=/position_embedding)_\d+/")  # a layer without a name of its own, until 2020
_LAYER_NAME = re.compile(r"(?:^|/)(?:transformer|encoder)/layer_(\d{1,9})/(.+)$")
_SCORES = re.compile(r"(?:^|/)([^/]+)/logits/(kernel|bias)$")
_SCORE_NAMES = {"kernel": "output_weights", "bias": "output_bias"}
_POOLER_OF_HEAD, _POOLER_OF_ENCODER = re.compile(r"(?:^|/)pooler_dense/"), re.compile(r"(?:^|/)pooler_transform/")


class _Variable(NamedTuple):
    """A variable of a checkpoint of objects: its name, and the attributes of objects by which it is reached."""

    name: str
    owners: frozenset[str]


class Renamed:
    """An open checkpoint under Google's names; as what `google.open_reader` returns.

    Attributes:
      num_attention_heads: `N`, where the shapes say it; else None.
    """

    def __init__(self, reader: Any, keys: Mapping[str, str], transposed: frozenset[str] = frozenset()) -> None:
        """Makes it.

        Args:
          reader: what TensorFlow's `NewCheckpointReader` returns.
          keys: the checkpoint's own key of each of Google's names.
          transposed: Google's names of matrices that are transposed there.
        """
        self._reader, self._keys, self._transposed = reader, keys, transposed
        self._shapes: dict[str, list[int]] = reader.get_variable_to_shape_map()
        query = self._shapes.get(keys.get(_QUERY, ""), [])
        self.num_attention_heads: int | None = query[1] if len(query) == 3 else None

    def has_tensor(self, name: str) -> bool:
        """Whether there is a variable of one of Google's names."""
        return name in self._keys

    def get_variable_to_shape_map(self) -> dict[str, list[int]]:
        """The shapes that Google's variables have."""
        return {name: list(self._as_google(name, self._shapes[key])) for name, key in self._keys.items()}

    def get_tensor(self, name: str) -> Any:
        """A variable in the shape of Google's: an array, or a scalar."""
        array = self._reader.get_tensor(self._keys[name])
        if np.ndim(array) == 0:
            return array
        return array.T if name in self._transposed else array.reshape(self._as_google(name, array.shape))

    def _as_google(self, name: str, shape: Sequence[int]) -> tuple[int, ...]:
        if name in self._transposed:
            return tuple(shape[::-1])
        if len(shape) == 3 and name.endswith("attention/output/dense/kernel"):
            return shape[0] * shape[1], shape[2]
        if len(shape) == 3 and "/attention/self/" in name:
            return shape[0], shape[1] * shape[2]
        if len(shape) == 2 and "/attention/self/" in name and name.endswith("/bias"):
            return (shape[0] * shape[1],)
        return tuple(shape)


def sizes(reader: Any) -> dict[str, int] | None:
    """The sizes of a model by its open checkpoint, as `BertConfig` has them; None if its heads are not to be seen."""
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


def understood(reader: Any) -> Any:
    """An open checkpoint under Google's names, whatever names it has: those of Google stay as they are.

    Raises:
      ValueError: it has two encoders, or its object graph is corrupt.
    """
    shapes: Mapping[str, list[int]] = reader.get_variable_to_shape_map()
    if _GRAPH in shapes:
        return _of_objects(reader, shapes)
    if any(map(_MODULE.match, shapes)):
        keys: dict[str, str] = {}
        for name in shapes:
            _add(keys, _MODULE.sub("", name), name)
        return Renamed(reader, keys)
    return reader


def _of_objects(reader: Any, shapes: Mapping[str, list[int]]) -> Any:
    variables = _variables(reader.get_tensor(_GRAPH))
    keys = {key: variables[key] for key in shapes if key in variables}
    places = _places(keys)
    if f"{_EMBEDDINGS}/position_embeddings" not in places:
        return reader  # of another model, which errors are about to say by its own names
    # Not by the word embeddings, which a masked-LM head has, too.
    encoder = places[f"{_EMBEDDINGS}/position_embeddings"].removesuffix(_VALUE).rsplit("/", 2)[0]
    known = {*places.values(), *(key for key, variable in keys.items() if _POOLER_OF_ENCODER.search(variable.name))}
    others = {
        f"bert/{variable.name}" if key.startswith(f"{encoder}/") else key.removesuffix(_VALUE): key
        for key, variable in keys.items()
        if key not in known
    }
    transposed = frozenset(name for name in places if name.endswith("output_weights"))
    return Renamed(reader, {**others, **places}, transposed)


def _variables(graph: bytes) -> dict[str, _Variable]:
    """The variables of a checkpoint of objects by their keys, without those of optimizers."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    try:
        nodes = trackable_object_graph_pb2.TrackableObjectGraph.FromString(graph).nodes
    except DecodeError:
        raise ValueError("its object graph is corrupt") from None
    parents: dict[int, dict[int, str]] = {}  # of each object, and the attribute that it is of them
    for index, node in enumerate(nodes):
        for child in node.children:
            parents.setdefault(child.node_id, {})[index] = child.local_name

    def owners(index: int) -> frozenset[str]:
        reached, waiting, names = {index}, [index], set[str]()
        while waiting:
            above = parents.get(waiting.pop(), {})
            names.update(above.values())
            waiting += above.keys() - reached
            reached |= above.keys()
        return frozenset(names)

    return {
        attribute.checkpoint_key: _Variable(attribute.full_name, owners(index))
        for index, node in enumerate(nodes)
        for attribute in node.attributes
        if _is_of_model(attribute.checkpoint_key)
    }


def _is_of_model(key: str) -> bool:
    return key.endswith(_VALUE) and _SLOT not in key and "optimizer" not in key.split("/")


def _places(variables: Mapping[str, _Variable]) -> dict[str, str]:
    """The key of each of Google's names that there is; of several heads of a name, that of the first."""
    places: dict[str, str] = {}
    uses_pooler = not any(_POOLER_OF_HEAD.search(variable.name) for variable in variables.values())
    has_masked_lm = any(_google_name(variable) == _MASKED_LM_BIAS for variable in variables.values())
    for key, variable in variables.items():
        name = _google_name(variable, has_masked_lm)
        if name is None or (_POOLER_OF_ENCODER.search(variable.name) and not uses_pooler):
            continue
        if name.startswith("bert/") and not _POOLER_OF_HEAD.search(variable.name):
            _add(places, name, key)
        else:
            places.setdefault(name, key)
    return places


def _add(places: dict[str, str], name: str, key: str) -> None:
    if name in places:
        raise ValueError(f"{places[name]} and {key} are the same variable of BERT, so it holds several models")
    places[name] = key


def _google_name(variable: _Variable, has_masked_lm: bool = False) -> str | None:
    layer = _LAYER_NAME.search(variable.name)
    if layer:
        tail = _LAYER.get(layer[2])
        return tail and f"bert/encoder/layer_{layer[1]}/{tail}"
    scores = _SCORES.search(variable.name)
    if scores:
        return f"{_scores_of(scores[1], variable, has_masked_lm)}{_SCORE_NAMES[scores[2]]}"
    name = _NUMBERED.sub("/", f"/{variable.name}")
    return next((google for tail, google in _OTHERS.items() if name.endswith(f"/{tail}")), None)


def _scores_of(head: str, variable: _Variable, has_masked_lm: bool) -> str:
    """What Google's names of a head's scores begin with.

    Args:
      head: the level before `logits` in the variable's name: that of the head, or `transform`, which all older heads
        had, so that what is around decides.
      variable: the scores.
      has_masked_lm: whether the model has the masked-LM head, too.
    """
    if head == "next_sentence" or (head == "transform" and has_masked_lm):
        return "cls/seq_relationship/"
    if head == "transform" and "span_labeling" in variable.owners:
        return "cls/squad/"
    return ""
