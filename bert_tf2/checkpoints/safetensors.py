"""Files of named arrays: safetensors, and models in several files. PyTorch's own files: `torch_pickle`.

Reading is left to the package `safetensors`. Writing is not: its `save_file` makes a temporary file of its own, which
only the owner may read, and does not say whose disk is full; and its `save` holds all arrays in memory once more.
A file is the length of its header (8 bytes, little-endian), the header (a JSON object: type, shape and place of each
array), and the arrays one after the other: https://huggingface.co/docs/safetensors.
"""

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401 (gives NumPy bfloat16, which `safetensors` reads)
import numpy as np
import safetensors
from numpy.typing import NDArray

from bert_tf2.errors import InputError, counted
from bert_tf2.io import atomic, file_system, json_files

Arrays = dict[str, "Stored"]
_FLOATS = ("F32", "F16", "BF16")
_POINTER_OF_GIT_LFS = b"version "


class Stored:
    """An array in a file.

    Attributes:
      path: the file.
      shape: of the array.
      dtype: the file's name for the type of its elements.
    """

    def __init__(self, path: str, shape: tuple[int, ...], dtype: str, read: Callable[[], NDArray[Any]]) -> None:
        self.path, self.shape, self.dtype = path, shape, dtype
        self._read = read

    def read(self) -> NDArray[np.float32]:
        """The array in float32, which holds every float16 and bfloat16 exactly.

        Raises:
          InputError: its elements are neither float32 nor float16 nor bfloat16, or it cannot be read.
        """
        return self._read().astype(np.float32, copy=False)


def not_of_floats(what: str) -> InputError:
    """The error for an array, called `what`, whose elements are neither float32 nor float16 nor bfloat16."""
    return InputError(
        f"{what} does not hold 32-bit or 16-bit floating-point numbers; convert the model to float32 first."
    )


def open_safetensors(path: str | os.PathLike[str]) -> Arrays:
    """The arrays of a safetensors file; each is read from the disk when it is asked for.

    Raises:
      InputError: the file cannot be read, is not a safetensors file, or is truncated.
    """
    path = os.fspath(path)
    try:
        local = file_system.local_copy(path)
        with file_system.open(local, "rb") as file:
            start = file.read(len(_POINTER_OF_GIT_LFS))
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from None
    if start == _POINTER_OF_GIT_LFS:
        raise InputError(f"{path} is a Git LFS pointer, not the weights; fetch them with git lfs pull.")
    with _opened(path, local) as file:
        parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (it is not a dictionary)
        shapes = {name: (tuple(part.get_shape()), part.get_dtype()) for name, part in parts.items()}
        return {name: _stored(path, local, name, *described) for name, described in shapes.items()}


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


def _stored(path: str, local: str, name: str, shape: tuple[int, ...], dtype: str) -> Stored:
    def read() -> NDArray[Any]:
        if dtype not in _FLOATS:
            raise not_of_floats(f"{name} ({dtype}) in {path}")
        with _opened(path, local) as file:  # as long as it is open, what has been read counts as memory of this process
            return np.asarray(file.get_tensor(name))

    return Stored(path, shape, dtype, read)


def write_safetensors(path: str | os.PathLike[str], arrays: Mapping[str, NDArray[np.float32]]) -> None:
    """Writes a safetensors file: float32, sorted by name, marked as PyTorch's so that transformers takes it.

    Equal arrays give equal bytes.

    Raises:
      OSError: it cannot be written.
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


def open_parts(index: str | os.PathLike[str], open_file: Callable[[Path], Arrays]) -> Arrays:
    """The arrays of a model in several files, which `*.index.json` lists under `weight_map`.

    Args:
      index: the list.
      open_file: opens one of the files.

    Raises:
      InputError: the list cannot be understood, or a file or an array of it is missing.
    """
    index = file_system.path(index)
    places = json_files.get(json_files.read_object(index), "weight_map", dict, os.fspath(index))
    if places is None or not all(isinstance(file, str) for file in places.values()):
        raise InputError(f'{index} has no "weight_map" of names to files; download it again.')
    files: dict[str, Arrays] = {}
    arrays = {}
    for name, file in places.items():
        if file not in files:
            if os.path.basename(file) != file:
                raise InputError(
                    f"{index} names {file!r}, which is not a file in the same directory; download the model again."
                )
            if not (index.parent / file).is_file():
                raise InputError(
                    f"{index} names {file}, which is not in the same directory; download that part of the model, too."
                )
            files[file] = open_file(index.parent / file)
        if name not in files[file]:
            raise InputError(f"{index} says that {name} is in {file}, but it is not; download both again.")
        arrays[name] = files[file][name]
    return arrays
