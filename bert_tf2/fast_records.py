"""Many records at once: the bytes of `records.Schema.encode` and of TensorFlow's writer, made by compiled code.

Nothing here is of one task; names, shapes and types come from the schema. TensorFlow is not needed. Where Numba does
not work, it writes the same records, one by one, after a warning.
"""

import gzip
import io
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bert_tf2.compilation import kernel
from bert_tf2.configs.choices import Compression
from bert_tf2.records import RecordWriter, Schema, open_records

_GZIP_LEVEL = 6  # gzip's own choice


class BlockWriter:
    """`records.RecordWriter` for blocks of records: as there, the files appear together when all is written.

    Args:
      paths: the files, no two the same; records are dealt over them in turn.
      schema: what the records are.
      compression: `"gzip"` writes what gunzip turns into the plain file; the same records give the same bytes.

    Attributes:
      encoder: makes the bytes; None where Numba does not work.

    Raises:
      OSError: a file cannot be written; names the file.
    """

    def __init__(self, paths: Sequence[str], schema: Schema, compression: Compression = "none") -> None:
        self._schema = schema
        self.encoder = Encoder(schema) if kernel("bert_tf2.record_kernel") else None
        if self.encoder is None:
            self._writer = RecordWriter(paths, lambda path: open_records(path, compression))
        else:
            self._writer = RecordWriter(paths, _Gzip if compression == "gzip" else _open)

    @property
    def counts(self) -> list[int]:
        """Records written so far, for each file."""
        return self._writer.counts

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)

    def write(self, columns: Mapping[str, Any]) -> None:
        """Appends a block of B records; some thousands are a good size.

        Args:
          columns: for each feature, and for nothing else, an array [B, *shape].

        Raises:
          ValueError: a name, shape or type does not fit, or an integer does not fit into int32.
        """
        if self.encoder is not None:
            self.write_values(self.encoder.values(columns))
            return
        arrays = self._schema.checked(columns, _rows(columns))
        for row in zip(*arrays.values(), strict=True):
            self._writer.write(self._schema.encode(dict(zip(arrays, row, strict=True))))

    def write_values(self, values: NDArray[np.int32]) -> None:
        """Appends a block of B records that are rows for the encoder already: int32 [B, `encoder.width`].

        Raises:
          ValueError: there is no encoder.
        """
        if self.encoder is None:
            raise ValueError("Without Numba there is no encoder; write takes columns in any case.")
        files = len(self.counts)
        turn = self._writer.turn
        for first in range(min(files, len(values))):
            content, count = self.encoder.encode(values, first, files)
            self._writer.append((turn + first) % files, content, count)


class Encoder:
    """Encodes records of a schema in bulk; needs Numba.

    Args:
      schema: what the records are.

    Attributes:
      places: where in a row of values each feature begins.
      width: values of a row.
    """

    def __init__(self, schema: Schema) -> None:
        from bert_tf2 import record_kernel

        self._kernel = record_kernel
        self._schema = schema
        # Protobuf sorts entries by name, and puts a name behind those that go on from it; no UTF-8 has the byte ff.
        self._features = sorted(schema.features, key=lambda feature: feature.name.encode() + b"\xff")
        self._layout = record_kernel.layout(
            [feature.name.encode() for feature in self._features],
            [feature.size for feature in self._features],
            [feature.kind == "float" for feature in self._features],
        )
        splits = self._layout.splits.tolist()
        self.places = {feature.name: place for feature, place in zip(self._features, splits[:-1], strict=True)}
        self.width: int = splits[-1]
        self._out = np.empty(0, np.uint8)

    def values(self, columns: Mapping[str, Any]) -> NDArray[np.int32]:
        """All features of B records in one array.

        Args:
          columns: for each feature, and for nothing else, an array [B, *shape].

        Returns:
          int32 [B, width], floats as their bits.

        Raises:
          ValueError: a name, shape or type does not fit, or an integer does not fit into int32.
        """
        rows = _rows(columns)
        arrays = self._schema.checked(columns, rows)
        values = np.empty((rows, self.width), np.int32)
        for feature in self._features:
            start = self.places[feature.name]
            target = values[:, start : start + feature.size]
            if feature.kind == "float":
                target = target.view(np.float32)
            target[:] = arrays[feature.name].reshape(rows, feature.size)
        return values

    def encode(self, values: NDArray[np.int32], first: int = 0, step: int = 1) -> tuple[memoryview, int]:
        """Records as a TFRecord file has them, one after the other.

        Args:
          values: from `values`.
          first: rows `first`, `first + step`, ... are encoded.
          step: see there.

        Returns:
          The bytes, valid until the next call, and the number of records.
        """
        count = len(range(first, len(values), step))
        room = count * self._kernel.bytes_at_most(self._layout)
        if room > self._out.size:
            self._out = np.empty(room, np.uint8)
        size = self._kernel.encode(values, self._layout, first, step, self._out)
        return self._out[:size].data, count


def _rows(columns: Mapping[str, Any]) -> int:
    return len(next(iter(columns.values()), ()))


def _open(path: str) -> io.BufferedIOBase:
    return open(path, "wb")


class _Gzip(gzip.GzipFile):
    """A gzip file without name and time in it, so that only its content decides on its bytes."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "wb")  # noqa: SIM115 (closed below)
        super().__init__("", "wb", _GZIP_LEVEL, self._file, mtime=0)

    def close(self) -> None:
        """Writes what is left."""
        try:
            super().close()
        finally:
            self._file.close()
