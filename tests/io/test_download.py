"""Downloads: resumed after broken connections, and compared with the checksums of the server."""

import hashlib
import resource

import pytest
from helpers.model_server import ModelServer, serving

from bert_tf2.io import download

CONTENT = bytes(range(256)) * 40
PATH = "2020_02_20/model.zip"


@pytest.fixture
def server():
    with serving(ModelServer()) as running:
        running.storage[PATH] = CONTENT
        yield running


def fetch(server, path):
    return download.fetch(f"{server.url}/{PATH}", path, "model")


def test_a_complete_file(server, tmp_path):
    digest = fetch(server, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert digest == download.Digest(
        len(CONTENT), hashlib.md5(CONTENT).hexdigest(), hashlib.sha256(CONTENT).hexdigest()
    )


def test_broken_downloads_are_resumed_by_the_same_call_and_by_the_next(server, tmp_path):
    server.breaks[PATH] = [1000, 0, 2000, 500]
    with pytest.raises(download.DownloadError, match=r"lost after 3,000 of 10,240 bytes \(the same command continues"):
        fetch(server, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == CONTENT[:3000]
    fetch(server, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert [begin for _, begin in server.got] == [0, 1000, 1000, 3000, 3500]


@pytest.mark.parametrize("partial", [b"of another file", CONTENT + b"more", CONTENT[:-1] + b"x"])
def test_a_partial_download_of_another_file_is_replaced(server, tmp_path, partial):
    (tmp_path / "part").write_bytes(partial)
    fetch(server, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == CONTENT


def test_a_wrong_checksum(server, tmp_path):
    server.wrong.add(PATH)
    with pytest.raises(download.DownloadError, match=r"what arrived \(10,240 bytes, MD5 [0-9a-f]{32}\) does not match"):
        fetch(server, tmp_path / "part")
    assert not list(tmp_path.iterdir())


def test_unreachable_servers(server, tmp_path):
    with pytest.raises(download.DownloadError, match="the server answers 404 Not Found"):
        download.fetch(f"{server.url}/other", tmp_path / "part", "model")
    with pytest.raises(download.DownloadError, match=r"cannot be reached \(.*refused"):
        download.fetch("http://127.0.0.1:9/x", tmp_path / "part", "model")


def test_a_full_disk(server, tmp_path):
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, unlimited[1]))
        with pytest.raises(OSError, match="cannot be written") as caught:
            fetch(server, tmp_path / "part")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert caught.value.filename == str(tmp_path / "part")
