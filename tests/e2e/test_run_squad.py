"""run_squad.py as a user calls it: the original's flags, records and files, 2.0, custom data, its errors."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from helpers import golden_outputs
from helpers.command_flags import defaults_of
from helpers.run_directory import unlisted
from helpers.scripts import Scripts
from helpers.tiny_squad import FIRST_NAMES, PIECES, QUESTION, run, squad, write_json, write_model_files

from bert_tf2 import checkpoints
from bert_tf2.errors import InputError
from bert_tf2.io import run_files

ORIGINAL_DEFAULTS = {
    "bert_config_file": None,
    "vocab_file": None,
    "output_dir": None,
    "train_file": None,
    "predict_file": None,
    "init_checkpoint": None,
    "do_lower_case": True,
    "max_seq_length": 384,
    "doc_stride": 128,
    "max_query_length": 64,
    "do_train": False,
    "do_predict": False,
    "train_batch_size": 32,
    "predict_batch_size": 8,
    "learning_rate": 5e-5,
    "num_train_epochs": 3.0,
    "warmup_proportion": 0.1,
    "save_checkpoints_steps": 1000,
    "iterations_per_loop": 1000,
    "n_best_size": 20,
    "max_answer_length": 30,
    "use_tpu": False,
    "tpu_name": None,
    "tpu_zone": None,
    "gcp_project": None,
    "master": None,
    "num_tpu_cores": 8,
    "verbose_logging": False,
    "version_2_with_negative": False,
    "null_score_diff_threshold": 0.0,
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a vocabulary, a config and questions of both versions, 120 to learn and 40 to answer."""
    directory = tmp_path_factory.mktemp("inputs")
    write_model_files(directory)
    for version in (1, 2):
        write_json(directory / f"train{version}.json", squad(60, seed=1, version_2=version == 2))
        write_json(directory / f"dev{version}.json", squad(20, seed=2, version_2=version == 2))
    return directory


def data_flags(inputs: Path, **flags):
    return {"train_file": str(inputs / "train1.json"), "predict_file": str(inputs / "dev1.json"), **flags}


def read_json(*path):
    return json.loads(Path(*path).read_text(encoding="utf-8"))


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def results_of(directory: Path) -> dict[str, float]:
    lines = (directory / "eval_results.txt").read_text().splitlines()
    return {name: float(value) for name, value in (line.split(" = ") for line in lines)}


# --- The same as the original ----------------------------------------------------------------------------------------


def test_flags_and_defaults_match_the_original() -> None:
    defaults = defaults_of("run_squad")
    assert {name: defaults[name] for name in ORIGINAL_DEFAULTS} == ORIGINAL_DEFAULTS


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_golden_records_and_prediction_files(tmp_path: Path, monkeypatch, version: str) -> None:
    golden_outputs.check_squad_run(
        golden_outputs.OWN / "squad",
        golden_outputs.own_vocabulary("uncased"),
        version,
        golden_outputs.SQUAD_SIZES,
        golden_outputs.own_squad_records(version),
        tmp_path,
        monkeypatch,
    )


def test_steps_are_counted_by_questions(inputs: Path, tmp_path: Path, caplog) -> None:
    """`int(questions / batch * epochs)`, though there are more windows than questions."""
    caplog.set_level("INFO")
    flags = data_flags(inputs, output_dir=str(tmp_path / "model"), dry_run=True, do_train=True, num_train_epochs=1.5)
    run(inputs, **flags, train_batch_size=7)
    assert "Training: 120 examples, 1.5 epochs, 25 steps of 7, 2 of them warm-up" in caplog.text
    assert "windows of 120 questions" in caplog.text


# --- Custom data -----------------------------------------------------------------------------------------------------


