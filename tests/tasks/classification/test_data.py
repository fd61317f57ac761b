"""Opening custom data and GLUE: what the flags, the training data and task.json decide."""

import dataclasses
import gzip
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bert_tf2.errors import InputError
from bert_tf2.tasks.classification.data import Data, DataConfig, open_data
from bert_tf2.tasks.classification.task_description import TaskDescription

REVIEWS = "id,text,label\nr1,Fine.,good\nr2,Awful.,bad\nr3,Great.,good\n"


def write(directory: Path, name: str, content: str | bytes) -> str:
    data = content.encode() if isinstance(content, str) else content
    (directory / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return str(directory / name)


def trained(tmp_path: Path, content: str = REVIEWS, name: str = "train.csv", **flags: Any) -> Data:
    """Opens data for training and saves its description in tmp_path / "model"."""
    data = open_data(
        DataConfig(str(tmp_path / "model"), train_file=write(tmp_path, name, content), **flags), training=True
    )
    data.description.save(str(tmp_path / "model"))
    return data


# --- Custom data, training -------------------------------------------------------------------------------------


def test_simplest_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        data = trained(tmp_path)
    assert data.description == TaskDescription(
        "custom", "single_label", ("bad", "good"), text_column="text", label_column="label"
    )
    assert caplog.messages == [
        f"{tmp_path}/train.csv: 3 rows, single_label, judging by the labels, 2 labels: bad, good."
    ]
    rows = data.examples("train")
    assert (list(rows.ids), list(rows.texts), rows.pairs) == (["r1", "r2", "r3"], ["Fine.", "Awful.", "Great."], None)
    assert data.labels(rows).tolist() == [1, 0, 1]
    assert data.metrics == ("accuracy", "macro_f1")
    assert data.examples("train") is rows, "read once"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'body,other,what\n"Fine, ""really"".",Not so.,good\nb,c,bad\n'),
        ("a.tsv.gz", 'body\tother\twhat\nFine, "really".\tNot so.\tgood\nb\tc\tbad\n'),
        (
            "a.jsonl",
            '{"body": "Fine, \\"really\\".", "other": "Not so.", "what": "good"}\n'
            '{"what": "bad", "other": "c", "body": "b"}\n',
        ),
    ],
)
def test_pairs_in_every_kind_of_file(tmp_path: Path, name: str, content: str) -> None:
    columns = {"text_column": "body", "text_pair_column": "other", "label_column": "what"}
    rows = trained(tmp_path, content, name, **columns).examples("train")
    assert list(rows.texts) == ['Fine, "really".', "b"]
    assert list(rows.pairs or []) == ["Not so.", "c"]
    assert list(rows.labels or []) == ["good", "bad"]
    assert list(rows.ids) == [0, 1], "row numbers without an id column"


def test_columns_by_number(tmp_path: Path) -> None:
    data = trained(tmp_path, "1\tFine.\n0\tAwful.\n1\tGreat.\n", "a.tsv", text_column="1", label_column="0")
    assert not data.description.header
    rows = data.examples("train")
    assert list(rows.texts) == ["Fine.", "Awful.", "Great."]
    assert list(rows.lines) == [1, 2, 3]
    (tmp_path / "model" / "task.json").unlink()
    data = trained(tmp_path, REVIEWS, text_column="1", label_column="-1", id_column="0", header=True)
    assert data.description.header
    assert list(data.examples("train").ids) == ["r1", "r2", "r3"]
    # A column by name means a header.
    assert trained(tmp_path, REVIEWS, text_column="1").description.header


@pytest.mark.parametrize(
    "content",
    [
        "what,text\ngood,a\nbad,b\ngood,c\n",
        "what,text\n1,a\n0,b\n1,c\n",
        "score,text\n0.5,a\n0.25,b\n0.75,c\n",
        "label,text\n1,a\n0,b\n2,c\n",
    ],
)
def test_likely_header_is_rejected(tmp_path: Path, content: str) -> None:
    numbers = {"text_column": "1", "label_column": "0"}
    with pytest.raises(InputError, match=r"train\.csv, line 1: is this a header\? Its label '.*' is in no other row"):
        trained(tmp_path, content, **numbers)
    assert len(trained(tmp_path, content, **numbers, header=True).examples("train")) == 3
    (tmp_path / "model" / "task.json").unlink()
    assert len(trained(tmp_path, content, **numbers, header=False, problem_type="single_label").examples("train")) == 4


