"""Google's models by name: downloaded once, verified, extracted into the cache."""

import hashlib
import io
import json
import zipfile

import pytest
import tensorflow as tf
from helpers.model_server import ModelServer, serving
from helpers.repository import GOLDEN

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import by_name, google_archives, pretrained
from bert_tf2.errors import InputError

NAME, PLACE = "uncased_L-2_H-128_A-2", "2020_02_20/uncased_L-2_H-128_A-2"
FILES = ("bert_config.json", "vocab.txt", "bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001")


def archive(directory="", without=(), **more):
    """The tiny model as an archive like Google's, with or without a directory in it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for name in FILES:
            if name not in without:
                packed.write(GOLDEN / "tiny" / name, f"{directory}{name}")
        for name, text in more.items():
            packed.writestr(name, text)
    return content.getvalue()


@pytest.fixture
def server(monkeypatch, tmp_path):
    by_name._download.cache_clear()
    monkeypatch.setenv("BERT_TF2_CACHE", str(tmp_path / "cache"))
    with serving(ModelServer()) as running:
        monkeypatch.setenv("BERT_TF2_GOOGLE_MODELS", f"{running.url}/models/")
        running.storage[f"models/{PLACE}.zip"] = archive()
        yield running


def test_names_of_releases():
    assert len(google_archives.NAMES) == 2 * 33 - 1  # each with and without its date; one name has two dates
    assert {"uncased_L-12_H-768_A-12", "2020_02_20/uncased_L-12_H-768_A-12", "uncased_L-10_H-256_A-4"} <= {
        *google_archives.NAMES
    }
    assert google_archives._RELEASE_PATHS["uncased_L-12_H-768_A-12"] == "2018_10_18/uncased_L-12_H-768_A-12"
    published = google_archives._SHA256
    assert {*published} <= {*google_archives.NAMES}
    assert all(len(checksum) == 64 for checksums in published.values() for checksum in checksums)


def test_a_model_is_downloaded_once(server, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO")
    model = pretrained.find(NAME)
    directory = tmp_path / "cache" / PLACE
    assert model.checkpoint == str(directory / "bert_model.ckpt")
    assert (model.bert_config.hidden_size, model.do_lower_case) == (96, True)
    assert model.vocabulary.path == str(directory / "vocab.txt")
    assert f"Downloading {server.url}/models/{PLACE}.zip to {directory}." in caplog.text
    assert sorted(path.name for path in directory.parent.iterdir()) == [f".{NAME}.lock", NAME]
    source = json.loads((directory / "bert_tf2_download.json").read_text())
    assert source.pop("sha256") == hashlib.sha256(server.storage[f"models/{PLACE}.zip"]).hexdigest()
    assert source == {
        "url": f"{server.url}/models/{PLACE}.zip",
        "bytes": len(server.storage[f"models/{PLACE}.zip"]),
        "do_lower_case": True,
    }
    embeddings = tf.Variable(tf.zeros([2006, 96]))
    report = checkpoints.load({"bert/embeddings/word_embeddings": embeddings}, NAME, encoder="none/")
    assert report.loaded == ("bert/embeddings/word_embeddings",)
    assert [path for path, _ in server.got] == [f"models/{PLACE}.zip"]
    by_name._download.cache_clear()
    assert pretrained.model_directory(NAME) == str(directory)
    assert len(server.got) == 1


def test_existing_path_is_not_a_name(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).mkdir()
    with pytest.raises(InputError, match=f"{NAME} has no vocab.txt"):
        pretrained.find(NAME)
    assert not server.got


def test_case_of_a_cased_model_is_known(server, monkeypatch):
    monkeypatch.setattr(google_archives, "_SHA256", {})
    server.storage["models/2018_11_23/multi_cased_L-12_H-768_A-12.zip"] = archive("multi_cased_L-12_H-768_A-12/")
    assert not pretrained.find_do_lower_case("multi_cased_L-12_H-768_A-12")
    assert pretrained.find_do_lower_case("multi_cased_L-12_H-768_A-12", flag=True)


def test_nothing_is_extracted_outside_the_cache(server, tmp_path):
    server.storage[f"models/{PLACE}.zip"] = archive(
        "../../../outside/", **{"../../evil.txt": "x", "/tmp/evil.txt": "x", "more/checkpoint": "x"}
    )
    google_archives.fetch(NAME)
    assert sorted(path.name for path in (tmp_path / "cache" / PLACE).iterdir()) == sorted(
        [*FILES, "bert_tf2_download.json"]
    )
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == sorted(
        [*FILES, "bert_tf2_download.json", f".{NAME}.lock"]
    )


def test_interrupted_download_is_resumed(server, tmp_path):
    path = f"models/{PLACE}.zip"
    server.breaks[path] = [100_000, 100_000, 100_000]
    with pytest.raises(InputError, match=rf"^{NAME} is not on this machine \(.*lost after 300,000 of .* bytes \(the"):
        google_archives.fetch(NAME)
    assert not (tmp_path / "cache" / PLACE).exists()
    google_archives.fetch(NAME)
    assert server.got[-1] == (path, 300_000)


def damaged(content):
    """The archive with one bit of the weights flipped."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


@pytest.mark.parametrize(
    ("content", "has_checksums", "reason"),
    [
        (damaged(archive()), False, "the archive is corrupt"),
        (b"<html>Sorry</html>", True, "the archive is corrupt (File is not a zip file)"),
        (archive(without=["vocab.txt"]), True, "the archive has no vocab.txt"),
    ],
    ids=["bits", "page", "incomplete"],
)
def test_corrupt_or_incomplete_archives_are_errors(server, tmp_path, content, has_checksums, reason):
    server.storage[f"models/{PLACE}.zip"], server.has_checksums = content, has_checksums
    with pytest.raises(InputError) as caught:
        google_archives.fetch(NAME)
    assert reason in str(caught.value)
    assert [path.name for path in (tmp_path / "cache" / PLACE).parent.iterdir()] == [f".{NAME}.lock"]


def test_wrong_checksum_is_an_error(server):
    server.storage["models/2018_11_03/chinese_L-12_H-768_A-12.zip"] = archive("chinese_L-12_H-768_A-12/")
    with pytest.raises(InputError, match=r"bert_config.json in it has the SHA-256 .*, the published one has 7aaad033"):
        google_archives.fetch("chinese_L-12_H-768_A-12")


def test_missing_connection_is_an_error(monkeypatch, server):
    monkeypatch.setenv("BERT_TF2_GOOGLE_MODELS", "http://127.0.0.1:9")
    with pytest.raises(InputError) as caught:
        google_archives.fetch(NAME)
    assert str(caught.value).startswith(
        f"{NAME} is not on this machine (--init_checkpoint also takes the directory of a model), and it cannot be "
        f"downloaded from http://127.0.0.1:9/{PLACE}.zip: the server cannot be reached ("
    )
