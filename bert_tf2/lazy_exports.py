"""Names of a package that are imported when they are first used.

A package whose light modules stand beside heavy ones (TensorFlow takes seconds) exports its names in this way, so that
importing a light module does not import the heavy ones.

Example:
    __getattr__, __dir__ = lazy_exports.attach(__name__, {"BertModel": "bert_tf2.modeling.encoder"})
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def attach(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A package's `__getattr__` and `__dir__` (PEP 562) for names that other modules define.

    Args:
        package: the package's name, for the message of AttributeError.
        homes: name -> the module that defines it.
    """

    def get(name: str) -> Any:
        if name in homes:
            return getattr(importlib.import_module(homes[name]), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def names() -> list[str]:
        return sorted(homes)

    return get, names
