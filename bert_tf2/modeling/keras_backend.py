"""Rejects Keras backends other than TensorFlow, before Keras is imported; no TensorFlow."""

import json
import os
import sys
from pathlib import Path

from bert_tf2.errors import InputError

REQUIRED_BACKEND = "tensorflow"


def check() -> None:
    """Checks the backend that Keras uses, or would use if it were imported now.

    Raises:
      InputError: the backend is not TensorFlow.
    """
    backend, source = _backend()
    if backend not in (None, REQUIRED_BACKEND):
        raise InputError(
            f"Keras's backend is {backend!r} ({source}), but bert_tf2 needs TensorFlow; set the environment variable "
            f"KERAS_BACKEND={REQUIRED_BACKEND} before Python starts."
        )


def _backend() -> tuple[str | None, str]:
    """The name of the backend, None for Keras's default (TensorFlow); and where it is set."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "backend"):
        return str(keras.backend.backend()), "imported already"
    if backend := os.environ.get("KERAS_BACKEND"):
        return backend, "environment variable KERAS_BACKEND"
    path = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras", "keras.json")
    try:
        return json.loads(path.read_text(encoding="utf-8")).get("backend"), str(path)
    except (OSError, ValueError, AttributeError):  # Keras ignores a file that it cannot read
        return None, ""
