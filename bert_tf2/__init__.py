"""BERT for TensorFlow 2 and Keras 3.

The names below are imported when they are first used, so that `import bert_tf2` does not import TensorFlow.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "BasicTokenizer": "tokenization",
    "BertConfig": "config",
    "BertModel": "modeling",
    "FullTokenizer": "tokenization",
    "InputError": "errors",
    "WordpieceTokenizer": "tokenization",
}

__all__ = [
    "BasicTokenizer",
    "BertConfig",
    "BertModel",
    "FullTokenizer",
    "InputError",
    "WordpieceTokenizer",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"bert_tf2.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'bert_tf2' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
