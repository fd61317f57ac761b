"""run_multiple_choice.py as a user calls it: training, evaluation, prediction, conversion, its errors."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers import tiny_classification
from helpers.rounding import assert_close, forward
from helpers.run_directory import unlisted
from helpers.scripts import Scripts
from helpers.tiny_choices import config, questions, run, write_json_lines, write_model_files

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import huggingface
from bert_tf2.conversion.convert import ConversionConfig, convert
from bert_tf2.errors import InputError
from bert_tf2.io import run_files
from bert_tf2.tasks.multiple_choice.task_description import MultipleChoiceDescription

pytestmark = pytest.mark.numeric

DEV = 48


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a vocabulary, a config, and questions to learn and to evaluate."""
    directory = tmp_path_factory.mktemp("inputs")
    write_model_files(directory)
    write_json_lines(directory / "train.jsonl", questions(160, seed=1))
    write_json_lines(directory / "dev.jsonl", questions(DEV, seed=2))
    return directory


@pytest.fixture(scope="module")
def trained(inputs: Path, tmp_path_factory: pytest.TempPathFactory, scripts: Scripts) -> Path:
    """The directory of a model that has learned the endings, from one command."""
    directory = tmp_path_factory.mktemp("trained") / "model"
    given = config(inputs, **data_flags(inputs, directory), do_train=True)
    names = {*data_flags(inputs, directory), "vocab_file", "bert_config_file", "max_seq_length", "learning_rate"}
    flags = {name: getattr(given, name) for name in (*names, "train_batch_size", "eval_batch_size")}
    shown = scripts.call("run_multiple_choice.py", **flags, do_train=True, do_eval=True, num_train_epochs=8)
    assert "160 questions with" in shown
    assert "Training: 160 examples, 8 epochs, 80 steps of 16, 8 of them warm-up" in shown
    return directory


def data_flags(inputs: Path, output_dir: Path, **flags):
    files = {"train_file": str(inputs / "train.jsonl"), "dev_file": str(inputs / "dev.jsonl")}
    return {**files, "output_dir": str(output_dir), **flags}


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_from_questions_to_scores(inputs: Path, trained: Path) -> None:
    assert unlisted(trained, run_files.MULTIPLE_CHOICE) == unlisted(trained / "best", run_files.MULTIPLE_CHOICE) == []
    values = dict(line.split(" = ") for line in (trained / "eval_results.txt").read_text().splitlines())
    assert list(values) == ["eval_accuracy", "eval_loss", "global_step"]
    assert float(values["eval_accuracy"]) > 0.9
    history = lines_of(trained / "eval_history.jsonl")
    assert [entry["step"] for entry in history] == list(range(10, 81, 10))
    best = max(history, key=lambda entry: entry["eval_accuracy"])
    assert checkpoints.step_of(checkpoints.latest(trained / "best")) == best["step"]
    results = run(inputs, output_dir=str(trained / "best"), dev_file=str(inputs / "dev.jsonl"), do_eval=True)
    assert results["eval_accuracy"] == best["eval_accuracy"]
    assert_close(results["eval_loss"], best["eval_loss"], forward(1), scale=10)


def test_report(trained: Path) -> None:
    """The rows of the evaluation say what `eval_results.txt` says, and the page has the sections of the task."""
    rows = lines_of(trained / "eval_predictions.jsonl")
    values = dict(line.split(" = ") for line in (trained / "eval_results.txt").read_text().splitlines())
    assert np.mean([row["right"] for row in rows]) == pytest.approx(float(values["eval_accuracy"]), abs=1e-6)
    assert np.mean([row["loss"] for row in rows]) == pytest.approx(float(values["eval_loss"]), rel=1e-4)
    page = (trained / "report.html").read_text(encoding="utf-8")
    for title in ("Accuracy by number of choices and length", "Positions", "Worst questions"):
        assert f"<h2>{title}</h2>" in page


def test_predictions(inputs: Path, trained: Path) -> None:
    asked = questions(DEV, seed=2)
    unlabelled = [{name: value for name, value in one.items() if name != "label"} for one in asked]
    path = write_json_lines(inputs / "new.jsonl", unlabelled)
    run(inputs, output_dir=str(trained), predict_file=path, do_predict=True, predict_batch_size=7)
    found = lines_of(trained / "predictions.jsonl")
    assert [line["id"] for line in found] == list(range(DEV))
    for line, question in zip(found, asked, strict=True):
        assert len(line["probabilities"]) == len(question["endings"])
        assert sum(line["probabilities"]) == pytest.approx(1, abs=1e-5)
        assert line["label"] == np.argmax(line["probabilities"])
        assert line["choice"] == question["endings"][line["label"]]
    right = np.mean([line["label"] == question["label"] for line, question in zip(found, asked, strict=True)])
    results = run(inputs, output_dir=str(trained), dev_file=str(inputs / "dev.jsonl"), do_eval=True)
    assert results["eval_accuracy"] == right


