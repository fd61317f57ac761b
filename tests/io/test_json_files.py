"""JSON files that other programs wrote: one sentence for each way in which they can be wrong."""

import gzip
import json
import math
import tracemalloc

import pytest

from bert_tf2.errors import InputError
from bert_tf2.io import files, json_files


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("{", r"Expecting property name enclosed in double quotes at column 2"),
        ("[1,\n2", r"Expecting ',' delimiter at line 2, column 2"),
        ("[1]\n[2]", r"Extra data at line 2, column 1"),
        ("[" * 100_000, "lists or objects are nested too deeply"),
        ('{"a":' * 100_000, "lists or objects are nested too deeply"),
        ("1" * 5000, r"Exceeds the limit \(4300 digits\) for integer string conversion: value has 5000 digits"),
        ("[NaN]", "NaN is not a JSON number"),
        ("-Infinity", "-Infinity is not a JSON number"),
        ("[1e999]", "1e999 is out of range"),
    ],
)
def test_invalid_json(text, reason):
    with pytest.raises(InputError, match=rf"^a\.jsonl, line 7 is not JSON \({reason}\); an object was expected\.$"):
        json_files.parse(text, "a.jsonl, line 7", "an object was expected")
    with pytest.raises(InputError, match=rf"^x is not JSON \({reason}\)\.$"):
        json_files.parse(text, "x")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_files_in_all_encodings_of_json(tmp_path, encoding):
    (tmp_path / "a.json").write_bytes('{"a": "é"}'.encode(encoding))
    assert json_files.read_object(tmp_path / "a.json") == {"a": "é"}


def test_files(tmp_path):
    (tmp_path / "a.json").write_bytes(gzip.compress(b'{"a": [1, 2.5, null, true]}'))
    assert json_files.read(tmp_path / "a.json") == {"a": [1, 2.5, None, True]}
    (tmp_path / "a.json").write_bytes('{"a": "é"}'.encode("latin-1"))
    with pytest.raises(InputError, match=r"a\.json is not JSON \(byte 8 is not UTF-8; convert .*\)\.$"):
        json_files.read(tmp_path / "a.json")
    with pytest.raises(InputError, match=r"Cannot read .*none\.json: No such file"):
        json_files.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[]", "a list"),
        ("null", "null"),
        ('"a"', "a string"),
        ("1", "a whole number"),
        ("1.5", "a number"),
        ("true", "true or false"),
    ],
)
def test_other_values_than_objects(tmp_path, text, kind):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=rf"a\.json holds {kind} instead of a JSON object; get it again\.$"):
        json_files.read_object(tmp_path / "a.json", "get it again")


def test_values_of_a_type():
    values = {"text": "a", "none": None, "flag": True, "number": 3}
    assert json_files.get(values, "text", str, "a.json") == "a"
    assert json_files.get(values, "none", str, "a.json", "default") == "default"
    assert json_files.get(values, "missing", dict, "a.json") is None
    assert json_files.get(values, "number", int, "a.json") == 3
    for key, expected, message in (
        ("text", dict, r"a\.json: text is a string \('a'\); it must be an object\."),
        ("flag", int, r"a\.json: flag is true or false \(True\); it must be a whole number\."),
        ("number", bool, r"a\.json: number is a whole number \(3\); it must be true or false\."),
    ):
        with pytest.raises(InputError, match=message):
            json_files.get(values, key, expected, "a.json")


def test_values_of_flags():
    values = {"a": math.inf, "b": -math.inf, "c": math.nan, "d": 0.5, "e": None, "f": "x", "g": True}
    assert json_files.plain(values) == {**values, "a": "inf", "b": "-inf", "c": "nan"}


def test_lines_escape_lone_surrogates():
    assert json_files.line({"a": "é😀"}) == '{"a": "é😀"}\n'
    assert json_files.line({"a": "é\ud83d"}) == json.dumps({"a": "é\ud83d"}) + "\n"
    assert json_files.line([1], indent=1) == "[\n 1\n]\n"
    assert files.is_unicode("é😀")
    assert not files.is_unicode("\udfff")


def test_bytes_are_released_before_parsing(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('["' + "a" * 4_000_000 + '"]')
    tracemalloc.start()
    try:
        json_files.read(path)
        assert tracemalloc.get_traced_memory()[1] < 2.5 * path.stat().st_size
    finally:
        tracemalloc.stop()
