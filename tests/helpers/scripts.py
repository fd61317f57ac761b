"""Runs scripts like a user does, without the seconds that each would take to import TensorFlow."""

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from helpers.repository import REPOSITORY

SECONDS = 240.0


class Process:
    """A running script; `stdout` and `stderr` are the files that it writes.

    Attributes:
      returncode: as in `subprocess.Popen`: None until its end has been observed, negative after a signal.
    """

    def __init__(self, scripts: "Scripts", process: int, stdout: Path, stderr: Path) -> None:
        self._scripts = scripts
        self._process = process
        self.stdout, self.stderr = stdout, stderr
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self.wait(0.0, must_end=False)

    def wait(self, seconds: float = SECONDS, must_end: bool = True) -> int | None:
        """The exit status; None if the process is still running, which is an error if it `must_end`."""
        if self.returncode is None:
            self.returncode = self._scripts.ask({"wait": self._process, "seconds": seconds})["status"]
            assert self.returncode is not None or not must_end, "it is still running"
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self._process, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Scripts:
    """Runs scripts in processes forked from one that has imported TensorFlow: `script_server.py`."""

    def __init__(self, directory: Path) -> None:
        """Starts the server; output of scripts is written into files in the directory."""
        self._directory, self._number = directory, itertools.count()
        self._started: list[Process] = []
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("script_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'tests'}"},
        )
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == "ready\n"

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps(request, default=str), file=self._server.stdin, flush=True)
        return json.loads(self._server.stdout.readline())

    def printed(self, script: str, arguments: list[str], **options: Any) -> tuple[Any, str]:
        """The exit status, or "timeout" after the option `seconds`, and what was printed to both streams."""
        answer = self.ask(_request(script, arguments, {"seconds": SECONDS, **options}))
        return answer["status"], answer["printed"]

    def start(self, script: str, arguments: list[str], stdin: str | Path | None = None, **options: Any) -> Process:
        """Starts a script that runs while the test continues."""
        names = [self._directory / f"{next(self._number)}.{stream}" for stream in ("stdout", "stderr")]
        files = {"stdin": stdin, **dict(zip(("stdout", "stderr"), names, strict=True)), **options}
        process = self.ask(_request(script, arguments, {"seconds": None, **files}))["process"]
        self._started.append(Process(self, process, Path(files["stdout"]), Path(files["stderr"])))
        return self._started[-1]

    def run(self, script: str, arguments: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs a script to its end."""
        return _done(self.start(script, arguments, **options))

    def start_program(self, program: str, arguments: list[str], **options: Any) -> Process:
        """Starts a program as `python -c` does; it may change a module before it runs a script."""
        path = self._directory / f"{next(self._number)}.py"
        path.write_text(program, encoding="utf-8")
        return self.start(str(path), arguments, **options)

    def run_program(self, program: str, arguments: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        return _done(self.start_program(program, arguments, **options))

    def call(self, script: str, **flags: Any) -> str:
        """Runs a script that must succeed; returns its messages."""
        done = self.run(script, [f"--{name}={value}" for name, value in flags.items()])
        assert done.returncode == 0, done.stderr
        return done.stderr

    def close(self) -> None:
        """Ends the server, and scripts that a failed test left running."""
        for process in self._started:
            process.kill()
        self._server.communicate()


def _done(process: Process) -> subprocess.CompletedProcess[str]:
    status = process.wait()
    assert status is not None
    output, messages = (path.read_text(encoding="utf-8", errors="replace") for path in (process.stdout, process.stderr))
    return subprocess.CompletedProcess([], status, output, messages)


def _request(script: str, arguments: list[str], options: Mapping[str, Any]) -> dict[str, Any]:
    unset = dict.fromkeys(("stdin", "stdout", "stderr", "file_bytes", "address_space"))
    path = str(REPOSITORY / script)
    return {**unset, "script": path, "arguments": arguments, "environment": {}, "directory": os.getcwd(), **options}
