"""Custom files of all kinds: delimiters, encodings, decimal commas, texts to predict."""

import dataclasses
import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from helpers.repository import CASES
from pyarrow import parquet

from bert_tf2.errors import InputError
from bert_tf2.tasks.classification.config import ClassificationConfig
from bert_tf2.tasks.classification.data import DataConfig, open_data
from bert_tf2.tasks.classification.task_description import TaskDescription


def write(directory: Path, name: str, content: str | bytes) -> str:
    (directory / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return str(directory / name)


@pytest.mark.parametrize("name", ["excel_semicolon.csv", "utf16.csv", "json_array.json"])
def test_other_formats_of_the_same_rows(tmp_path: Path, name: str) -> None:
    data = open_data(DataConfig(str(tmp_path), train_file=str(CASES / name)), training=True)
    rows = data.examples("train")
    assert data.description.labels == ("neg", "pos")
    assert list(rows.texts[0:2]) == ["good movie , i loved it", "terrible , waste of time"]


def test_parquet(tmp_path: Path) -> None:
    table = pyarrow.table({"text": ["Fine.", "Awful."] * 999, "other": [[1]] * 1998, "label": [1, 0] * 999})
    parquet.write_table(table, tmp_path / "a.parquet")
    data = open_data(DataConfig(str(tmp_path), train_file=str(tmp_path / "a.parquet")), training=True)
    rows = data.examples("train")
    assert (list(rows.texts[0:2]), rows.location(1997)) == (["Fine.", "Awful."], f"{tmp_path}/a.parquet, row 1998")
    assert data.labels(rows).tolist() == [1, 0] * 999
    by_number = DataConfig(str(tmp_path), train_file=str(tmp_path / "a.parquet"), text_column="0", label_column="-1")
    assert open_data(by_number, training=True).labels(rows).tolist() == [1, 0] * 999


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (
            {"text": ["a"], "what": ["b"]},
            r"has no column 'label' \(--label_column\); it has the columns 'text'",
        ),
        ({"text": ["a", None], "label": ["b", "c"]}, r"a\.parquet, row 2, column 'text' .* is null, expected a text"),
        ({"text": [], "label": []}, r"a\.parquet has no rows"),
    ],
)
def test_invalid_parquet(tmp_path: Path, columns: dict[str, Any], sentence: str) -> None:
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=sentence):
        open_data(DataConfig(str(tmp_path), train_file=str(tmp_path / "a.parquet")), training=True)


def test_corrupt_parquet(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Cannot read .*a\.parquet"):
        open_data(DataConfig(str(tmp_path), train_file=write(tmp_path, "a.parquet", "x")), training=True)


def test_decimal_commas(tmp_path: Path) -> None:
    data = open_data(DataConfig(str(tmp_path), train_file=str(CASES / "comma_decimal.csv")), training=True)
    assert data.description.problem_type == "regression"
    assert np.asarray(data.labels(data.examples("train")))[:4].tolist() == [3.5, 1.25, 3.5, 1.25]


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (("1,250", "12,500"), r"line 2: is '1,250' a number\? The comma may be a thousands separator"),
        (("1,5", "2.5"), r"line 2: is '1,5' a number\? Other labels have decimal points"),
    ],
)
def test_ambiguous_commas(tmp_path: Path, labels: tuple[str, ...], sentence: str) -> None:
    path = write(tmp_path, "a.csv", "text;label\n" + "".join(f"x;{label}\n" for label in labels))
    with pytest.raises(InputError, match=sentence):
        open_data(DataConfig(str(tmp_path), train_file=path), training=True)
    as_names = DataConfig(str(tmp_path), train_file=path, problem_type="single_label")
    assert open_data(as_names, training=True).description.labels == labels


def test_interpretation_of_numeric_labels_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for labels in ("12345", ("1.5", "2"), "01"):
            rows = "".join(f"x,{label}\n" for label in labels)
            path = write(tmp_path, "train.csv", f"text,label\n{rows}")
            open_data(DataConfig(str(tmp_path), train_file=path), training=True)
    path = f"{tmp_path}/train.csv: the labels are numbers, taken as"
    assert [message for message in caplog.messages if "labels are numbers" in message] == [
        f"{path} 5 classes. If they are ratings or amounts: --problem_type=regression.",
        f"{path} amounts, as not all are whole numbers. If they are classes: --problem_type=single_label.",
    ]


