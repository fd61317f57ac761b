"""Runs scripts on request, each in a process forked from this one, which has imported TensorFlow and bert_tf2 once.

Reads requests from standard input, one JSON object per line. A request to run a script has `script` (a path),
`arguments`, `environment`, `directory`, `stdin` (a path), `stdout` and `stderr` (paths; null: both are in the answer),
`file_bytes` (the maximum size of files), `address_space` (in bytes) and `seconds` (the time limit). The answer has the
exit `status`, "timeout" if the process was killed at the time limit, and what was `printed`. If `seconds` is null, the
answer is the id of the `process`, as soon as it runs; {"wait": id, "seconds": seconds} is then answered with its
`status`, null while it runs.
"""

import contextlib
import fcntl
import gc
import importlib
import json
import os
import pkgutil
import resource
import runpy
import select
import signal
import sys
import traceback
from typing import Any


def run(script: str, arguments: list[str]) -> int:
    """Runs a script like Python does; returns the exit status."""
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


def child(request: dict[str, Any], pipe: int) -> None:
    os.setpgid(0, 0)
    os.chdir(request["directory"])
    os.environ.update(request["environment"])
    if space := request["address_space"]:
        resource.setrlimit(resource.RLIMIT_AS, (space, space))
    if limit := request["file_bytes"]:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    os.dup2(os.open(request["stdin"] or os.devnull, os.O_RDONLY), 0)
    for descriptor, path in ((1, request["stdout"]), (2, request["stderr"])):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if path else pipe, descriptor)
    sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115 (open as long as the process)
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    status = 1
    try:
        status = run(request["script"], request["arguments"])
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)  # without running the parent's exit handlers


def wait(process: int, seconds: float) -> int | None:
    """The exit status of a process; None if it is still running after `seconds`."""
    descriptor = os.pidfd_open(process)
    try:
        if select.select([descriptor], [], [], seconds)[0]:
            return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        return None
    finally:
        os.close(descriptor)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    if "wait" in request:
        return {"status": wait(request["wait"], request["seconds"])}
    read, write = os.pipe()  # not a file, as the limit on files should not apply to printed text
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 1 << 20)
    process = os.fork()
    if process == 0:
        child(request, write)
    os.close(write)
    with open(read, encoding="utf-8", errors="replace") as printed:
        if request["seconds"] is None:
            return {"process": process}
        status: int | str | None = wait(process, request["seconds"])
        if status is None:
            status = "timeout"
            os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
        return {"status": status, "printed": printed.read()}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # redirect everything else that is printed
    import bert_tf2
    from bert_tf2 import cli

    cli.import_tensorflow()
    for module in pkgutil.walk_packages(bert_tf2.__path__, "bert_tf2."):
        importlib.import_module(module.name)
    gc.freeze()  # so that garbage collection in the children does not copy shared memory
    print("ready", file=answers)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers)


if __name__ == "__main__":
    main()
