"""A full disk."""

import resource
from collections.abc import Callable
from pathlib import Path

import pytest


def expect_full_disk(path: Path, limit: int, write: Callable[[], None], match: str = "cannot be written") -> None:
    """Checks that `write` fails if files are limited to `limit` bytes: the error names `path`, and no file remains."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, unlimited[1]))
        with pytest.raises(OSError, match=match) as caught:
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert caught.value.filename == str(path)
    assert "File too large" in caught.value.strerror
    assert not path.exists()
    assert not list(path.parent.glob("*unfinished*"))
