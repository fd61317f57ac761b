"""Lines from files and standard input: the same lines whatever the blocks; errors that name the line."""

import gzip
import io
import os
import subprocess
import sys
import threading

import pytest
from helpers.repository import REPOSITORY

from bert_tf2.errors import InputError
from bert_tf2.io import text_lines

PROGRAM = """
import sys
from bert_tf2.io import text_lines
for block in text_lines.read(["-"]):
    print(len(block), *map(ascii, block), flush=True)
"""


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(text_lines, "_MOST_LINES", 3)
    monkeypatch.setattr(text_lines, "_MOST_CHARACTERS", 12)


def write(path, text):
    path.write_bytes(text.encode())
    return str(path)


def read_all(content, chunk=1 << 16):
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    for start in range(0, len(content), chunk):
        program.stdin.write(content[start : start + chunk])
        program.stdin.flush()
    return program.communicate()[0].decode().splitlines()


def test_blocks(tmp_path, small_blocks):
    paths = [write(tmp_path / "a", "1\n2\n\n4\nfifteen letters\n6"), write(tmp_path / "b", "7\u2028\r\n8\n")]
    assert list(text_lines.read(paths)) == [["1", "2", ""], ["4", "fifteen letters"], ["6", "7\u2028\r", "8"]]
    assert text_lines.count(paths) == 8


def test_compressed_lines_are_not_counted(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"1\n2\n"))
    plain = write(tmp_path / "b", "3\n")
    assert text_lines.count([plain, str(tmp_path / "a.gz")]) is None
    assert text_lines.count(["-"]) is None
    assert text_lines.count([]) == 0
    assert list(text_lines.read([str(tmp_path / "a.gz"), plain])) == [["1", "2", "3"]]


def test_find(tmp_path):
    odd = write(tmp_path / "a,b*.txt", "")
    assert text_lines.find(odd) == [odd]
    assert text_lines.find(f"{tmp_path}/*.txt,{odd[:-8]}*") == [odd, odd]
    assert text_lines.find("-") == ["-"]
    with pytest.raises(InputError, match=r"^--predict_file: no file matches 'none'"):
        text_lines.find("none", "--predict_file")


@pytest.mark.parametrize("chunk", [1, 3, 100_000])
def test_standard_input(chunk):
    content = "a\n\né東\u2028\r\nlast".encode()
    lines = [word for block in read_all(content, chunk) for word in block.split()[1:]]
    assert lines == ["'a'", "''", r"'\xe9\u6771\u2028\r'", "'last'"]


def test_gzip_on_standard_input():
    assert read_all(gzip.compress(b"a\nb\n")) == ["2 'a' 'b'"]
    assert read_all(b"") == []


def test_a_long_line_that_arrives_in_parts():
    line = "x" * 300_000
    assert read_all(f"{line}\ny\n".encode())[-1].endswith("'y'")


def test_lines_are_returned_before_the_end_of_the_input():
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    for line in (b"first", b"second"):
        program.stdin.write(line + b"\n")
        program.stdin.flush()
        assert program.stdout.readline() == b"1 '%b'\n" % line
    assert program.communicate()[0] == b""


def test_standard_input_that_is_not_utf_8(monkeypatch):
    read_end, write_end = os.pipe()
    os.write(write_end, b"fine\n\nsch\xf6n\n")
    os.close(write_end)
    with open(read_end, "rb") as pipe:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(pipe))
        with pytest.raises(InputError, match=r"^standard input, line 3: byte 4 of the line \(0xf6\) is not UTF-8;"):
            list(text_lines.read(["-"]))


def test_standard_input_that_is_closed(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    for read in (lambda: text_lines.read(["-"]), lambda: text_lines.read_decoded("-", "cp1252")):
        with pytest.raises(InputError, match=r"^Standard input is closed; connect it"):
            list(read())


PACKED = gzip.compress(os.urandom(1000).hex().encode())


@pytest.mark.parametrize(
    "content", [PACKED[:500], PACKED[:10] + b"\xff" + PACKED[11:]], ids=["truncated", "no type of a block"]
)
def test_corrupt_input(tmp_path, monkeypatch, content):
    path = tmp_path / "cut.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"cut\.gz: .* corrupt or truncated"):
        list(text_lines.read([str(path)]))
    with open(path, "rb") as file:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))
        with pytest.raises(InputError, match=r"^Cannot read standard input: .* corrupt or truncated"):
            list(text_lines.read(["-"]))
    with pytest.raises(InputError, match=r"^Cannot read .*missing"):
        text_lines.count([str(tmp_path / "missing.gz")]) or list(text_lines.read([str(tmp_path / "missing")]))


@pytest.mark.parametrize("packed", [False, True])
def test_a_named_pipe_loses_nothing(tmp_path, packed):
    lines = [f"line {number}" for number in range(20_000)]
    content = "\n".join(lines).encode()
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(
        target=(tmp_path / "pipe").write_bytes, args=(gzip.compress(content) if packed else content,)
    )
    writer.start()
    assert text_lines.count([str(tmp_path / "pipe")]) is None
    assert [line for block in text_lines.read([str(tmp_path / "pipe")]) for line in block] == lines
    writer.join()
