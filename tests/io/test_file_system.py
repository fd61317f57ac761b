"""Files by path, on the local file system and on a remote one."""

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
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty directory."""
    directory = str(tmp_path / "root") if request.param == "local" else f"ram://file-system-{next(_number)}/root"
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
def test_paths_with_a_scheme_are_remote_and_unchanged(path: str) -> None:
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


def test_existence_and_kind(root: str) -> None:
    path = write(f"{root}/a.txt", "four")
    assert (file_system.exists(path), file_system.isfile(path), file_system.isdir(path)) == (True, True, False)
    assert (file_system.exists(root), file_system.isfile(root), file_system.isdir(root)) == (True, False, True)
    missing = f"{root}/b/c"
    for absent in (missing, f"{root}/a", f"{root}/a.tx"):
        assert not any(check(absent) for check in (file_system.exists, file_system.isfile, file_system.isdir))
    assert file_system.getsize(path) == 4
    assert not file_system.islink(path)
    for fails in (file_system.stat, file_system.getsize, file_system.open, file_system.listdir):
        with pytest.raises(FileNotFoundError) as error:
            fails(missing)
        assert (error.value.filename, error.value.errno) == (missing, errno.ENOENT)
    with pytest.raises(IsADirectoryError):
        file_system.open(root)


def test_the_methods_of_paths(root: str) -> None:
    directory = file_system.path(root) / "new" / "one"
    directory.mkdir(parents=True, exist_ok=True)
    with pytest.raises(FileExistsError):
        directory.mkdir()
    path = directory / "a.txt"
    assert (path.exists(), path.is_file(), path.is_dir(), path.is_symlink()) == (False, False, False, False)
    assert path.write_text("é\n", encoding="utf-8") == 2
    (directory / "b.json").write_bytes(b"{}")
    assert (path.read_text(encoding="utf-8"), path.read_bytes()) == ("é\n", "é\n".encode())
    assert path.stat().st_size == 3
    assert sorted(child.name for child in directory.iterdir()) == ["a.txt", "b.json"]
    assert [child.name for child in directory.glob("*.txt")] == ["a.txt"]
    assert list((directory / "missing").glob("*")) == []
    assert {str(child.relative_to(root)) for child in file_system.path(root).rglob("*.json")} == {"new/one/b.json"}
    path.unlink()
    path.unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        path.unlink()
    file_system.rmtree(directory)
    assert not directory.exists()
    file_system.rmtree(directory, ignore_errors=True)
    with pytest.raises(FileNotFoundError):
        file_system.rmtree(directory)


def test_opening(root: str) -> None:
    path = f"{root}/file"
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


def test_globs(root: str) -> None:
    for name in ("a.txt", "b.txt", "c.json", ".d.txt", "sub/e.txt", "sub/deep/f.txt", ".hidden/g.txt", "[x].txt"):
        write(f"{root}/{name}")

    def matches(pattern: str) -> list[str]:
        return [path.removeprefix(f"{root}/") for path in file_system.glob(f"{root}/{pattern}")]

    assert matches("*.txt") == ["[x].txt", "a.txt", "b.txt"]
    assert matches("?.txt") == ["a.txt", "b.txt"]
    assert matches("[!a].txt") == ["b.txt"]
    assert matches("[[]x].txt") == ["[x].txt"]
    assert matches(".*.txt") == [".d.txt"]
    assert matches("**/*.txt") == ["[x].txt", "a.txt", "b.txt", "sub/deep/f.txt", "sub/e.txt"]
    assert matches("*/?.txt") == ["sub/e.txt"]
    assert matches("none*") == []
    assert files.expand(f"{root}/a.txt,{root}/s*/*.txt") == [f"{root}/a.txt", f"{root}/sub/e.txt"]
    with pytest.raises(InputError, match=r"--input: no file matches '.*none\*'"):
        files.expand(f"{root}/none*", "--input")
    with pytest.raises(InputError, match=r"sub' is a directory; name its files"):
        files.expand(f"{root}/sub")


def test_moving_copying_and_comparing(root: str, tmp_path: Path) -> None:
    first, second = write(f"{root}/first", b"1"), write(f"{root}/second", b"22")
    assert file_system.samefile(first, f"{root}/./first")
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
    assert names_in(root) == {"first", "second"}
    copy = Path(file_system.local_copy(second))
    assert (copy.name, copy.read_bytes()) == ("second", b"333")
    assert file_system.local_copy(second) == str(copy)
    write(second, b"4444")
    assert Path(file_system.local_copy(second)).read_bytes() == b"4444"
    file_system.remove(second)
    file_system.remove(second)
    assert names_in(root) == {"first"}


def test_is_inside(root: str) -> None:
    write(f"{root}/in/a")
    assert file_system.is_inside(f"{root}/in/a", root)
    assert file_system.is_inside(root, f"{root}/")
    assert not file_system.is_inside(f"{root}/in/../../a", root)
    assert not file_system.is_inside(f"{root}-other/a", root)
    assert not file_system.is_inside("gs://bucket/a", root)
    assert not file_system.is_inside("/a", root)
    assert not file_system.is_inside("gs://a", os.getcwd())


def test_outputs_appear_when_they_are_complete(root: str) -> None:
    path = write(f"{root}/deep/out.json", "{}")

    def give_up_halfway() -> None:
        with atomic.replacing(path) as file:
            file.write("[1, 2")
            file.flush()
            assert json_files.read(path) == {}
            raise RuntimeError

    with pytest.raises(RuntimeError):
        give_up_halfway()
    assert json_files.read(path) == {}
    assert names_in(root) == {"deep/out.json"}
    with pytest.raises(InputError, match=r"deep is a directory, which cannot be replaced"):
        write(f"{root}/deep")


def test_files_of_killed_processes_of_this_machine_are_removed(root: str) -> None:
    path = f"{root}/out"
    prefix = file_system.unfinished_prefix(path)
    write(f"{root}/{prefix}999999999")
    write(f"{root}/{prefix}of-another-machine-1")
    write(path)
    assert names_in(root) == {"out", f"{prefix}of-another-machine-1"}


def test_identifying_files_of_a_directory_are_copied_last(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_texts(root: str, packed: bool) -> None:
    text = "one\ntwo\n\nthrée"
    content = gzip.compress(text.encode()) if packed else text.encode()
    path = write(f"{root}/a.txt", content)
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
        list(files.read_lines(f"{root}/b"))


def test_unknown_schemes() -> None:
    for use in (file_system.exists, file_system.open, file_system.getsize, file_system.makedirs, file_system.glob):
        with pytest.raises(InputError, match=r"^nosuch://a/b: this TensorFlow has no file system for nosuch://; inst"):
            use("nosuch://a/b")


def test_remote_files_can_only_be_written_from_the_beginning() -> None:
    with pytest.raises(ValueError, match="cannot be opened with mode 'ab'"):
        file_system.open("ram://file-system/a", "ab")


@pytest.mark.parametrize(("name", "kind"), [("PermissionDeniedError", PermissionError), ("UnavailableError", OSError)])
def test_inaccessible_paths_are_not_reported_missing(
    name: str, kind: type[OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    def refuse(*_: object) -> None:
        raise getattr(tf.errors, name)(None, None, "no credentials\nand more")

    monkeypatch.setattr(tf.io.gfile, "stat", refuse)
    for look in (file_system.exists, file_system.isdir, file_system.stat, lambda path: file_system.path(path).exists()):
        with pytest.raises(kind, match=r"no credentials: 'ram://a'"):
            look("ram://a")
