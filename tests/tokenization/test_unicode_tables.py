"""The cache of the tables of replacements; their contents are tested in test_fast_wordpiece."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from bert_tf2.tokenization import unicode_tables
from bert_tf2.tokenization.unicode_tables import Replacements, load_replacements
from bert_tf2.tokenization.wordpiece import BasicTokenizer

FEW = Replacements(np.array([65, 768], np.int32), np.array([1, 1], np.int32), np.array([97], np.int32))


@pytest.fixture
def computed_tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[bool]:
    """Sets an empty cache directory, and replaces tables by a small one; the list grows with each one computed."""
    modes: list[bool] = []

    def make(rules: BasicTokenizer) -> Replacements:
        modes.append(rules.do_lower_case)
        return FEW

    monkeypatch.setattr(unicode_tables, "make_replacements", make)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return modes


def same(replacements: Replacements) -> bool:
    return all(a.dtype == b.dtype and a.tolist() == b.tolist() for a, b in zip(replacements, FEW, strict=True))


def test_tables_are_cached(computed_tables: list[bool], tmp_path: Path) -> None:
    for _ in range(2):
        assert same(load_replacements(True))
        assert same(load_replacements(False))
    assert computed_tables == [True, False]
    names = sorted(path.name for path in (tmp_path / "cache" / "bert_tf2").iterdir())
    assert [name.rsplit("-", 1)[1] for name in names] == ["cased", "lower"]
    assert all(name.startswith(f"unicode-{unicodedata.unidata_version}-") for name in names)


def test_cache_of_another_python_or_other_rules(computed_tables: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    load_replacements(True)
    with monkeypatch.context() as patch:
        patch.setattr(unicodedata, "unidata_version", "99.0.0")
        load_replacements(True)
    with monkeypatch.context() as patch:
        patch.setattr(unicode_tables.inspect, "getsource", lambda module: f"other {module.__name__}")
        load_replacements(True)
    assert len(computed_tables) == 3
    load_replacements(True)
    assert len(computed_tables) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[:-1],
        lambda b: b"",
        lambda b: b[:40],
        lambda b: b[:-3] + b"\1" + b[-2:],
        lambda b: b + b"\0",
        lambda b: b"\1" + b[1:],
    ],
)
def test_corrupt_cache(damage, computed_tables: list[bool], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    load_replacements(True)
    [path] = (tmp_path / "cache" / "bert_tf2").iterdir()
    path.write_bytes(damage(path.read_bytes()))
    for _ in range(2):  # computed again, then read from the cache
        assert same(load_replacements(True))
    assert len(computed_tables) == 2


def test_cache_that_is_not_writable(
    computed_tables: list[bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file, no directory")
    assert same(load_replacements(True))
    monkeypatch.setattr(unicode_tables.inspect, "getsource", lambda _: (_ for _ in ()).throw(OSError("no source")))
    assert same(load_replacements(True))
    monkeypatch.undo()
    assert computed_tables == [True, True]


def test_no_home_directory(computed_tables: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(unicode_tables.Path, "home", no_home)
    assert same(load_replacements(True))
    assert same(load_replacements(True))
    assert computed_tables == [True, True]
