"""Downloads files over HTTP: resumes earlier attempts, and verifies checksums; no TensorFlow."""

import base64
import dataclasses
import hashlib
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from bert_tf2.errors import counted
from bert_tf2.io import atomic
from bert_tf2.io.progress import Progress

_ATTEMPTS = 3  # of one call, where the connection breaks
_BLOCK = 1 << 20  # bytes
_TIMEOUT = 60.0  # seconds without a byte
_HTTP_RANGE_NOT_SATISFIABLE = 416


class DownloadError(Exception):
    """A file that cannot be downloaded; the message is the reason, a part of a sentence."""


@dataclasses.dataclass(frozen=True)
class Digest:
    """What has arrived.

    Attributes:
      size: bytes.
      md5, sha256: checksums, in hexadecimal digits.
    """

    size: int
    md5: str
    sha256: str


@dataclasses.dataclass(frozen=True)
class _Announced:
    """The size in bytes and the MD5 checksum of a file as announced by the server; None if it does not say."""

    size: int | None
    md5: str | None


def fetch(url: str, path: Path, what: str) -> Digest:
    """Downloads a file, with a progress bar.

    What an earlier call left at `path` is continued. It is downloaded once more from its beginning if it turns out to
    be of another file.

    Args:
      url: of the file.
      path: where to write it; it stays there if the connection breaks.
      what: what the progress bar calls it.

    Returns:
      The size and checksums of the file, which are those that the server names.

    Raises:
      DownloadError: the server cannot be reached or refuses, the connection is lost, or the download does not match the
        server's file.
      OSError: the file cannot be written; names it.
    """
    breaks = 0
    was_left = path.exists()
    while True:
        begin = path.stat().st_size if path.exists() else 0
        try:
            announced = _append(url, path, begin, what)
        except urllib.error.HTTPError as error:
            if error.code != _HTTP_RANGE_NOT_SATISFIABLE or not begin:
                raise DownloadError(f"the server answers {error.code} {error.reason}") from None
            announced = _Announced(None, None)  # what is there is as long as the file, or longer
        size = path.stat().st_size
        if announced.size is not None and size < announced.size:
            breaks += 1
            if breaks == _ATTEMPTS:
                raise DownloadError(
                    f"the connection was lost after {size:,} of {announced.size:,} bytes (the same command continues "
                    "from there)"
                )
            continue
        digest = _digest(path)
        if announced.size == digest.size and announced.md5 in (None, digest.md5):
            return digest
        path.unlink()
        if not was_left:
            raise DownloadError(
                f"what arrived ({counted(digest.size, 'byte')}, MD5 {digest.md5}) does not match the file on the server"
            )
        was_left = False


def _append(url: str, path: Path, begin: int, what: str) -> _Announced:
    """Writes what the file has from byte `begin` on, as far as it comes; returns what the server says of the file."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={begin}-"} if begin else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise DownloadError(f"the server cannot be reached ({reason})") from None
    with response:
        continues = response.status == http.HTTPStatus.PARTIAL_CONTENT
        length = response.headers.get("Content-Length")
        begin = begin if continues else 0
        size = begin + int(length) if length is not None and length.isdecimal() else None
        announced = _Announced(size, _md5_of(response.headers.get_all("x-goog-hash") or []))
        with (
            Progress(f"Downloading {what}", size, unit="byte", initial=begin) as progress,
            atomic.naming(path),
            open(path, "ab" if continues else "wb") as file,
        ):
            for block in _blocks(response):
                file.write(block)
                progress.update(len(block))
    return announced if size is not None else dataclasses.replace(announced, size=path.stat().st_size)


def _blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """What comes until the end of the file or of the connection."""
    while True:
        try:
            block = response.read(_BLOCK)
        except http.client.IncompleteRead as error:
            yield error.partial
            return
        except (OSError, http.client.HTTPException):
            return
        if not block:
            return
        yield block


def _md5_of(headers: list[str]) -> str | None:
    """The MD5 checksum in Google Cloud Storage's headers `x-goog-hash: crc32c=...,md5=...`, in hexadecimal digits."""
    match = re.search(r"\bmd5=([A-Za-z0-9+/]{22}==)", ",".join(headers))
    return base64.b64decode(match[1]).hex() if match else None


def _digest(path: Path) -> Digest:
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            md5.update(block)
            sha256.update(block)
            size += len(block)
    return Digest(size, md5.hexdigest(), sha256.hexdigest())