@pytest.mark.parametrize(
    ("name", "flags", "sentence"),
    [
        ("a.jsonl", {"delimiter": ";"}, "--delimiter is for .csv files; omit it"),
        ("a.parquet", {"encoding": "utf-8"}, "--encoding is for text files; omit it"),
        ("a.csv", {"encoding": "klingon"}, "--encoding='klingon' is not an encoding known to Python"),
        ("a.csv", {"encoding": "rot13"}, "--encoding='rot13' is not an encoding"),
        ("a.csv", {"delimiter": "::"}, "--delimiter='::' must be one character"),
    ],
)
def test_invalid_flags_about_the_form_of_files(tmp_path: Path, name: str, flags: dict[str, Any], sentence: str) -> None:
    content: str | bytes = '{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n'
    if name.endswith("parquet"):
        sink = pyarrow.BufferOutputStream()
        parquet.write_table(pyarrow.table({"text": ["a", "b"], "label": ["x", "y"]}), sink)
        content = sink.getvalue().to_pybytes()
    with pytest.raises(InputError, match=sentence):
        open_data(DataConfig(str(tmp_path), train_file=write(tmp_path, name, content), **flags), training=True)


# --- Texts to predict ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "fields", "truths"),
    [
        ("a.csv", "text,label\na,no\nb, yes \nc,maybe\nd,\n", {}, ["no", "yes", None, None]),
        ("a.csv", "text,label\na,\nb,maybe\n", {}, None),
        ("a.csv", "text\na\nb\n", {}, None),
        ("a.jsonl", '{"text": "a"}\n{"text": "b", "label": true}\n', {"labels": ("false", "true")}, [None, "true"]),
        ("a.jsonl", '{"text": "a", "label": {}}\n{"text": "b", "label": ["yes"]}\n', {}, [None, "yes"]),
        ("a.tsv", "no\ta\n7\tb\n", {"header": False, "text_column": "1", "label_column": "0"}, ["no", None]),
        (
            "a.csv",
            "text,label\na,no|yes\nb,\nc,no|x\n",
            {"problem_type": "multi_label"},
            [("no", "yes"), (), None],
        ),
        (
            "a.csv",
            "text,no,yes\na,1,0\nb,0,0\nc,x,1\n",
            {"problem_type": "multi_label", "label_column": None, "label_columns": "no,yes"},
            [("no",), (), None],
        ),
        ("a.csv", 'text,label\na,"1,5"\nb,2\nc,x\n', {"problem_type": "regression", "labels": ()}, [1.5, 2.0, None]),
        ("a.txt", "a\nb\n", {}, None),
    ],
)
def test_true_labels_in_a_file_to_predict(
    tmp_path: Path, name: str, content: str, fields: dict[str, Any], truths: list[Any] | None
) -> None:
    """Cells that are not labels of the model are not errors."""
    path = write(tmp_path, name, content)
    fields = {"labels": ("no", "yes"), "text_column": "text", "label_column": "label", **fields}
    rows = open_data(DataConfig(trained(tmp_path, **fields), predict_file=path), training=False).examples("test")
    assert rows.labels is None
    assert (None if rows.truths is None else list(rows.truths)) == truths


def trained(tmp_path: Path, **fields: Any) -> str:
    """Writes the task.json of a training run and returns the directory."""
    description = TaskDescription("custom", "single_label", ("bad", "good"), text_column="body", label_column="what")
    dataclasses.replace(description, **fields).save(str(tmp_path / "model"))
    return str(tmp_path / "model")


def test_text_file(tmp_path: Path) -> None:
    path = write(tmp_path, "new.txt", '\ufeffFine, "really"; so.\r\n\n  \nOne\ttwo.\n')
    rows = open_data(DataConfig(trained(tmp_path), predict_file=path), training=False).examples("test")
    assert (list(rows.texts), list(rows.ids)) == (['Fine, "really"; so.', "One\ttwo."], [0, 1])
    assert (rows.location(1), rows.pairs, rows.labels) == (f"{path}, line 4", None, None)


def test_text_file_with_tab_separated_pairs(tmp_path: Path) -> None:
    model_dir = trained(tmp_path, text_pair_column="other", id_column="id")
    path = write(tmp_path, "new.txt", "a b\tc d\n")
    rows = open_data(DataConfig(model_dir, predict_file=path), training=False).examples("test")
    assert rows.pairs is not None
    assert (list(rows.texts), list(rows.pairs)) == (["a b"], ["c d"])
    write(tmp_path, "new.txt", "a b\n")
    with pytest.raises(InputError, match=r"new\.txt, line 1 has 0 tabs; .* expected one tab between them"):
        open_data(DataConfig(model_dir, predict_file=path), training=False).examples("test")


