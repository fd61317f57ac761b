"""A server on 127.0.0.1 that answers as the Hugging Face Hub does, and as Google's storage does."""

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

COMMIT = "c0ffee" * 6 + "babe"
_LARGE = (".safetensors", ".bin", ".h5", "-00000-of-00001")


class ModelServer:
    """The content of the server, and its failures.

    Attributes:
      url: its address.
      repositories: files of the Hub's models by `OWNER/NAME`.
      revisions: names of the one commit that each model has.
      gated, secret: models that need the token; the Hub admits that gated ones exist.
      token: the token that gives access to them.
      storage: content of Google's storage by path.
      has_checksums: whether the storage announces MD5 checksums.
      breaks: by path, the numbers of bytes after which the next answers break off.
      wrong: paths whose content is sent with its last byte changed.
      got: path and first byte of each requested file.
    """

    def __init__(self) -> None:
        self.url = ""
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.revisions = ["main"]
        self.gated: set[str] = set()
        self.secret: set[str] = set()
        self.token = "hf_let_me_in"
        self.storage: dict[str, bytes] = {}
        self.has_checksums = True
        self.breaks: dict[str, list[int]] = {}
        self.wrong: set[str] = set()
        self.got: list[tuple[str, int]] = []


@contextlib.contextmanager
def serving(server: ModelServer) -> Iterator[ModelServer]:
    """Runs the server for the duration of a `with` block."""

    class Handler(_Handler):
        models = server

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    models: ModelServer

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(sends=False)

    def do_GET(self) -> None:
        self._answer(sends=True)

    def _answer(self, sends: bool) -> None:
        path = urlsplit(self.path).path.lstrip("/")
        if match := re.fullmatch(r"api/models/([^/]+/[^/]+?)(?:/revision/(.+))?", path):
            self._list(match[1], match[2] or "main", sends)
        elif match := re.fullmatch(r"([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._file_of_hub(match[1], match[2], match[3], sends)
        elif path in self.models.storage:
            content = self.models.storage[path]
            md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
            headers = [("x-goog-hash", "crc32c=AAAAAA=="), ("x-goog-hash", f"md5={md5}")]
            self._send(path, content, headers if self.models.has_checksums else [], sends)
        else:
            self._refuse(404, "", sends)

    def _is_allowed(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.models.token}"

    def _missing(self, name: str, revision: str, sends: bool) -> bool:
        """Whether a model or revision does not exist; if so, sends that as the answer."""
        if name not in self.models.repositories or (name in self.models.secret and not self._is_allowed()):
            self._refuse(401, "RepoNotFound", sends)
            return True
        if revision not in (*self.models.revisions, COMMIT):
            self._refuse(404, "RevisionNotFound", sends)
            return True
        return False

    def _list(self, name: str, revision: str, sends: bool) -> None:
        if self._missing(name, revision, sends):
            return
        siblings = []
        for file, content in self.models.repositories[name].items():
            entry: dict[str, Any] = {"rfilename": file, "size": len(content), "blobId": _git(content)}
            if file.endswith(_LARGE):
                sha256 = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
            siblings.append(entry)
        text = {"_id": "1", "id": name, "modelId": name, "sha": COMMIT, "private": False, "siblings": siblings}
        self._send("", json.dumps(text).encode(), [("Content-Type", "application/json")], sends)

    def _file_of_hub(self, name: str, revision: str, file: str, sends: bool) -> None:
        if self._missing(name, revision, sends):
            return
        if name in self.models.gated and not self._is_allowed():
            self._refuse(403, "GatedRepo", sends)
        elif file not in self.models.repositories[name]:
            self._refuse(404, "EntryNotFound", sends)
        else:
            content = self.models.repositories[name][file]
            etag = hashlib.sha256(content).hexdigest() if file.endswith(_LARGE) else _git(content)
            self._send(f"{name}/{file}", content, [("ETag", f'"{etag}"'), ("X-Repo-Commit", COMMIT)], sends)

    def _refuse(self, status: int, code: str, sends: bool) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, path: str, content: bytes, headers: list[tuple[str, str]], sends: bool) -> None:
        byte_range = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        begin = int(byte_range[1]) if byte_range else 0
        if byte_range and begin >= len(content):
            return self._refuse(416, "", sends)
        if path in self.models.wrong:
            content = content[:-1] + bytes([content[-1] ^ 1])
        self.send_response(206 if byte_range else 200)
        for header in headers:
            self.send_header(*header)
        if byte_range:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        if not sends:
            return None
        if path:
            self.models.got.append((path, begin))
        breaks = self.models.breaks.get(path)
        most = breaks.pop(0) if breaks else len(content)
        self.wfile.write(content[begin : begin + most])
        self.close_connection = bool(breaks is not None)
        return None


def _git(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
