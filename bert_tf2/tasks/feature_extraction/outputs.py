"""Vectors as files: the original's JSON Lines, NumPy's npy and npz, Parquet.

Shapes: `N` lines, `U` units (tokens or words) of all of them, `H` hidden, `L` layers, `D` numbers of a vector.
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
_WORDS = "words.txt"  # one on each line
_WHOLE = "whole"
_IDS_AT_ONCE = 1 << 16
_HEADER_BYTES = 128  # of an npy file here: room for any number of rows
_ROW_GROUP_BYTES = 1 << 26  # of a Parquet file


def check_format(output_format: str, of_tokens: bool) -> None:
    """Rejects formats that cannot be written.

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
        """The words of sequences that have them, otherwise the tokens."""
        known = sequences.words
        if known is None:
            return cls(sequences.row_splits, sequences.input_ids, (), np.empty((0, 2), np.int32))
        starts = words.starts(known)
        ids = known.of_tokens[starts]
        texts = [known.texts[index] for index in ids.tolist()]
        splits = np.searchsorted(starts, sequences.row_splits)
        return cls(splits, np.empty(0, np.int32), texts, known.offsets[ids])

    def __len__(self) -> int:
        """How many lines there are."""
        return len(self.row_splits) - 1


class Vectors(Protocol):
    """An output for vectors."""

    def add(self, first: int, units: Units, values: Array) -> None:
        """Writes the vectors of some lines.

        Args:
          first: number of the first line.
          units: of the lines.
          values: float32, [U, D] or [N, D].

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
      pieces: by id, empty for words; None if there is one vector per line.
      layers: the numbers of the layers that are listed separately for each unit; empty if they are not.
    """

    def __init__(self, pieces: dict[int, str] | None, layers: Sequence[int]) -> None:
        self._tokens = None if pieces is None else {index: json.dumps(text).encode() for index, text in pieces.items()}
        self._openings = [f'{{"index": {layer}, "values": ['.encode() for layer in layers]

    def lines(self, first: int, units: Units, values: Array) -> Iterator[bytes]:
        """The lines, each with its line end; arguments as those of `Vectors.add`."""
        for row in range(len(units)):
            start = f'{{"linex_index": {first + row}, '.encode()
            if self._tokens is None:
                yield b'%b"values": [%b]}\n' % (start, rows_as_text(values[row : row + 1])[0])
                continue
            part = slice(*units.row_splits[row : row + 2].tolist())
            tokens = [self._tokens[index] for index in units.input_ids[part].tolist()]
            tokens += [json.dumps(word).encode() for word in units.words[part]]
            yield b'%b"features": [%b]}\n' % (start, b", ".join(self._of_tokens(tokens, values[part])))

    def _of_tokens(self, tokens: list[bytes], values: Array) -> Iterator[bytes]:
        layers = len(self._openings)
        if not tokens:
            return
        if not layers:
            for token, text in zip(tokens, rows_as_text(values), strict=True):
                yield b'{"token": %b, "values": [%b]}' % (token, text)
            return
        texts = rows_as_text(values.reshape(len(tokens) * layers, -1))
        for place, token in enumerate(tokens):
            numbers = texts[place * layers : (place + 1) * layers]
            parts = [opening + text + b"]}" for opening, text in zip(self._openings, numbers, strict=True)]
            yield b'{"token": %b, "layers": [%b]}' % (token, b", ".join(parts))


class JsonStream:
    """JSON Lines to an open file, as standard output is.

    Args:
      text: what the lines are.
      file: where they go.
    """

    def __init__(self, text: JsonLines, file: IO[bytes]) -> None:
        self._text, self._file = text, file

    def add(self, first: int, units: Units, values: Array) -> None:
        """See `Vectors`; a reader that has gone raises `BrokenPipeError`."""
        for line in self._text.lines(first, units, values):
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

    def add(self, first: int, units: Units, values: Array) -> None:
        """See `Vectors`."""
        for line in self._text.lines(first, units, values):
            self._output.append(_TEXT, line)

    def finish(self) -> None:
        """See `Vectors`."""
        self._output.finish(_TEXT)


class ArrayFile:
    """npy, npz or Parquet.

    Collected as npy files; what cannot grow from them (npz, Parquet) is made of them in the end.

    Args:
      output_format: one of `FORMATS`.
      output: the file.
      names: the result of `names_of`, with which the output was opened.
      size: `D`.
      pieces: by id; None unless the vectors are those of tokens.
      about: `layers`, their numbers, and `combine`, unless they are concatenated.
    """

    def __init__(
        self,
        output_format: str,
        output: UnfinishedOutput,
        names: Sequence[str],
        size: int,
        pieces: dict[int, str] | None,
        about: Mapping[str, Any],
    ) -> None:
        self._format, self._output, self._names = output_format, output, names
        self._size, self._pieces, self._about = size, pieces, about
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
        """Some vectors, float32 [numbers of all]; read, as what is mapped would count as memory of this process."""
        first, count = vectors.start * self._size, (vectors.stop - vectors.start) * self._size
        return np.fromfile(self._path("values.npy"), np.float32, count, offset=_HEADER_BYTES + 4 * first)

    def _write_npz(self, file: IO[bytes]) -> None:
        small = {"layers.npy": np.array(self._about["layers"], np.int32)}
        if "combine" in self._about:
            small["combine.npy"] = np.array(self._about["combine"])
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
        about = {**self._about, "layers": ",".join(map(str, self._about["layers"]))}
        schema = pyarrow.schema(columns, metadata=about)
        arrays = {name: np.load(self._path(name), mmap_mode="r") for name in self._names if name in _ARRAYS}
        count, splits = len(arrays["values.npy"]), arrays.get("row_splits.npy")
        texts = self._texts(arrays)
        # Numbers that hardly ever repeat: dictionaries of them would only take time.
        with parquet.ParquetWriter(file, schema, use_dictionary=["tokens.list.element"]) as writer:
            most = max(1, _ROW_GROUP_BYTES // (4 * self._size))
            for first, end in _equal_ranges(count, most) if splits is None else ranges(splits, most):
                part = slice(first, end) if splits is None else slice(int(splits[first]), int(splits[end]))
                vectors: Any = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(self._numbers(part)), self._size)
                table = {"linex_index": np.arange(first, end), "values": vectors}
                if splits is not None:
                    offsets = pyarrow.array((splits[first : end + 1] - splits[first]).astype(np.int32))
                    names = pyarrow.array(itertools.islice(texts, part.stop - part.start), pyarrow.string())
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


def names_of(output_format: str, unit: str | None) -> tuple[str, ...]:
    """The files that an output grows from.

    Args:
      output_format: one of `FORMATS`.
      unit: one of `UNITS`; None where there is one vector for each line.
    """
    if output_format == "json":
        return (_TEXT,)
    words_in = {"npz": "offsets.npy", "parquet": _WORDS}
    of_units = {PIECE: "input_ids.npy", WORD: words_in.get(output_format, "")}
    return ("values.npy", "row_splits.npy", of_units[unit]) if unit else ("values.npy",)


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
