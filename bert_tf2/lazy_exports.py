"""Names of a package that are imported when they are first used.

A package with both light modules and heavy ones (TensorFlow takes seconds to import) exports its names in this way, so
that importing a light module does not import the heavy ones.

Example:
    __getattr__, __dir__ = lazy_exports.attach(__name__, {"BertModel": "bert_tf2.modeling.encoder"})
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def attach(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A package's `__getattr__` and `__dir__` (PEP 562) for names that other modules define.

    Args:
        package: the package's name, for the message of AttributeError.
        modules: name -> the module that defines it.
    """

    def get_attribute(name: str) -> Any:
        if name in modules:
            return getattr(importlib.import_module(modules[name]), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def list_names() -> list[str]:
        return sorted(modules)

    return get_attribute, list_names
