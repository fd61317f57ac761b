"""Opening and reading Parquet files, by pyarrow; no TensorFlow."""

import importlib.util
from collections.abc import Iterator, Sequence
from typing import Any

from bert_tf2.errors import InputError
from bert_tf2.io import file_system

_ROWS_AT_ONCE = 1024


def open_file(path: str) -> Any:
    """Opens a file as a `pyarrow.parquet.ParquetFile`, which the caller closes.

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


def batches(
    path: str, file: Any, columns: Sequence[str], row_groups: Sequence[int] | None = None
) -> Iterator[tuple[int, dict[str, list[Any]]]]:
    """Reads a file in batches of rows: the number of rows, and the values of each column by its name.

    Args:
      path: the path of the file, for errors.
      file: the result of `open_file`.
      columns: the names of the columns to read.
      row_groups: the indices of the row groups to read; all by default.

    Raises:
      InputError: the file cannot be read, or a value cannot be converted, such as a text that is not UTF-8.
    """
    import pyarrow

    try:
        for batch in file.iter_batches(_ROWS_AT_ONCE, row_groups=row_groups, columns=columns):
            values = [column.to_pylist() for column in batch.columns]
            yield batch.num_rows, dict(zip(batch.schema.names, values, strict=True))
    except (OSError, ValueError, OverflowError, pyarrow.ArrowException) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: str, error: Exception) -> InputError:
    reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    return InputError(f"Cannot read {path}: {reason:.200}.")
