"""Finding, reading and safely writing files."""

import os

import pytest

from bert_tf2 import files
from bert_tf2.errors import InputError


def test_expand_keeps_the_order_and_sorts_globs(tmp_path):
    for name in ("b.txt", "a.txt", "c.log"):
        (tmp_path / name).touch()
    found = files.expand(f"{tmp_path}/c.log, {tmp_path}/*.txt,{tmp_path}/b.txt")
    assert [os.path.basename(path) for path in found] == ["c.log", "a.txt", "b.txt", "b.txt"]


def test_expand_takes_names_with_glob_characters_literally(tmp_path):
    (tmp_path / "a[1].txt").touch()
    assert files.expand(f"{tmp_path}/a[1].txt") == [f"{tmp_path}/a[1].txt"]


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ("", "--input_file names no file"),
        (" , ", "--input_file names no file"),
        ("{}/none*.txt", "--input_file: no file matches '.*/none"),
        ("{}", "is a folder; name its files"),
    ],
)
def test_expand_errors(tmp_path, patterns, message):
    with pytest.raises(InputError, match=message):
        files.expand(patterns.format(tmp_path), "--input_file")


def test_lines_end_at_line_feeds_alone(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("a\r\nb\u2028c\x0cd\x85e\rf\n\nlast".encode())
    assert list(files.read_lines(path)) == ["a\r", "b\u2028c\x0cd\x85e\rf", "", "last"]


def test_read_errors(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"good\nb\xe9d\n")
    with pytest.raises(InputError, match=r"a\.txt, line 2: byte 2 of the line \(0xe9\) is not UTF-8"):
        list(files.read_lines(path))
    with pytest.raises(InputError, match=r"Cannot read .*none\.txt: No such file"):
        list(files.read_lines(tmp_path / "none.txt"))


def test_replacing_writes_whole_files_or_none(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with files.replacing(path) as file:
        file.write("ä\n")
        assert not path.exists()
    assert path.read_bytes() == "ä\n".encode()

    def fail():
        with files.replacing(path) as file:
            file.write("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_bytes() == "ä\n".encode()
    assert [file.name for file in path.parent.iterdir()] == ["a.txt"]


def test_replacing_bytes(tmp_path):
    with files.replacing(tmp_path / "a", "wb") as file:
        file.write(b"\x00")
    assert (tmp_path / "a").read_bytes() == b"\x00"
