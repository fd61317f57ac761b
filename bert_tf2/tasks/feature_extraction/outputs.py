"""Vectors as files: the original's JSON Lines, NumPy's npy and npz, Parquet.

Shapes: `N` lines, `U` units (tokens or words) of all of them, `D` size of a vector.
"""

import dataclasses
import importlib.util
import itertools
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, Protocol

import numpy as np

from bert_tf2.errors import InputError
from bert_tf2.io import atomic, file_system
from bert_tf2.io.json_floats import rows_as_text
from bert_tf2.io.resumable_output import UnfinishedOutput
from bert_tf2.tasks.feature_extraction import words
from bert_tf2.tasks.feature_extraction.config import PIECE, WORD
from bert_tf2.tasks.feature_extraction.data import Array, Sequences

_TEXT = "lines.jsonl"
_ARRAYS = {"values.npy": "float32", "row_splits.npy": "int64", "input_ids.npy": "int32", "offsets.npy": "int32"}
_WORDS = "words.txt"  # one per line
_WHOLE = "whole"
_IDS_AT_ONCE = 1 << 16
_HEADER_BYTES = 128  # of an npy file as written here: enough for any number of rows
_ROW_GROUP_BYTES = 1 << 26  # of a Parquet file


def check_format(output_format: str, of_tokens: bool) -> None:
    """Checks that the vectors can be written in a format.

    Args:
      output_format: one of `FORMATS`.
      of_tokens: whether there is a vector for each token or word rather than for each line.

    Raises:
      InputError: npy for the vectors of tokens, or Parquet without pyarrow.
    """
    if output_format == "npy" and of_tokens:
        raise InputError(
            "--output_format=npy holds one vector a line: give --pooling (without --unit), or --output_format=npz or "
            "parquet for the vectors of all pieces or words."
        )
    if output_format == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise InputError(
            "--output_format=parquet needs pyarrow, which is not installed: python -m pip install 'bert-tf2[features]'."
        )


@dataclasses.dataclass(frozen=True)
class Units:
    """What the vectors belong to: the tokens or the words of lines.

    Attributes:
      row_splits: int64 [N + 1]; the units of line `i` are `row_splits[i]` to `row_splits[i + 1]` of all.
      input_ids: int32 [U], the tokens; empty for words.
      words: U words; empty for tokens.
      offsets: int32 [U, 2], the start and end of each word in its line, in characters; empty for tokens.
    """

    row_splits: Array
    input_ids: Array
    words: Sequence[str]
    offsets: Array

    @classmethod
    def of(cls, sequences: Sequences) -> "Units":
        """The words of sequences if they have any, otherwise the tokens."""
        if sequences.words is None:
            return cls(sequences.row_splits, sequences.input_ids, (), np.empty((0, 2), np.int32))
        starts = words.starts(sequences.words)
        indices = sequences.words.of_tokens[starts]
        texts = [sequences.words.texts[index] for index in indices.tolist()]
        splits = np.searchsorted(starts, sequences.row_splits)
        return cls(splits, np.empty(0, np.int32), texts, sequences.words.offsets[indices])

    def __len__(self) -> int:
        """The number of lines."""
        return len(self.row_splits) - 1


class Vectors(Protocol):
    """An output for vectors."""

    def add(self, first: int, units: Units, values: Array) -> None:
        """Writes the vectors of some lines.

        Args:
          first: number of the first line, from 0.
          units: of the lines.
          values: their vectors, float32, [U, D] or [N, D].

        Raises:
          OSError: the vectors cannot be written.
        """

    def finish(self) -> None:
        """Completes the output.

        Raises:
          OSError: the output cannot be written.
        """


class JsonLines:
    """Formats vectors as JSON Lines like those of the original; one object per line of the input.

    Args:
      pieces: by id, empty for words; None if there is one vector per line.
      layers: the numbers of the layers that are listed separately for each unit; empty if they are combined.
    """

    def __init__(self, pieces: dict[int, str] | None, layers: Sequence[int]) -> None:
        self._tokens = None if pieces is None else {index: json.dumps(text).encode() for index, text in pieces.items()}
        self._openings = [f'{{"index": {layer}, "values": ['.encode() for layer in layers]

    def lines(self, first: int, units: Units, values: Array) -> Iterator[bytes]:
        """Yields the lines, each with its line end; the arguments are those of `Vectors.add`."""
        for row in range(len(units)):
            opening = f'{{"linex_index": {first + row}, '.encode()
            if self._tokens is None:
                yield b'%b"values": [%b]}\n' % (opening, rows_as_text(values[row : row + 1])[0])
                continue
            span = slice(*units.row_splits[row : row + 2].tolist())
            tokens = [self._tokens[index] for index in units.input_ids[span].tolist()]
            tokens += [json.dumps(word).encode() for word in units.words[span]]
            yield b'%b"features": [%b]}\n' % (opening, b", ".join(self._features(tokens, values[span])))

    def _features(self, tokens: list[bytes], values: Array) -> Iterator[bytes]:
        """Yields the objects of the tokens, each a JSON string; `values` has their vectors."""
        layers = len(self._openings)
        if not tokens:
            return
        if not layers:
            for token, text in zip(tokens, rows_as_text(values), strict=True):
                yield b'{"token": %b, "values": [%b]}' % (token, text)
            return
        texts = rows_as_text(values.reshape(len(tokens) * layers, -1))
        for position, token in enumerate(tokens):
            token_texts = texts[position * layers : (position + 1) * layers]
            objects = [opening + text + b"]}" for opening, text in zip(self._openings, token_texts, strict=True)]
            yield b'{"token": %b, "layers": [%b]}' % (token, b", ".join(objects))


