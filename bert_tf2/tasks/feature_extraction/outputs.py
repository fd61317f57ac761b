"""Vectors as files: the original's JSON Lines, NumPy's npy and npz, Parquet.

Shapes: `N` lines, `T` tokens of all of them, `H` hidden, `L` layers, `D` numbers of a vector: its layers one after the
other.
"""

import importlib.util
import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from typing import IO, Any, Protocol

import numpy as np

from bert_tf2.errors import InputError
from bert_tf2.io import atomic, file_system
from bert_tf2.io.json_floats import rows_as_text
from bert_tf2.io.resumable_output import UnfinishedOutput
from bert_tf2.tasks.feature_extraction.data import Array, Sequences

_TEXT = "lines.jsonl"
_ARRAYS = {"values.npy": "float32", "row_splits.npy": "int64", "input_ids.npy": "int32"}
_WHOLE = "whole"
_HEADER_BYTES = 128  # of an npy file here: room for any number of rows
_ROW_GROUP_BYTES = 1 << 26  # of a Parquet file


def check_format(output_format: str, of_tokens: bool) -> None:
    """Rejects formats that cannot be written.

    Raises:
      InputError: npy for the vectors of tokens, or Parquet without pyarrow.
    """
    if output_format == "npy" and of_tokens:
        raise InputError(
            "--output_format=npy holds one vector a line: give --pooling as well, or --output_format=npz or parquet "
            "for the vectors of all tokens."
        )
    if output_format == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise InputError(
            "--output_format=parquet needs pyarrow, which is not installed: python -m pip install 'bert-tf2[features]'."
        )


class Vectors(Protocol):
    """An output for vectors."""

    def add(self, first: int, sequences: Sequences, values: Array) -> None:
        """Writes the vectors of some lines.

        Args:
          first: number of the first line.
          sequences: the lines.
          values: float32, [T, D] or [N, D].

        Raises:
          OSError: they cannot be written.
        """

    def finish(self) -> None:
        """Completes the output.

        Raises:
          OSError: it cannot be written.
        """


class JsonLines:
    """The text of the original: an object a line; with one vector for each line, its numbers alone.

    Args:
      pieces: by id.
      layers: the numbers that the vectors of tokens are divided by, and called after; none where there is one vector
        for each line.
    """

    def __init__(self, pieces: dict[int, str], layers: Sequence[int]) -> None:
        self._tokens = {index: json.dumps(piece).encode() for index, piece in pieces.items()}
        self._openings = [f'{{"index": {layer}, "values": ['.encode() for layer in layers]

    def lines(self, first: int, sequences: Sequences, values: Array) -> Iterator[bytes]:
        """The lines, each with its line end; arguments as those of `Vectors.add`."""
        for row in range(len(sequences)):
            start = f'{{"linex_index": {first + row}, '.encode()
            if self._openings:
                part = slice(*sequences.row_splits[row : row + 2].tolist())
                tokens = self._of_tokens(sequences.input_ids[part].tolist(), values[part])
                yield b'%b"features": [%b]}\n' % (start, b", ".join(tokens))
            else:
                yield b'%b"values": [%b]}\n' % (start, rows_as_text(values[row : row + 1])[0])

    def _of_tokens(self, input_ids: list[int], values: Array) -> Iterator[bytes]:
        layers = len(self._openings)
        texts = rows_as_text(values.reshape(len(input_ids) * layers, -1))
        for place, token in enumerate(input_ids):
            numbers = texts[place * layers : (place + 1) * layers]
            parts = [opening + text + b"]}" for opening, text in zip(self._openings, numbers, strict=True)]
            yield b'{"token": %b, "layers": [%b]}' % (self._tokens[token], b", ".join(parts))


class JsonStream:
    """JSON Lines to an open file, as standard output is.

    Args:
      text: what the lines are.
      file: where they go.
    """

    def __init__(self, text: JsonLines, file: IO[bytes]) -> None:
        self._text, self._file = text, file

    def add(self, first: int, sequences: Sequences, values: Array) -> None:
        """See `Vectors`; a reader that has gone raises `BrokenPipeError`."""
        for line in self._text.lines(first, sequences, values):
            self._file.write(line)
        self._file.flush()

    def finish(self) -> None:
        """See `Vectors`."""


class JsonFile:
    """JSON Lines to a file.

    Args:
      text: what the lines are.
      output: the file, with the names of `names_of`.
    """

    def __init__(self, text: JsonLines, output: UnfinishedOutput) -> None:
        self._text, self._output = text, output

    def add(self, first: int, sequences: Sequences, values: Array) -> None:
        """See `Vectors`."""
        for line in self._text.lines(first, sequences, values):
            self._output.append(_TEXT, line)

    def finish(self) -> None:
        """See `Vectors`."""
        self._output.finish(_TEXT)


