"""Runs scripts on request, each in a process forked from this one, which has imported TensorFlow once.

Reads requests from standard input, a JSON object a line: `script` (a path), `arguments`, `environment`, `directory`,
`stdin` (a path), `seconds` and `file_bytes` (no file can be longer). Answers each with the exit `status`, "timeout" for
a process that was killed after so many seconds, and what was `printed`.
"""

import contextlib
import fcntl
import gc
import importlib
import json
import os
import resource
import runpy
import select
import signal
import sys
import time
import traceback

_MODULES = (
    *("classification.runner", "squad.runner", "tagging.runner", "pretraining", "fill_mask", "feature_extraction"),
    *("feature_encoder", "conversion", "vocabulary", "pretraining_data", "export.runner"),
)
_BYTES = 16 << 30  # of address space: what asks for more is a defect, not a reason to stop the machine


def run(script: str, arguments: list[str]) -> int:
    """Calls a script as Python does; returns the exit status."""
    sys.argv = [script, *arguments]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return end.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def child(request: dict, pipe: int) -> None:
    os.setpgid(0, 0)
    os.chdir(request["directory"])
    os.environ.update(request["environment"])
    resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
    if limit := request.get("file_bytes"):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    os.dup2(os.open(request["stdin"] or os.devnull, os.O_RDONLY), 0)
    os.dup2(pipe, 1)
    os.dup2(pipe, 2)
    sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115 (open as long as the process)
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    status = 1
    try:
        status = run(request["script"], request["arguments"])
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)  # not to run what the parent has to do when it exits


def wait(process: int, seconds: float) -> int | str:
    descriptor = os.pidfd_open(process)
    try:
        if select.select([descriptor], [], [], seconds)[0]:
            return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        os.killpg(process, signal.SIGKILL)
        os.waitpid(process, 0)
        return "timeout"
    finally:
        os.close(descriptor)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever else is printed
    from bert_tf2 import cli

    cli.import_tensorflow()
    for module in _MODULES:
        importlib.import_module(f"bert_tf2.tasks.{module}")
    gc.freeze()  # so that collections in the children do not copy what they share with this process
    print("ready", file=answers)
    for line in sys.stdin:
        request = json.loads(line)
        started = time.monotonic()
        read, write = os.pipe()  # not a file, for a limit on files is not one of what is printed
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 1 << 20)
        process = os.fork()
        if process == 0:
            child(request, write)
        os.close(write)
        status = wait(process, request["seconds"])
        with open(read, encoding="utf-8", errors="replace") as printed:
            answer = {"status": status, "seconds": time.monotonic() - started, "printed": printed.read()}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
