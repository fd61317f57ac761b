"""Finding, reading and safely writing files."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bert_tf2 import files
from bert_tf2.errors import InputError
from bert_tf2.records import RecordWriter
from bert_tf2.tasks.joined_outputs import JoinedOutputs
from bert_tf2.tasks.unfinished_output import UnfinishedOutput


def test_expand_keeps_the_order_and_sorts_globs(tmp_path):
    for name in ("b.txt", "a.txt", "c.log"):
        (tmp_path / name).touch()
    found = files.expand(f"{tmp_path}/c.log, {tmp_path}/*.txt,{tmp_path}/b.txt")
    assert [os.path.basename(path) for path in found] == ["c.log", "a.txt", "b.txt", "b.txt"]


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
    (tmp_path / "my data").mkdir()  # what stands before the comma is a directory
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
    found = files.expand(patterns.replace("{}", str(tmp_path)))
    assert [os.path.basename(path) for path in found] == names


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ("", "--input_file names no file"),
        (" , ", "--input_file names no file"),
        ("{}/none*.txt", "--input_file: no file matches '.*/none"),
        ("{}", "is a directory; name its files"),
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


# --- What may be replaced, and what is left over ----------------------------------------------------------------------


def special_files(tmp_path):
    """Path and kind of what is no regular file."""
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    (tmp_path / "link").symlink_to("pipe")
    with open(tmp_path / "file", "w") as file:
        (tmp_path / "stdout").symlink_to(f"/proc/self/fd/{file.fileno()}")  # as /dev/stdout where that is a file
        yield tmp_path / "stdout", "a link to an open file"
    for name in ("pipe", "link"):
        yield tmp_path / name, "a pipe"
    yield tmp_path / "socket", "a socket"
    yield tmp_path, "a directory"
    yield Path("/dev/null"), "a device"


def test_only_regular_files_are_replaced(tmp_path):
    writers = [files.replacing, lambda path: RecordWriter([path]), lambda path: JoinedOutputs([path], [], [])]
    writers.append(lambda path: UnfinishedOutput(str(path), (), {}))
    for path, kind in special_files(tmp_path):
        for writer in writers:
            with pytest.raises(InputError, match=f"{path} is {kind}, which cannot be replaced"), writer(path):
                pass
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert not list(tmp_path.glob(".*"))


def test_a_link_to_a_file_is_replaced_not_the_file(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "dangling").symlink_to("none")
    for name in ("link", "dangling"):
        with files.replacing(tmp_path / name) as file:
            file.write("new")
        assert (tmp_path / name).read_text() == "new"
    assert (tmp_path / "a").read_text() == "old"
    assert not (tmp_path / "none").exists()


def test_what_killed_processes_left_is_removed(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    kept = [".v.txt.unfinished-1", ".v.txt.unfinished-notes", ".w.txt.unfinished-99999999999", "victim"]
    for name in (*kept[:3], f".v.txt.unfinished-{dead.pid}"):
        (tmp_path / name).touch()
    (tmp_path / ".v.txt.unfinished-99999999999").mkdir()
    (tmp_path / f".v.txt.unfinished-{os.getpid()}").symlink_to(victim)
    with files.replacing(tmp_path / "v.txt") as file:
        file.write("new")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "v.txt"])
    assert victim.read_text() == "precious"
