"""Suppresses what C++ code writes to standard error, bypassing Python's `sys.stderr`."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Suppresses what the `with` block writes to standard error, unless it raises: then it is shown."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as text:
        os.dup2(text.fileno(), 2)
        try:
            yield
        except BaseException:
            text.seek(0)
            os.write(stderr, text.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
