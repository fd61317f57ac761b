"""JSON objects, one per line or in one array, read in parts."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf2.errors import InputError
from bert_tf2.io import json_rows

VALUES = st.one_of(
    st.text(max_size=9), st.integers(), st.none(), st.booleans(), st.lists(st.text(max_size=4), max_size=2)
)


def read(path: Path, content: str) -> list[tuple[int, dict[str, Any]]]:
    path.write_text(content, encoding="utf-8", newline="")
    return list(json_rows.read(str(path), "expected objects"))


@given(st.lists(st.dictionaries(st.text(max_size=4), VALUES, max_size=3), min_size=1, max_size=8), st.integers(0, 2))
@settings(max_examples=100)
def test_arrays_with_any_line_breaks(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], indent: int
) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    content = json.dumps(rows, indent=indent or None, ensure_ascii=indent == 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "_CHARACTERS_AT_ONCE", 3)
        result = read(path, "\n \n" + content + "\n")
    assert [row for _, row in result] == rows
    assert [row for _, row in read(path, content)] == rows
    if indent:
        begins = [3 + line for line, text in enumerate(content.split("\n")) if text.startswith(" " * indent + "{")]
        assert [line for line, _ in result] == begins


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[", r"a\.json, from line 2 is not JSON \(it is empty\)"),
        ('[{"a": 1}', r"a\.json, line 2 is not JSON \(it ends before ',' or '\]'\)"),
        ('[{"a": 1}\n{"a": 2}]', r"a\.json, line 2 is not JSON \('{' instead of ',' or '\]'\)"),
        ('[{"a": 1},\n3]', r"a\.json, line 2 holds 3, expected objects"),
        ('[{"a": 1},\n[]]', r"a\.json, line 2 holds a list, expected objects"),
        ('[{"a": 1},\n]', r"a\.json, from line 2 is not JSON"),
        ('[\n{"a": NaN}]', r"a\.json, from line 2 is not JSON \(NaN is not a JSON number"),
        ('[{"a": 1}]\n[]', r"a\.json, line 2 is not JSON \(there is text after the array\)"),
        ("[" * 100_000, r"nested too deeply|holds a list"),
    ],
)
def test_errors(tmp_path: Path, content: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read(tmp_path / "a.json", content)


def test_empty_files(tmp_path: Path) -> None:
    assert read(tmp_path / "a.json", " \n") == []
    assert read(tmp_path / "a.json", "[\n]\n") == []
