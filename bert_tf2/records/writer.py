"""Writes records in bulk with compiled code: the same bytes as `records.Schema.encode` and TensorFlow's writer.

Nothing here is specific to a task; names, shapes and types come from the schema. TensorFlow is not needed.

Before they are encoded, records are *rows of values*: int32 [B, `Schema.width`], each feature at its `Schema.slices`,
floats as their bits.
"""

import gzip
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from bert_tf2.configs.choices import Compression
from bert_tf2.io import file_system
from bert_tf2.numba_support import kernel
from bert_tf2.records.schema import RecordWriter, Schema

_GZIP_LEVEL = 6  # the default of the gzip command


class BlockWriter:
    """`records.RecordWriter` for blocks of records; here too, all files appear together when the `with` block ends.

    Args:
      paths: the files, all different; records are distributed over them round-robin.
      schema: of the records.
      compression: `"gzip"` writes gzip files, whose bytes depend on the records alone.

    Raises:
      OSError: a file cannot be written; names the file.
    """

    def __init__(self, paths: Sequence[str], schema: Schema, compression: Compression = "none") -> None:
        self._encoder = Encoder(schema)
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
          columns: for each feature, and nothing else, an array [B, *shape].

        Raises:
          ValueError: a name, shape or type does not fit, or an integer does not fit into int32.
        """
        self.write_rows(self._encoder.rows(columns))

    def write_rows(self, rows: NDArray[np.int32]) -> None:
        """Appends a block of B records that are already rows of values: int32 [B, `Schema.width`]."""
        files = len(self.counts)
        turn = self._writer.turn
        for first in range(min(files, len(rows))):
            content, count = self._encoder.encode(rows, first, files)
            self._writer.append((turn + first) % files, content, count)


class Encoder:
    """Encodes records of a schema in bulk.

    Args:
      schema: of the records.
    """

    def __init__(self, schema: Schema) -> None:
        self._kernel: Any = kernel("bert_tf2.records._tfrecord_numba")
        self._schema = schema
        kind_of = {feature.name: feature.kind for feature in schema.features}
        self._layout = self._kernel.layout(
            [name.encode() for name in schema.slices],
            [columns.stop - columns.start for columns in schema.slices.values()],
            [kind_of[name] == "float" for name in schema.slices],
        )
        self._out = np.empty(0, np.uint8)

    def rows(self, columns: Mapping[str, Any]) -> NDArray[np.int32]:
        """Converts B records into rows of values.

        Args:
          columns: for each feature, and nothing else, an array [B, *shape].

        Returns:
          int32 [B, `Schema.width`].

        Raises:
          ValueError: a name, shape or type does not fit, or an integer does not fit into int32.
        """
        count = len(next(iter(columns.values()), ()))
        arrays = self._schema.validate(columns, count)
        rows = np.empty((count, self._schema.width), np.int32)
        for feature in self._schema.features:
            target = rows[:, self._schema.slices[feature.name]]
            if feature.kind == "float":
                target = target.view(np.float32)
            target[:] = arrays[feature.name].reshape(count, feature.size)
        return rows

    def encode(self, rows: NDArray[np.int32], first: int = 0, step: int = 1) -> tuple[memoryview, int]:
        """Encodes records as a TFRecord file contains them, one after the other.

        Args:
          rows: int32 [B, `Schema.width`], the result of `rows` or created otherwise for the schema.
          first: the first row to encode; rows `first`, `first + step`, ... are encoded.
          step: the distance between rows to encode.

        Returns:
          The bytes, valid until the next call, and the number of records.
        """
        count = len(range(first, len(rows), step))
        capacity = count * self._kernel.max_record_bytes(self._layout)
        if capacity > self._out.size:
            self._out = np.empty(capacity, np.uint8)
        size = self._kernel.encode(rows, self._layout, first, step, self._out)
        return self._out[:size].data, count


def _open(path: str) -> IO[bytes]:
    return file_system.open(path, "wb")


class _Gzip(gzip.GzipFile):
    """A gzip file without a name or time in its header, so that its bytes depend on its content alone."""

    def __init__(self, path: str) -> None:
        self._file = file_system.open(path, "wb")
        super().__init__("", "wb", _GZIP_LEVEL, self._file, mtime=0)

    def close(self) -> None:
        """Writes the rest and closes the file."""
        try:
            super().close()
        finally:
            self._file.close()
