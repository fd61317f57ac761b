"""task.json and labels.txt: round trips, corrupt files, and models of other tasks."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf2.configs.long_texts import LONG_TEXTS, WINDOW_POOLINGS
from bert_tf2.errors import InputError
from bert_tf2.tasks.classification.task_description import TaskDescription, join_columns, split_columns

NAMES = st.text(st.characters(exclude_characters="\n\r\ufeff", exclude_categories=("Cs",)), min_size=1, max_size=6)
LABELS = st.lists(NAMES.map(str.strip).filter(bool), min_size=1, max_size=5, unique=True).map(tuple)
MAYBE = st.none() | NAMES


@st.composite
def descriptions(draw: st.DrawFn) -> TaskDescription:
    kind = draw(st.sampled_from(["single_label", "multi_label", "regression"]))
    return TaskDescription(
        name=draw(NAMES),
        problem_type=kind,
        labels=() if kind == "regression" else draw(LABELS),
        max_seq_length=draw(st.integers(5, 512)),
        do_lower_case=draw(st.booleans()),
        threshold=draw(st.floats(0.01, 0.99)),
        text_column=draw(MAYBE),
        text_pair_column=draw(MAYBE),
        label_column=draw(MAYBE),
        id_column=draw(MAYBE),
        header=draw(st.booleans()),
        label_separator=draw(NAMES),
        data_dir=draw(MAYBE),
        dev_file=draw(MAYBE),
        predict_file=draw(MAYBE),
        label_columns=draw(st.none() | LABELS.filter(lambda names: len(names) > 1).map(join_columns)),
        long_text=(long_text := draw(st.sampled_from(LONG_TEXTS))),
        window_stride=draw(st.none() | st.just(1)) if long_text == "windows" else None,
        window_pooling=draw(st.sampled_from(WINDOW_POOLINGS)),
    )


@given(descriptions())
@settings(max_examples=60)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, description: TaskDescription) -> None:
    directory = tmp_path_factory.mktemp("model") / "new"
    description.save(str(directory))
    assert TaskDescription.load(str(directory)) == description
    names = ["task.json"] + (["labels.txt"] if description.labels else [])
    assert sorted(path.name for path in directory.iterdir()) == sorted(names)


def test_files(tmp_path: Path) -> None:
    TaskDescription("reviews", "single_label", ("schlecht", "gut ✓"), text_column="text").save(str(tmp_path))
    assert (tmp_path / "labels.txt").read_text(encoding="utf-8") == "schlecht\ngut ✓\n"
    assert json.loads((tmp_path / "task.json").read_text(encoding="utf-8")) == {
        "name": "reviews",
        "problem_type": "single_label",
        "labels": ["schlecht", "gut ✓"],
        "max_seq_length": 128,
        "do_lower_case": True,
        "threshold": 0.5,
        "text_column": "text",
        "text_pair_column": None,
        "label_column": None,
        "id_column": None,
        "header": True,
        "label_separator": "|",
        "data_dir": None,
        "dev_file": None,
        "predict_file": None,
        "label_columns": None,
        "long_text": "truncate_tail",
        "window_stride": None,
        "window_pooling": "mean",
    }


def test_splitting_and_joining_label_columns() -> None:
    assert split_columns('rude, angry,"a, b"') == ("rude", "angry", "a, b")
    assert join_columns(["rude", "a, b", 'say "x"']) == 'rude,"a, b","say ""x"""'
    assert split_columns(join_columns(["is\nrude", "is\rangry"])) == ("is\nrude", "is\rangry")
    for names in ("rude", "rude,rude", "rude,", "", "is\nrude,angry"):
        with pytest.raises(InputError, match="expected the names of different columns separated by commas"):
            split_columns(names)


def test_missing_directory_and_missing_file(tmp_path: Path) -> None:
    assert TaskDescription.load(str(tmp_path / "none")) is None
    assert TaskDescription.load(str(tmp_path)) is None