class JsonStream:
    """Writes JSON Lines to an open file, such as standard output.

    Args:
      formatter: of the lines.
      file: to write to.
    """

    def __init__(self, formatter: JsonLines, file: IO[bytes]) -> None:
        self._formatter, self._file = formatter, file

    def add(self, first: int, units: Units, values: Array) -> None:
        """See `Vectors`; raises `BrokenPipeError` if the reader is gone."""
        for line in self._formatter.lines(first, units, values):
            self._file.write(line)
        self._file.flush()

    def finish(self) -> None:
        """See `Vectors`."""


class JsonFile:
    """Writes JSON Lines to a file.

    Args:
      formatter: of the lines.
      output: the file, opened with the names of `file_names`.
    """

    def __init__(self, formatter: JsonLines, output: UnfinishedOutput) -> None:
        self._formatter, self._output = formatter, output

    def add(self, first: int, units: Units, values: Array) -> None:
        """See `Vectors`."""
        for line in self._formatter.lines(first, units, values):
            self._output.append(_TEXT, line)

    def finish(self) -> None:
        """See `Vectors`."""
        self._output.finish(_TEXT)


class ArrayFile:
    """Writes npy, npz or Parquet.

    The vectors are collected in growing npy files, from which npz and Parquet files are created at the end.

    Args:
      output_format: "npy", "npz" or "parquet".
      output: the file.
      names: the result of `file_names` that the output was opened with.
      size: `D`.
      pieces: by id; None unless the vectors are those of tokens.
      metadata: `layers`, their numbers, and `combine`, unless they are concatenated.
    """

    def __init__(
        self,
        output_format: str,
        output: UnfinishedOutput,
        names: Sequence[str],
        size: int,
        pieces: dict[int, str] | None,
        metadata: Mapping[str, Any],
    ) -> None:
        self._format, self._output, self._names = output_format, output, names
        self._size, self._pieces, self._metadata = size, pieces, metadata
        for name in self._names:
            if name in _ARRAYS and output.is_empty(name):
                output.append(name, bytes(_HEADER_BYTES))
                if name == "row_splits.npy":
                    output.append(name, np.zeros(1, np.int64).tobytes())
        self._units = int(output.done.get("units", 0))

    def add(self, first: int, units: Units, values: Array) -> None:
        """See `Vectors`."""
        contents: dict[str, Callable[[], bytes | memoryview]] = {
            "values.npy": lambda: values.data,
            "row_splits.npy": lambda: (units.row_splits[1:] + self._units).tobytes(),
            "input_ids.npy": units.input_ids.tobytes,
            "offsets.npy": units.offsets.tobytes,
            _WORDS: lambda: "".join(f"{word}\n" for word in units.words).encode(),
        }
        for name in self._names:
            self._output.append(name, contents[name]())
        self._units += int(units.row_splits[-1])

    def finish(self) -> None:
        """See `Vectors`."""
        columns = {"values.npy": (self._size,), "offsets.npy": (2,)}
        for name in self._names:
            if name in _ARRAYS:
                _write_header(self._path(name), np.dtype(_ARRAYS[name]), columns.get(name, ()))
        if self._format == "npy":
            self._output.finish("values.npy")
            return
        with atomic.replacing(self._path(_WHOLE), "wb") as file:
            if self._format == "npz":
                self._write_npz(file)
            else:
                self._write_parquet(file)
        self._output.finish(_WHOLE)

    def _path(self, name: str) -> str:
        return os.path.join(self._output.directory, name)

    def _numbers(self, vectors: slice) -> Array:
        """The numbers of some vectors, float32 [vectors * D]; not memory-mapped, to keep resident memory small."""
        first, count = vectors.start * self._size, (vectors.stop - vectors.start) * self._size
        return np.fromfile(self._path("values.npy"), np.float32, count, offset=_HEADER_BYTES + 4 * first)

    def _write_npz(self, file: IO[bytes]) -> None:
        small = {"layers.npy": np.array(self._metadata["layers"], np.int32)}
        if "combine" in self._metadata:
            small["combine.npy"] = np.array(self._metadata["combine"])
        if self._pieces is not None:
            small["pieces.npy"] = np.array([self._pieces.get(index, "") for index in range(max(self._pieces) + 1)])
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in small.items():
                with archive.open(name, "w") as member:
                    np.save(member, array)
            for name in self._names:
                with (
                    file_system.open(self._path(name), "rb") as source,
                    archive.open(name, "w", force_zip64=True) as member,
                ):
                    shutil.copyfileobj(source, member, 1 << 20)

    def _write_parquet(self, file: IO[bytes]) -> None:
        import pyarrow
        from pyarrow import parquet

        vector = pyarrow.list_(pyarrow.float32(), self._size)
        columns = [("linex_index", pyarrow.int64()), ("values", vector)]
        if "row_splits.npy" in self._names:
            columns[1:] = [("tokens", pyarrow.list_(pyarrow.string())), ("values", pyarrow.list_(vector))]
        metadata = {**self._metadata, "layers": ",".join(map(str, self._metadata["layers"]))}
        schema = pyarrow.schema(columns, metadata=metadata)
        arrays = {name: np.load(self._path(name), mmap_mode="r") for name in self._names if name in _ARRAYS}
        count, splits = len(arrays["values.npy"]), arrays.get("row_splits.npy")
        texts = self._texts(arrays)
        # The numbers hardly ever repeat, so that dictionaries of them would only cost time.
        with parquet.ParquetWriter(file, schema, use_dictionary=["tokens.list.element"]) as writer:
            limit = max(1, _ROW_GROUP_BYTES // (4 * self._size))
            for first, end in _equal_ranges(count, limit) if splits is None else ranges(splits, limit):
                span = slice(first, end) if splits is None else slice(int(splits[first]), int(splits[end]))
                vectors: Any = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(self._numbers(span)), self._size)
                table = {"linex_index": np.arange(first, end), "values": vectors}
                if splits is not None:
                    offsets = pyarrow.array((splits[first : end + 1] - splits[first]).astype(np.int32))
                    names = pyarrow.array(itertools.islice(texts, span.stop - span.start), pyarrow.string())
                    table["tokens"] = pyarrow.ListArray.from_arrays(offsets, names)
                    table["values"] = pyarrow.ListArray.from_arrays(offsets, vectors)
                writer.write_table(pyarrow.table([table[name] for name in schema.names], schema=schema))

    def _texts(self, arrays: Mapping[str, Array]) -> Iterator[str]:
        """The tokens or words of all lines, in order."""
        if _WORDS in self._names:
            with file_system.open(self._path(_WORDS), "rb") as file:
                yield from (line.removesuffix(b"\n").decode() for line in file)
        elif self._pieces is not None:
            ids = arrays["input_ids.npy"]
            for first in range(0, len(ids), _IDS_AT_ONCE):
                yield from map(self._pieces.__getitem__, ids[first : first + _IDS_AT_ONCE].tolist())


