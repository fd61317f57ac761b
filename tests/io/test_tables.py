"""CSV, TSV and JSON Lines: what is written is read back unchanged, and every damage has its message."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bert_tf2.errors import InputError
from bert_tf2.io import tables
from bert_tf2.io.tables import Block, Table, open_table

# At the beginning of a file, U+FEFF is a byte order mark.
TEXT = st.text(max_size=12).filter(lambda text: not text.startswith("\ufeff"))
# A TSV line ends with \n or \r\n.
PLAIN = st.text(st.characters(exclude_characters="\t\n\r", exclude_categories=("Cs",)), max_size=12).filter(
    lambda text: not text.startswith("\ufeff")
)


def grids(cells: st.SearchStrategy[str]) -> st.SearchStrategy[list[list[str]]]:
    row = st.integers(1, 4).flatmap(
        lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=5)
    )
    return row.filter(lambda rows: len(rows[0]) > 1 or all(row[0] for row in rows))


def read(path: str, header: bool) -> tuple[Table, Block]:
    """A table and all its rows; in blocks of two rows, which must be the same."""
    table = open_table(path, header)
    blocks = list(table.blocks)
    complete = Block(
        [line for block in blocks for line in block.lines], [row for block in blocks for row in block.rows]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_ROWS_AT_ONCE", 2)
        patch.setattr(tables, "_CHARACTERS_AT_ONCE", 20)
        blocks = list(open_table(path, header).blocks)
    assert [row for block in blocks for row in block.rows] == complete.rows
    assert [line for block in blocks for line in block.lines] == complete.lines
    assert max(len(block.rows) for block in blocks) <= 2
    return table, complete


def write(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


# --- Round trips -----------------------------------------------------------------------------------------------------


@given(grids(TEXT), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
@settings(max_examples=150)
def test_csv_round_trip(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], end: str, mark: bool, packed: bool
) -> None:
    file = io.StringIO()
    # Without quotes around everything, Python 3.11 leaves a carriage return bare unless it is part of the line end.
    csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL if end == "\n" else csv.QUOTE_MINIMAL).writerows(rows)
    content = (b"\xef\xbb\xbf" if mark else b"") + file.getvalue().encode()
    directory = tmp_path_factory.mktemp("csv")
    path = write(directory / ("a.csv.gz" if packed else "a.csv"), gzip.compress(content) if packed else content)
    table, block = read(path, header=False)
    assert block.rows == rows
    assert table.names is None
    begins = [1 + "".join(",".join(row) + "\n" for row in rows[:index]).count("\n") for index in range(len(rows))]
    assert block.lines == begins
    for index in range(len(rows[0])):
        assert table.column(str(index), "--text_column")(block) == [row[index] for row in rows]
        assert table.column(str(index - len(rows[0])), "--text_column")(block) == [row[index] for row in rows]


@given(grids(PLAIN), st.sampled_from(["\n", "\r\n"]), st.booleans())
@settings(max_examples=100)
@example([['"a', 'b "c" d'], ['"', "'"]], "\n", True)
def test_tsv_round_trip(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], end: str, last_end: bool
) -> None:
    content = end.join("\t".join(row) for row in rows) + (end if last_end else "")
    path = write(tmp_path_factory.mktemp("tsv") / "a.TSV", content)
    if all(row == [""] for row in rows):
        return
    assert read(path, header=False)[1].rows == rows


@given(st.lists(st.dictionaries(st.text(max_size=5), st.one_of(TEXT, st.integers(), st.none(), st.lists(TEXT)))))
@settings(max_examples=60)
def test_json_lines_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> None:
    content = "\n\n".join(json.dumps(row) for row in rows)
    path = write(tmp_path_factory.mktemp("json") / "a.jsonl", content)
    if not rows:
        with pytest.raises(InputError, match="is empty"):
            open_table(path, header=True)
        return
    table, block = read(path, header=True)
    assert block.rows == rows
    assert block.lines == list(range(1, 2 * len(rows), 2))
    for key in rows[0]:
        assert table.may_have(key)
        if all(key in row for row in rows):
            assert table.column(key, "--text_column")(block) == [row[key] for row in rows]


@given(st.binary(max_size=60), st.sampled_from([".csv", ".tsv", ".jsonl"]), st.booleans())
@settings(max_examples=300)
@example(b'a,"b', ".csv", False)
@example(b'a,"b"c\n', ".csv", False)
@example(b"a,b\rc\n", ".csv", False)
@example(b"[" * 5000, ".jsonl", False)
@example(b"\x1f\x8b", ".csv", False)
def test_any_bytes_are_a_table_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, ending: str, header: bool
) -> None:
    path = write(tmp_path_factory.mktemp("bytes") / f"a{ending}", content)
    try:
        block = read(path, header)[1]
    except InputError as error:
        if path not in str(error):
            raise
    else:
        assert len(block.rows) == len(block.lines) > 0


# --- Details ---------------------------------------------------------------------------------------------------------


def test_a_header_gives_names_to_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", '\ufeffid, text ,1\r\n\r\n7,"one,\ntwo",x\r\n8,three,y\r\n')
    table, block = read(path, header=True)
    assert table.names == ["id", "text", "1"]
    assert block.lines == [3, 5]
    assert table.column("text", "")(block) == ["one,\ntwo", "three"]
    assert table.column("1", "")(block) == ["x", "y"], "names take precedence over numbers"
    assert table.column("0", "")(block) == ["7", "8"]
    assert table.column("-1", "")(block) == ["x", "y"]
    assert table.may_have("id")
    assert not table.may_have("label")


def test_long_cells(tmp_path: Path) -> None:
    text = "word " * 100_000
    assert read(write(tmp_path / "a.csv", f"{text},b\n"), header=False)[1].rows == [[text, "b"]]


def test_json_lines_need_only_requested_keys(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "a", "id": 1}\n\n{"text": "b"}\n')
    table, block = read(path, header=True)
    assert table.column("text", "")(block) == ["a", "b"]
    with pytest.raises(InputError, match=r"a\.jsonl, line 3 has no key 'id' \(--id_column\); it has 'text'\."):
        table.column("id", "--id_column")(block)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.doc", "a", r"a\.doc: unknown kind of file; expected a name that ends in \.csv, \.tsv, \.jsonl"),
        ("a.gz", "a", r"a\.gz: unknown kind of file"),
        ("a.csv", "", r"a\.csv is empty; expected a header and a row for each text"),
        ("a.tsv", "\n\n", r"a\.tsv is empty"),
        ("a.jsonl", " \n", r"a\.jsonl is empty; expected one JSON object per line"),
        ("a.csv", "text,label\n", r"a\.csv has a header \('text', 'label'\) but no rows"),
        (
            "a.csv",
            "text,label\na,1\nb\n",
            r"a\.csv, line 3 has 1 column, but line 1 has 2; a cell that contains a comma",
        ),
        (
            "a.tsv",
            "text\tlabel\na\t1\tx\n",
            r"a\.tsv, line 2 has 3 columns, but line 1 has 2; a text that contains a tab",
        ),
        ("a.csv", 'a,b\n"x\ny\n"z,1\n', r"a\.csv, row from line 2: invalid CSV \(.*\); a cell that holds commas"),
        ("a.csv", 'a,b\nc,"d\ne,f\n', r"a\.csv, row from line 2: invalid CSV \(unexpected end of data\)"),
        ("a.csv", "a,b\rc,d\r", r"a\.csv, row from line 1: invalid CSV \(new-line character seen"),
        ("a.csv", b"a,b\nc,\xe9\n", r"a\.csv, line 2: byte 3 of the line \(0xe9\) is not UTF-8"),
        ("a.jsonl", '{"a": 1}\n{"a"\n', r"a\.jsonl, line 2 is not JSON \(.*\); expected an object on each line"),
        ("a.jsonl", '{"a": NaN}\n', r"a\.jsonl, line 1 is not JSON \(NaN is not a JSON number\)"),
        ("a.jsonl", '[{"a": 1}]\n', r"a\.jsonl, line 1 holds a list, expected an object on each line"),
        ("a.jsonl", "3\n", r"a\.jsonl, line 1 holds 3, expected an object on each line"),
        ("none.csv", None, r"Cannot read .*none\.csv: No such file"),
        (
            "cut.csv.gz",
            gzip.compress(b"text,label\n" * 99, mtime=0)[:20],
            r"Cannot read .*cut\.csv\.gz: .* corrupt or truncated",
        ),
    ],
)
def test_errors(tmp_path: Path, name: str, content: Any, sentence: str) -> None:
    path = tmp_path / name
    if content is not None:
        write(path, content)
    with pytest.raises(InputError, match=sentence):
        list(open_table(str(path), header=True).blocks)


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        ("body", r"has no column 'body' \(--text_column\); it has the columns 'text', 'label', 'label', and 3 columns"),
        ("3", r"has no column '3' .* which can be given by number from 0 to 2\."),
        ("-4", "has no column '-4'"),
        ("²", "has no column '²'"),
        ("label", r"has 2 columns 'label'; give --text_column the number of one of them, from 0\."),
    ],
)
def test_the_error_for_a_missing_column_names_the_columns(tmp_path: Path, column: str, sentence: str) -> None:
    table = open_table(write(tmp_path / "a.csv", "text,label,label\na,1,2\n"), header=True)
    with pytest.raises(InputError, match=sentence):
        table.column(column, "--text_column")


def test_rows_by_name_need_distinct_names(tmp_path: Path) -> None:
    """A column without a name, as spreadsheets leave them, is none that anything reads."""
    table = open_table(write(tmp_path / "a.csv", "context,,\na,,\n"), header=True)
    assert list(table.named_rows()) == [(f"{tmp_path}/a.csv, line 2", {"context": "a", "": ""})]
    table = open_table(write(tmp_path / "a.csv", "context,question,context\na,b,c\n"), header=True)
    with pytest.raises(InputError, match=r"a\.csv has 2 columns 'context'; rename or remove all but"):
        next(table.named_rows())


def test_a_header_that_was_not_split(tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "a.csv", "text^label\na^1\n"), header=True)
    with pytest.raises(
        InputError, match=r"has no column 'text' .*\. If a \.csv file has another delimiter, give it as --delimiter\.$"
    ):
        table.column("text", "--text_column")
    with pytest.raises(InputError, match=r"by number from 0 to 0\.$"):
        table.column("body", "--text_column")


def test_names_without_a_header(tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "a.csv", "a,1\n"), header=False)
    with pytest.raises(InputError, match=r"has no column 'text' \(--text_column\); it has no header, and 2 columns"):
        table.column("text", "--text_column")


def test_many_long_names_are_truncated(tmp_path: Path) -> None:
    names = [f"{number}{'x' * 100}" for number in range(50)]
    table = open_table(write(tmp_path / "a.csv", ",".join(names) + "\n" + "a," * 49 + "a\n"), header=True)
    with pytest.raises(InputError, match=r"'19x{38}\.\.\.' and 30 more, and 50 columns") as caught:
        table.column("text", "--text_column")
    assert len(str(caught.value)) < 1500
