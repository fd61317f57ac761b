"""Files of named arrays: safetensors, and sharded models. For PyTorch's own format see `torch_pickle`.

Reading uses the package `safetensors`. Writing does not: its `save_file` creates a temporary file that only the owner
may read, and does not say which disk is full; its `save` holds a second copy of all arrays in memory.
A file consists of the length of its header (8 bytes, little-endian), the header (a JSON object: dtype, shape and
offsets of each array), and the arrays: https://huggingface.co/docs/safetensors.
"""

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401 (registers bfloat16 with NumPy, which `safetensors` needs to read it)
import numpy as np
import safetensors
from numpy.typing import NDArray

from bert_tf2.errors import InputError, counted
from bert_tf2.io import atomic, file_system, json_files

Arrays = dict[str, "StoredArray"]
_FLOATS = ("F32", "F16", "BF16")
_GIT_LFS_POINTER = b"version "


class StoredArray:
    """An array in a file, which is read on demand.

    Attributes:
      path: the file.
      shape: the shape of the array.
      dtype: the name of its dtype in the file.
    """

    def __init__(self, path: str, shape: tuple[int, ...], dtype: str, read: Callable[[], NDArray[Any]]) -> None:
        self.path, self.shape, self.dtype = path, shape, dtype
        self._read = read

    def read(self) -> NDArray[np.float32]:
        """Reads the array as float32, which represents every float16 and bfloat16 exactly.

        Raises:
          InputError: the array is neither float32 nor float16 nor bfloat16, or cannot be read.
        """
        return self._read().astype(np.float32, copy=False)


def not_float_error(array: str) -> InputError:
    """The error for an array that is neither float32 nor float16 nor bfloat16; `array` is its name in the message."""
    return InputError(
        f"{array} does not hold 32-bit or 16-bit floating-point numbers; convert the model to float32 first."
    )


def local_weights(path: str) -> str:
    """A local path to a file of weights in any format; see `file_system.local_copy`.

    Raises:
      InputError: the file cannot be read, or is a Git LFS pointer.
    """
    try:
        local = file_system.local_copy(path)
        with file_system.open(local, "rb") as file:
            start = file.read(len(_GIT_LFS_POINTER))
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from None
    if start == _GIT_LFS_POINTER:
        raise InputError(f"{path} is a Git LFS pointer, not the weights; fetch them with git lfs pull.")
    return local


def open_safetensors(path: str | os.PathLike[str]) -> Arrays:
    """The arrays of a safetensors file; each is read on demand.

    Raises:
      InputError: the file cannot be read, is not a safetensors file, or is truncated.
    """
    path = os.fspath(path)
    local = local_weights(path)
    with _opened(path, local) as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (it is not a dictionary)
        types = {name: (tuple(view.get_shape()), view.get_dtype()) for name, view in slices.items()}
        return {name: _stored_array(path, local, name, *shape_and_dtype) for name, shape_and_dtype in types.items()}


@contextlib.contextmanager
def _opened(path: str, local: str) -> Iterator[Any]:
    try:
        with safetensors.safe_open(local, framework="numpy") as file:
            yield file
    except (safetensors.SafetensorError, OSError) as error:
        reason = str(error).removeprefix("Error while deserializing header: ")
        raise InputError(
            f"{path} is not a safetensors file, or is corrupt or truncated "
            f"({counted(file_system.getsize(local), 'byte')}; {reason:.200}); download or copy it again."
        ) from None


def _stored_array(path: str, local: str, name: str, shape: tuple[int, ...], dtype: str) -> StoredArray:
    def read() -> NDArray[Any]:
        if dtype not in _FLOATS:
            raise not_float_error(f"{name} ({dtype}) in {path}")
        with _opened(path, local) as file:  # while it is open, all that was read counts as this process's memory
            return np.asarray(file.get_tensor(name))

    return StoredArray(path, shape, dtype, read)


def write_safetensors(path: str | os.PathLike[str], arrays: Mapping[str, NDArray[np.float32]]) -> None:
    """Writes a safetensors file: float32, sorted by name, with the metadata that transformers requires.

    Equal arrays give equal bytes.

    Raises:
      OSError: the file cannot be written.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name in sorted(arrays):
        shape = list(arrays[name].shape)
        end = offset + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)  # so that the arrays are aligned
    with atomic.replacing(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in sorted(arrays):
            file.write(np.ascontiguousarray(arrays[name], "<f4").data)


def open_sharded(index: str | os.PathLike[str], open_file: Callable[[Path], Arrays]) -> Arrays:
    """The arrays of a sharded model, whose `*.index.json` maps names to files under `weight_map`.

    Args:
      index: the path of `*.index.json`.
      open_file: opens a shard.

    Raises:
      InputError: the index is invalid, or a file or an array in it is missing.
    """
    index = file_system.path(index)
    weight_map = json_files.get(json_files.read_object(index), "weight_map", dict, os.fspath(index))
    if weight_map is None or not all(isinstance(file, str) for file in weight_map.values()):
        raise InputError(f'{index} has no "weight_map" of names to files; download it again.')
    shards: dict[str, Arrays] = {}
    arrays = {}
    for name, file in weight_map.items():
        if file not in shards:
            if os.path.basename(file) != file:
                raise InputError(
                    f"{index} names {file!r}, which is not a file in the same directory; download the model again."
                )
            if not (index.parent / file).is_file():
                raise InputError(
                    f"{index} names {file}, which is not in the same directory; download that part of the model, too."
                )
            shards[file] = open_file(index.parent / file)
        if name not in shards[file]:
            raise InputError(f"{index} says that {name} is in {file}, but it is not; download both again.")
        arrays[name] = shards[file][name]
    return arrays
