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

_SECONDS_BETWEEN_UPDATES = 0.5

# In a worker: the bytes of each group that have been processed, by its index, and last whether a worker has logged that
# Numba compiles. It is shared by all workers, without a lock, as a worker that dies might hold it.
_progress: Any = None


def run(jobs: list[Job], finished: Callable[[Job, Summary], None], advance: Advance, workers: int) -> None:
    """Runs jobs, `workers` at a time.

    However this ends, by an exception, by Ctrl-C or because this process is killed, the workers end with it.

    Args:
      jobs: the jobs to run.
      finished: called with each job and its summary when it is finished, in any order.
      advance: see `shard.make`.
      workers: number of processes.

    Raises:
      InputError: a worker died.
    """
    context = multiprocessing.get_context("spawn")
    processed, reported = context.RawArray("d", 2 + max(job.group.index for job in jobs)), 0.0
    worker_end, parent_end = context.Pipe(duplex=False)
    pool = concurrent.futures.ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=context, initializer=_start, initargs=(worker_end, processed)
    )
    try:
        with _ctrl_c_blocked_in_children():
            job_of = {pool.submit(_make, job): job for job in jobs}
        pending = set(job_of)
        while pending:
            done, pending = concurrent.futures.wait(
                pending, _SECONDS_BETWEEN_UPDATES, return_when=concurrent.futures.FIRST_COMPLETED
            )
            total = sum(processed[:-1])
            advance(total - reported)
            reported = total
            for future in done:
                finished(job_of[future], future.result())
    except concurrent.futures.process.BrokenProcessPool:
        raise InputError(
            "A worker process died, perhaps out of memory; continue with --resume, fewer --num_workers or both."
        ) from None
    finally:
        parent_end.close()  # ends the workers, whatever they are doing
        pool.shutdown(cancel_futures=True)
        worker_end.close()


@contextlib.contextmanager
def _ctrl_c_blocked_in_children() -> Iterator[None]:
    """Processes that are started inside ignore Ctrl-C, which a terminal sends to all; this one gets it afterwards."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _start(parent: Connection, progress: Any) -> None:
    """Initializes a worker."""
    global _progress
    _progress = progress
    logging.basicConfig(format="%(message)s")
    numba_support.logger.setLevel(logging.INFO)
    numba_support.logger.addFilter(_is_first)
    gc.disable()  # as in the command
    threading.Thread(target=_exit_with, args=(parent,), daemon=True).start()


def _is_first(record: logging.LogRecord) -> bool:
    """Whether no other worker has logged this yet."""
    is_first = not _progress[-1]
    _progress[-1] = 1.0
    return is_first


def _exit_with(parent: Connection) -> None:
    """Ends this process when the parent closes its end of the pipe, which also happens when it is killed."""
    with contextlib.suppress(EOFError, OSError):
        parent.recv()
    os._exit(1)


def _make(job: Job) -> Summary:
    def advance(size: float) -> None:
        _progress[job.group.index] += size

    return shard.make(job, advance)
