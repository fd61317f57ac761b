"""Telling names of public models from paths."""

import pytest

from bert_tf2.checkpoints import by_name, google_archives, hub
from bert_tf2.errors import InputError


@pytest.fixture(autouse=True)
def fetched(monkeypatch, tmp_path):
    """The arguments of the calls that would download models."""
    calls = []
    by_name._download.cache_clear()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(google_archives, "fetch", lambda name: calls.append(name) or "archive")
    monkeypatch.setattr(hub, "fetch", lambda name, revision: calls.append((name, revision)) or "hub")
    yield calls
    by_name._download.cache_clear()


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("bert-base-uncased", ("google-bert/bert-base-uncased", None)),
        ("bert-base-chinese@v1", ("google-bert/bert-base-chinese", "v1")),
        ("google-bert/bert-base-cased", ("google-bert/bert-base-cased", None)),
        ("google/bert_uncased_L-2_H-128_A-2@refs/pr/3", ("google/bert_uncased_L-2_H-128_A-2", "refs/pr/3")),
        ("uncased_L-2_H-128_A-2", "uncased_L-2_H-128_A-2"),
        ("2020_02_20/uncased_L-12_H-768_A-12", "2020_02_20/uncased_L-12_H-768_A-12"),
    ],
)
def test_names(fetched, name, call):
    assert by_name.is_name(name)
    assert by_name.local_path(name) == ("archive" if isinstance(call, str) else "hub")
    assert by_name.local_path(name)  # a second call does not ask again
    assert fetched == [call]


@pytest.mark.parametrize(
    "path",
    [
        *("/models/bert", "./models/bert", "../bert", "~/bert", "models/bert/base", "gs://bucket/bert", "ram://bert"),
        *("none.ckpt", "bert/bert_model.ckpt", "out/model.ckpt-1000", "bert/model.safetensors", "bert/tf_model.h5"),
        *("here/bert", "bert-large-cased", "prefix", "two words", ""),
    ],
)
def test_paths(fetched, tmp_path, path):
    (tmp_path / "here").mkdir()
    (tmp_path / "bert-large-cased").mkdir()
    (tmp_path / "prefix.index").touch()
    assert not by_name.is_name(path)
    assert by_name.local_path(path) == path
    assert fetched == []


def test_neither_path_nor_name(fetched):
    assert by_name.local_path("my_model") == "my_model"  # the error is left to the code that opens it
    assert fetched == []
    with pytest.raises(InputError) as caught:
        by_name.local_path("bert-base-uncasd")
    assert str(caught.value) == (
        "There is no bert-base-uncasd: the directory of a model on this machine, a checkpoint in it "
        "(DIRECTORY/bert_model.ckpt), or the name of a public model (uncased_L-12_H-768_A-12, bert-base-uncased, "
        "OWNER/NAME of the Hugging Face Hub) was expected; did you mean bert-base-uncased?"
    )
