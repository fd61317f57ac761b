"""Finding and reading files."""

import gzip
import os

import pytest

from bert_tf2.errors import InputError
from bert_tf2.io import files, json_files, text_lines


def test_expand_keeps_the_order_and_sorts_globs(tmp_path):
    for name in ("b.txt", "a.txt", "c.log"):
        (tmp_path / name).touch()
    paths = files.expand(f"{tmp_path}/c.log, {tmp_path}/*.txt,{tmp_path}/b.txt")
    assert [os.path.basename(path) for path in paths] == ["c.log", "a.txt", "b.txt", "b.txt"]


def test_expand_takes_names_with_glob_characters_literally(tmp_path):
    (tmp_path / "a[1].txt").touch()
    assert files.expand(f"{tmp_path}/a[1].txt") == [f"{tmp_path}/a[1].txt"]


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ("{}/my data, v2 [final] é.txt", ["my data, v2 [final] é.txt"]),
        ("{}/my data, v2 [final] é.txt,{}/b.txt", ["my data, v2 [final] é.txt", "b.txt"]),
        (
            "{}/b.txt , {}/d, e/*.txt,{}/my data, v2 [final] é.txt",
            ["b.txt", "1.txt", "2.txt", "my data, v2 [final] é.txt"],
        ),
        ("{}/ b.txt", [" b.txt"]),
        ("{}/b.txt,c", ["b.txt,c"]),
    ],
)
def test_expand_takes_paths_that_exist_literally(tmp_path, patterns, names):
    (tmp_path / "my data").mkdir()  # the part before the comma is a directory
    (tmp_path / "d, e").mkdir()
    for name in (
        "my data, v2 [final] é.txt",
        "my data, v2 f é.txt",
        "b.txt",
        " b.txt",
        "b.txt,c",
        "d, e/1.txt",
        "d, e/2.txt",
    ):
        (tmp_path / name).touch()
    paths = files.expand(patterns.replace("{}", str(tmp_path)))
    assert [os.path.basename(path) for path in paths] == names


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ("", "--input_file does not name a file"),
        (" , ", "--input_file does not name a file"),
        ("{}/none*.txt", "--input_file: no file matches '.*/none"),
        ("{}", "is a directory; name its files"),
    ],
)
def test_expand_errors(tmp_path, patterns, message):
    with pytest.raises(InputError, match=message):
        files.expand(patterns.format(tmp_path), "--input_file")


def test_lines_end_only_at_line_feeds(tmp_path):
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


@pytest.mark.parametrize(
    "read", [lambda path: list(files.read_lines(path)), json_files.read, text_lines.detect_encoding]
)
def test_gzip_with_corrupt_content(tmp_path, read):
    """Its end is intact; zlib's error about it is not an OSError."""
    content = gzip.compress(b'["text"]\n' * 99)
    (tmp_path / "a.gz").write_bytes(content[:10] + b"\xff" + content[11:])
    with pytest.raises(InputError, match=r"^Cannot read .*a\.gz: .*invalid block type; it is corrupt or truncated\.$"):
        read(str(tmp_path / "a.gz"))


def test_pipes_are_refused_as_they_are_opened_more_than_once():
    """What the first reading takes would be missing in the second: `--predict_file=<(zcat words.gz)`."""
    read_end, write_end = os.pipe()
    os.write(write_end, b"first\n" * 5000)
    os.close(write_end)
    try:
        with pytest.raises(InputError, match=rf"^/dev/fd/{read_end} is a pipe or a terminal, which can be read only"):
            list(files.read_lines(f"/dev/fd/{read_end}"))
    finally:
        os.close(read_end)
