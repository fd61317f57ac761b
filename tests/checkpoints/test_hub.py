"""Models on the Hugging Face Hub: downloads, cache and checksums, against a test server that imitates the Hub."""

import resource
import sys
from pathlib import Path

import huggingface_hub
import pytest
from helpers.model_server import COMMIT, ModelServer, serving
from helpers.tiny_huggingface import write_directory
from huggingface_hub import constants

from bert_tf2 import BertModel, FullTokenizer
from bert_tf2.checkpoints import by_name, hub, pretrained
from bert_tf2.errors import InputError

NAME = "owner/tiny-bert"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    directory = write_directory(tmp_path_factory.mktemp("tiny"), "BertModel")
    others = {"pytorch_model.bin": b"x" * 1000, "tf_model.h5": b"x" * 1000, "README.md": b"# A model", "onnx/x": b"x"}
    return {path.name: path.read_bytes() for path in directory.iterdir()} | others


def point_to(monkeypatch, url):
    """Has the effect of setting HF_ENDPOINT before `huggingface_hub` is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def server(monkeypatch, tmp_path, files):
    with serving(ModelServer()) as running:
        running.repositories[NAME] = dict(files)
        by_name._download.cache_clear()
        point_to(monkeypatch, running.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(hub, "_TIMEOUT", 2.0)
        yield running


def offline(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def test_only_needed_files_are_downloaded_once(server, tmp_path, caplog):
    caplog.set_level("INFO")
    directory = Path(pretrained.model_directory(NAME))
    assert directory.parts[-2:] == ("snapshots", COMMIT)
    needed = ["config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt"]
    assert sorted(path.name for path in directory.iterdir()) == needed
    assert sorted(path for path, _ in server.got) == [f"{NAME}/{name}" for name in needed]
    assert f"Downloading model.safetensors, config.json, vocab.txt, tokenizer_config.json of {NAME}, " in caplog.text
    assert f"bytes, from {server.url}." in caplog.text
    model = pretrained.find(NAME)
    assert (model.bert_config.hidden_size, model.do_lower_case, model.checkpoint) == (4, True, str(directory))
    by_name._download.cache_clear()
    assert pretrained.model_directory(NAME) == str(directory)
    assert len(server.got) == len(needed)


def test_a_revision(server):
    server.revisions.append("v1")
    assert hub.fetch(NAME, "v1") == hub.fetch(NAME) == hub.fetch(NAME, COMMIT)
    with pytest.raises(InputError, match=rf"^{NAME}@v2 is not on this machine \(.*: it has no revision v2\.$"):
        hub.fetch(NAME, "v2")


@pytest.mark.parametrize(
    ("files", "needed"),
    [
        (
            ["model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
            None,
        ),
        (["pytorch_model.bin"], None),
        (["tf_model.h5"], None),
        (["bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001", "bert_config.json", "task.json"], None),
        (["model.safetensors", "pytorch_model.bin"], ["model.safetensors"]),
        (["flax_model.msgpack"], []),
    ],
    ids=lambda files: files and files[0],
)
def test_needed_files(files, needed):
    extra = [] if "bert_config.json" in files else ["config.json"]
    selected = hub._needed_files([*files, *extra, "README.md", "sub/model.safetensors"])
    assert selected == ([*(files if needed is None else needed), *extra] if needed != [] else None)


def test_cache_is_used_without_a_connection(server, monkeypatch, caplog):
    directory = hub.fetch(NAME)
    point_to(monkeypatch, "http://127.0.0.1:9")
    assert hub.fetch(NAME) == directory
    assert "http://127.0.0.1:9 cannot be reached (" in caplog.text
    caplog.clear()
    offline(monkeypatch)
    assert hub.fetch(NAME) == directory
    assert hub.fetch(NAME, COMMIT) == directory
    assert caplog.text == ""
    with pytest.raises(InputError, match=r"HF_HUB_OFFLINE is set, and the model is not in the cache as a whole\.$"):
        hub.fetch("owner/other")


def test_cached_model_without_weights_is_an_error(server, monkeypatch):
    directory = Path(hub.fetch(NAME))
    (directory / "model.safetensors").unlink()
    offline(monkeypatch)
    with pytest.raises(InputError, match="not in the cache as a whole"):
        hub.fetch(NAME)


def test_failed_downloads_are_errors(server, monkeypatch):
    beginning = (
        " is not on this machine (--init_checkpoint also takes the directory of a model), and it cannot be "
        f"downloaded from {server.url}: "
    )
    server.gated.add(NAME)
    server.repositories["owner/none"] = {"config.json": b"{}", "flax_model.msgpack": b"x"}
    for name, reason in (
        ("owner/unknown", "there is no such model, or it is private: then set HF_TOKEN."),
        (NAME, f"it is only for those who accept its terms, at {server.url}/{NAME}, and set HF_TOKEN."),
        (
            "owner/none",
            "it has none of the weights that can be read (model.safetensors, model.safetensors.index.json, "
            "pytorch_model.bin, pytorch_model.bin.index.json, tf_model.h5, *.ckpt.*).",
        ),
    ):
        with pytest.raises(InputError) as caught:
            hub.fetch(name)
        assert str(caught.value) == f"{name}{beginning}{reason}"
    point_to(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"cannot be downloaded from http://127\.0\.0\.1:9: .*refused\.$"):
        hub.fetch(NAME)


def test_token_gives_access_to_a_private_model(server, monkeypatch):
    server.secret.add(NAME)
    with pytest.raises(InputError, match="no such model, or it is private"):
        hub.fetch(NAME)
    monkeypatch.setenv("HF_TOKEN", server.token)
    assert Path(hub.fetch(NAME), "vocab.txt").is_file()


@pytest.mark.parametrize("file", ["model.safetensors", "vocab.txt"])
def test_wrong_checksum_is_an_error(server, file):
    server.wrong.add(f"{NAME}/{file}")
    with pytest.raises(InputError, match=f"{file} arrived with the checksum [0-9a-f]+, [0-9a-f]+ was expected"):
        hub.fetch(NAME)
    server.wrong.clear()
    assert Path(hub.fetch(NAME), file).read_bytes() == server.repositories[NAME][file]  # the corrupt file was not kept


def test_model_that_changes_during_the_download_is_an_error(server, monkeypatch):
    """Its files are then in the cache of another commit than the one whose files were listed."""
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: None)
    with pytest.raises(InputError, match=r"it has changed since its files were listed; run the same command again\.$"):
        hub.fetch(NAME)


def test_interrupted_download_is_resumed(server):
    server.breaks[f"{NAME}/model.safetensors"] = [100]
    directory = hub.fetch(NAME)
    assert Path(directory, "model.safetensors").read_bytes() == server.repositories[NAME]["model.safetensors"]


def test_without_huggingface_hub(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError) as caught:
        hub.fetch("google-bert/bert-base-uncased")
    assert str(caught.value) == (
        "google-bert/bert-base-uncased is not on this machine; to download it from the Hugging Face Hub, install "
        "huggingface_hub (pip install 'bert-tf2[hub]'), or give --init_checkpoint the directory of a model."
    )


def test_a_full_disk(server, tmp_path):
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, unlimited[1]))
        with pytest.raises(OSError, match="File too large") as caught:
            hub.fetch(NAME)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert str(caught.value.filename).startswith(str(tmp_path / "hub"))
    assert Path(hub.fetch(NAME), "model.safetensors").is_file()


def test_from_python(server):
    model, tokenizer = BertModel.from_pretrained(NAME), FullTokenizer.from_pretrained(NAME)
    assert (model.config.hidden_size, tokenizer.tokenize("Covids")) == (4, ["co", "##vid", "##s"])
