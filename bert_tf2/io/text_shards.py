"""Splits large text into shards ("groups"), each of which is processed as if it were the entire input.

Text is plain, with one sentence per line and an empty line between documents, or a table column with one document per
row.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import IO

from bert_tf2.errors import InputError
from bert_tf2.io import file_system, files, text_columns
from bert_tf2.io.delimited import Form
from bert_tf2.io.text_columns import UNPACKED, TextColumn

# Bytes of text in a group; processing it takes about four times as much memory with a dupe_factor of 5, six with 10.
GROUP_BYTES = 256 * 2**20
# Bytes read at once. Reading megabytes at a time would fragment the heap for good.
_BLOCK = 2**18


@dataclasses.dataclass(frozen=True)
class Span:
    """Part of a text file, from byte `start` up to byte `end`; a compressed file is not divided.

    Attributes:
      path: the file.
      start: the first byte of the part.
      end: the byte after its last one.
      column: the column of a table that contains the texts; None if the file is plain text.
    """

    path: str
    start: int
    end: int
    column: TextColumn | None = None


@dataclasses.dataclass(frozen=True)
class Group:
    """A shard.

    Attributes:
      index: its position among the groups.
      spans: parts of files, in order.
    """

    index: int
    spans: tuple[Span, ...]

    @property
    def size(self) -> int:
        """Size on disk in bytes."""
        return sum(span.end - span.start for span in self.spans)


def plan(paths: Sequence[str], group_bytes: int, column: str = "", form: Form | None = None) -> list[Group]:
    """Splits files into shards of about `group_bytes` of text, in order.

    Only files that are larger than a shard and not compressed are divided: plain text at empty lines, so that no
    document is split, and tables between rows, where `text_columns.boundary` can.

    Args:
      paths: text files; may be gzip or Zstandard.
      group_bytes: the target size of a shard, decompressed.
      column: the name of the column that contains the texts of tables; empty if all files are plain text.
      form: see `text_columns.find`.

    Raises:
      InputError: a file cannot be read, or is a table without that column.
    """
    try:
        sized_spans: list[tuple[Span, float]] = []
        for path in paths:
            is_table = column and text_columns.kind_of(path)
            sized_spans += _table_spans(path, group_bytes, column, form) if is_table else _spans(path, group_bytes)
    except OSError as error:
        raise files.cannot_read(str(error.filename), error) from None
    groups: list[list[Span]] = [[]]
    filled = 0.0
    for span, size in sized_spans:
        if groups[-1] and filled + size > group_bytes:
            groups.append([])
            filled = 0.0
        groups[-1].append(span)
        filled += size
    return [Group(index, tuple(spans)) for index, spans in enumerate(groups)]


def _spans(path: str, group_bytes: int) -> Iterator[tuple[Span, float]]:
    size = file_system.getsize(path)
    if files.compression(path):
        yield Span(path, 0, size), size * UNPACKED
        return
    start = 0
    while size - start > group_bytes:
        end = _after_empty_line(path, start + group_bytes)
        yield Span(path, start, end), end - start
        start = end
    if start < size or size == 0:
        yield Span(path, start, size), size - start


def _table_spans(path: str, group_bytes: int, name: str, form: Form | None) -> Iterator[tuple[Span, float]]:
    column = text_columns.find(path, name, form)
    size = file_system.getsize(path)
    start = 0
    while start < size:
        end = size
        if text_columns.size_of(path, column, start, size) > group_bytes:
            end = text_columns.boundary(path, column, start, group_bytes) or size
        yield Span(path, start, end, column), text_columns.size_of(path, column, start, end)
        start = end


def _after_empty_line(path: str, position: int) -> int:
    """The end of the first empty line that begins after `position`; the end of the file if there is none."""
    with file_system.open(path, "rb") as file:
        file.seek(position)
        file.readline()  # the rest of the current line
        while line := file.readline():
            if not line.strip():
                break
        return file.tell()


def read_lines(group: Group, whole_rows: bool = False) -> Iterator[tuple[list[str], int]]:
    r"""Reads a group: some hundred lines at a time, without their `\n`, and the number of bytes they take on disk.

    A row of a table is a document: its lines that are not empty, with an empty line before and after them. For
    compressed files and tables, the number of bytes is an estimate, and never exceeds the size of the file.

    Args:
      group: the group.
      whole_rows: whether each row of a table is a single line instead.

    Raises:
      InputError: a file is missing, corrupt or not UTF-8, or a row has no text; the message names the file and the
        line.
    """
    for span in group.spans:
        if span.column:
            for texts, size in text_columns.read(span.path, span.start, span.end, span.column):
                yield _lines_of(texts, whole_rows), size
            continue
        remaining = span.end - span.start
        try:
            with files.open_bytes(span.path) as file:
                is_compressed = files.compression(span.path) is not None
                if span.start:
                    file.seek(span.start)
                for block in _blocks(file, None if is_compressed else remaining):
                    size = min(remaining, round(len(block) / UNPACKED) if is_compressed else len(block))
                    remaining -= size
                    yield block.decode("utf-8").removesuffix("\n").split("\n"), size
        except UnicodeDecodeError:
            for _ in files.read_lines(span.path):  # raises an error that names the line
                pass
            raise InputError(f"{span.path} is not UTF-8.") from None
        except (OSError, EOFError) as error:
            raise files.cannot_read(span.path, error) from None


def _lines_of(texts: Sequence[str], whole_rows: bool) -> list[str]:
    if whole_rows:
        return [text.replace("\n", " ") for text in texts]
    lines = [""]
    for text in texts:
        lines += [line for line in text.split("\n") if line.strip()]
        lines.append("")
    return lines


def _blocks(file: IO[bytes], remaining: int | None) -> Iterator[bytes]:
    """Blocks of whole lines, about `_BLOCK` bytes each, until `remaining` bytes are read or the file ends."""
    while remaining is None or remaining > 0:
        block = file.read(_BLOCK if remaining is None else min(_BLOCK, remaining))
        if not block:
            return
        if not block.endswith(b"\n"):
            block += file.readline()
        if remaining is not None:
            remaining -= len(block)
        yield block
