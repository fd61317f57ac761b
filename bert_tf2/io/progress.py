"""Progress of long work: a bar on a terminal, otherwise an occasional log line."""

import contextlib
import logging
import math
import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from bert_tf2.errors import inflected, plural_of
from bert_tf2.io import progress_bar

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_TICKS = 1.0


class Progress:
    """Counts work done and shows its rate and the time left.

    Args:
      description: what is being done, a word or two.
      total: total amount of work, or None if unknown.
      unit: what is counted, for example `"step"`; `"byte"` is shown in megabytes.
      initial: work done by an earlier run, which does not count for the rate.
      preparing: what happens before the first `update`, for example `"compiling the model"`. A terminal shows this
        instead of a bar at 0 %. Neither the time up to the first `update` nor its amount is part of the rate.
      seconds_between_lines: how often a line is logged when standard error is not a terminal.
      shown: whether to show anything.
    """

    def __init__(
        self,
        description: str,
        total: int | None = None,
        *,
        unit: str = "it",
        initial: int = 0,
        preparing: str = "",
        seconds_between_lines: float = 30.0,
        shown: bool = True,
    ) -> None:
        self._description, self._total, self._unit = description, total, unit
        self._done = self._not_timed = initial
        self._preparing = preparing
        self._interval = seconds_between_lines if shown else math.inf
        self._start = self._last_line = time.monotonic()
        self._note = ""
        self._open, self._ticking = contextlib.ExitStack(), contextlib.ExitStack()
        self._bar: Any = None
        if shown and sys.stderr.isatty():
            from tqdm.contrib.logging import logging_redirect_tqdm

            self._bar = self._open.enter_context(_terminal_bar(self, total, initial))
            self._open.enter_context(logging_redirect_tqdm())
            self._open.enter_context(self._ticking)
            if preparing:
                self._ticking.enter_context(_ticking(self._bar))

    @property
    def is_on_terminal(self) -> bool:
        """Whether there is a bar; otherwise lines are logged, if anything is shown."""
        return self._bar is not None

    def update(self, amount: int = 1, note: str = "") -> None:
        """Adds `amount` to the work done; `note` is shown after the rate until the next one.

        On a narrow terminal, the parts of a note that are separated by `", "` are dropped one by one.
        """
        self._done += amount
        self._note = note or self._note
        if self._preparing:
            self._ticking.close()
            self._preparing, self._not_timed, self._start = "", self._done, time.monotonic()
        if self._bar is not None:
            self._bar.update(amount)
        elif time.monotonic() - self._last_line >= self._interval:
            self._last_line = time.monotonic()
            logger.info("%s", self.line())

    def leave_out(self, seconds: float) -> None:
        """Excludes time that will not be spent again, such as compilation, from the rate and the time left."""
        self._start += seconds

    def line(self) -> str:
        """The state as one line: work done, percentage, rate, time left, note."""
        rate = self._rate()
        parts = [f"{self._amount(self._done)} {self._units_of(self._done)}"]
        if self._total:
            total = f"{self._amount(self._total)} {self._units_of(self._total)}"
            parts[0] = f"{self._amount(self._done)} of {total} ({100 * self._done / self._total:.0f} %)"
        if rate > 0:
            parts.append(self._speed(rate))
            if self._total:
                parts.append(f"{duration((self._total - self._done) / rate)} left")
        if self._note:
            parts.append(self._note)
        return f"{self._description}: " + ", ".join(parts)

    def bar(self, width: int, *, is_ascii: bool = False) -> str:
        """The state as a line of a terminal.

        Args:
          width: columns.
          is_ascii: whether the terminal can only show ASCII.
        """
        if self._preparing:
            seconds = time.monotonic() - self._start
            waited = f"  {duration(seconds)}" if seconds >= 1 else ""
            text = f"{self._description}: {self._preparing}{'...' if is_ascii else '…'}{waited}"
            return progress_bar.shortened(text, width, is_ascii)
        rate = self._rate()
        counts = self._amount(self._done)
        state = progress_bar.State(
            description=self._description,
            fraction=self._done / self._total if self._total else None,
            counts=f"{counts}/{self._amount(self._total)}" if self._total else f"{counts} {self._units_of(self._done)}",
            speed=self._speed(rate) if rate > 0 else "",
            short_speed=f"{_digits(rate / self._scale)}/s" if rate > 0 else "",
            left=f"{_clock((self._total - self._done) / rate)} left" if self._total and rate > 0 else "",
            notes=tuple(self._note.split(", ")) if self._note else (),
        )
        return progress_bar.render(state, width, is_ascii=is_ascii)

    def _rate(self) -> float:
        """Units a second; 0 while it is not known."""
        seconds = time.monotonic() - self._start
        return (self._done - self._not_timed) / seconds if seconds > 0 else 0.0

    @property
    def _scale(self) -> float:
        return 1e6 if self._unit == "byte" else 1.0

    def _units_of(self, number: float) -> str:
        return "MB" if self._unit == "byte" else inflected(number, self._unit, plural_of(self._unit))

    def _amount(self, number: float) -> str:
        return f"{number / 1e6:,.1f}" if self._unit == "byte" else f"{number:,}"

    def _speed(self, rate: float) -> str:
        if rate < 0.1:
            return f"{_digits(1 / rate)} s/{self._unit}"
        return f"{_digits(rate / self._scale)} {self._units_of(math.inf)}/s"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()


def _terminal_bar(progress: Progress, total: int | None, initial: int) -> Any:
    """A tqdm bar, which knows the terminal and how often to draw, with the line of `progress`."""
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]
        def __str__(self) -> str:
            columns = self.format_dict["ncols"]  # one less than there are, so that no terminal wraps the line
            return progress.bar(columns if columns and columns > 0 else 79, is_ascii=bool(self.ascii))

    return Bar(total=total, initial=initial, dynamic_ncols=True, leave=False)


@contextlib.contextmanager
def _ticking(bar: Any) -> Iterator[None]:
    """Redraws the bar every second, to show that the program is not stuck."""
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(_SECONDS_BETWEEN_TICKS):
            bar.refresh()

    ticking = threading.Thread(target=tick, daemon=True)
    ticking.start()
    try:
        yield
    finally:
        ended.set()
        ticking.join()


def _digits(number: float) -> str:
    return f"{number:,.0f}" if number >= 1000 else f"{number:.3g}"


def _clock(seconds: float) -> str:
    """Seconds in few characters: `0:42`, `3:05`, `2:07:12`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def duration(seconds: float) -> str:
    """Seconds as people read them: `42 s`, `3 min 05 s`, `2 h 07 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
