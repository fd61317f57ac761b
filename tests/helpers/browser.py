"""Pages in headless Chromium, via its DevTools protocol: sizes, colours, clicks, keys, requests and errors."""

import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SECONDS = 120.0

_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run"),
    *("--disable-background-networking", "--disable-extensions", "--host-resolver-rules=MAP * ~NOTFOUND"),
)


class Browser:
    """A browser with one page.

    Attributes:
      events: the events that the page has reported, each a method and its parameters.
    """

    def __init__(self, commands: int, answers: int) -> None:
        """Communicates through two file descriptors."""
        self._commands, self._answers, self._unread = commands, answers, b""
        self._numbers, self._session = itertools.count(1), None
        self.events: list[tuple[str, dict[str, Any]]] = []
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")

    def open(self, path: Path, width: int = 1400, height: int = 900, scheme: str = "light", fragment: str = "") -> None:
        """Opens a file in a window of the given size, with the "light" or "dark" colour scheme."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self._ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        for url in ("about:blank", path.as_uri() + fragment):  # a change of only the fragment would not load the page
            self.events.clear()
            self._ask("Page.navigate", url=url)
            while not any(method == "Page.loadEventFired" for method, _ in self.events):
                self._read()

    def value(self, expression: str) -> Any:
        """The value of a JavaScript expression, which is evaluated whatever the page's content security policy."""
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Waits until an expression is true."""
        end = time.monotonic() + SECONDS
        while not self.value(expression):
            assert time.monotonic() < end, expression
            time.sleep(0.05)

    def press(self, key: str) -> None:
        """Presses a key: "ArrowRight"."""
        for kind in ("keyDown", "keyUp"):
            self._ask("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def point_at(self, expression: str) -> None:
        """Moves the mouse onto an element."""
        self.value(f"{expression}.scrollIntoView({{block: 'center'}})")
        middle = "(box => [box.x + box.width / 2, box.y + box.height / 2])"
        x, y = self.value(f"{middle}({expression}.getBoundingClientRect())")
        self._ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    @property
    def problems(self) -> list[str]:
        """Errors and warnings of the console, and URLs that the page requested besides itself."""
        problems = []
        for method, parameters in self.events:
            if method == "Runtime.exceptionThrown" or method == "Runtime.consoleAPICalled":
                problems.append(json.dumps(parameters)[:500])
            elif method == "Log.entryAdded":
                problems.append(parameters["entry"]["text"])
            elif method == "Network.requestWillBeSent" and parameters["type"] != "Document":
                problems.append(parameters["request"]["url"])
        return problems

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to a command of the protocol."""
        message: dict[str, Any] = {"id": next(self._numbers), "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != message["id"]:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            readable, _, _ = select.select([self._answers], [], [], SECONDS)
            assert readable, "Chromium does not answer"
            part = os.read(self._answers, 1 << 16)
            assert part, "Chromium has ended"
            self._unread += part
        message, _, self._unread = self._unread.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        if "method" in answer:
            self.events.append((answer["method"], answer["params"]))
        return answer


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Starts Chromium with its profile in a directory."""
    assert CHROMIUM is not None
    (read_commands, write_commands), (read_answers, write_answers) = os.pipe(), os.pipe()
    # It reads commands from file descriptor 3 and answers on 4.
    redirected = f'exec "$@" 3<&{read_commands} 4>&{write_answers}'
    command = ["bash", "-c", redirected, "bash", CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
    with (
        open(profile / "stderr", "wb") as errors,
        subprocess.Popen(command, pass_fds=(read_commands, write_answers), stdout=errors, stderr=errors) as process,
    ):
        os.close(read_commands)
        os.close(write_answers)
        try:
            yield Browser(write_commands, read_answers)
        finally:
            process.kill()
            os.close(write_commands)
            os.close(read_answers)
