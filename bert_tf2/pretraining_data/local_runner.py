"""Processes the shards of create_pretraining_data.py in several local processes."""

import concurrent.futures
import concurrent.futures.process
import contextlib
import gc
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

from bert_tf2 import numba_support
from bert_tf2.errors import InputError
from bert_tf2.pretraining_data import shard
from bert_tf2.pretraining_data.shard import Advance, Job, Summary

_SECONDS_BETWEEN_LOOKS = 0.5

# In a worker: how many bytes of each group, by its index, have been made records of, and last whether somebody has said
# that Numba compiles; shared by all, and without a lock, which somebody might hold who dies.
_worked: Any = None


def run(jobs: list[Job], finished: Callable[[Job, Summary], None], advance: Advance, workers: int) -> None:
    """Runs jobs, `workers` at a time.

    However this ends, by an exception, by Ctrl-C or by the death of this process, the workers end with it.

    Args:
      jobs: what to make.
      finished: called with each job and its summary when it is made, in any order.
      advance: see `shard.make`.
      workers: processes.

    Raises:
      InputError: a worker died.
    """
    context = multiprocessing.get_context("spawn")
    worked, told = context.RawArray("d", 2 + max(job.group.index for job in jobs)), 0.0
    theirs, ours = context.Pipe(duplex=False)
    pool = concurrent.futures.ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=context, initializer=_start, initargs=(theirs, worked)
    )
    try:
        with _ctrl_c_kept_from_children():
            job_of = {pool.submit(_make, job): job for job in jobs}
        left = set(job_of)
        while left:
            done, left = concurrent.futures.wait(
                left, _SECONDS_BETWEEN_LOOKS, return_when=concurrent.futures.FIRST_COMPLETED
            )
            now = sum(worked[:-1])
            advance(now - told)
            told = now
            for future in done:
                finished(job_of[future], future.result())
    except concurrent.futures.process.BrokenProcessPool:
        raise InputError(
            "A worker process died, perhaps out of memory; continue with --resume, fewer --num_workers or both."
        ) from None
    finally:
        ours.close()  # ends the workers, whatever they are at
        pool.shutdown(cancel_futures=True)
        theirs.close()


@contextlib.contextmanager
def _ctrl_c_kept_from_children() -> Iterator[None]:
    """A terminal sends Ctrl-C to all processes. Those started in here never see it; this one does, afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(parent: Connection, worked: Any) -> None:
    """Prepares a new process."""
    global _worked
    _worked = worked
    logging.basicConfig(format="%(message)s")
    numba_support.logger.setLevel(logging.INFO)
    numba_support.logger.addFilter(_is_first)
    gc.disable()  # as in the script
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _is_first(record: logging.LogRecord) -> bool:
    """Whether no other worker has logged this yet."""
    is_first = not _worked[-1]
    _worked[-1] = 1.0
    return is_first


def _end_with(parent: Connection) -> None:
    """Ends this process when the parent closes its end of the pipe, as it does when it dies."""
    with contextlib.suppress(EOFError, OSError):
        parent.recv()
    os._exit(1)


def _make(job: Job) -> Summary:
    def advance(size: float) -> None:
        _worked[job.group.index] += size

    return shard.make(job, advance)
