"""Profiles the steps of `--profile_steps` for TensorBoard."""

import logging
from types import TracebackType
from typing import Self

import tensorflow as tf

logger = logging.getLogger(__name__)


class Profiler:
    """Runs TensorFlow's profiler from one step to another; a context manager.

    However training ends, the profile is written: a profiler that is not stopped keeps others from starting.

    Args:
      directory: the directory of the TensorBoard events.
      steps: the first and the last step to profile; None to profile nothing.
    """

    def __init__(self, directory: str, steps: tuple[int, int] | None) -> None:
        self._directory, self._steps = directory, steps
        self._step = 0
        self._since: int | None = None  # the step at which the profiler was started, while it runs

    def __enter__(self) -> Self:
        return self

    def before(self, step: int) -> None:
        """Starts the profiler if it is due at this step; a resumed run can begin between the two steps."""
        self._step = step
        if self._steps and self._since is None and self._steps[0] <= step < self._steps[1]:
            tf.profiler.experimental.start(self._directory)
            self._since = step

    def after(self, step: int) -> None:
        """Stops the profiler if this step is the last one to profile."""
        self._step = step
        if self._steps and self._since is not None and step >= self._steps[1]:
            self._stop()

    def _stop(self) -> None:
        since, self._since = self._since, None
        tf.profiler.experimental.stop()
        logger.info("Wrote the profile of steps %d to %d: %s/plugins/profile.", since, self._step, self._directory)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._since is not None:
            self._stop()
        elif self._steps and self._step <= self._steps[0]:
            logger.warning(
                "--profile_steps=%d,%d: training ended at step %d; nothing was profiled.", *self._steps, self._step
            )