@pytest.mark.parametrize("content", ["a,0\nb,1\n", "a,x\nb,y\nc,z\n", "a,0\nb,1\nc,0\n", "a,2\nb,1\nc,0\n"])
def test_rows_that_do_not_look_like_a_header(tmp_path: Path, content: str) -> None:
    data = trained(tmp_path, content, text_column="0", label_column="1")
    assert len(data.examples("train")) == content.count("\n")


def test_several_labels(tmp_path: Path) -> None:
    data = trained(tmp_path, "text,label\na,rude|angry\nb,\nc,rude\n")
    assert data.description.problem_type == "multi_label"
    assert data.description.labels == ("angry", "rude")
    assert data.labels(data.examples("train")).tolist() == [[1, 1], [0, 0], [0, 1]]
    assert data.metrics == ("exact_match", "micro_f1", "macro_f1")
    (tmp_path / "model" / "task.json").unlink()
    data = trained(tmp_path, 'text,label\na,"rude, angry"\nb,x|y\n', label_separator=",", threshold=0.3)
    assert data.description.labels == ("angry", "rude", "x|y")
    assert data.description.threshold == 0.3
    (tmp_path / "model" / "task.json").unlink()
    content = '{"text": "a", "label": ["x", 1, true, 2.0]}\n{"text": "b", "label": []}\n'
    data = trained(tmp_path, content, "a.jsonl")
    assert data.description.labels == ("1", "2", "true", "x")
    (tmp_path / "model" / "task.json").unlink()
    data = trained(tmp_path, "text,label\na,rude\nb,kind\n", problem_type="multi_label")
    assert data.labels(data.examples("train")).tolist() == [[0, 1], [1, 0]]


def test_regression(tmp_path: Path) -> None:
    data = trained(tmp_path, "text,label\na,0.5\nb,3\n")
    assert (data.description.problem_type, data.description.labels) == ("regression", ())
    assert data.labels(data.examples("train")).tolist() == [0.5, 3]
    (tmp_path / "model" / "task.json").unlink()
    data = trained(tmp_path, '{"text": "a", "label": 0.1}\n{"text": "b", "label": 1e-7}\n', "a.jsonl")
    assert data.labels(data.examples("train")).tolist() == np.float32([0.1, 1e-7]).tolist()
    (tmp_path / "model" / "task.json").unlink()
    data = trained(tmp_path, "text,label\na,1\nb,2\n", problem_type="regression")
    assert data.description.problem_type == "regression"


LONG = "1" + "0" * 400
"""Larger than any float."""


def test_labels_of_json(tmp_path: Path) -> None:
    content = "".join(f'{{"text": "a", "label": {label}}}\n' for label in ("10", "9", "9.0", "true", '"false"', LONG))
    data = trained(tmp_path, content, "a.jsonl")
    assert data.description.labels == ("10", LONG, "9", "false", "true")


@pytest.mark.parametrize("header", [True, False])
def test_json_lines_have_no_header(tmp_path: Path, header: bool) -> None:
    content = '{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n'
    with pytest.raises(InputError, match="--header is for CSV, TSV and Excel files; others have no header; omit it"):
        trained(tmp_path, content, "a.jsonl", header=header)
    trained(tmp_path, content, "a.jsonl")
    path = write(tmp_path, "new.csv", "text\nc\n" if header else "c\n")
    config = DataConfig(str(tmp_path / "model"), predict_file=path, text_column="0", header=header)
    assert list(open_data(config, training=False).examples("test").texts) == ["c"]


def test_json_rows_are_numbered_unless_all_have_an_id(tmp_path: Path) -> None:
    lines = ['{"text": "a", "label": 1, "id": 1.5}', '{"text": "b", "label": 2, "id": "x"}']
    with pytest.raises(InputError, match=r"line 1, column 'id' .* is 1\.5, expected a text or a whole"):
        trained(tmp_path, "\n".join(lines), "a.jsonl")
    data = trained(tmp_path, "\n".join([*lines, '{"text": "c", "label": 1}']), "a.jsonl")
    assert list(data.examples("train").ids) == [0, 1, 2]
    data = trained(tmp_path, "\n".join([lines[1], '{"text": "c", "label": 1, "id": 7}']), "b.jsonl")
    assert list(data.examples("train").ids) == ["x", 7]


