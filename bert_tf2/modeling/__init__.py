"""BERT's encoder, its heads, and the models built from them, as Keras models."""

from typing import TYPE_CHECKING

from bert_tf2 import lazy_exports
from bert_tf2.modeling import keras_backend

if TYPE_CHECKING:
    from bert_tf2.configs.model import BertConfig
    from bert_tf2.modeling.encoder import BertModel, BertOutputs

__all__ = ["BertConfig", "BertModel", "BertOutputs"]

_HOMES = {**dict.fromkeys(__all__, "bert_tf2.modeling.encoder"), "BertConfig": "bert_tf2.configs.model"}
__getattr__, __dir__ = lazy_exports.attach(__name__, _HOMES)

keras_backend.check()