class ArrayFile:
    """npy, npz or Parquet.

    Collected as npy files; what cannot grow from them (npz, Parquet) is made of them in the end.

    Args:
      output_format: one of `FORMATS`.
      output: the file, with the names of `names_of`.
      size: `D`.
      pieces: by id; None where there is one vector for each line.
      layers: what the vectors are made of.
    """

    def __init__(
        self,
        output_format: str,
        output: UnfinishedOutput,
        size: int,
        pieces: dict[int, str] | None,
        layers: Sequence[int],
    ) -> None:
        self._format, self._output, self._size, self._pieces, self._layers = output_format, output, size, pieces, layers
        self._names = names_of(output_format, of_tokens=pieces is not None)
        for name in self._names:
            if output.is_empty(name):
                output.append(name, bytes(_HEADER_BYTES))
                if name == "row_splits.npy":
                    output.append(name, np.zeros(1, np.int64).tobytes())
        self._tokens = int(output.done.get("tokens", 0))

    def add(self, first: int, sequences: Sequences, values: Array) -> None:
        """See `Vectors`."""
        self._output.append("values.npy", values.data)
        if self._pieces is not None:
            self._output.append("row_splits.npy", (sequences.row_splits[1:] + self._tokens).tobytes())
            self._output.append("input_ids.npy", sequences.input_ids.tobytes())
        self._tokens += len(sequences.input_ids)

    def finish(self) -> None:
        """See `Vectors`."""
        for name in self._names:
            _write_header(self._path(name), np.dtype(_ARRAYS[name]), (self._size,) if name == "values.npy" else ())
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
        return os.path.join(self._output.folder, name)

    def _numbers(self, vectors: slice) -> Array:
        """Some vectors, float32 [numbers of all]; read, as what is mapped would count as memory of this process."""
        first, count = vectors.start * self._size, (vectors.stop - vectors.start) * self._size
        return np.fromfile(self._path("values.npy"), np.float32, count, offset=_HEADER_BYTES + 4 * first)

    def _write_npz(self, file: IO[bytes]) -> None:
        small = {"layers.npy": np.array(self._layers, np.int32)}
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
        if self._pieces is not None:
            columns[1:] = [("tokens", pyarrow.list_(pyarrow.string())), ("values", pyarrow.list_(vector))]
        schema = pyarrow.schema(columns, metadata={"layers": ",".join(map(str, self._layers))})
        arrays = {name: np.load(self._path(name), mmap_mode="r") for name in self._names}
        count, splits = len(arrays["values.npy"]), arrays.get("row_splits.npy")
        # Numbers that hardly ever repeat: dictionaries of them would only take time.
        with parquet.ParquetWriter(file, schema, use_dictionary=["tokens.list.element"]) as writer:
            most = max(1, _ROW_GROUP_BYTES // (4 * self._size))
            for first, end in _equal_ranges(count, most) if splits is None else ranges(splits, most):
                tokens = slice(first, end) if splits is None else slice(int(splits[first]), int(splits[end]))
                flat = self._numbers(tokens)
                found: Any = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(flat), self._size)
                table = {"linex_index": np.arange(first, end), "values": found}
                if self._pieces is not None and splits is not None:
                    offsets = pyarrow.array((splits[first : end + 1] - splits[first]).astype(np.int32))
                    names = pyarrow.array([self._pieces[index] for index in arrays["input_ids.npy"][tokens].tolist()])
                    table["tokens"] = pyarrow.ListArray.from_arrays(offsets, names.cast(pyarrow.string()))
                    table["values"] = pyarrow.ListArray.from_arrays(offsets, found)
                writer.write_table(pyarrow.table([table[name] for name in schema.names], schema=schema))


def names_of(output_format: str, of_tokens: bool) -> tuple[str, ...]:
    """The files that an output grows from."""
    if output_format == "json":
        return (_TEXT,)
    return tuple(_ARRAYS)[: None if of_tokens else 1]


def _write_header(path: str, dtype: np.dtype[Any], columns: tuple[int, ...]) -> None:
    """Makes a whole npy file of a growing one (format 1.0 of numpy.lib.format)."""
    rows = (file_system.getsize(path) - _HEADER_BYTES) // (dtype.itemsize * int(np.prod(columns, dtype=np.int64)))
    described = repr({"descr": dtype.str, "fortran_order": False, "shape": (rows, *columns)})
    start = b"\x93NUMPY\x01\x00" + (_HEADER_BYTES - 10).to_bytes(2, "little")
    with file_system.open(path, "r+b") as file:
        file.write(start + described.encode().ljust(_HEADER_BYTES - 11) + b"\n")


def ranges(splits: Array, most: int) -> Iterator[tuple[int, int]]:
    """Ranges of lines with up to `most` vectors each, or of one line that has more.

    Args:
      splits: int64 [N + 1], where the vectors of each line begin.
      most: vectors.
    """
    first, last = 0, len(splits) - 1
    while first < last:
        end = int(np.searchsorted(splits, splits[first] + most, side="right")) - 1
        end = max(end, first + 1)
        yield first, end
        first = end


def _equal_ranges(count: int, most: int) -> Iterator[tuple[int, int]]:
    return ((first, min(first + most, count)) for first in range(0, count, most))
