"""Files and directories appear when they are complete, or not at all."""

import contextlib
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.full_disk import expect_full_disk

from bert_tf2.errors import InputError
from bert_tf2.io import atomic
from bert_tf2.io.resumable_output import UnfinishedOutput
from bert_tf2.pretraining_data.merge import JoinedOutputs
from bert_tf2.records.schema import RecordWriter


def test_replacing_writes_complete_files_or_none(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic.replacing(path) as file:
        file.write("ä\n")
        assert not path.exists()
    assert path.read_bytes() == "ä\n".encode()

    def fail():
        with atomic.replacing(path) as file:
            file.write("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_bytes() == "ä\n".encode()
    assert [file.name for file in path.parent.iterdir()] == ["a.txt"]


def test_replacing_bytes(tmp_path):
    with atomic.replacing(tmp_path / "a", "wb") as file:
        file.write(b"\x00")
    assert (tmp_path / "a").read_bytes() == b"\x00"


# --- What may be replaced, and leftover files -------------------------------------------------------------------------


def special_files(tmp_path):
    """Path and kind of what is not a regular file."""
    os.mkfifo(tmp_path / "pipe")
    with contextlib.chdir(tmp_path), socket.socket(socket.AF_UNIX) as listening:  # whose path may have 100 bytes
        listening.bind("socket")
    (tmp_path / "link").symlink_to("pipe")
    with open(tmp_path / "file", "w") as file:
        (tmp_path / "stdout").symlink_to(f"/proc/self/fd/{file.fileno()}")  # like /dev/stdout if that is a file
        yield tmp_path / "stdout", "a link to an open file"
    for name in ("pipe", "link"):
        yield tmp_path / name, "a pipe"
    yield tmp_path / "socket", "a socket"
    yield tmp_path, "a directory"
    yield Path("/dev/null"), "a device"


def test_only_regular_files_are_replaced(tmp_path):
    writers = [atomic.replacing, lambda path: RecordWriter([path]), lambda path: JoinedOutputs([path], [], [])]
    writers.append(lambda path: UnfinishedOutput(str(path), (), {}))
    for path, kind in special_files(tmp_path):
        for writer in writers:
            with pytest.raises(InputError, match=f"{path} is {kind}, which cannot be replaced"), writer(path):
                pass
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert not list(tmp_path.glob(".*"))


def test_a_link_is_replaced_rather_than_its_target(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "dangling").symlink_to("none")
    for name in ("link", "dangling"):
        with atomic.replacing(tmp_path / name) as file:
            file.write("new")
        assert (tmp_path / name).read_text() == "new"
    assert (tmp_path / "a").read_text() == "old"
    assert not (tmp_path / "none").exists()


def test_files_of_killed_processes_are_removed(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    kept = [".v.txt.unfinished-1", ".v.txt.unfinished-notes", ".w.txt.unfinished-99999999999", "victim"]
    for name in (*kept[:3], f".v.txt.unfinished-{dead.pid}"):
        (tmp_path / name).touch()
    (tmp_path / ".v.txt.unfinished-99999999999").mkdir()
    (tmp_path / f".v.txt.unfinished-{os.getpid()}").symlink_to(victim)
    with atomic.replacing(tmp_path / "v.txt") as file:
        file.write("new")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "v.txt"])
    assert victim.read_text() == "precious"


# --- Directories, and several files ----------------------------------------------------------------------------------


def test_a_directory_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "out"
    with atomic.directory(path) as unfinished:
        (unfinished / "sub").mkdir()
        (unfinished / "sub" / "a").write_text("x")
        assert not path.exists()
    assert (path / "sub" / "a").read_text() == "x"
    assert os.listdir(path.parent) == ["out"]

    def fail():
        with atomic.directory(tmp_path / "failed") as unfinished:
            (unfinished / "a").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert os.listdir(tmp_path) == ["new"]


def test_a_directory_replaces_another_at_once(tmp_path, monkeypatch):
    path = tmp_path / "best"
    for name in ("a", "b"):
        with atomic.directory(path, replaces=True) as unfinished:
            (unfinished / name).touch()
            assert os.listdir(path) == ["a"] if name == "b" else not path.exists()
        assert os.listdir(path) == [name]
    replace = os.replace

    def fail(source, target):
        if os.path.basename(source) == "new":
            raise OSError(28, "no room", str(source))
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no room"), atomic.directory(path, replaces=True):
        pass
    assert os.listdir(tmp_path) == ["best"]
    assert os.listdir(path) == ["b"]


def test_a_directory_replaces_only_an_empty_one(tmp_path):
    (tmp_path / "empty").mkdir()
    with atomic.directory(tmp_path / "empty") as unfinished:
        (unfinished / "a").touch()
    with pytest.raises(OSError, match="not empty") as caught, atomic.directory(tmp_path / "empty"):
        pass
    assert caught.value.filename == str(tmp_path / "empty")
    assert os.listdir(tmp_path / "empty") == ["a"]
    assert os.listdir(tmp_path) == ["empty"]


def test_errors_of_a_full_disk_name_the_output(tmp_path):
    def write_directory():
        with atomic.directory(tmp_path / "out") as unfinished:
            (unfinished / "weights").write_bytes(bytes(5000))

    def write_file_within():
        with atomic.directory(tmp_path / "out") as unfinished, atomic.replacing(unfinished / "weights", "wb") as file:
            file.write(bytes(5000))

    def write_file():
        with atomic.replacing(tmp_path / "a") as file:
            file.write("x" * 5000)

    expect_full_disk(tmp_path / "a", 1000, write_file)
    expect_full_disk(tmp_path / "out", 1000, write_file_within, match="weights cannot be written")
    expect_full_disk(tmp_path / "out", 1000, write_directory, match="File too large")


def test_errors_about_other_files_keep_their_names(tmp_path):
    for context in (atomic.directory(tmp_path / "out"), atomic.replacing(tmp_path / "a")):
        with pytest.raises(FileNotFoundError) as caught, context:
            (tmp_path / "vocab.txt").read_bytes()
        assert caught.value.filename == str(tmp_path / "vocab.txt")
    assert os.listdir(tmp_path) == []


def test_several_files_appear_together(tmp_path):
    paths = [tmp_path / "sub" / name for name in "ab"]
    for is_committed in (False, True):
        with atomic.Files(paths) as files:
            for path in files.unfinished:
                path.write_text("x")
            assert not any(path.exists() for path in paths)
            if is_committed:
                files.commit()
        assert sorted(os.listdir(tmp_path / "sub")) == (["a", "b"] if is_committed else [])


def test_errors_of_a_growing_output_name_the_output(tmp_path):
    def write(finish):
        with UnfinishedOutput(str(tmp_path / "out"), ("growing",), {}) as output:
            output.append("growing", bytes(900))
            finish(output)

    def fill(output):
        output.append("growing", bytes(10**6))

    def make_another(output):
        with atomic.replacing(output.directory / "complete", "wb") as file:
            file.write(bytes(5000))

    for finish in (fill, make_another):
        expect_full_disk(tmp_path / "out", 1000, lambda finish=finish: write(finish))
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        UnfinishedOutput(str(tmp_path / "file" / "out"), (), {})