def test_list_of_labels(tmp_path: Path) -> None:
    names = write(tmp_path, "names.txt", "good\nneutral\nbad\n")
    data = trained(tmp_path, REVIEWS, labels_file=names)
    assert data.description.labels == ("good", "neutral", "bad")
    assert data.labels(data.examples("train")).tolist() == [0, 2, 0]
    (tmp_path / "model" / "task.json").unlink()
    numbers = write(tmp_path, "numbers.txt", "0.5\n1\n")
    data = trained(tmp_path, "text,label\na,0.5\nb,1\n", labels_file=numbers)
    assert data.description.problem_type == "single_label"


# --- Custom data, evaluation and prediction --------------------------------------------------------------------


def test_evaluation_needs_only_the_model_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "dev.csv", "title,text,what\n,Nice.,good\n")
    write(tmp_path, "new.csv", "title,text\n,Hm.\n")
    content = "title,text,what\n,Fine.,good\n,Awful.,bad\n"
    flags = {"text_column": "text", "label_column": "what", "max_seq_length": 32, "do_lower_case": False}
    for name in ("dev.csv", "new.csv"):
        (tmp_path / "model").mkdir(exist_ok=True)
        (tmp_path / name).rename(tmp_path / "model" / name)
    files = {"dev_file": "model/dev.csv", "predict_file": "model/new.csv"}
    trained(tmp_path, content, **flags, **files, task_name="reviews")
    monkeypatch.chdir("/")
    data = open_data(DataConfig(str(tmp_path / "model")), training=False)
    assert data.description == TaskDescription.load(str(tmp_path / "model"))
    assert data.description.name == "reviews"
    assert (data.description.max_seq_length, data.description.do_lower_case) == (32, False)
    rows = data.examples("dev")
    assert (list(rows.texts), data.labels(rows).tolist()) == (["Nice."], [1])
    rows = data.examples("test")
    assert (list(rows.texts), rows.labels, data.labels(rows).tolist()) == (["Hm."], None, [0])


@pytest.mark.parametrize("pattern", ["{0}/dev.csv", "{0}/model/../dev.csv", "../dev.csv", "{0}/model/link/dev.csv"])
def test_only_data_in_the_model_directory_is_read_without_a_flag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    """A model from elsewhere must not make its user read other files."""
    monkeypatch.chdir(tmp_path)
    secret = write(tmp_path, "dev.csv", "text,label\nsecret,good\n")
    trained(tmp_path)
    (tmp_path / "model/link").symlink_to(tmp_path)
    description = TaskDescription.load(str(tmp_path / "model"))
    assert description is not None
    path = pattern.format(tmp_path)
    dataclasses.replace(description, dev_file=path, predict_file=path).save(str(tmp_path / "model"))
    monkeypatch.chdir(tmp_path / "model")
    data = open_data(DataConfig(str(tmp_path / "model")), training=False)
    for split, flag in (("dev", "dev_file"), ("test", "predict_file")):
        with pytest.raises(
            InputError, match=rf"^--{flag} is missing, and .*/task\.json names a path outside .*--{flag}="
        ):
            data.examples(split)
    data = open_data(DataConfig(str(tmp_path / "model"), dev_file=secret), training=False)
    assert list(data.examples("dev").texts) == ["secret"]


def test_different_files_and_columns_for_evaluation(tmp_path: Path) -> None:
    trained(tmp_path)
    path = write(tmp_path, "other.jsonl", '{"id": 7, "body": "Hm.", "label": "bad"}\n')
    config = DataConfig(str(tmp_path / "model"), dev_file=path, predict_file=path, text_column="body", max_seq_length=9)
    data = open_data(config, training=False)
    assert data.description.max_seq_length == 9
    assert list(data.examples("dev").texts) == ["Hm."]
    assert list(data.examples("test").ids) == [7]
    with pytest.raises(InputError, match="--train_file is missing"):
        data.examples("train")


@pytest.mark.parametrize("flags", [{"threshold": 0.9}, {"label_separator": ";", "problem_type": "single_label"}])
def test_flags_for_several_labels_with_single_labels(tmp_path: Path, flags) -> None:
    with pytest.raises(
        InputError, match=rf"--{next(iter(flags))} is for several labels a row .* is single_label; omit"
    ):
        trained(tmp_path, **flags)


