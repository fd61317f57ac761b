"""Files to evaluate or predict that have a header although the training file had none."""

import logging
from pathlib import Path

import pytest

from bert_tf2.errors import InputError
from bert_tf2.tasks.classification.data import DataConfig, open_data


def write(directory: Path, name: str, content: str) -> str:
    (directory / name).write_text(content)
    return str(directory / name)


def trained(directory: Path, content: str, **flags: bool) -> None:
    """Saves the description of a training run with labels in the first column and texts in the second."""
    path = write(directory, "train.csv", content)
    config = DataConfig(str(directory / "model"), train_file=path, text_column="1", label_column="0", **flags)
    open_data(config, training=True).description.save(str(directory / "model"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("label,text\ngood,a\nbad,b\ngood,c\n", "Its label 'label' is in no other row"),
        ("label,text\n,a\n,b\n,c\n", "Its label 'label' is in no other row"),
        ("x,Text\nx,b\n", "Its text is 'Text'"),
        ("n,What is it\n1,a\n2,b\n", "Its label 'n' is in no other row"),
        ("x,What is it,n\nx,a,1\nx,b,2\n", "Its cell 'n' is the only one of column 2 that is not a number"),
    ],
)
def test_likely_header_is_rejected(tmp_path: Path, content: str, sentence: str) -> None:
    trained(tmp_path, "good,a\nbad,b\ngood,c\n")
    path = write(tmp_path, "new.csv", content)
    rows = content.count("\n")
    for split, flag in (("test", "predict_file"), ("dev", "dev_file")):
        data = open_data(DataConfig(str(tmp_path / "model"), **{flag: path}), training=False)
        with pytest.raises(InputError, match=rf"new\.csv, line 1: is this a header\? {sentence}; say so with --header"):
            data.examples(split)
        for header in (True, False):
            data = open_data(DataConfig(str(tmp_path / "model"), header=header, **{flag: path}), training=False)
            assert len(data.examples(split)) == rows - header


@pytest.mark.parametrize(
    "content",
    [
        "good,a\nbad,b\n",
        "good,a\nbad,b\nbad,c\n",
        "fair|good,a\nbad,b\nbad,c\n",
        ",a\n,b\n,c\n",
        "x,a\ny,b\nz,c\n",
        "1,texts\n2,b\n",
    ],
)
def test_file_without_a_header(tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str) -> None:
    trained(tmp_path, "good,a\nbad,b\ngood,c\n")
    path = write(tmp_path, "new.csv", content)
    data = open_data(DataConfig(str(tmp_path / "model"), predict_file=path), training=False)
    caplog.set_level(logging.INFO)
    assert len(data.examples("test")) == content.count("\n")
    assert caplog.messages == [
        f"{path}: the first line is taken as a row, as in training; if that is wrong, give --header=true."
    ]


def test_header_is_assumed_if_the_training_file_had_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trained(tmp_path, "l,t\ngood,a\nbad,b\ngood,c\n", header=True)
    path = write(tmp_path, "new.csv", "l,t\n,d\n")
    caplog.set_level(logging.INFO)
    for flags, message in (({}, [f"{path}: the first line is taken as a header, as in"]), ({"header": True}, [])):
        caplog.clear()
        data = open_data(DataConfig(str(tmp_path / "model"), predict_file=path, **flags), training=False)
        assert list(data.examples("test").texts) == ["d"]
        assert [text[: len(message[0])] for text in caplog.messages] == message
