"""Reads weights written by PyTorch's `torch.save`, without PyTorch and without executing code in the pickle.

Only what a dictionary of tensors needs is supported; anything else in the file is an error. There are two layouts: a
zip archive with `data.pkl` and a file for each storage (since PyTorch 1.6), and five pickles followed by the storages.
"""

import collections
import math
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bert_tf2.checkpoints.safetensors import Arrays, StoredArray, local_weights, not_float_error
from bert_tf2.errors import InputError
from bert_tf2.io import file_system

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
# PyTorch's storage classes -> dtype, bytes per element.
_STORAGES = {
    "FloatStorage": ("float32", 4),
    "HalfStorage": ("float16", 2),
    "BFloat16Storage": ("bfloat16", 2),
    "DoubleStorage": ("float64", 8),
    "LongStorage": ("int64", 8),
    "IntStorage": ("int32", 4),
    "ShortStorage": ("int16", 2),
    "CharStorage": ("int8", 1),
    "ByteStorage": ("uint8", 1),
    "BoolStorage": ("bool", 1),
}


class _Storage(NamedTuple):
    dtype: str
    width: int
    key: str
    elements: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensor(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_rest: Any) -> _Tensor:
    tensor = _Tensor(storage, offset, tuple(shape), tuple(strides))
    numbers = (offset, *tensor.shape, *tensor.strides)
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    if (
        not isinstance(storage, _Storage)
        or min(numbers) < 0
        or (0 not in shape and last >= storage.elements)
        or math.prod(shape) > storage.elements
    ):
        raise pickle.UnpicklingError("a tensor reaches beyond its storage")
    return tensor


_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *_rest: tensor,
    **{("torch", name): name for name in _STORAGES},
}


class _Unpickler(pickle.Unpickler):
    """Builds only dictionaries, numbers, strings and `_Tensor`."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, which is not a weight")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage, key, _location, elements, *view = pid
        if kind != "storage" or any(view):
            raise pickle.UnpicklingError("it refers to something other than a storage")
        return _Storage(*_STORAGES[storage], str(key), int(elements))


def open_pytorch(path: str | os.PathLike[str]) -> Arrays:
    """The tensors of a `pytorch_model.bin`, by name; each is read on demand.

    Raises:
      InputError: the file cannot be read, is corrupt, or is not a dictionary of tensors.
    """
    path = os.fspath(path)
    local = local_weights(path)
    try:
        tensors, read_storage = (_open_zip if zipfile.is_zipfile(local) else _open_legacy)(local)
        if not isinstance(tensors, dict):
            raise pickle.UnpicklingError(f"it holds a {type(tensors).__name__} instead of a dictionary of tensors")
        named = {str(name): tensor for name, tensor in tensors.items() if isinstance(tensor, _Tensor)}
        return {name: _stored_array(path, name, tensor, read_storage) for name, tensor in named.items()}
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from None
    except Exception as error:  # a corrupt pickle can fail in any way
        raise InputError(
            f"{path} cannot be read ({str(error) or type(error).__name__}). If it is intact, load it with PyTorch and "
            "save it again with save_pretrained, which writes model.safetensors."
        ) from None


def _open_zip(path: str) -> tuple[Any, Callable[[_Storage], bytes]]:
    with zipfile.ZipFile(path) as archive:
        prefixes = [name.removesuffix("data.pkl") for name in archive.namelist() if name.endswith("data.pkl")]
        if not prefixes:
            raise pickle.UnpicklingError("the archive has no data.pkl")
        prefix = prefixes[0]
        if f"{prefix}byteorder" in archive.namelist() and archive.read(f"{prefix}byteorder") != b"little":
            raise pickle.UnpicklingError("it was written on a big-endian machine")
        with archive.open(f"{prefix}data.pkl") as file:
            tensors = _Unpickler(file).load()

    def read_storage(storage: _Storage) -> bytes:
        with zipfile.ZipFile(path) as archive:
            name = f"{prefix}data/{storage.key}"
            # A corrupt file can claim any size, so a storage of another size is not read.
            return archive.read(name) if archive.getinfo(name).file_size == storage.elements * storage.width else b""

    return tensors, read_storage


def _open_legacy(path: str) -> tuple[Any, Callable[[_Storage], bytes]]:
    with file_system.open(path, "rb") as file:
        if _Unpickler(file).load() != _LEGACY_MAGIC:
            raise pickle.UnpicklingError("it was not written by torch.save")
        _Unpickler(file).load()  # version
        if not _Unpickler(file).load().get("little_endian", True):
            raise pickle.UnpicklingError("it was written on a big-endian machine")
        tensors = _Unpickler(file).load()
        keys = _Unpickler(file).load()
        widths = {tensor.storage.key: tensor.storage.width for tensor in tensors.values() if type(tensor) is _Tensor}
        offsets = {}
        for key in map(str, keys):
            (elements,) = struct.unpack("<q", file.read(8))
            offsets[key] = file.tell()
            file.seek(elements * widths[key], os.SEEK_CUR)

    def read_storage(storage: _Storage) -> bytes:
        with file_system.open(path, "rb") as file:
            offset, size = offsets[storage.key], storage.elements * storage.width
            if offset + size > file_system.getsize(path):
                return b""
            file.seek(offset)
            return file.read(size)

    return tensors, read_storage


def _stored_array(path: str, name: str, tensor: _Tensor, read_storage: Callable[[_Storage], bytes]) -> StoredArray:
    storage = tensor.storage

    def read() -> NDArray[Any]:
        try:
            content = read_storage(storage)
        except (OSError, KeyError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error):
            content = b""
        if len(content) != storage.elements * storage.width:
            raise InputError(f"{path} is corrupt or truncated at {name}; download or copy it again.")
        flat = _floats(content, storage.dtype, f"{name} ({storage.dtype}) in {path}")
        strides = [stride * flat.itemsize for stride in tensor.strides]
        if math.prod(tensor.shape) == 0:
            return np.zeros(tensor.shape, np.float32)
        return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides).copy()

    return StoredArray(path, tensor.shape, storage.dtype, read)


def _floats(content: bytes, dtype: str, name: str) -> NDArray[Any]:
    """Little-endian numbers as an array `[elements]`; `name` is what errors call them."""
    if dtype == "bfloat16":  # the upper half of a float32
        return (np.frombuffer(content, "<u2").astype(np.uint32) << 16).view(np.float32)
    if dtype not in ("float32", "float16"):
        raise not_float_error(name)
    return np.frombuffer(content, np.dtype(dtype).newbyteorder("<"))
