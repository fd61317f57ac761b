"""Heads with the same names: a checkpoint's head is loaded if it is for the same kind of task, whatever its shape."""

import json
import logging
import re

import numpy as np
import pytest
import tensorflow as tf
from helpers.tiny_huggingface import arrays_of, write_directory

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import by_name, model_source, pretrained
from bert_tf2.errors import InputError
from bert_tf2.modeling.encoder import BertModel

HEADS = {
    "BertForSequenceClassification": "classifier",
    "BertForTokenClassification": "tagger",
    "BertForMultipleChoice": "multiple_choice",
}


@pytest.mark.parametrize("head", [*HEADS.values(), None])
@pytest.mark.parametrize("architecture", HEADS)
def test_head_of_a_hugging_face_directory(tmp_path, caplog, architecture: str, head: str | None) -> None:
    arrays = arrays_of(architecture)
    path = str(write_directory(tmp_path, architecture, arrays))
    encoder = checkpoints.tf_variables(BertModel(pretrained.find_bert_config(path)).named_variables())
    weights, bias = (tf.Variable(tf.zeros(arrays[f"classifier.{part}"].shape)) for part in ("weight", "bias"))
    assert model_source.output_weights_head(path) == HEADS[architecture]
    with caplog.at_level(logging.INFO):
        report = model_source.load({**encoder, "output_weights": weights, "output_bias": bias}, path, head)
    is_same = head in (HEADS[architecture], None)
    expected = arrays["classifier.weight"] if is_same else np.zeros_like(arrays["classifier.weight"])
    np.testing.assert_array_equal(weights, expected)
    assert {"output_weights", "output_bias"} <= set(report.loaded if is_same else report.missing)
    assert ("it is not loaded" in caplog.text) == (not is_same)


def test_head_of_a_model_given_by_name(tmp_path, monkeypatch) -> None:
    path = str(write_directory(tmp_path, "BertForMultipleChoice", arrays_of("BertForMultipleChoice")))
    monkeypatch.setattr(by_name, "_download", {"owner/name": path}.__getitem__)
    assert model_source.output_weights_head("owner/name") == "multiple_choice"


def test_missing_model_is_an_error(tmp_path) -> None:
    with pytest.raises(
        InputError, match=r"^There is no nope: the directory of a model on this machine, .* was expected"
    ):
        model_source.open_source("nope")
    with pytest.raises(InputError, match=rf"^There is no {tmp_path}/x: {tmp_path} has no directory and no checkpoint"):
        model_source.open_source(f"{tmp_path}/x")


def test_directory_without_weights_is_an_error(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (".", f"{tmp_path}/"):
        with pytest.raises(InputError, match=rf"^The directory {re.escape(path)} has no checkpoints; give the path of"):
            model_source.open_source(path)


def test_error_for_the_directory_of_a_search_names_its_best_weights(tmp_path) -> None:
    checkpoints.save(str(tmp_path / "best"), 7, {"x": tf.Variable(1.0)}, keep=1)
    for find in (model_source.open_source, pretrained.find, pretrained.find_bert_config):
        with pytest.raises(InputError, match=rf"has no weights of its own; give {tmp_path}/best, which has the best"):
            find(str(tmp_path))


@pytest.mark.parametrize(
    ("problem_type", "head"),
    [
        ("single_label", "classifier"),
        ("regression", "classifier"),
        ("tagging", "tagger"),
        ("multiple_choice", "multiple_choice"),
        ("of one's own", None),
        (None, None),
    ],
)
def test_head_according_to_task_json(tmp_path, problem_type: str | None, head: str | None) -> None:
    (tmp_path / "task.json").write_text(json.dumps({"problem_type": problem_type}))
    assert model_source.output_weights_head(str(tmp_path)) == head
    assert model_source.output_weights_head(str(tmp_path / "model.ckpt-3")) == head


def test_unknown_class_has_no_known_head(tmp_path) -> None:
    path = write_directory(tmp_path, "BertForSequenceClassification")
    config = json.loads((path / "config.json").read_text())
    for architectures in (["BertForRanking"], None):
        (path / "config.json").write_text(json.dumps({**config, "architectures": architectures}))
        assert model_source.output_weights_head(str(path)) is None
    assert model_source.output_weights_head(str(tmp_path / "none")) is None
