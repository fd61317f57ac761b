"""Pages in headless Chromium, by its DevTools protocol: sizes, colours, clicks, requests, and what goes wrong."""

import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run"),
    *("--disable-background-networking", "--disable-extensions", "--host-resolver-rules=MAP * ~NOTFOUND"),
)


class Browser:
    """A browser with one page.

    Attributes:
      events: what the page has reported: method and parameters.
    """

    def __init__(self, process: subprocess.Popen[bytes], commands: Any, answers: Any) -> None:
        self._process, self._commands, self._answers = process, commands, answers
        self._numbers, self._session = itertools.count(1), None
        self.events: list[tuple[str, dict[str, Any]]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to a command of the protocol."""
        message: dict[str, Any] = {"id": next(self._numbers), "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        while (answer := self._read()).get("id") != message["id"]:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        parts = bytearray()
        while (character := self._answers.read(1)) != b"\0":
            assert character, "Chromium has ended"
            parts += character
        answer: dict[str, Any] = json.loads(parts)
        if "method" in answer:
            self.events.append((answer["method"], answer["params"]))
        return answer

    def open(self, path: Path, width: int = 1400, height: int = 900, scheme: str = "light") -> None:
        """Shows a file, in a window of a size, to people who want it "light" or "dark"."""
        self.events.clear()
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.ask("Page.navigate", url=path.as_uri())
        while not any(method == "Page.loadEventFired" for method, _ in self.events):
            self._read()

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript comes to; the page's policy does not keep it from being computed."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, path: Path, whole: bool = True) -> None:
        """A picture of the page, or of what the window shows."""
        answer = self.ask("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    @property
    def problems(self) -> list[str]:
        """Errors and warnings of the console, and what the page has asked for beside itself."""
        found = []
        for method, parameters in self.events:
            if method == "Runtime.exceptionThrown" or method == "Runtime.consoleAPICalled":
                found.append(json.dumps(parameters)[:500])
            elif method == "Log.entryAdded":
                found.append(parameters["entry"]["text"])
            elif method == "Network.requestWillBeSent" and parameters["type"] != "Document":
                found.append(parameters["request"]["url"])
        return found


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Chromium; its profile goes into a directory."""
    assert CHROMIUM is not None
    (read_commands, write_commands), (read_answers, write_answers) = os.pipe(), os.pipe()
    # It takes commands from the file descriptor 3 and answers on 4.
    redirected = f'exec "$@" 3<&{read_commands} 4>&{write_answers}'
    command = ["bash", "-c", redirected, "bash", CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
    with (
        open(profile / "stderr", "wb") as errors,
        subprocess.Popen(command, pass_fds=(read_commands, write_answers), stdout=errors, stderr=errors) as process,
        os.fdopen(write_commands, "wb") as commands,
        os.fdopen(read_answers, "rb") as answers,
    ):
        os.close(read_commands)
        os.close(write_answers)
        try:
            yield Browser(process, commands, answers)
        finally:
            process.kill()