@pytest.mark.parametrize("encoding", [None, "cp1252"])
def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str | None) -> None:
    with (tmp_path / "in").open("w+b") as file:
        file.write("Très bien.\n\nSo so.".encode(encoding or "utf-8"))
        file.seek(0)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(file))
        data = open_data(DataConfig(trained(tmp_path), predict_file="-", encoding=encoding), training=False)
        assert data.description.predict_file is None, "it is not stored"
        rows = data.examples("test")
    assert (list(rows.texts), rows.location(1)) == (["Très bien.", "So so."], "standard input, line 3")


def test_empty_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "in").open("w+b") as file:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(file))
        data = open_data(DataConfig(trained(tmp_path), predict_file="-"), training=False)
        with pytest.raises(InputError, match=r"^standard input is empty; expected a text on each line"):
            data.examples("test")


def test_text_in_a_flag(tmp_path: Path) -> None:
    rows = open_data(DataConfig(trained(tmp_path), text="Fine."), training=False).examples("test")
    assert (rows.path, list(rows.texts), list(rows.ids), rows.pairs) == ("--text", ["Fine."], [0], None)
    for fields in ({"text_pair_column": "x"}, {"name": "mrpc"}):
        data = open_data(DataConfig(trained(tmp_path, **fields), text="a", text_pair="b"), training=False)
        assert data.examples("test").pairs == ["b"]


@pytest.mark.parametrize(
    ("fields", "flags", "sentence"),
    [
        ({}, {"text": "a", "text_pair": "b"}, "is for single texts; omit --text_pair"),
        ({"text_pair_column": "x"}, {"text": "a"}, "is for pairs of texts; give --text_pair too"),
        ({"name": "mrpc"}, {"text": "a"}, "is for pairs of texts; give --text_pair too"),
        ({}, {"text_pair": "a"}, "--text_pair needs --text"),
        ({}, {"text": "a", "predict_file": "b.csv"}, "--text and --predict_file exclude each other"),
        ({}, {"text": "a\udcff"}, "--text is not valid UTF-8"),
        ({}, {"dev_file": "a.txt"}, "a.txt has only texts, without labels"),
    ],
)
def test_invalid_texts(tmp_path: Path, fields: dict[str, Any], flags: dict[str, Any], sentence: str) -> None:
    model_dir = trained(tmp_path, **fields)
    with pytest.raises(InputError, match=sentence):
        open_data(DataConfig(model_dir, **flags), training=False).examples("dev")


@pytest.mark.parametrize(
    ("fields", "column", "sentence"),
    [
        ({}, "x", "is for single texts; omit --text_pair_column"),
        ({"name": "mrpc", "text_column": None}, None, "is for pairs of texts; name the column of the second one"),
        ({"name": "mrpc", "text_column": None}, "x", None),
        ({"text_pair_column": "x"}, None, None),
    ],
)
def test_model_for_single_texts_or_pairs(
    tmp_path: Path, fields: dict[str, Any], column: str | None, sentence: str | None
) -> None:
    path = write(tmp_path, "new.csv", "body,x\na,b\n")
    config = DataConfig(trained(tmp_path, **fields), predict_file=path, text_column="body", text_pair_column=column)
    if sentence is None:
        assert list(open_data(config, training=False).examples("test").pairs or []) == ["b"]
        return
    with pytest.raises(InputError, match=sentence):
        open_data(config, training=False)


def test_converted_model_may_be_for_pairs(tmp_path: Path) -> None:
    model_dir = trained(tmp_path, name="converted", text_column=None, label_column=None)
    for pair in (None, "b"):
        examples = open_data(DataConfig(model_dir, text="a", text_pair=pair), training=False).examples("test")
        assert (list(examples.texts), examples.pairs) == (["a"], pair and [pair])
    path = write(tmp_path, "new.csv", "text,x\na,b\n")
    config = DataConfig(model_dir, predict_file=path, text_pair_column="x")
    assert list(open_data(config, training=False).examples("test").pairs or []) == ["b"]


def test_text_implies_prediction() -> None:
    assert ClassificationConfig(output_dir="x", init_checkpoint="y", text="a").do_predict
