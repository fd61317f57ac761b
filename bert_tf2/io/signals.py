"""Handles SIGTERM and Ctrl-C as a request to stop at the next suitable moment."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class StopRequest:
    """Whether the process was asked to stop.

    Attributes:
      signal_name: the signal received, for example "SIGTERM"; None if there was none.
    """

    def __init__(self) -> None:
        self.signal_name: str | None = None

    def __bool__(self) -> bool:
        return self.signal_name is not None


@contextlib.contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Inside, SIGTERM or SIGINT sets the request; a second one acts as usual, so that Ctrl-C twice ends the process.

    Outside the main thread, which alone may handle signals, the request is never set.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, frame: FrameType | None) -> None:
        request.signal_name = signal.Signals(number).name
        restore()

    def restore() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    for number in handlers:
        signal.signal(number, handle)
    try:
        yield request
    finally:
        restore()
