"""run_classifier.py as a user calls it: the original's flags, records and files, custom data, its errors."""

import csv
import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest
from helpers import golden_outputs
from helpers.command_flags import defaults_of
from helpers.repository import GOLDEN
from helpers.rounding import LOSS, assert_close, assert_results_close, bound, forward
from helpers.run_directory import unlisted
from helpers.scripts import Scripts
from helpers.tiny_classification import rows, run, write_csv, write_model_files

from bert_tf2.conversion.convert import ConversionConfig, convert
from bert_tf2.errors import InputError
from bert_tf2.io import run_files, spilled
from bert_tf2.records.reader import count_records

ORIGINAL_DEFAULTS = {
    "data_dir": None,
    "bert_config_file": None,
    "task_name": None,
    "vocab_file": None,
    "output_dir": None,
    "init_checkpoint": None,
    "do_lower_case": True,
    "max_seq_length": 128,
    "do_train": False,
    "do_eval": False,
    "do_predict": False,
    "train_batch_size": 32,
    "eval_batch_size": 8,
    "predict_batch_size": 8,
    "learning_rate": 5e-5,
    "num_train_epochs": 3.0,
    "warmup_proportion": 0.1,
    "save_checkpoints_steps": 1000,
    "iterations_per_loop": 1000,
    "use_tpu": False,
    "tpu_name": None,
    "tpu_zone": None,
    "gcp_project": None,
    "master": None,
    "num_tpu_cores": 8,
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a vocabulary, a config, and 160 rows to learn, 60 to evaluate."""
    directory = tmp_path_factory.mktemp("inputs")
    write_model_files(directory)
    write_csv(directory / "train.csv", rows(160, seed=1))
    write_csv(directory / "dev.csv", rows(60, seed=2))
    return directory


def data_flags(inputs: Path, **flags):
    return {"train_file": str(inputs / "train.csv"), "dev_file": str(inputs / "dev.csv"), **flags}


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# --- The same as the original ----------------------------------------------------------------------------------------


def test_flags_and_defaults_match_the_original() -> None:
    defaults = defaults_of("run_classifier")
    assert {name: defaults[name] for name in ORIGINAL_DEFAULTS} == ORIGINAL_DEFAULTS


@pytest.mark.parametrize("task", ["cola", "mrpc"])
def test_golden_records_and_result_files(tmp_path: Path, task: str) -> None:
    golden_outputs.check_classifier_run(
        golden_outputs.OWN / "classifier", golden_outputs.own_vocabulary("uncased"), task, tmp_path
    )


@pytest.mark.slow
def test_evaluation_is_the_same_in_batches_of_any_size(inputs: Path, tmp_path: Path) -> None:
    write_model_files(tmp_path)
    results = run(tmp_path, **data_flags(inputs), do_train=True, do_eval=True, num_train_epochs=1.0)
    for size in (1, 7, 60):
        again = run(tmp_path, dev_file=str(inputs / "dev.csv"), do_eval=True, eval_batch_size=size)
        assert_results_close({**again, "loss": 0}, {**results, "loss": 0}, forward(1), scale=1)
        of_rows = abs(again["loss"] - again["eval_loss"]) <= bound(1, forward(1))
        assert of_rows == (size != 7)


# --- Custom data -----------------------------------------------------------------------------------------------------


def test_from_a_table_to_predictions(inputs: Path, tmp_path: Path, scripts: Scripts) -> None:
    shown = scripts.call(
        "run_classifier.py",
        **data_flags(inputs),
        vocab_file=inputs / "vocab.txt",
        bert_config_file=inputs / "bert_config.json",
        output_dir=tmp_path / "model",
        do_train=True,
        do_eval=True,
        max_seq_length=16,
        train_batch_size=16,
        learning_rate=5e-3,
        num_train_epochs=5,
        use_tpu=False,  # the flags of a TPU are accepted without one
        tpu_name="node",
        num_tpu_cores=4,
    )
    assert "single_label, judging by the labels, 2 labels: bad, good" in shown
    assert "Training: 160 examples, 5 epochs, 50 steps of 16, 5 of them warm-up" in shown
    assert "All 160 rows fit into max_seq_length=16" in shown
    assert "***** Eval results *****" in shown
    assert "true \\ predicted" in shown
    directory = tmp_path / "model"
    names = {path.name for path in directory.iterdir()}
    assert unlisted(directory, run_files.CLASSIFICATION) == unlisted(directory / "best", run_files.CLASSIFICATION) == []
    assert names >= {"best", "bert_config.json", "vocab.txt", "task.json", "labels.txt", "train.tf_record", "runs"}
    assert names >= {"eval.tf_record", "eval_results.txt", "label_report.json", "label_report.png", "checkpoint"}
    values = dict(line.split(" = ") for line in (directory / "eval_results.txt").read_text().splitlines())
    assert float(values["eval_accuracy"]) > 0.9
    check_report(directory, float(values["eval_accuracy"]), inputs / "dev.csv")
    assert [entry["step"] for entry in lines_of(directory / "eval_history.jsonl")] == [10, 20, 30, 40, 50]

    # Prediction needs the directory alone, and rows.
    asked = rows(30, seed=9)
    with gzip.open(tmp_path / "new.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"id": f"r{index}", "text": text}) + "\n" for index, (text, _) in enumerate(asked))
    shown = scripts.call(
        "run_classifier.py", output_dir=directory, predict_file=tmp_path / "new.jsonl.gz", do_predict=True
    )
    assert "Predicted 30 rows" in shown
    predictions = lines_of(directory / "predictions.jsonl")
    assert [line["id"] for line in predictions] == [f"r{index}" for index in range(30)]
    assert np.mean([line["label"] == label for line, (_, label) in zip(predictions, asked, strict=True)]) > 0.9
    assert all(max(line["probabilities"], key=line["probabilities"].get) == line["label"] for line in predictions)
    probabilities = [line.split("\t") for line in (directory / "test_results.tsv").read_text().splitlines()]
    assert [[float(cell) for cell in row] for row in probabilities] == [
        pytest.approx(list(line["probabilities"].values())) for line in predictions
    ]


def check_report(directory: Path, accuracy: float, dev: Path) -> None:
    """The page has the sections of all tasks; each row of the file has a row of predictions, in the same order."""
    page = (directory / "report.html").read_text(encoding="utf-8")
    assert re.findall("<h2>(.*?)</h2>", page) == [
        *("Scores", "Learning curves", "Labels", "Confusions", "Calibration and thresholds", "Worst errors"),
        *("Length and truncation", "Command and versions", "Files beside this page"),
    ]
    assert f"<dt>accuracy</dt><dd><b>{100 * accuracy:.1f} %</b><small>95 % interval" in page
    assert "run_classifier.py --train_file=" in page
    evaluated = lines_of(directory / "eval_predictions.jsonl")
    with open(dev, newline="") as file:
        expected = list(csv.DictReader(file))
    assert [(line["text"], line["truth"]) for line in evaluated] == [(row["text"], row["label"]) for row in expected]
    assert np.mean([line["right"] for line in evaluated]) == pytest.approx(accuracy)
    with open(directory / "eval_predictions.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["prediction"] for row in table] == [line["prediction"] for line in evaluated]


def test_from_a_single_table_to_the_label_of_a_text(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model_files(tmp_path)
    train = {"train_file": str(inputs / "train.csv"), "do_train": True, "num_train_epochs": 5.0}
    results = run(tmp_path, **train, validation_split=0.25, do_eval=True)
    assert results["eval_accuracy"] > 0.9
    directory = tmp_path / "model"
    assert unlisted(directory, run_files.CLASSIFICATION) == []
    held_out = json.loads((directory / "validation_split.json").read_text())["held_out"]
    assert (len(held_out), count_records([directory / "eval.tf_record"])) == (40, 40)
    again = run(tmp_path, train_file=str(inputs / "train.csv"), do_eval=True)
    assert_results_close({**again, "loss": 0}, {**results, "loss": 0}, forward(1), scale=1)
    for word, label in (("happy", "good"), ("sad", "bad")):
        run(tmp_path, text=f"w1 {word} w2")
        printed = capsys.readouterr().out
        assert json.loads(printed)["label"] == label
        assert printed == (directory / "predictions.jsonl").read_text()


def test_several_labels_per_row(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model_files(tmp_path)
    made_rows = rows(200, seed=1)
    marked = [
        (f"{text} w0", [label, "zero"]) if index % 2 else (text, [label])
        for index, (text, label) in enumerate((text.replace("w0", "w1"), label) for text, label in made_rows)
    ]
    for name, part in (("train", marked[:160]), ("dev", marked[160:])):
        content = "".join(json.dumps({"text": text, "label": labels}) + "\n" for text, labels in part)
        (tmp_path / f"{name}.jsonl").write_text(content)
    files = {"train_file": str(tmp_path / "train.jsonl"), "dev_file": str(tmp_path / "dev.jsonl")}
    flags = {"do_train": True, "do_eval": True, "do_predict": True, "predict_file": files["dev_file"]}
    results = run(tmp_path, **files, **flags, num_train_epochs=12.0, eval_every_steps=1000)
    assert set(results) >= {"eval_exact_match", "eval_micro_f1", "eval_macro_f1"}
    assert results["eval_micro_f1"] > 0.85
    predictions = lines_of(tmp_path / "model/predictions.jsonl")
    right = [set(line["labels"]) == set(labels) for line, (_, labels) in zip(predictions, marked[160:], strict=True)]
    assert np.mean(right) == pytest.approx(results["eval_exact_match"])
    probabilities = np.loadtxt(tmp_path / "model/test_results.tsv")

    # The same where nothing fits into memory.
    monkeypatch.setattr(spilled, "MOST_IN_MEMORY", 1)
    monkeypatch.setattr(spilled, "VALUES_AT_ONCE", 10)
    again = run(tmp_path, **{**flags, "do_train": False}, **files)
    assert_results_close(again, results, forward(1), scale=1)
    assert [line["id"] for line in lines_of(tmp_path / "model/predictions.jsonl")] == list(range(40))
    assert_close(np.loadtxt(tmp_path / "model/test_results.tsv"), probabilities, forward(1))


def test_regression_from_tables_without_header(tmp_path: Path) -> None:
    write_model_files(tmp_path)
    values = {"good": 1.5, "bad": -0.25}
    for name, seed in (("train", 1), ("dev", 2)):
        content = "".join(f"{values[label]}\t{text}\n" for text, label in rows(100, seed))
        (tmp_path / f"{name}.tsv").write_text(content)
    results = run(
        tmp_path,
        train_file=str(tmp_path / "train.tsv"),
        dev_file=str(tmp_path / "dev.tsv"),
        predict_file=str(tmp_path / "dev.tsv"),
        text_column="1",
        label_column="0",
        do_train=True,
        do_eval=True,
        do_predict=True,
        num_train_epochs=12.0,
        eval_every_steps=1000,
    )
    assert results["eval_pearson"] > 0.9
    assert_close(results["eval_loss"], results["eval_mean_squared_error"], LOSS)
    lines = lines_of(tmp_path / "model/predictions.jsonl")
    assert [set(line) for line in lines] == [{"id", "text", "value", "truth"}] * 100
    assert {line["truth"] for line in lines} == set(values.values())
    assert [line["id"] for line in lines] == list(range(100))
    assert not (tmp_path / "model/labels.txt").exists()


def test_balanced_classes(tmp_path: Path, caplog) -> None:
    """A model that has learned little gives a rare label more probability if it has a larger weight."""
    write_model_files(tmp_path)
    write_csv(tmp_path / "train.csv", rows(200, seed=1, good=0.05))
    write_csv(tmp_path / "dev.csv", rows(20, seed=2))
    caplog.set_level("INFO")
    means = {}
    for weights in ("none", "balanced"):
        flags = data_flags(tmp_path, class_weights=weights, output_dir=str(tmp_path / weights), num_train_epochs=2.0)
        run(tmp_path, **flags, do_train=True, do_predict=True, predict_file=str(tmp_path / "dev.csv"))
        predictions = lines_of(tmp_path / weights / "predictions.jsonl")
        means[weights] = np.mean([line["probabilities"]["good"] for line in predictions])
    assert means["none"] < 0.2
    assert 0.3 < means["balanced"] < 0.7
    assert "Weights of labels: bad 0.526, good 10." in caplog.text


# --- What is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"max_seq_length": 25}, "--max_seq_length=25, but the model has only 24 positions"),
        ({"task_name": "mrcp", "train_file": None, "dev_file": None}, "Unknown task 'mrcp'; choose one of cola, mnli"),
        ({"train_file": "none.csv"}, r"Cannot read none\.csv"),
        ({"do_predict": True}, "--predict_file is missing"),
        ({"class_weights": "balanced", "problem_type": "multi_label"}, "--class_weights=balanced is for rows with a"),
        ({"min_confidence": 0.5}, "--min_confidence needs --do_predict"),
        (
            {"min_confidence": 0.5, "do_predict": True, "problem_type": "multi_label"},
            "--min_confidence is for a single label a row, but the problem type of this task is multi_label; omit it",
        ),
        ({"class_weights": "x"}, "Unknown --class_weights 'x'; choose one of none, balanced"),
        ({"metric_for_best": "f2"}, "--metric_for_best=f2: this task is evaluated by accuracy, macro_f1, loss; choose"),
        (
            {"num_train_epochs": 0.01},
            "160 examples and --num_train_epochs=0.01 are not one batch of --train_batch_size",
        ),
        ({"init_checkpoint": "none.ckpt"}, r"There is no (checkpoint )?none\.ckpt"),
        ({"vocab_file": "none.txt"}, r"none\.txt"),
        (
            {"class_weights": "balanced", "do_train": False},
            "--class_weights needs --do_train, as it weights the training loss; omit it",
        ),
        ({"do_train": False}, "has no checkpoint; train first, or give --init_checkpoint"),
        ({"do_train": False, "init_checkpoint": "x"}, "There is no x: the directory of a model on this machine"),
    ],
)
def test_mistakes(inputs: Path, tmp_path: Path, flags, sentence: str) -> None:
    given = {**data_flags(inputs), "output_dir": str(tmp_path / "model"), "do_train": True, "do_eval": True, **flags}
    with pytest.raises(InputError, match=sentence):
        run(inputs, **given)
    assert not (tmp_path / "model" / "checkpoint").exists()


def test_a_checkpoint_without_a_head_is_not_evaluated(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("bad\ngood\n")
    write_csv(tmp_path / "dev.csv", rows(3, seed=1))
    asked = {"labels_file": str(tmp_path / "labels.txt"), "dev_file": str(tmp_path / "dev.csv"), "do_eval": True}
    tiny = {
        "init_checkpoint": str(GOLDEN / "tiny/bert_model.ckpt"),
        "vocab_file": None,
        "bert_config_file": None,
    }
    with pytest.raises(InputError, match=r"not a model of this task: it lacks output_bias, output_weights.*--do_train"):
        run(tmp_path, **asked, **tiny)


@pytest.mark.slow
def test_a_converted_model(inputs: Path, tmp_path: Path, caplog, capsys) -> None:
    """The labels are those of its directory, given as --init_checkpoint or, for predictions, as --output_dir."""
    caplog.set_level("INFO")
    flags = data_flags(inputs, dev_file=None, do_train=True, max_seq_length=12, num_train_epochs=1)
    run(inputs, **flags, output_dir=str(tmp_path / "trained"))
    outside = {"train_file": None, "dev_file": None, "vocab_file": None, "bert_config_file": None, "text": "w1 happy"}
    outside["max_seq_length"] = None
    config = {"predict_batch_size": 16}
    printed = []
    capsys.readouterr()
    for format_ in ("google", "huggingface"):
        model = str(tmp_path / format_)
        convert(ConversionConfig(str(tmp_path / "trained"), model, output_format=format_))
        run(inputs, **config, **outside, output_dir=str(tmp_path / "new"), init_checkpoint=model)
        run(inputs, **config, **outside, output_dir=model)
        assert f"{model} is not the directory of a training; using the model in it." in caplog.messages
        printed += capsys.readouterr().out.splitlines()
    run(inputs, **config, **outside, output_dir=str(tmp_path / "trained"))
    printed += capsys.readouterr().out.splitlines()
    labels = [json.loads(line)["probabilities"] for line in printed if line.startswith('{"id"')]
    assert len(labels) == 5
    for probabilities in labels:
        assert_close(probabilities["good"], labels[-1]["good"], forward(1))
    with pytest.raises(InputError, match="is for single texts; omit --text_pair"):  # `task.json` was converted too
        run(inputs, **config, **outside, output_dir=str(tmp_path / "google"), text_pair="w2")
    run(inputs, **config, **outside, output_dir=str(tmp_path / "huggingface"), text_pair="w2")  # it may be for pairs
    assert '"text_pair": "w2"' in capsys.readouterr().out


def test_a_dry_run_writes_nothing(inputs: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    flags = data_flags(inputs, output_dir=str(tmp_path / "model"), dry_run=True, do_train=True, do_eval=True)
    assert run(inputs, **flags) is None
    assert "Dry run: all checks passed; nothing was written" in caplog.text
    assert not list(tmp_path.iterdir())


def test_truncation_is_counted(inputs: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    flags = data_flags(inputs, output_dir=str(tmp_path / "model"), dry_run=True, do_train=True)
    run(inputs, **flags, max_seq_length=5)
    assert "were truncated to max_seq_length=5; the longest had 10 tokens" in caplog.text