def test_column_name_means_a_header_even_after_training_with_numbers(tmp_path: Path) -> None:
    trained(tmp_path, "good,a\nbad,b\ngood,c\n", text_column="1", label_column="0")
    path = write(tmp_path, "new.csv", "text\nHm.\n")
    data = open_data(DataConfig(str(tmp_path / "model"), predict_file=path, text_column="text"), training=False)
    assert list(data.examples("test").texts) == ["Hm."]
    path = write(tmp_path, "more.csv", "x,Hm.\n")
    data = open_data(DataConfig(str(tmp_path / "model"), predict_file=path), training=False)
    assert list(data.examples("test").texts) == ["Hm."]


def test_glue_model_reads_custom_files(tmp_path: Path) -> None:
    TaskDescription("sst-2", "single_label", ("0", "1"), data_dir="glue").save(str(tmp_path / "model"))
    path = write(tmp_path, "new.tsv", "Fine.\t1\n")
    config = DataConfig(str(tmp_path / "model"), predict_file=path, text_column="0", label_column="1")
    data = open_data(config, training=False)
    assert (data.task, data.description.name, data.description.labels) == (None, "sst-2", ("0", "1"))
    assert list(data.examples("test").texts) == ["Fine."]


def test_labels_file_without_a_training_run(tmp_path: Path) -> None:
    path, names = write(tmp_path, "dev.csv", REVIEWS), write(tmp_path, "names.txt", "good\nbad\n")
    config = DataConfig(str(tmp_path), dev_file=path, labels_file=names)
    data = open_data(config, training=False)
    assert data.labels(data.examples("dev")).tolist() == [0, 1, 0]
    data = open_data(DataConfig(str(tmp_path), dev_file=path, problem_type="regression"), training=False)
    assert data.description.outputs == 1
    with pytest.raises(InputError, match=r"has no task\.json, so the labels are unknown: train first"):
        open_data(DataConfig(str(tmp_path), dev_file=path), training=False)


@pytest.mark.parametrize(
    ("content", "flags", "sentence"),
    [
        ("text,label\na,x\nb,y\n", {}, "for the labels 'bad', 'good', where this command has 'x', 'y'"),
        ("text,label\na,.5\nb,1\n", {}, "for the problem type 'single_label', where this command has 'regression'"),
        (REVIEWS, {"task_name": "films"}, "for the task 'custom', where this command has 'films'"),
        (REVIEWS, {"do_lower_case": False}, "for --do_lower_case true, where this command has false"),
    ],
)
def test_different_task_in_the_same_directory_is_rejected(
    tmp_path: Path, content: str, flags: dict[str, Any], sentence: str
) -> None:
    trained(tmp_path)
    with pytest.raises(InputError, match=sentence):
        trained(tmp_path, content, **flags)
    config = DataConfig(str(tmp_path / "model"), train_file=str(tmp_path / "train.csv"), **flags)
    assert open_data(config, training=True, overwrite=True).description.name == flags.get("task_name", "custom")


def test_training_continues_with_the_same_task(tmp_path: Path) -> None:
    content = "a\tgood\nb\tbad\nc\tgood\n"
    first = trained(tmp_path, content, "a.tsv", text_column="0", label_column="1", max_seq_length=32)
    assert trained(tmp_path, content, "a.tsv").description == first.description, "columns are stored"
    TaskDescription("cola", "single_label", ("bad", "good")).save(str(tmp_path / "model"))
    with pytest.raises(InputError, match="for the task 'cola', where this command has 'custom'"):
        trained(tmp_path)


# --- GLUE ------------------------------------------------------------------------------------------------------------


def test_glue(tmp_path: Path) -> None:
    write(tmp_path, "train.tsv", "gj04\t1\t\tOne.\n")
    write(tmp_path, "test.tsv", "index\tsentence\n0\tTwo.\n")
    config = DataConfig(str(tmp_path / "model"), task_name="CoLA", data_dir=str(tmp_path))
    data = open_data(config, training=True)
    assert data.description == TaskDescription("cola", "single_label", ("0", "1"), data_dir=str(tmp_path))
    assert data.metrics == ("accuracy", "matthews")
    assert data.labels(data.examples("train")).tolist() == [1]
    data.description.save(str(tmp_path / "model"))
    trained_data = open_data(DataConfig(str(tmp_path / "model")), training=False)
    assert trained_data.description == data.description
    assert trained_data.task is not None
    with pytest.raises(InputError, match=rf"^--data_dir is missing, and .* give --data_dir={tmp_path}"):
        trained_data.examples("test")
    trained_data = open_data(DataConfig(str(tmp_path / "model"), data_dir=str(tmp_path)), training=False)
    assert trained_data.labels(trained_data.examples("test")).tolist() == [0]
    with pytest.raises(InputError, match="for the task 'cola', where this command has 'mrpc'"):
        open_data(DataConfig(str(tmp_path / "model"), task_name="mrpc", data_dir="x"), training=True)


