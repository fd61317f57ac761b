"""Progress of long work: a bar on a terminal, otherwise an occasional log line."""

import contextlib
import logging
import math
import sys
import time
from types import TracebackType
from typing import Any, Self

logger = logging.getLogger(__name__)


class Progress:
    """Counts work done and shows its rate and the time left.

    Args:
      description: what is being done, a word or two.
      total: total amount of work, or None if unknown.
      unit: what is counted, for example `"step"`; `"byte"` is shown in megabytes.
      initial: work done by an earlier run, which does not count for the rate.
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
        seconds_between_lines: float = 30.0,
        shown: bool = True,
    ) -> None:
        self._description, self._total, self._unit = description, total, unit
        self._initial = self._done = initial
        self._interval = seconds_between_lines if shown else math.inf
        self._start = self._last_line = time.monotonic()
        self._note = ""
        self._open = contextlib.ExitStack()
        self._bar = None
        if shown and sys.stderr.isatty():
            from tqdm import tqdm
            from tqdm.contrib.logging import logging_redirect_tqdm

            units: dict[str, Any] = {"unit": "B", "unit_scale": True} if unit == "byte" else {"unit": f" {unit}"}
            self._bar = self._open.enter_context(
                tqdm(desc=description, total=total, initial=initial, dynamic_ncols=True, leave=False, **units)
            )
            self._open.enter_context(logging_redirect_tqdm())

    def update(self, amount: int = 1, note: str = "") -> None:
        """Adds `amount` to the work done; `note` is shown after the rate until the next one."""
        self._done += amount
        self._note = note or self._note
        if self._bar is not None:
            self._bar.set_postfix_str(self._note, refresh=False)
            self._bar.update(amount)
        elif time.monotonic() - self._last_line >= self._interval:
            self._last_line = time.monotonic()
            logger.info("%s", self.line())

    def line(self) -> str:
        """The state as one line: work done, share, rate, time left, note."""
        seconds = time.monotonic() - self._start
        rate = (self._done - self._initial) / seconds if seconds > 0 else 0.0
        in_megabytes = self._unit == "byte"
        unit = "MB" if in_megabytes else f"{self._unit}s"

        def amount(number: float) -> str:
            return f"{number / 1e6:,.1f}" if in_megabytes else f"{number:,}"

        speed = f"{rate / 1e6 if in_megabytes else rate:.4g} {unit}/s"
        parts = [f"{amount(self._done)} {unit}", speed]
        if self._total:
            share = f"{100 * self._done / self._total:.0f} %"
            parts[0] = f"{amount(self._done)} of {amount(self._total)} {unit} ({share})"
            if rate > 0:
                parts.append(f"{duration((self._total - self._done) / rate)} left")
        if self._note:
            parts.append(self._note)
        return f"{self._description}: " + ", ".join(parts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()


def duration(seconds: float) -> str:
    """Seconds as people read them: `42 s`, `3 min 05 s`, `2 h 07 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
