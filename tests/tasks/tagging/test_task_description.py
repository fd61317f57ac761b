"""A tagger's task.json and labels.txt: written, read back, and rejected if they do not fit."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf2.errors import InputError
from bert_tf2.tasks.tagging.task_description import TaggingDescription

LABELS = ("O", "B-x", "I-x")
OPTIONAL_PATH = st.none() | st.text(max_size=5)


@given(
    st.builds(
        TaggingDescription,
        labels=st.just(LABELS),
        max_seq_length=st.integers(30, 512),
        do_lower_case=st.booleans(),
        token_column=st.integers(-3, 3),
        tag_column=st.integers(-3, 3),
        context_pieces=st.none() | st.integers(0, 13),
        dev_file=OPTIONAL_PATH,
        predict_file=OPTIONAL_PATH,
    )
)
@settings(max_examples=50)
def test_saved_descriptions_are_loaded(
    tmp_path_factory: pytest.TempPathFactory, description: TaggingDescription
) -> None:
    directory = tmp_path_factory.mktemp("model")
    description.save(str(directory))
    assert TaggingDescription.load(str(directory)) == description
    assert (directory / "labels.txt").read_text() == "O\nB-x\nI-x\n"
    assert json.loads((directory / "task.json").read_text())["problem_type"] == "tagging"


def test_context_of_windows() -> None:
    assert TaggingDescription(labels=LABELS).context == 31
    assert TaggingDescription(labels=LABELS, max_seq_length=3).context == 0
    assert TaggingDescription(labels=LABELS, max_seq_length=13, context_pieces=5).context == 5


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"max_seq_length": 2}, r"--max_seq_length=2; \[CLS\], one piece and \[SEP\] need at least 3"),
        (
            {"max_seq_length": 12, "context_pieces": 5},
            "--context_pieces=5 must be from 0 to 4: twice that, and a piece",
        ),
        ({"context_pieces": -1}, "--context_pieces=-1 must be from 0 to 62"),
    ],
)
def test_invalid_values(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        TaggingDescription(labels=LABELS, **changes)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"problem_type": "regression"}, "holds a model for regression, not for tagging"),
        ({"context_pieces": "3"}, "task.json: context_pieces cannot be '3'"),
        ({"token_column": None}, "task.json: token_column cannot be null"),
        ({"labels": ["O", 1]}, r"task.json: labels cannot be \['O', 1\]"),
        ({"labels": ["O", "I-x", "B-x"]}, "labels.txt has the labels 'O', 'B-x', 'I-x', but .* has 'O', 'I-x', 'B-x'"),
    ],
)
def test_corrupt_files(tmp_path: Path, content: dict[str, Any], sentence: str) -> None:
    TaggingDescription(labels=LABELS).save(str(tmp_path))
    path = tmp_path / "task.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **content}))
    with pytest.raises(InputError, match=sentence):
        TaggingDescription.load(str(tmp_path))


def test_another_model_is_rejected() -> None:
    saved = TaggingDescription(labels=LABELS)
    dataclasses.replace(saved, max_seq_length=64, token_column=1, dev_file="x").check_same_model(saved, "model")
    for changes in ({"labels": ("O", "I-x", "B-x")}, {"do_lower_case": False}):
        with pytest.raises(InputError, match=r"model holds a model for .* where this command has"):
            dataclasses.replace(saved, **changes).check_same_model(saved, "model")
