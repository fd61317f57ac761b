"""Standard output whose reader may be gone, as after `| head`."""

import os
import sys


def show(text: str) -> None:
    """Prints a text; does nothing if nobody reads it any more."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        discard()


def discard() -> None:
    """Discards what is still to be written, so that Python's flush at exit does not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