def file_names(output_format: str, unit: str | None) -> tuple[str, ...]:
    """The names of the growing files that an output is created from.

    Args:
      output_format: one of `FORMATS`.
      unit: one of `UNITS`; None if there is one vector for each line.
    """
    if output_format == "json":
        return (_TEXT,)
    word_files = {"npz": "offsets.npy", "parquet": _WORDS}
    unit_files = {PIECE: "input_ids.npy", WORD: word_files.get(output_format, "")}
    return ("values.npy", "row_splits.npy", unit_files[unit]) if unit else ("values.npy",)


def _write_header(path: str, dtype: np.dtype[Any], columns: tuple[int, ...]) -> None:
    """Writes the header of a growing npy file, which completes it (format 1.0 of numpy.lib.format)."""
    rows = (file_system.getsize(path) - _HEADER_BYTES) // (dtype.itemsize * int(np.prod(columns, dtype=np.int64)))
    header = repr({"descr": dtype.str, "fortran_order": False, "shape": (rows, *columns)})
    start = b"\x93NUMPY\x01\x00" + (_HEADER_BYTES - 10).to_bytes(2, "little")
    with file_system.open(path, "r+b") as file:
        file.write(start + header.encode().ljust(_HEADER_BYTES - 11) + b"\n")


def ranges(splits: Array, max_vectors: int) -> Iterator[tuple[int, int]]:
    """Yields ranges of lines with up to `max_vectors` vectors each, or of one line that has more.

    Args:
      splits: int64 [N + 1]; the vectors of line `i` are `splits[i]` to `splits[i + 1]`.
      max_vectors: of a range.
    """
    first, last = 0, len(splits) - 1
    while first < last:
        end = int(np.searchsorted(splits, splits[first] + max_vectors, side="right")) - 1
        end = max(end, first + 1)
        yield first, end
        first = end


def _equal_ranges(count: int, size: int) -> Iterator[tuple[int, int]]:
    return ((first, min(first + size, count)) for first in range(0, count, size))
