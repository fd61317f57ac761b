"""Keras backends other than TensorFlow are errors."""

import json
import re
import sys

import pytest

from bert_tf2.errors import InputError
from bert_tf2.modeling import keras_backend


@pytest.fixture
def without_keras(monkeypatch, tmp_path):
    """The state before Keras is imported, with an empty Keras home directory, which is returned."""
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    return tmp_path


def test_tensorflow_is_the_default(without_keras, monkeypatch) -> None:
    keras_backend.check()
    (without_keras / "keras.json").write_text("not JSON")
    keras_backend.check()
    (without_keras / "keras.json").write_text('{"backend": "jax"}')
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    keras_backend.check()


def test_another_backend_is_an_error(without_keras, monkeypatch) -> None:
    (without_keras / "keras.json").write_text(json.dumps({"backend": "jax"}))
    with pytest.raises(InputError, match=r"'jax' \(.*keras.json\), but bert_tf2 needs TensorFlow"):
        keras_backend.check()
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    expected = "'torch' (environment variable KERAS_BACKEND), but bert_tf2 needs TensorFlow; set the environment"
    with pytest.raises(InputError, match=re.escape(expected)):
        keras_backend.check()


def test_imported_backend_takes_precedence(monkeypatch) -> None:
    import keras

    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras_backend.check()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(InputError, match=r"'jax' \(imported already\)"):
        keras_backend.check()


def test_backend_is_checked_when_models_are_imported(without_keras, monkeypatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    for name in [name for name in sys.modules if name.startswith(("bert_tf2.modeling", "bert_tf2.training"))]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("bert_tf2.modeling", "bert_tf2.training"):
        with pytest.raises(InputError, match="needs TensorFlow"):
            __import__(name)