def test_outputs() -> None:
    assert TaskDescription("a", "single_label", ("x", "y", "z")).outputs == 3
    assert TaskDescription("a", "regression", ()).outputs == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"problem_type": "classes"}, "Unknown problem type 'classes'; choose one of single_label, multi_label, regr"),
        ({"labels": ()}, r"The task 'a' \(single_label\) needs labels, but there are none"),
        ({"problem_type": "regression"}, r"The task 'a' \(regression\) has no labels, but there are x, y"),
        ({"threshold": 1.0}, "--threshold=1.0; it must be between 0 and 1"),
        ({"max_seq_length": 2}, r"--max_seq_length=2; \[CLS\], one token and \[SEP\] need at least 3"),
    ],
)
def test_invalid_values(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        TaskDescription(**{"name": "a", "problem_type": "single_label", "labels": ("x", "y"), **changes})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", "task.json is not JSON .*; restore the file that the training wrote, or train again"),
        (b"\xff\xff", "task.json is not JSON"),
        (b"[]", "task.json holds a list instead of a JSON object"),
        ({"labels": None}, "task.json: labels cannot be null"),
        ({"labels": ["a", 1]}, r"task.json: labels cannot be \['a', 1\]"),
        ({"name": 3}, "task.json: name cannot be 3"),
        ({"max_seq_length": True}, "task.json: max_seq_length cannot be True"),
        ({"threshold": "0.5"}, "task.json: threshold cannot be '0.5'"),
        ({"header": None}, "task.json: header cannot be null"),
        ({"text_column": 1}, "task.json: text_column cannot be 1"),
        ({"problem_type": "tagging"}, "holds a model for tagging, not for classification .* --overwrite_output_dir"),
        ({"colour": 1}, "task.json has the unknown key 'colour'"),
    ],
)
def test_corrupt_files(tmp_path: Path, content: Any, sentence: str) -> None:
    TaskDescription("a", "single_label", ("x", "y")).save(str(tmp_path))
    path = tmp_path / "task.json"
    if isinstance(content, dict):
        content = json.dumps({**json.loads(path.read_text()), **content}).encode()
    path.write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        TaskDescription.load(str(tmp_path))


def test_every_key_is_required(tmp_path: Path) -> None:
    description = TaskDescription("a", "single_label", ("x", "y"))
    description.save(str(tmp_path))
    content = json.loads((tmp_path / "task.json").read_text())
    for field in dataclasses.fields(TaskDescription):
        (tmp_path / "task.json").write_text(json.dumps({k: v for k, v in content.items() if k != field.name}))
        if field.name in ("label_columns", "long_text", "window_stride", "window_pooling"):  # older versions lack them
            assert TaskDescription.load(str(tmp_path)) == description
            continue
        with pytest.raises(InputError, match=f"task.json lacks key '{field.name}'"):
            TaskDescription.load(str(tmp_path))


def test_changed_labels(tmp_path: Path) -> None:
    TaskDescription("a", "single_label", ("x", "y")).save(str(tmp_path))
    (tmp_path / "labels.txt").write_text("y\nx\n")
    with pytest.raises(
        InputError, match=r"labels.txt has the labels 'y', 'x', but .*task.json has 'x', 'y'; the model"
    ):
        TaskDescription.load(str(tmp_path))
    (tmp_path / "labels.txt").unlink()
    with pytest.raises(InputError, match=r"Cannot read .*labels\.txt"):
        TaskDescription.load(str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "b"}, "model holds a model for the task 'a', where this command has 'b'; give another --output_dir"),
        ({"labels": ("x", "z")}, "model holds a model for the labels 'x', 'y', where this command has 'x', 'z'"),
        ({"labels": ("y", "x")}, "for the labels 'x', 'y', where this command has 'y', 'x'"),
        ({"problem_type": "multi_label"}, "for the problem type 'single_label', where this command has 'multi_label'"),
        ({"do_lower_case": False}, "for --do_lower_case true, where this command has false"),
    ],
)
def test_different_task_is_rejected(changes: dict[str, Any], sentence: str) -> None:
    saved = TaskDescription("a", "single_label", ("x", "y"))
    with pytest.raises(InputError, match=sentence):
        dataclasses.replace(saved, **changes).check_same_model(saved, "model")


def test_first_difference_between_many_labels_is_named() -> None:
    saved = TaskDescription("a", "single_label", tuple(map(str, range(100))))
    other = TaskDescription("a", "single_label", (*map(str, range(99)), "x", "y"))
    with pytest.raises(
        InputError, match=r"labels \(100, number 99: '99'\), where this command has \(101, number 99: 'x'"
    ):
        other.check_same_model(saved, "model")
    shorter = TaskDescription("a", "single_label", saved.labels[:50])
    with pytest.raises(InputError, match=r"labels \(100, number 50: '50'\), where this command has \(50\); give"):
        shorter.check_same_model(saved, "model")


def test_settings_that_may_differ() -> None:
    saved = TaskDescription("a", "single_label", ("x", "y"))
    dataclasses.replace(
        saved, max_seq_length=64, threshold=0.3, text_column="b", header=False, dev_file="c"
    ).check_same_model(saved, "model")
