"""`tf_model.h5`: the weights of the TensorFlow classes of transformers (`TFBertModel`, ...; until version 4).

It is a weights file of Keras in HDF5, with keys `LAYER/MODEL/NAME:0`, where LAYER is a layer of the model and
MODEL/NAME the variable's name. By transformers' conventions it is converted to the name in PyTorch, which
`huggingface.ModelDirectory` expects.
"""

import os
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2.checkpoints.safetensors import Arrays, StoredArray, local_weights, not_float_error
from bert_tf2.errors import InputError
from bert_tf2.io import file_system

_SCOPES = 2  # LAYER and MODEL
_FLOATS = ("float32", "float16")
_WEIGHTS = {"kernel": "weight", "gamma": "weight", "embeddings": "weight", "beta": "bias"}
_ATTENTION_OUTPUT = ".attention.output."


def open_h5(path: str | os.PathLike[str]) -> Arrays:
    """The arrays of a `tf_model.h5` by their names in PyTorch, in PyTorch's shapes; each is read on demand.

    Raises:
      InputError: the file cannot be read, is corrupt, links to another file, or has two different arrays of one name.
    """
    import h5py

    path = os.fspath(path)
    local = local_weights(path)
    keys: dict[str, list[str]] = {}
    arrays: Arrays = {}

    def visit(key: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not key.startswith("optimizer_weights/"):
            if item.external or item.is_virtual:
                raise InputError(
                    f"{key} in {path} is a link to another file, which is not followed; download the model again."
                )
            name, is_kernel = _pytorch_name(key)
            keys.setdefault(name, []).append(key)
            arrays.setdefault(name, _stored_array(path, key, name, is_kernel, item))

    try:
        with h5py.File(local, "r") as file:
            file.visititems(visit)
    except InputError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise _unreadable(path, error) from None
    for first, *copies in keys.values():  # a masked-LM head has a copy of the word embeddings
        for copy in copies:
            if not np.array_equal(_read(path, first), _read(path, copy)):
                raise InputError(f"{path} holds {first} and {copy}, which should be equal; download the file again.")
    return arrays


def _pytorch_name(key: str) -> tuple[str, bool]:
    """A variable's name in PyTorch, and whether it is a kernel `[inputs, outputs]`, which PyTorch has transposed.

    In the TensorFlow names, `A___B` stands for B, and `_._` separates two levels.
    """
    levels = key.removesuffix(":0").split("/")[_SCOPES:]
    levels = [part for level in levels for part in level.rpartition("___")[2].split("_._")]
    *scopes, last = levels or [key]
    return ".".join([*scopes, _WEIGHTS.get(last, last)]), last == "kernel"


def _stored_array(path: str, key: str, name: str, is_kernel: bool, dataset: Any) -> StoredArray:
    def matrix(array: NDArray[Any]) -> NDArray[Any]:
        """The array in PyTorch's shape: kernels transposed, the axis of the attention heads merged (some releases)."""
        if is_kernel and array.ndim > 1:
            heads_are_inputs = _ATTENTION_OUTPUT in name
            array = array.reshape((-1, array.shape[-1]) if heads_are_inputs else (array.shape[0], -1))
            return array.T
        return array.reshape(-1) if name.endswith(".bias") else array

    def read() -> NDArray[Any]:
        if dtype not in _FLOATS:
            raise not_float_error(f"{key} ({dtype}) in {path}")
        return matrix(_read(path, key))

    dtype = str(dataset.dtype)
    return StoredArray(path, matrix(np.broadcast_to(np.int8(0), dataset.shape)).shape, dtype, read)


def _read(path: str, key: str) -> NDArray[Any]:
    import h5py

    try:
        with h5py.File(file_system.local_copy(path), "r") as file:
            return np.asarray(file[key])
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: str, error: Exception) -> InputError:
    line = re.sub(r"\s+", " ", str(error))[:200]
    return InputError(f"{path} is not an HDF5 file of weights, or is corrupt or truncated ({line}); download it again.")