def test_tasks_that_share_a_model(tmp_path: Path) -> None:
    for name in ("mnli", "mnli-mm", "ax"):
        data = open_data(DataConfig(str(tmp_path), task_name=name, data_dir="x"), training=False)
        assert data.description.name == "mnli"
        assert data.task is not None
        assert data.task.name == name
        data.description.save(str(tmp_path))


def test_unknown_label_is_reported_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, "dev.tsv", "gj04\t1\t\tOne.\ngj04\t2\t\tTwo.\n")
    data = open_data(DataConfig("model", task_name="cola", data_dir=str(tmp_path)), training=False)
    with pytest.raises(InputError, match=r"dev\.tsv, line 2 has the unknown label '2'; expected '0', '1'"):
        data.labels(data.examples("dev"))


# --- Invalid combinations --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({}, r"No task is given: give --task_name and --data_dir .* --train_file .* --output_dir that holds"),
        ({"task_name": "mrcp", "data_dir": "x"}, "Unknown task 'mrcp'; choose one of cola, mnli"),
        ({"task_name": "cola"}, "--task_name=cola needs --data_dir"),
        ({"task_name": "cola", "train_file": "a.csv"}, "--task_name=cola is read from --data_dir, but --train_file is"),
        ({"data_dir": "x", "dev_file": "a.csv"}, "--data_dir is for the tasks of GLUE; omit it with --dev_file"),
        ({"task_name": "cola", "data_dir": "x", "text_column": "a"}, "--text_column has no effect on the task cola"),
        ({"task_name": "cola", "data_dir": "x", "header": False}, "--header has no effect on the task cola"),
        ({"dev_file": "a.csv"}, "--train_file is missing; which rows"),
        ({"train_file": "a.csv", "label_separator": ""}, "--label_separator is empty"),
        ({"train_file": "a.csv", "max_seq_length": 1}, "--max_seq_length=1"),
        ({"train_file": "a.txt"}, "a.txt has only texts, without labels"),
    ],
)
def test_incompatible_flags(tmp_path: Path, flags: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        open_data(DataConfig(str(tmp_path), **flags), training=True)


@pytest.mark.parametrize(
    ("name", "content", "flags", "sentence"),
    [
        (
            "a.csv",
            "body,label\na,b\n",
            {},
            r"a\.csv has no column 'text' \(--text_column\); it has the columns 'body',",
        ),
        (
            "a.csv",
            "text,what\na,b\n",
            {},
            r"a\.csv has no column 'label' \(--label_column\); it has the columns 'text'",
        ),
        ("a.csv", REVIEWS, {"id_column": "key"}, r"has no column 'key' \(--id_column\)"),
        ("a.csv", "text,label\na,x\nb,\n", {}, r"a\.csv, line 3 has no label"),
        (
            "a.jsonl",
            '{"text": null, "label": 1}',
            {},
            r"line 1, column 'text' \(--text_column\) is null, expected a text",
        ),
        ("a.jsonl", '{"text": ["a"], "label": 1}', {}, r"column 'text' .* is \[\"a\"\], expected a text"),
        (
            "a.jsonl",
            '{"text": "a", "label": null}',
            {},
            "column 'label' .* is null, expected a text, a number, or a list",
        ),
        ("a.jsonl", '{"text": "a", "label": [["b"]]}', {}, "column 'label' .* expected a text, a number, or a list"),
        ("a.jsonl", '{"text": "a", "label": 1e999}', {}, "1e999 is out of range"),
        ("a.jsonl", '{"text": "a\\ud800", "label": 1}', {}, r"line 1, column 'text': \\ud800 is an unpaired surrogate"),
        ("a.jsonl", '{"text": "a", "label": 1, "id": 1.5}', {}, r"column 'id' .* is 1\.5, expected a text or a whole"),
        ("a.jsonl", '{"text": "a", "label": 1, "id": true}', {}, "column 'id' .* is true, expected a text or a whole"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": "a"}', {}, r"line 2 has no key 'label' \(--label_column\)"),
    ],
)
def test_invalid_files(tmp_path: Path, name: str, content: str, flags: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        trained(tmp_path, content, name, **flags)
