"""Runs scripts on request, each in a process forked from this one, which has imported TensorFlow and bert_tf2 once.

Reads requests from standard input, one JSON object per line. A request to run a script has `script` (a path),
`arguments`, `environment`, `directory`, `stdin` (a path), `stdout` and `stderr` (paths; null: both are in the answer),
`file_bytes` (the maximum size of files), `address_space` (in bytes) and `seconds` (the time limit). The answer has the
exit `status`, "timeout" if the process was killed at the time limit, and what was `printed`. If `seconds` is null, the
answer is the id of the `process`, as soon as it runs; {"wait": id, "seconds": seconds} is then answered with its
`status`, null while it runs.
"""

import contextlib
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
import time
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
    if (space := request["address_space"]) and sys.platform == "linux":  # macOS refuses it
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
    end = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= end:
            return None
        time.sleep(0.002)


def read_until_end(pipe: int, seconds: float) -> bytes:
    """What is written to a pipe until all of its writers have ended, or for `seconds`."""
    end, content = time.monotonic() + seconds, b""
    while select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]:
        part = os.read(pipe, 1 << 16)
        if not part:
            break
        content += part
    return content


def answer(request: dict[str, Any]) -> dict[str, Any]:
    if "wait" in request:
        return {"status": wait(request["wait"], request["seconds"])}
    read, write = os.pipe()  # not a file, as the limit on files should not apply to printed text
    process = os.fork()
    if process == 0:
        child(request, write)
    os.close(write)
    try:
        if request["seconds"] is None:
            return {"process": process}
        end = time.monotonic() + request["seconds"]
        printed = read_until_end(read, request["seconds"])
        status: int | str | None = wait(process, end - time.monotonic())
        if status is None:
            status = "timeout"
            os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
        return {"status": status, "printed": printed.decode(errors="replace")}
    finally:
        os.close(read)


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
