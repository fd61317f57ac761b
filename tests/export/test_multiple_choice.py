"""Exported models for multiple choice: the probabilities of run_multiple_choice.py, with choices in any order."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers import tiny_choices as tiny
from helpers.exported import ask
from helpers.rounding import assert_close, forward

from bert_tf2.export import multiple_choice, runner
from bert_tf2.export.config import ExportConfig

pytestmark = pytest.mark.numeric


@pytest.mark.slow
def test_texts_to_probabilities_in_a_fresh_process(tmp_path: Path) -> None:
    tiny.write_model_files(tmp_path)
    train = tiny.write_json_lines(tmp_path / "train.jsonl", tiny.questions(80, seed=1))
    questions_asked = tiny.questions(20, seed=2)
    questions_asked[3] = {"context": "w1", "question": "w2 _ w3", "endings": ["red", "blue w1"]}
    questions_asked[4] = {"context": "w1 " * 20, "question": "", "endings": ["red " * 20, "blue"]}
    files = {"train_file": train, "predict_file": tiny.write_json_lines(tmp_path / "new.jsonl", questions_asked)}
    tiny.run(tmp_path, **files, do_train=True, do_predict=True, num_train_epochs=2.0)
    lines = [json.loads(line) for line in (tmp_path / "model/predictions.jsonl").read_text().splitlines()]

    exported = Path(runner.run(ExportConfig(output_dir=str(tmp_path / "model"), export_dir=str(tmp_path / "export"))))
    rows = [
        (one["context"], one["question"], ending, probability)
        for one, line in zip(questions_asked, lines, strict=True)
        for ending, probability in zip(one["endings"], line["probabilities"], strict=True)
    ]
    rows = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))]
    contexts, questions, choices, expected = zip(*rows, strict=True)
    outputs = ask(exported, {"context": list(contexts), "question": list(questions), "choice": list(choices)})
    assert_close(outputs["probability"], list(expected), forward(1), scale=10)


def test_second_texts() -> None:
    cases = {
        ("Why?", "So."): "Why? So.",
        ("", "So."): "So.",
        ("a _ b", "x"): "a x b",
        ("_", "x"): "x",
        ("_ _", "x"): "x x",
    }
    questions, choices = zip(*cases, strict=True)
    pairs = multiple_choice.pair(tf.constant(questions), tf.constant(choices)).numpy()
    assert [text.decode() for text in pairs] == list(cases.values())