def test_settings_of_the_initial_checkpoint(inputs: Path, trained: Path, tmp_path: Path) -> None:
    """Without training, they are those of its training, but not the paths of its data."""
    flags = {"output_dir": str(tmp_path), "init_checkpoint": str(trained), "do_eval": True, "max_seq_length": None}
    results = run(inputs, **flags, dev_file=str(inputs / "dev.jsonl"))
    expected = run(inputs, output_dir=str(trained), dev_file=str(inputs / "dev.jsonl"), do_eval=True)
    assert {**results, "global_step": 80} == expected
    with pytest.raises(InputError, match=r"^--dev_file is missing; which questions\?$"):
        run(inputs, **flags)


def test_fixed_shapes_give_the_same(inputs: Path, trained: Path) -> None:
    flags = {"output_dir": str(trained), "dev_file": str(inputs / "dev.jsonl"), "do_eval": True}
    packed, padded = (run(inputs, **flags, pack_sequences=pack) for pack in (True, False))
    assert packed["eval_accuracy"] == padded["eval_accuracy"]
    assert_close(packed["eval_loss"], padded["eval_loss"], forward(1), scale=10)


def test_to_transformers_and_back(inputs: Path, trained: Path, tmp_path: Path) -> None:
    hf, back = tmp_path / "there", tmp_path / "back"
    convert(ConversionConfig(str(trained), str(hf)))
    directory = huggingface.ModelDirectory(hf)
    assert directory.config.architecture == "BertForMultipleChoice"
    assert directory.hf_names["output_weights"] == "classifier.weight"
    assert directory.get_variable_to_shape_map()["output_weights"] == [1, 16]
    convert(ConversionConfig(str(hf), str(back)))
    description = MultipleChoiceDescription.load(str(back))
    assert description is not None
    assert description.do_lower_case
    readers = [
        tf.train.load_checkpoint(checkpoints.latest(trained)),
        tf.train.load_checkpoint(str(back / "bert_model.ckpt")),
    ]
    for name in readers[1].get_variable_to_shape_map():
        np.testing.assert_array_equal(*(reader.get_tensor(name) for reader in readers))
    flags = {"dev_file": str(inputs / "dev.jsonl"), "do_eval": True, "vocab_file": None, "bert_config_file": None}
    for number, model in enumerate((hf, back)):
        results = run(inputs, output_dir=str(tmp_path / f"out{number}"), init_checkpoint=str(model), **flags)
        assert results["eval_accuracy"] == run(inputs, output_dir=str(trained), **flags)["eval_accuracy"]


def test_a_regression_does_not_start_from_a_choice_head(inputs: Path, trained: Path, tmp_path: Path, caplog) -> None:
    """Both heads have one output and one name."""
    convert(ConversionConfig(str(trained), str(tmp_path / "there")))
    path = tmp_path / "values.csv"
    path.write_text("text,label\n" + "".join(f"w{number % 9},{number}.5\n" for number in range(16)))
    for source in (trained, tmp_path / "there"):
        caplog.clear()
        output_dir = tmp_path / f"from-{source.name}"
        flags = {"problem_type": "regression", "init_checkpoint": str(source), "output_dir": str(output_dir)}
        with caplog.at_level("INFO"):
            tiny_classification.run(inputs, **flags, train_file=str(path), do_train=True, num_train_epochs=0.0)
        assert "is that of multiple choice, not of a classifier: it is not loaded" in caplog.text
        readers = [tf.train.load_checkpoint(checkpoints.latest(one)) for one in (output_dir, trained)]
        new, old = (reader.get_tensor("output_weights") for reader in readers)
        assert np.abs(new - old).max() > 1e-3
        for name in ("bert/pooler/dense/kernel", "bert/embeddings/word_embeddings"):
            np.testing.assert_array_equal(*(reader.get_tensor(name) for reader in readers))


def test_dry_run_and_errors(inputs: Path, trained: Path, tmp_path: Path) -> None:
    assert run(inputs, **data_flags(inputs, tmp_path / "dry"), do_train=True, do_eval=True, dry_run=True) is None
    assert not (tmp_path / "dry").exists()
    with pytest.raises(InputError, match=r"--predict_file is missing; which questions\?"):
        run(inputs, output_dir=str(trained), do_predict=True)
    with pytest.raises(InputError, match=r"--max_seq_length=4; .* needs at least 5"):
        run(inputs, **data_flags(inputs, tmp_path / "short"), do_train=True, max_seq_length=4)
    table = tmp_path / "table.csv"
    table.write_bytes("context^ending0^ending1\nÉté^a^b\n".encode("cp850"))
    form = {"delimiter": "^", "encoding": "cp850"}
    with pytest.raises(InputError, match=r"table\.csv, line 2 .*label"):
        run(inputs, **data_flags(inputs, tmp_path / "form", train_file=str(table)), **form, do_train=True)
