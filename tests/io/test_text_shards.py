"""Groups of files: every line once, no document split, compressed files too."""

import gzip

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf2.errors import InputError
from bert_tf2.io import files, text_shards
from bert_tf2.io.text_shards import Span


def lines_of(groups):
    return [line for group in groups for lines, _ in text_shards.read_lines(group) for line in lines]


def write(directory, **contents):
    paths = []
    for name, content in contents.items():
        path = directory / f"{name}.txt"
        path.write_bytes(content)
        paths.append(str(path))
    return paths


def test_input_that_fits_is_one_group(tmp_path):
    paths = write(tmp_path, a=b"one\n", b=b"two\n\nthree")
    (group,) = text_shards.plan(paths, 100)
    assert group.spans == (Span(paths[0], 0, 4), Span(paths[1], 0, 10))
    assert lines_of([group]) == ["one", "two", "", "three"]
    assert group.size == 14


def test_files_are_grouped_in_order_and_not_split(tmp_path):
    paths = write(tmp_path, a=b"x" * 40, b=b"y" * 50, c=b"z" * 20, d=b"")
    groups = text_shards.plan(paths, 90)
    assert [[span.path for span in group.spans] for group in groups] == [paths[:2], paths[2:]]
    assert [group.index for group in groups] == [0, 1]


def test_a_large_file_is_split_at_empty_lines(tmp_path):
    documents = [b"%d first\n%d second\n" % (number, number) for number in range(100)]
    paths = write(tmp_path, a=b"\n".join(documents))
    groups = text_shards.plan(paths, 200)
    assert 5 < len(groups) < 20
    for group in groups[:-1]:
        assert 200 <= group.size < 250
        lines = lines_of([group])
        assert lines[0].endswith("first")
        assert lines[-1] == ""
    assert lines_of(groups) == lines_of(text_shards.plan(paths, 10**6))


def test_a_large_file_without_empty_lines_is_not_split(tmp_path):
    paths = write(tmp_path, a=b"line\n" * 100)
    (group,) = text_shards.plan(paths, 50)
    assert group.size == 500


@given(
    texts=st.lists(st.lists(st.sampled_from(["", "a", "é x", "\r", "b" * 30]), max_size=30), min_size=1, max_size=4),
    group_bytes=st.integers(1, 200),
    at_once=st.integers(1, 50),
    ends=st.booleans(),
)
@settings(max_examples=60)
def test_every_line_once_in_order(tmp_path_factory, monkeypatch_class, texts, group_bytes, at_once, ends):
    monkeypatch_class.setattr(text_shards, "_BLOCK", at_once)
    directory = tmp_path_factory.mktemp("texts")
    contents = {str(index): ("\n".join(lines) + "\n" * ends).encode() for index, lines in enumerate(texts)}
    paths = write(directory, **contents)
    expected = [line for path in paths for line in files.read_lines(path)]
    groups = text_shards.plan(paths, group_bytes)
    assert lines_of(groups) == expected
    for group in groups:
        assert sum(size for _, size in text_shards.read_lines(group)) == group.size


@pytest.fixture(scope="module")
def monkeypatch_class():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_compressed_files(tmp_path):
    text = b"one\ntwo\n\n" * 1000
    (tmp_path / "a.gz").write_bytes(gzip.compress(text))
    (tmp_path / "b.zst").write_bytes(zstd.compress(text))
    (tmp_path / "c.txt").write_bytes(text)
    results = [lines_of(text_shards.plan([str(tmp_path / name)], 10**6)) for name in ("a.gz", "b.zst", "c.txt")]
    assert results[0] == results[1] == results[2] == ["one", "two", ""] * 1000
    (group,) = text_shards.plan([str(tmp_path / "a.gz")], 10**6)
    assert 0 < sum(size for _, size in text_shards.read_lines(group)) <= group.size


def test_errors_name_file_and_line(tmp_path):
    paths = write(tmp_path, a=b"good\nb\xe9d\n")
    with pytest.raises(InputError, match=r"a\.txt, line 2: byte 2 of the line"):
        lines_of(text_shards.plan(paths, 100))
    complete = gzip.compress(b"line\n" * 1000)
    (tmp_path / "cut.gz").write_bytes(complete[:-20])
    with pytest.raises(InputError, match=r"Cannot read .*cut\.gz: .*corrupt or truncated"):
        lines_of(text_shards.plan([str(tmp_path / "cut.gz")], 100))
    (tmp_path / "cut.zst").write_bytes(zstd.compress("\n".join(map(str, range(10000))).encode())[:-30])
    with pytest.raises(InputError, match=r"Cannot read .*cut\.zst: .*corrupt or truncated"):
        lines_of(text_shards.plan([str(tmp_path / "cut.zst")], 100))
