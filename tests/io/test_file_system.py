"""Files by their paths: the same on the local side and on a remote one."""

import errno
import gzip
import itertools
import os
from pathlib import Path

import pytest
from helpers.one_process import names_in

from bert_tf2.errors import InputError
from bert_tf2.io import atomic, file_system, files, json_files, text_lines, text_shards

_number = itertools.count()


@pytest.fixture(params=["local", "ram"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty directory."""
    directory = str(tmp_path / "place") if request.param == "local" else f"ram://file-system-{next(_number)}/place"
    file_system.makedirs(directory)
    return directory


def write(path: str, content: str | bytes = "x") -> str:
    with atomic.replacing(path, "w" if isinstance(content, str) else "wb") as file:
        file.write(content)
    return path


def read(path: str) -> bytes:
    with file_system.open(path, "rb") as file:
        return file.read()


@pytest.mark.parametrize("path", ["gs://bucket/a", "hdfs:///a", "s3://b", "ram://x/y", "file:///tmp/a", "http+x://a"])
def test_paths_with_a_scheme_are_remote_and_stay_as_they_are(path: str) -> None:
    assert file_system.is_remote(path)
    parsed = file_system.path(path)
    assert os.fspath(parsed) == str(parsed) == path == file_system.absolute(path)
    assert os.fspath(parsed / "b" / "c.txt") == f"{path}/b/c.txt"
    assert os.fspath((parsed / "b").parent) == path
    assert os.fspath((parsed / "b").with_name(".b.x")) == f"{path}/.b.x"
    assert file_system.is_remote(parsed)
    assert parsed.absolute() is parsed


@pytest.mark.parametrize("path", ["/a", "a:b/c", "a:/b", "a/gs://b", "://a", "C:\\a"])
def test_other_paths_are_local(path: str) -> None:
    assert not file_system.is_remote(path)
    assert type(file_system.path(path)) is type(Path())


def test_what_is_there(place: str) -> None:
    path = write(f"{place}/a.txt", "four")
    assert (file_system.exists(path), file_system.isfile(path), file_system.isdir(path)) == (True, True, False)
    assert (file_system.exists(place), file_system.isfile(place), file_system.isdir(place)) == (True, False, True)
    missing = f"{place}/b/c"
    for nothing in (missing, f"{place}/a", f"{place}/a.tx"):
        assert not any(check(nothing) for check in (file_system.exists, file_system.isfile, file_system.isdir))
    assert file_system.getsize(path) == 4
    assert not file_system.islink(path)
    for fails in (file_system.stat, file_system.getsize, file_system.open, file_system.listdir):
        with pytest.raises(FileNotFoundError) as error:
            fails(missing)
        assert (error.value.filename, error.value.errno) == (missing, errno.ENOENT)
    with pytest.raises(IsADirectoryError):
        file_system.open(place)


def test_the_methods_of_paths(place: str) -> None:
    directory = file_system.path(place) / "new" / "one"
    directory.mkdir(parents=True, exist_ok=True)
    with pytest.raises(FileExistsError):
        directory.mkdir()
    path = directory / "a.txt"
    assert (path.exists(), path.is_file(), path.is_dir(), path.is_symlink()) == (False, False, False, False)
    assert path.write_text("é\n", encoding="utf-8") == 2
    (directory / "b.json").write_bytes(b"{}")
    assert (path.read_text(encoding="utf-8"), path.read_bytes()) == ("é\n", "é\n".encode())
    assert path.stat().st_size == 3
    assert sorted(found.name for found in directory.iterdir()) == ["a.txt", "b.json"]
    assert [found.name for found in directory.glob("*.txt")] == ["a.txt"]
    assert list((directory / "missing").glob("*")) == []
    assert {str(found.relative_to(place)) for found in file_system.path(place).rglob("*.json")} == {"new/one/b.json"}
    path.unlink()
    path.unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        path.unlink()
    file_system.rmtree(directory)
    assert not directory.exists()
    file_system.rmtree(directory, ignore_errors=True)
    with pytest.raises(FileNotFoundError):
        file_system.rmtree(directory)


def test_opening(place: str) -> None:
    path = f"{place}/file"
    content = os.urandom(3 << 20)
    with file_system.open(path, "xb") as file:
        file.write(content)
        file_system.sync_open(file)
    with pytest.raises(FileExistsError):
        file_system.open(path, "x")
    with file_system.open(path, "rb") as file:
        assert file.read(10) == content[:10]
        assert file.seek(1 << 20) == 1 << 20
        assert file.peek(1)[:1] == content[1 << 20 : (1 << 20) + 1]
        assert file.seek(5, os.SEEK_CUR) == (1 << 20) + 5
        assert file.read() == content[(1 << 20) + 5 :]
        assert file.seek(-3, os.SEEK_END) == len(content) - 3
        assert file.read() == content[-3:]
        assert file.read() == b""
    with file_system.open(path, "w", encoding="utf-8", newline="\n"):
        pass
    assert read(path) == b""
    with file_system.open(path, "w", newline="\n") as file:
        file.write("a\nb")
    with file_system.open(path) as file:
        assert list(file) == ["a\n", "b"]


def test_globs(place: str) -> None:
    for name in ("a.txt", "b.txt", "c.json", ".d.txt", "sub/e.txt", "sub/deep/f.txt", ".hidden/g.txt", "[x].txt"):
        write(f"{place}/{name}")

    def found(pattern: str) -> list[str]:
        return [path.removeprefix(f"{place}/") for path in file_system.glob(f"{place}/{pattern}")]

    assert found("*.txt") == ["[x].txt", "a.txt", "b.txt"]
    assert found("?.txt") == ["a.txt", "b.txt"]
    assert found("[!a].txt") == ["b.txt"]
    assert found("[[]x].txt") == ["[x].txt"]
    assert found(".*.txt") == [".d.txt"]
    assert found("**/*.txt") == ["[x].txt", "a.txt", "b.txt", "sub/deep/f.txt", "sub/e.txt"]
    assert found("*/?.txt") == ["sub/e.txt"]
    assert found("none*") == []
    assert files.expand(f"{place}/a.txt,{place}/s*/*.txt") == [f"{place}/a.txt", f"{place}/sub/e.txt"]
    with pytest.raises(InputError, match=r"--input: no file matches '.*none\*'"):
        files.expand(f"{place}/none*", "--input")
    with pytest.raises(InputError, match=r"sub' is a directory; name its files"):
        files.expand(f"{place}/sub")


def test_moving_copying_and_comparing(place: str, tmp_path: Path) -> None:
    first, second = write(f"{place}/first", b"1"), write(f"{place}/second", b"22")
    assert file_system.samefile(first, f"{place}/./first")
    assert not file_system.samefile(first, second)
    assert not file_system.same_content(first, second)
    file_system.replace(first, second)
    assert read(second) == b"1"
    assert not file_system.exists(first)
    local = tmp_path / "local"
    local.write_bytes(b"333")
    file_system.copy(local, first)
    assert file_system.same_content(local, first)
    file_system.replace(local, second)  # from the local side
    assert (read(second), local.exists()) == (b"333", False)
    assert names_in(place) == {"first", "second"}
    copy = Path(file_system.local_copy(second))
    assert (copy.name, copy.read_bytes()) == ("second", b"333")
    assert file_system.local_copy(second) == str(copy)
    write(second, b"4444")
    assert Path(file_system.local_copy(second)).read_bytes() == b"4444"
    file_system.remove(second)
    file_system.remove(second)
    assert names_in(place) == {"first"}


def test_what_is_inside(place: str) -> None:
    write(f"{place}/in/a")
    assert file_system.is_inside(f"{place}/in/a", place)
    assert file_system.is_inside(place, f"{place}/")
    assert not file_system.is_inside(f"{place}/in/../../a", place)
    assert not file_system.is_inside(f"{place}-other/a", place)
    assert not file_system.is_inside("gs://bucket/a", place)
    assert not file_system.is_inside("/a", place)
    assert not file_system.is_inside("gs://a", os.getcwd())


def test_outputs_appear_whole(place: str) -> None:
    path = write(f"{place}/deep/out.json", "{}")

    def give_up_halfway() -> None:
        with atomic.replacing(path) as file:
            file.write("[1, 2")
            file.flush()
            assert json_files.read(path) == {}
            raise RuntimeError

    with pytest.raises(RuntimeError):
        give_up_halfway()
    assert json_files.read(path) == {}
    assert names_in(place) == {"deep/out.json"}
    with pytest.raises(InputError, match=r"deep is a directory, which cannot be replaced"):
        write(f"{place}/deep")


def test_what_a_killed_process_of_this_machine_left_goes(place: str) -> None:
    path = f"{place}/out"
    prefix = file_system.unfinished_prefix(path)
    write(f"{place}/{prefix}999999999")
    write(f"{place}/{prefix}of-another-machine-1")
    write(path)
    assert names_in(place) == {"out", f"{prefix}of-another-machine-1"}


def test_directories_appear_with_what_they_are_known_by_last(monkeypatch: pytest.MonkeyPatch) -> None:
    final = f"ram://file-system-{next(_number)}/model"
    moved: list[str] = []
    replace = file_system.replace

    def failing(source: object, target: object) -> None:
        moved.append(str(target).removeprefix(f"{final}/"))
        if len(moved) == 4:
            raise OSError(errno.ENOSPC, "no room", str(target))
        replace(source, target)  # type: ignore[arg-type]

    def make() -> None:
        with atomic.directory(final) as directory:
            for name in ("config.json", "a.ckpt.index", "a.ckpt.data-00000-of-00001", "vocab.txt", "1/saved_model.pb"):
                (directory / name).parent.mkdir(exist_ok=True)
                (directory / name).write_text(name)

    make()
    assert len(names_in(final)) == 5
    file_system.rmtree(final)
    monkeypatch.setattr(file_system, "replace", failing)
    with pytest.raises(OSError, match="cannot be written") as error:
        make()
    assert error.value.filename == final
    assert moved == ["a.ckpt.data-00000-of-00001", "vocab.txt", "1/saved_model.pb", "a.ckpt.index"]
    assert not file_system.exists(final)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_texts(place: str, packed: bool) -> None:
    text = "one\ntwo\n\nthrée"
    content = gzip.compress(text.encode()) if packed else text.encode()
    path = write(f"{place}/a.txt", content)
    lines = text.split("\n")
    assert list(files.read_lines(path)) == lines
    assert list(text_lines.read([path])) == [lines]
    assert list(text_lines.read_decoded(path, None)) == lines
    assert text_lines.detect_encoding(path) == "utf-8"
    assert text_lines.count([path]) == (None if packed or file_system.is_remote(path) else 4)
    groups = text_shards.plan([path], 5)
    assert [line for group in groups for part, _ in text_shards.read_lines(group) for line in part] == lines
    assert len(groups) == (1 if packed else 2)
    write(path, b"a\n\xff")
    with pytest.raises(InputError, match=r"a\.txt, line 2: "):
        list(files.read_lines(path))
    with pytest.raises(InputError, match=r"Cannot read .*/b: No such file or directory\."):
        list(files.read_lines(f"{place}/b"))


def test_schemes_that_tensorflow_does_not_know() -> None:
    for use in (file_system.exists, file_system.open, file_system.getsize, file_system.makedirs, file_system.glob):
        with pytest.raises(InputError, match=r"^nosuch://a/b: this TensorFlow has no file system for nosuch://; inst"):
            use("nosuch://a/b")


def test_remote_files_are_written_whole() -> None:
    with pytest.raises(ValueError, match="cannot be opened with mode 'ab'"):
        file_system.open("ram://file-system/a", "ab")


@pytest.mark.parametrize(("name", "kind"), [("PermissionDeniedError", PermissionError), ("UnavailableError", OSError)])
def test_what_cannot_be_asked_is_not_missing(name: str, kind: type[OSError], monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    def refuse(*_: object) -> None:
        raise getattr(tf.errors, name)(None, None, "no credentials\nand more")

    monkeypatch.setattr(tf.io.gfile, "stat", refuse)
    for look in (file_system.exists, file_system.isdir, file_system.stat, lambda path: file_system.path(path).exists()):
        with pytest.raises(kind, match=r"no credentials: 'ram://a'"):
            look("ram://a")