def test_from_questions_to_answers(inputs: Path, tmp_path: Path, scripts: Scripts) -> None:
    directory = tmp_path / "model"
    shown = scripts.call(
        "run_squad.py",
        **data_flags(inputs),
        vocab_file=inputs / "vocab.txt",
        bert_config_file=inputs / "bert_config.json",
        output_dir=directory,
        do_train=True,
        do_eval=True,
        do_predict=True,
        max_seq_length=24,
        doc_stride=8,
        max_query_length=4,
        train_batch_size=16,
        learning_rate=1e-2,
        num_train_epochs=4,
        pad_to_max_length=False,
    )
    assert "Read" in shown
    assert "120 questions on 120 contexts" in shown
    assert "***** Eval results *****" in shown
    assert "Predicted 40 answers" in shown
    names = {path.name for path in directory.iterdir()}
    assert unlisted(directory, run_files.SQUAD) == unlisted(directory / "best", run_files.SQUAD) == []
    assert names >= {"best", "bert_config.json", "vocab.txt", "task.json", "train.tf_record", "eval.tf_record", "runs"}
    assert names >= {"predictions.json", "nbest_predictions.json", "predictions.jsonl", "eval_history.jsonl"}
    assert not names & {"null_odds.json", "labels.txt", ".predictions.json.unfinished", ".eval_results.txt.unfinished"}
    results = results_of(directory)
    assert set(results) == {"global_step", "exact_match", "f1"}
    assert results["exact_match"] > 90
    epochs = [entry["epoch"] for entry in lines_of(directory / "eval_history.jsonl")]
    assert epochs == pytest.approx([1, 2, 3, 4], abs=0.1)
    check_report(directory)
    questions = {
        one["id"]: (part["context"], one["answers"][0]["text"])
        for article in squad(20, seed=2)["data"]
        for part in article["paragraphs"]
        for one in part["qas"]
    }
    predictions = read_json(directory, "predictions.json")
    right = np.mean([predictions[name] == answer for name, (_, answer) in questions.items()])
    assert 100 * right == pytest.approx(results["exact_match"])
    for line in lines_of(directory / "predictions.jsonl"):
        assert line["answer"] == predictions[line["id"]] == questions[line["id"]][0][line["start"] : line["end"]]
        assert 0 < line["probability"] <= 1

    # Prediction needs the directory alone, and questions.
    contexts = [f"w1 w2 {name.capitalize()} Hill, w3." for name in FIRST_NAMES]
    with gzip.open(tmp_path / "new.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"question": QUESTION, "context": context}) + "\n" for context in contexts)
    scripts.call("run_squad.py", output_dir=directory, predict_file=tmp_path / "new.jsonl.gz", do_predict=True)
    found = lines_of(directory / "predictions.jsonl")
    assert [(line["id"], line["answer"]) for line in found] == [("1", "Ada Hill"), ("2", "Bob Hill")]
    assert [contexts[0][line["start"] : line["end"]] for line in found[:1]] == ["Ada Hill"]
    assert read_json(directory, "predict_summary.json")["windows"]["windows"] == 2


def check_report(directory: Path) -> None:
    """The rows of the evaluation say what `eval_results.txt` says, and the page has the sections of the task."""
    rows = lines_of(directory / "eval_predictions.jsonl")
    results = results_of(directory)
    assert 100 * np.mean([row["exact"] for row in rows]) == pytest.approx(results["exact_match"])
    assert 100 * np.mean([row["f1"] for row in rows]) == pytest.approx(results["f1"])
    assert [row["title"] for row in rows[:3]] == ["0", "0", "1"]
    assert [row["context"] for row in rows[:3]] == [1, 2, 3]
    table = (directory / "predictions.csv").read_text(encoding="utf-8").splitlines()
    assert table[0] == "id,question,truth,answer,probability,start,end"
    assert len(table) == 41
    page = (directory / "report.html").read_text(encoding="utf-8")
    for title in ("Scores by question word", "Scores by length", "Worst questions"):
        assert f"<h2>{title}</h2>" in page
    assert "Questions without an answer" not in page


@pytest.mark.slow
def test_chinese(tmp_path: Path, caplog) -> None:
    """The training data decide `--language=auto`, and prediction keeps that."""
    caplog.set_level("INFO")
    characters = "山水火木土金日月"
    write_model_files(tmp_path, [*PIECES[:5], *characters, *"王李明红谁。", "w1"], vocab_size=40)
    rng = np.random.default_rng(0)

    def paragraph(number: int) -> dict:
        words = "".join(rng.choice(list(characters), rng.integers(4, 12)))
        place, name = rng.integers(0, len(words)), rng.choice(["王", "李"]) + rng.choice(["明", "红"])
        question = {"id": f"q{number}", "question": "谁", "answers": [{"text": name, "answer_start": int(place)}]}
        return {"context": words[:place] + name + words[place:] + "。", "qas": [question]}

    for name, count in (("train", 100), ("dev", 30)):
        write_json(tmp_path / f"{name}.json", {"data": [{"paragraphs": [paragraph(n) for n in range(count)]}]})
    flags = {"train_file": str(tmp_path / "train.json"), "dev_file": str(tmp_path / "dev.json")}
    results = run(tmp_path, **flags, do_train=True, do_eval=True, language="auto", num_train_epochs=4.0)
    assert results["exact_match"] > 90
    assert read_json(tmp_path, "model/task.json")["language"] == "zh"
    assert "look Chinese" not in caplog.text

    # Hardly Chinese: "auto" would now say "en", which would answer with the whole sentence.
    (tmp_path / "new.jsonl").write_text(json.dumps({"question": "谁", "context": "w1w1w1w1w1w1李红w1w1w1w1w1"}) + "\n")
    for language in (None, "auto"):
        run(tmp_path, predict_file=str(tmp_path / "new.jsonl"), do_predict=True, language=language)
        (line,) = lines_of(tmp_path / "model/predictions.jsonl")
        assert read_json(tmp_path, "model/predict_summary.json")["language"] == "zh"
        assert len(line["answer"]) < 20
    run(tmp_path, **flags, do_train=True, dry_run=True, output_dir=str(tmp_path / "other"))
    assert "train.json look Chinese, where words are not separated by whitespace: give --language=zh" in caplog.text
    with pytest.raises(InputError, match="a model for --language 'zh', where this command has 'en'"):
        run(tmp_path, **flags, do_train=True, language="en")


def test_questions_left_out_of_training_are_counted(inputs: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    context = "w1 Ada Hill w2 w3 w4 w5 w6 w7 w8."

    def question(number: int, answer: str, question: str = QUESTION, several: int = 1) -> dict:
        answers = [{"text": answer, "answer_start": 3}] * several
        return {"id": f"q{number}", "question": question, "answers": answers}

    questions = [question(0, "Ada Hill"), question(1, "Eve"), question(2, "Ada", "w1 w2 w3 w4 w5"), question(3, "Joe")]
    questions.append(question(4, "Ada Hill", several=3))
    article = {"paragraphs": [{"context": context, "qas": questions}]}
    path = write_json(tmp_path / "train.json", {"data": [article]})
    flags = {"train_file": path, "do_train": True, "train_batch_size": 2}
    run(inputs, **flags, output_dir=str(tmp_path / "model"), num_train_epochs=1)
    summary = read_json(tmp_path, "model/train_summary.json")
    assert summary["file"] == path
    assert summary["read"]["questions"] == 5
    assert summary["read"]["not_found"] == ["q1", "q3"]
    assert summary["read"]["several_answers"] == 1
    assert summary["windows"]["questions"] == 3
    assert summary["windows"]["cut_questions"] == 1
    assert "2 questions left out, as the answer is not in the context: q1, q3" in caplog.text
    assert "questions longer than max_query_length, which were truncated: 1" in caplog.text
    assert "Training: 3 examples" in caplog.text
    assert "Left out of the training" not in caplog.text
    run(inputs, **flags, dry_run=True, output_dir=str(tmp_path / "other"), verbose_logging=True)
    assert "Left out of the training, as the answer is not in the context: q3." in caplog.text


# --- What is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"train_file": None}, "--do_train needs --train_file"),
        ({"do_predict": True, "predict_file": None}, "--do_predict needs --predict_file"),
        ({"do_eval": True, "predict_file": None}, r"--do_eval needs --dev_file \(or --predict_file\)"),
        ({"do_train": False}, "Nothing to do"),
        ({"train_file": "none.json"}, r"Cannot read none\.json"),
        ({"max_seq_length": 25, "max_query_length": 4}, "--max_seq_length=25, but the model has only 24 positions"),
        ({"max_query_length": 21}, r"--max_seq_length=24 must be greater than --max_query_length=21 \+ 3"),
        ({"doc_stride": 0}, "--doc_stride=0; it must be at least 1"),
        ({"n_best_size": 0}, "--n_best_size=0; it must be at least 1"),
        ({"max_answer_length": 0}, "--max_answer_length=0; it must be at least 1"),
        ({"language": "fr"}, "Unknown --language 'fr'; choose one of en, zh, auto"),
        ({"null_score_diff_threshold": float("nan")}, "--null_score_diff_threshold=nan; it must be a number"),
        ({"vocab_file": None, "spm_model_file": "x"}, "question answering needs a WordPiece tokenizer"),
        ({"version_2_with_negative": True}, "has no is_impossible: the file is SQuAD 1.1; omit --version_2_with_neg"),
        ({"do_eval": True, "metric_for_best": "f2"}, "--metric_for_best=f2: this task is evaluated by exact_match, f1"),
        ({"num_train_epochs": 0.01}, "120 examples and --num_train_epochs=0.01 are not one batch of"),
        ({"do_train": False, "do_predict": True}, "has no checkpoint; train first, or give --init_checkpoint"),
    ],
)
def test_mistakes(inputs: Path, tmp_path: Path, flags, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        run(inputs, **data_flags(inputs, output_dir=str(tmp_path / "model"), **{"do_train": True, **flags}))
    assert not (tmp_path / "model" / "checkpoint").exists()


def test_a_file_that_cannot_be_scored_is_refused_before_training(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "new.jsonl").write_text(json.dumps({"question": "q", "context": "c"}) + "\n")
    flags = {"train_file": str(inputs / "train1.json"), "output_dir": str(tmp_path / "model"), "do_train": True}
    for path, sentence in (
        (tmp_path / "new.jsonl", "Question 1 has no answers to compare with; scoring needs a file with answers"),
        (inputs / "dev2.json", "has no answer: this is SQuAD 2.0; give --version_2_with_negative"),
    ):
        with pytest.raises(InputError, match=sentence):
            run(inputs, **flags, do_eval=True, dev_file=str(path))
        assert not checkpoints.latest(tmp_path / "model")


def test_a_dry_run_writes_nothing(inputs: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    flags = data_flags(inputs, output_dir=str(tmp_path / "model"), dry_run=True)
    assert run(inputs, **flags, do_train=True, do_eval=True, do_predict=True) is None
    assert "Dry run: all checks passed; nothing was written" in caplog.text
    assert not list(tmp_path.iterdir())
