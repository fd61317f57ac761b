"""Real-world CSV: the delimiter and the encoding are detected, or an error asks for them."""

import logging
from pathlib import Path

import pytest
from helpers.repository import CASES

from bert_tf2.errors import InputError
from bert_tf2.io.delimited import DELIMITERS, Form, delimiter_named, find_form, read_csv

NAMES = ("text", "label")


def rows(
    path: Path, columns: tuple[str, ...] = NAMES, header: bool = True, specified: Form | None = None
) -> list[list[str]]:
    form = find_form(str(path), columns, header, True, specified)
    return [row for _, row in read_csv(str(path), form)]


def test_regressions() -> None:
    for name in ("excel_semicolon.csv", "utf16.csv"):
        table = rows(CASES / name)
        assert table[:2] == [["text", "label"], ["good movie , i loved it", "pos"]], name
    assert rows(CASES / "comma_decimal.csv")[1] == ["good movie , i loved it", "3,5"]


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("columns", [NAMES, ("0", "1"), ("0", "-1")])
def test_delimiters_are_detected(tmp_path: Path, delimiter: str, columns: tuple[str, ...]) -> None:
    path, has_names = tmp_path / "a.csv", columns == NAMES
    content = [["text", "label"]] * has_names + [[f'"a{delimiter} ""b""\nc"', "x"], ["fine", "y"]]
    path.write_text("".join(delimiter.join(row) + "\r\n" for row in content), newline="")
    assert rows(path, columns, has_names)[-2:] == [[f'a{delimiter} "b"\nc', "x"], ["fine", "y"]]


def test_the_header_takes_precedence_over_the_number_of_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text;more,label\na;b,x\nc;d,y\n")  # both fit all rows
    assert rows(path, ("label",)) == [["text;more", "label"], ["a;b", "x"], ["c;d", "y"]]
    assert rows(path, ("text",))[0] == ["text", "more,label"]


def test_a_header_is_enough_however_many_lines_the_rows_have(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    text = "a paragraph\n" * 150
    path.write_text("text;label\n" + f'"{text}";x\n' * 3)
    assert rows(path)[-1] == [text, "x"]


def test_ambiguous_delimiters_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a;b,x\nc;d,y\n")
    sentence = r"a\.csv: is each row 2 between commas or 2 between semicolons\? .* give --delimiter"
    with pytest.raises(InputError, match=sentence):
        rows(path, ("0", "1"), header=False)
    assert rows(path, ("0", "1"), False, Form("", ";")) == [["a", "b,x"], ["c", "d,y"]]
    path.write_text("a;b\nc;d\n")
    with pytest.raises(InputError, match="is each row 1 between commas or 2 between semicolons"):
        rows(path, ("0",), header=False)
    assert rows(path, ("0", "1"), header=False) == [["a", "b"], ["c", "d"]]


def test_excel_names_its_delimiter(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("sep=;\r\na;b,x\r\nc;d,y\r\n", newline="")
    form = find_form(str(path), ("0", "1"), False, True)
    assert list(read_csv(str(path), form)) == [(2, ["a", "b,x"]), (3, ["c", "d,y"])]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("C'était très bien, j'ai adoré", "cp1252"),
        ("“Großartig” – schöne Straße für 5 €", "cp1252"),
        ("这部电影很好看，我们都喜欢。", "gb18030"),
        ("good", "utf-16"),
        ("这部电影很好看", "utf-16"),
        ("très bien", "utf-8-sig"),
    ],
)
def test_encodings_are_detected(tmp_path: Path, text: str, encoding: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.csv"
    # Non-ASCII characters may occur late in a file.
    for before in ("", "plain,x\n" * 20_000):
        path.write_bytes(f'text,label\n{before}"{text}",y\n'.encode(encoding))
        caplog.clear()
        with caplog.at_level(logging.INFO):
            assert rows(path)[-1] == [text, "y"]
        assert bool(caplog.messages) == (encoding != "utf-8-sig")
    if encoding == "cp1252":
        assert caplog.messages == [f"{path}: read with encoding cp1252; if that is wrong, give --encoding."]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("Привет, это пример", "cp1251"), ("Zażółć gęślą jaźń", "cp1250"), ("Příliš žluťoučký kůň", "cp1250")],
)
def test_ambiguous_encodings_are_an_error(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(f'text,label\n"{text}",y\n'.encode(encoding))
    with pytest.raises(InputError, match=r"a\.csv, line 2: .* is not UTF-8.* Or give its encoding: --encoding=cp1252"):
        rows(path)
    assert rows(path, specified=Form(encoding, ""))[1] == [text, "y"]
    with pytest.raises(InputError, match=r"a\.csv is not ascii after line 0 .* give its actual encoding"):
        rows(path, specified=Form("ascii", ""))


def test_only_detected_formats_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("text;label\ntrès bien;y\n".encode("cp1252"))
    for specified, expected in (
        (Form("cp1252", ";"), None),
        (Form("cp1252", ""), ("semicolons between the columns", "--delimiter")),
        (Form(None, ";"), ("encoding cp1252", "--encoding")),
    ):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            assert rows(path, specified=specified)[-1] == ["très bien", "y"]
        assert caplog.messages == (
            [f"{path}: read with {expected[0]}; if that is wrong, give {expected[1]}."] if expected else []
        )


def test_names_of_delimiters() -> None:
    assert list(map(delimiter_named, ("tab", "\\t", "\t", ";", "Pipe", "x"))) == ["\t", "\t", "\t", ";", "|", "x"]
    for wrong in ("", ";;", '"', "\n"):
        with pytest.raises(InputError, match=r"--delimiter=.* must be one character"):
            delimiter_named(wrong)
