"""Counts how much of files is read."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bert_tf2.io import files


class _Counting:
    """A file whose reads are counted."""

    def __init__(self, file: Any, path: str, counts: Counter[str]) -> None:
        self._file, self._path, self._counts = file, path, counts

    def read(self, *size: int) -> bytes:
        content: bytes = self._file.read(*size)
        self._counts[self._path] += len(content)
        return content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The number of bytes that are read through `files.open_bytes` from now on, by file name."""
    counts = Counter[str]()
    plain = files.open_bytes

    @contextmanager
    def open_bytes(path: Any) -> Iterator[Any]:
        with plain(path) as file:
            yield _Counting(file, Path(path).name, counts)

    monkeypatch.setattr(files, "open_bytes", open_bytes)
    return counts
