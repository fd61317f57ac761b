"""Files of labels; for `task.json` see the tests of the tasks."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf2.checkpoints.task_metadata import check_labels, read_labels, write_labels
from bert_tf2.errors import InputError

NAMES = st.text(min_size=1, max_size=8).map(str.strip).filter(lambda name: name and not {*"\n\r\ufeff"} & {*name})


@given(st.lists(NAMES, min_size=1, unique=True))
@settings(max_examples=50)
def test_labels_round_trip(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    path = str(tmp_path_factory.mktemp("labels") / "labels.txt")
    write_labels(path, names)
    assert read_labels(path) == tuple(names)


@given(st.lists(st.text(st.characters(codec=None), max_size=3), min_size=1))
@settings(max_examples=200)
def test_any_labels_round_trip_or_are_errors(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    path = tmp_path_factory.mktemp("labels") / "labels.txt"
    try:
        write_labels(path, names)
    except InputError:
        assert not path.exists()
    else:
        assert read_labels(str(path)) == tuple(names)


@pytest.mark.parametrize(
    ("label", "problem"),
    [
        ("", "is empty"),
        ("b\nc", "contains a line break"),
        ("b\rc", "contains a line break"),
        (" b", "begins or ends with whitespace or U\\+FEFF"),
        ("\ufeffb", "begins or ends with whitespace or U\\+FEFF"),
        *((f"b{end}", "begins or ends with whitespace") for end in "\u2028\u2029\x0b\x0c\x85\x1c\u3000"),
        ("\ud800", "is not valid Unicode"),
        ("a", "is also label 0"),
    ],
)
def test_invalid_labels_are_errors(label: str, problem: str) -> None:
    with pytest.raises(InputError, match=rf"^model: label 2, .*, {problem}.*; labels\.txt has one label per line"):
        check_labels(["a", "ä\u2028x", label], "model")


def test_labels_file_with_byte_order_mark_and_crlf(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes("\ufeffb\r\na b \r\n\r\n".encode())
    assert read_labels(str(tmp_path / "labels.txt")) == ("b", "a b")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "labels.txt is empty; expected one label per line"),
        ("a\n\nb\n", "labels.txt, line 2 is empty"),
        ("a\nb\na \n", "labels.txt, line 3 repeats the label 'a'"),
    ],
)
def test_invalid_labels_files_are_errors(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "labels.txt").write_text(content)
    with pytest.raises(InputError, match=sentence):
        read_labels(str(tmp_path / "labels.txt"))
