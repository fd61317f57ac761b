"""What C++ code writes past Python's `sys.stderr`, held back."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Keeps what the `with` block writes to standard error from being shown, unless it fails."""
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
