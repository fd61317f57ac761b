"""`tf_model.h5`: the weights that the TensorFlow classes of transformers (`TFBertModel`, ...) saved, until release 4.

They are Keras's HDF5 files of weights: `LAYER/MODEL/NAME:0`, where LAYER is a layer of the model and MODEL/NAME the
variable's name. transformers' convention makes the name in PyTorch of it, under which `huggingface.Folder` knows it.
"""

import os
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2.checkpoints.safetensors import Arrays, Stored, not_of_floats
from bert_tf2.errors import InputError
from bert_tf2.io import file_system

_SCOPES = 2  # LAYER and MODEL
_FLOATS = ("float32", "float16")
_WEIGHTS = {"kernel": "weight", "gamma": "weight", "embeddings": "weight", "beta": "bias"}
_ATTENTION_OUTPUT = ".attention.output."


def open_h5(path: str | os.PathLike[str]) -> Arrays:
    """The arrays of a `tf_model.h5` by their names in PyTorch, in PyTorch's shapes; each is read on demand.

    Raises:
      InputError: the file cannot be read, is corrupt, links to another one, or has two different arrays of one name.
    """
    import h5py

    path = os.fspath(path)
    places: dict[str, list[str]] = {}
    arrays: Arrays = {}

    def place(place: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not place.startswith("optimizer_weights/"):
            if item.external or item.is_virtual:
                raise InputError(
                    f"{place} in {path} is a link to another file, which is not followed; download the model again."
                )
            name, is_kernel = _pytorch_name(place)
            places.setdefault(name, []).append(place)
            arrays.setdefault(name, _stored(path, place, name, is_kernel, item))

    try:
        with h5py.File(file_system.local_copy(path), "r") as file:
            file.visititems(place)
    except InputError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise _unreadable(path, error) from None
    for first, *copies in places.values():  # a masked-LM head has the word embeddings once more
        for copy in copies:
            if not np.array_equal(_read(path, first), _read(path, copy)):
                raise InputError(f"{path} holds {first} and {copy}, which should be equal; download the file again.")
    return arrays


def _pytorch_name(place: str) -> tuple[str, bool]:
    """A variable's name in PyTorch, and whether it is a kernel `[inputs, outputs]`, which is transposed there.

    In a name of TensorFlow `A___B` stands for B, and `_._` for one more level.
    """
    levels = place.removesuffix(":0").split("/")[_SCOPES:]
    levels = [part for level in levels for part in level.rpartition("___")[2].split("_._")]
    *scopes, last = levels or [place]
    return ".".join([*scopes, _WEIGHTS.get(last, last)]), last == "kernel"


def _stored(path: str, place: str, name: str, is_kernel: bool, dataset: Any) -> Stored:
    def matrix(array: NDArray[Any]) -> NDArray[Any]:
        """Without the dimension of the heads, which some releases had; transposed if it is a kernel."""
        if is_kernel and array.ndim > 1:
            joins_first = _ATTENTION_OUTPUT in name
            array = array.reshape((-1, array.shape[-1]) if joins_first else (array.shape[0], -1))
            return array.T
        return array.reshape(-1) if name.endswith(".bias") else array

    def read() -> NDArray[Any]:
        if dtype not in _FLOATS:
            raise not_of_floats(f"{place} ({dtype}) in {path}")
        return matrix(_read(path, place))

    dtype = str(dataset.dtype)
    return Stored(path, matrix(np.broadcast_to(np.int8(0), dataset.shape)).shape, dtype, read)


def _read(path: str, place: str) -> NDArray[Any]:
    import h5py

    try:
        with h5py.File(file_system.local_copy(path), "r") as file:
            return np.asarray(file[place])
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: str, error: Exception) -> InputError:
    line = re.sub(r"\s+", " ", str(error))[:200]
    return InputError(f"{path} is not an HDF5 file of weights, or is corrupt or truncated ({line}); download it again.")
