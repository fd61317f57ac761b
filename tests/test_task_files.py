"""Files of labels; `task.json` is tested with the tasks that it describes."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf2.errors import InputError
from bert_tf2.tasks.task_files import read_labels, write_labels

NAMES = st.text(min_size=1, max_size=8).map(str.strip).filter(lambda name: name and not {*"\n\r\ufeff"} & {*name})


@given(st.lists(NAMES, min_size=1, unique=True))
@settings(deadline=None, max_examples=50)
def test_labels_are_kept(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    path = str(tmp_path_factory.mktemp("labels") / "labels.txt")
    write_labels(path, names)
    assert read_labels(path) == tuple(names)


def test_a_file_of_labels_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes("\ufeffb\r\na b \r\n\r\n".encode())
    assert read_labels(str(tmp_path / "labels.txt")) == ("b", "a b")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "labels.txt is empty; expected a label a line"),
        ("a\n\nb\n", "labels.txt, line 2 is blank"),
        ("a\nb\na \n", "labels.txt, line 3 has the label 'a' again"),
    ],
)
def test_what_is_no_file_of_labels(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "labels.txt").write_text(content)
    with pytest.raises(InputError, match=sentence):
        read_labels(str(tmp_path / "labels.txt"))
