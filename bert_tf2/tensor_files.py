"""Files of named arrays: safetensors, read and written, and PyTorch's, read without PyTorch (`pytorch_pickle`).

A safetensors file is the length of its header (8 bytes, little-endian), the header (a JSON object: type, shape and
place of each array), and the arrays behind each other: https://huggingface.co/docs/safetensors.
"""

import itertools
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bert_tf2 import json_files
from bert_tf2.errors import InputError
from bert_tf2.files import replacing

Arrays = dict[str, "Stored"]
# The types of safetensors: ours, where weights can be of them, and bytes of an element.
_SAFETENSORS_TYPES = {
    "F32": ("float32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    **{name: (None, int(name[1:]) // 8) for name in ("F64", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8")},
    "BOOL": (None, 1),
}
_MOST_HEADER_BYTES = 100_000_000


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
          InputError: its elements are neither float32 nor float16 nor bfloat16.
        """
        return self._read().astype(np.float32, copy=False)


def as_floats(content: Any, dtype: str | None, shape: tuple[int, ...], what: str) -> NDArray[Any]:
    """Little-endian bytes as an array.

    Args:
      content: the bytes.
      dtype: `float32`, `float16` or `bfloat16`.
      shape: of the result.
      what: how an error calls the array.
    """
    if dtype == "bfloat16":  # the upper half of a float32
        wide = np.frombuffer(content, "<u2").astype(np.uint32) << 16
        return wide.view(np.float32).reshape(shape)
    if dtype not in ("float32", "float16"):
        raise InputError(f"{what} is not of 32 or 16 bit floating-point numbers; convert the model to float32 first.")
    return np.frombuffer(content, np.dtype(dtype).newbyteorder("<")).reshape(shape)


def open_safetensors(path: str | os.PathLike[str]) -> Arrays:
    """The arrays of a safetensors file; each is read from the disk when it is asked for.

    Raises:
      InputError: the file cannot be read, is no safetensors file, or is cut short.
    """
    path = os.fspath(path)
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            header = file.read(min(length, _MOST_HEADER_BYTES))
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from None
    if start == b"version ":
        raise InputError(f"{path} is a pointer of Git LFS, not the weights; fetch them with git lfs pull.")
    try:
        if len(header) != length:
            raise ValueError
        entries = json_files.parse(header.decode("utf-8"), path)
        entries.pop("__metadata__", None)
        places = {name: _place(entry, 8 + length) for name, entry in entries.items()}
        _check_apart(places.values())
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InputError(
            f"{path} is not a safetensors file, or a damaged one: {size:,} bytes, and no header that fits them; "
            "get it again from where it came from."
        ) from None
    return {name: _stored(path, name, place, size) for name, place in places.items()}


class _Place(NamedTuple):
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def _place(entry: Mapping[str, Any], start: int) -> _Place:
    """Where an array is; raises `ValueError`, `TypeError` or `KeyError` where its entry makes no sense."""
    shape, (begin, end) = tuple(entry["shape"]), entry["data_offsets"]
    if any(type(number) is not int or number < 0 for number in (*shape, begin, end)):
        raise ValueError
    place = _Place(str(entry["dtype"]), shape, start + begin, start + end)
    _, width = _SAFETENSORS_TYPES.get(place.dtype, (None, None))
    if begin > end or (width and end - begin != math.prod(shape) * width):
        raise ValueError
    return place


def _check_apart(places: Iterable[_Place]) -> None:
    """Raises `ValueError` where arrays overlap."""
    ranges = sorted((place.begin, place.end) for place in places if place.begin < place.end)
    if any(end > begin for (_, end), (begin, _) in itertools.pairwise(ranges)):
        raise ValueError


def _stored(path: str, name: str, place: _Place, size: int) -> Stored:
    if place.end > size:
        raise InputError(
            f"{path} is cut short: {name} ends at byte {place.end:,}, the file at {size:,}; get it again from where it "
            "came from."
        )
    ours, _ = _SAFETENSORS_TYPES.get(place.dtype, (None, None))

    def read() -> NDArray[Any]:
        content = np.fromfile(path, np.uint8, place.end - place.begin, offset=place.begin)
        return as_floats(content, ours, place.shape, f"{name} ({place.dtype}) in {path}")

    return Stored(path, place.shape, place.dtype, read)


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
    with replacing(path, "wb") as file:
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
    index = Path(index)
    places = json_files.get(json_files.read_object(index), "weight_map", dict, os.fspath(index))
    if places is None or not all(isinstance(file, str) for file in places.values()):
        raise InputError(f'{index} has no "weight_map" of names to files; get it again.')
    files: dict[str, Arrays] = {}
    arrays = {}
    for name, file in places.items():
        if file not in files:
            if os.path.basename(file) != file:
                raise InputError(f"{index} names {file!r}, which is not a file beside it; get the model again.")
            if not (index.parent / file).is_file():
                raise InputError(f"{index} names {file}, which is not beside it; get that part of the model, too.")
            files[file] = open_file(index.parent / file)
        if name not in files[file]:
            raise InputError(f"{index} says that {name} is in {file}, but it is not; get both again.")
        arrays[name] = files[file][name]
    return arrays
