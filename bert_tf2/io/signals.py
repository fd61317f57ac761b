"""Handles SIGTERM and Ctrl-C as a request to stop at the next suitable moment."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class StopRequest:
    """Whether the process was asked to stop.

    Attributes:
      signal_name: which signal asked, for example "SIGTERM"; None where none did.
    """

    def __init__(self) -> None:
        self.signal_name: str | None = None

    def __bool__(self) -> bool:
        return self.signal_name is not None


@contextlib.contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Inside, SIGTERM and SIGINT set the request; a second one acts as usual, so an impatient Ctrl-C ends the process.

    Outside of the main thread, which alone may handle signals, the request is never set.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def ask(number: int, frame: FrameType | None) -> None:
        request.signal_name = signal.Signals(number).name
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, ask)
    try:
        yield request
    finally:
        restore()
