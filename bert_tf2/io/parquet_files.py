"""Opening and reading Parquet files, by pyarrow; no TensorFlow."""

import importlib.util
from collections.abc import Iterator, Sequence
from typing import Any

from bert_tf2.errors import InputError
from bert_tf2.io import file_system

_ROWS_AT_ONCE = 1024


def open_file(path: str) -> Any:
    """A `pyarrow.parquet.ParquetFile`, which is to be closed.

    Raises:
      InputError: pyarrow is not installed, or the file cannot be read.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise InputError(
            f"{path}: Parquet needs pyarrow, which is not installed: python -m pip install 'bert-tf2[features]'."
        )
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(file_system.local_copy(path))
    except (OSError, pyarrow.ArrowException) as error:
        raise _unreadable(path, error) from None


def batches(path: str, file: Any, columns: Sequence[str], row_groups: Sequence[int] | None = None) -> Iterator[Any]:
    """Some rows at a time, each time a `pyarrow.RecordBatch`.

    Args:
      path: of the file, for errors.
      file: what `open_file` gave.
      columns: their names.
      row_groups: their numbers; all by default.

    Raises:
      InputError: the file cannot be read.
    """
    import pyarrow

    try:
        yield from file.iter_batches(_ROWS_AT_ONCE, row_groups=row_groups, columns=columns)
    except (OSError, pyarrow.ArrowException) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: str, error: Exception) -> InputError:
    return InputError(f"Cannot read {path}: {str(error).splitlines()[0]:.200}.")
