"""Concatenates the records of all shards into the output files."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import IO, Self

from bert_tf2.io import atomic, file_system
from bert_tf2.pretraining_data.shard import Job


class JoinedOutputs:
    """Output files that are concatenated from those of the shards and all appear at the end.

    A shard is appended as soon as all shards before it are, while others are still being processed.

    Args:
      paths: the files; empty if the files of the shards are kept as they are.
      jobs: the jobs of all shards, in order.
      finished: the indices of jobs that are finished already.
      parts: returns the files of a job, one for each path.

    Raises:
      InputError: see `atomic.check_output`.
    """

    def __init__(
        self,
        paths: Sequence[str],
        jobs: Sequence[Job],
        finished: Iterable[int],
        parts: Callable[[Job], Sequence[str]] = lambda job: job.outputs,
    ) -> None:
        self._paths, self._jobs, self._parts = paths, jobs, parts
        self._outputs = atomic.Files(paths)
        self._open: list[IO[bytes]] = []
        self._finished = set(finished)
        self._next = 0  # the index of the next job to append

    def __enter__(self) -> Self:
        self._outputs.__enter__()
        return self

    def add(self, job: Job) -> None:
        """Records that a job is finished.

        Raises:
          OSError: an output cannot be written.
        """
        self._finished.add(job.group.index)
        if len(self._jobs) > 1:  # a single shard needs no copy; see `finish`
            while self._next in self._finished:
                self._append(self._jobs[self._next])

    def _append(self, job: Job) -> None:
        """Appends the files of a job; concatenation is valid for both TFRecord and gzip files."""
        if not self._open:
            self._open = [file_system.open(path, "xb") for path in self._outputs.unfinished]
        for number, (output, part) in enumerate(zip(self._open, self._parts(job), strict=False)):
            with file_system.open(part, "rb") as source, self._outputs.naming(number):
                shutil.copyfileobj(source, output, 2**20)
                file_system.sync_open(output)  # now, while other shards are being processed
        self._next += 1

    def finish(self) -> None:
        """Moves the files to their final paths, when all jobs are finished.

        Raises:
          OSError: an output cannot be written.
        """
        if not self._paths:
            return
        if len(self._jobs) == 1:
            for part, path in zip(self._parts(self._jobs[0]), self._paths, strict=True):
                file_system.replace(part, path)
            return
        for job in self._jobs[self._next :]:
            self._append(job)
        self._outputs.commit()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._open:
            with contextlib.suppress(OSError):  # its buffer contains what could not be written
                file.close()
        self._outputs.__exit__()


def remove(paths: Iterable[str | os.PathLike[str]]) -> None:
    """Removes files that may exist."""
    for path in paths:
        file_system.remove(path)
