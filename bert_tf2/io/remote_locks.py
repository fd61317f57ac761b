"""Locks in remote directories, where no file system keeps them: a file says which process has the lock and is alive.

An object store cannot compare and write in one step, so this is a strong help, not a proof: two processes that begin in
the same half second could both go on; the one that wrote first then says so in its log.
"""

import json
import logging
import os
import platform
import secrets
import threading
import time
from typing import Any, Self

from bert_tf2.errors import InputError, counted
from bert_tf2.io import file_system

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_SIGNS = 20.0
SECONDS_UNTIL_DEAD = 120.0
_SECONDS_TO_SETTLE = 0.5  # between the look at what others have written and the look at what they wrote meanwhile

_held: set[str] = set()  # the tokens of this process


class RemoteLock:
    """A lock that this process has until it is closed.

    Args:
      path: the lock file.
      doing, instead: see `locks.take`.

    Raises:
      InputError: another process has it, and has said so in the last two minutes.
      OSError: the file cannot be written.
    """

    def __init__(self, path: file_system.PathLike, doing: str, instead: str) -> None:
        self._path, self._token = os.fspath(path), secrets.token_hex(8)
        file_system.makedirs(os.path.dirname(self._path))
        self._refuse(doing, instead)
        self._sign()
        time.sleep(_SECONDS_TO_SETTLE)
        self._refuse(doing, instead)
        _held.add(self._token)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_signing, name="lock", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Releases the lock."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._thread.join()
        _held.discard(self._token)
        if _read(self._path).get("token") == self._token:
            file_system.remove(self._path)

    def _refuse(self, doing: str, instead: str) -> None:
        owner = _read(self._path)
        if not owner or owner["token"] == self._token or _is_dead(owner):
            return
        age = max(0, round(time.time() - owner["time"]))
        raise InputError(
            f"Another process (process {owner['process']} on {owner['machine']}, last seen {counted(age, 'second')} "
            f"ago) {doing}; wait for it, stop it, or {instead}. If it was killed, the lock ends "
            f"{SECONDS_UNTIL_DEAD:.0f} seconds after it was last seen, or when {self._path} is removed."
        )

    def _sign(self) -> None:
        owner = {
            "process": os.getpid(),
            "machine": platform.node(),
            "processes": _processes(),
            "time": time.time(),
            "token": self._token,
        }
        with file_system.open(self._path, "w") as file:
            json.dump(owner, file)

    def _keep_signing(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_SIGNS):
            try:
                owner = _read(self._path)
                if owner.get("token", self._token) != self._token:
                    logger.error(
                        "Process %s on %s has taken %s, which this process held; stop one of the two.",
                        *(owner["process"], owner["machine"], self._path),
                    )
                    return
                self._sign()
            except OSError as error:  # the network, perhaps for a moment
                logger.warning("The lock %s cannot be renewed (%s).", self._path, error.strerror)


def _read(path: str) -> dict[str, Any]:
    """What the owner has written; nothing if there is no lock, or none that says its owner."""
    try:
        with file_system.open(path) as file:
            owner = json.load(file)
        is_whole = isinstance(owner["time"], int | float) and isinstance(owner["process"], int)
        return owner if is_whole and {"machine", "processes", "token"} <= owner.keys() else {}
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _is_dead(owner: dict[str, Any]) -> bool:
    """Whether an owner has ended: at once if it was a process of this machine, else when it has been silent."""
    if owner["processes"] == _processes():
        if owner["process"] == os.getpid():
            return owner["token"] not in _held
        return not os.path.exists(f"/proc/{owner['process']}")
    return bool(time.time() - owner["time"] > SECONDS_UNTIL_DEAD)


def _processes() -> str:
    """What tells process numbers of one machine, or container, from those of others."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return secrets.token_hex(8)  # as if it were another one
