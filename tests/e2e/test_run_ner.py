"""run_ner.py as a user calls it: training, evaluation, prediction, resuming, conversion, its errors."""

import csv
import gzip
import json
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers.command_flags import defaults_of
from helpers.repository import GOLDEN
from helpers.rounding import assert_results_close, forward
from helpers.run_directory import unlisted
from helpers.scripts import Scripts
from helpers.tiny_tagging import config, run, sentences, write_conll, write_model_files

from bert_tf2 import checkpoints, metrics
from bert_tf2.configs.training import OptimizerConfig
from bert_tf2.conversion.convert import ConversionConfig, convert
from bert_tf2.errors import InputError
from bert_tf2.io import run_files
from bert_tf2.tasks.tagging import conll, schemes
from bert_tf2.tasks.tagging.schemes import Scheme
from bert_tf2.tasks.tagging.task_description import TaggingDescription

LABELS = ("O", "B-person", "I-person", "B-place", "I-place")
NOTHING = "\x07"  # a control character, which the tokenizer deletes


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a vocabulary, a config, and sentences to learn and to evaluate."""
    directory = tmp_path_factory.mktemp("inputs")
    write_model_files(directory)
    write_conll(directory / "train.conll", sentences(160, seed=1))
    write_conll(directory / "dev.conll", sentences(60, seed=2))
    return directory


@pytest.fixture(scope="module")
def trained(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a model that knows the tags."""
    directory = tmp_path_factory.mktemp("trained")
    run(inputs, **data_flags(inputs, directory), do_train=True, num_train_epochs=8.0)
    return directory


def data_flags(inputs: Path, output_dir: Path, **flags):
    files = {"train_file": str(inputs / "train.conll"), "dev_file": str(inputs / "dev.conll")}
    return {**files, "output_dir": str(output_dir), **flags}


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def weights(path: Path) -> dict[str, np.ndarray]:
    """The variables of a directory's newest checkpoint, or of a checkpoint by its prefix."""
    reader = tf.train.load_checkpoint(checkpoints.latest(path) or str(path))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


# --- From files to predictions ---------------------------------------------------------------------------------------


def test_from_files_to_predictions(inputs: Path, tmp_path: Path, scripts: Scripts) -> None:
    directory = tmp_path / "model"
    shown = scripts.call(
        "run_ner.py",
        **data_flags(inputs, directory),
        vocab_file=inputs / "vocab.txt",
        bert_config_file=inputs / "bert_config.json",
        do_train=True,
        do_eval=True,
        max_seq_length=16,
        train_batch_size=16,
        learning_rate=5e-3,
        num_train_epochs=8,
    )
    assert "train.conll: 160 sentences" in shown
    assert "160 sentences in 160 windows; the longest has 9 pieces, all fit into max_seq_length=16." in shown
    assert "Training: 160 examples, 8 epochs, 80 steps of 16, 8 of them warm-up" in shown
    assert "type           precision  recall      F1  spans" in shown
    check_report(directory)
    names = {path.name for path in directory.iterdir()}
    assert unlisted(directory, run_files.TAGGING) == unlisted(directory / "best", run_files.TAGGING) == []
    assert names >= {"best", "bert_config.json", "vocab.txt", "task.json", "labels.txt", "runs", "checkpoint", "eval"}
    assert names >= {"eval_results.txt", "eval_history.jsonl", "span_report.json"}
    assert (directory / "labels.txt").read_text().split() == list(LABELS)
    values = dict(line.split(" = ") for line in (directory / "eval_results.txt").read_text().splitlines())
    expected = ["eval_accuracy", "eval_f1", "eval_loss", "eval_macro_f1", "eval_precision", "eval_recall"]
    assert list(values) == [*expected, "global_step"]
    assert float(values["eval_f1"]) > 0.9
    history = lines_of(directory / "eval_history.jsonl")
    assert [entry["step"] for entry in history] == list(range(10, 81, 10))
    best = max(history, key=lambda entry: entry["eval_f1"])
    assert checkpoints.step_of(checkpoints.latest(directory / "best")) == best["step"]

    # Evaluation and prediction need the directory alone, and words.
    (directory / "eval_results.txt").unlink()
    asked = sentences(30, seed=9)
    path = tmp_path / "new.conll.gz"
    path.write_bytes(gzip.compress(Path(write_conll(tmp_path / "new", asked, with_tags=False)).read_bytes()))
    asked_for = {"dev_file": inputs / "dev.conll", "predict_file": path, "do_eval": True, "do_predict": True}
    shown = scripts.call("run_ner.py", output_dir=directory, **asked_for)
    again = dict(line.split(" = ") for line in (directory / "eval_results.txt").read_text().splitlines())
    before, after = ({name: float(value) for name, value in one.items()} for one in (values, again))
    assert_results_close(after, before, forward(1), scale=1)
    found = conll.read(str(directory / "predictions.txt"), 0, -1)
    true = [tag for sentence in asked for _, tag in sentence]
    assert f"Predicted {len(true)} words" in shown
    assert found.words == [word for sentence in asked for word, _ in sentence]
    assert len(found) == 30
    assert np.mean([a == b for a, b in zip(found.tags, true, strict=True)]) > 0.95
    lines = lines_of(directory / "predictions.jsonl")
    assert [tag for line in lines for tag in line["tags"]] == found.tags
    with open(directory / "predictions.csv", newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    described = [(str(line["line"]), span["type"]) for line in lines for span in line["spans"]]
    assert [(row["line"], row["type"]) for row in table] == described
    spans = [span["words"] for line in lines for span in line["spans"]]
    assert ["Jim", "Henson"] in spans
    assert ["Annson"] in spans
    assert all(0 < span["probability"] <= 1 for line in lines for span in line["spans"])


def check_report(directory: Path) -> None:
    """The rows of the evaluation say what `eval_results.txt` says, and the page has the sections of the task."""
    rows = lines_of(directory / "eval_predictions.jsonl")
    assert len(rows) == 60
    with open(directory / "eval_predictions.csv", newline="", encoding="utf-8") as file:
        assert [int(row["errors"]) for row in csv.DictReader(file)] == [row["errors"] for row in rows]
    scores = metrics.span_scores([row["truth"] for row in rows], [row["prediction"] for row in rows])
    values = dict(line.split(" = ") for line in (directory / "eval_results.txt").read_text().splitlines())
    assert scores.micro.f1 == pytest.approx(float(values["eval_f1"]), abs=1e-6)
    words = [len(row["words"]) for row in rows]
    loss = np.average([row["loss"] for row in rows], weights=words)
    assert loss == pytest.approx(float(values["eval_loss"]), rel=1e-4)
    page = (directory / "report.html").read_text(encoding="utf-8")
    for title in ("Spans", "Errors by kind", "Types taken for each other", "Scores by length", "Worst sentences"):
        assert f"<h2>{title}</h2>" in page


def test_every_word_gets_a_tag_on_its_line(inputs: Path, trained: Path, tmp_path: Path) -> None:
    """Windows of any length, words without pieces and with many, documents: the form of the input and all its words."""
    rng = random.Random(3)
    words = ["w1", "Jim", "Henson", NOTHING, ".." * 40, "w2.w3", "京"]
    lines = ["-DOCSTART-\tO\tO", ""]
    for length in (1, 40, 3, 200, 17):
        lines += [f"{rng.choice(words)}\t{index}\tO" for index in range(length)] + [""]
    lines += [f"{NOTHING}\tx\tO"]
    path = tmp_path / "in.conll"
    path.write_text("\n".join(lines) + "\n")
    for length, context in ((3, 0), (8, None), (24, 10)):
        flags = {"max_seq_length": length, "context_pieces": context, "predict_batch_size": 7}
        run(inputs, output_dir=str(trained), predict_file=str(path), do_predict=True, **flags)
        found = (trained / "predictions.txt").read_text().splitlines()
        assert len(found) == len(lines)
        for line, new in zip(lines, found, strict=True):
            assert new.rpartition("\t")[0] == line if line else not new
            if line.startswith((NOTHING, "-DOCSTART-")):
                assert new.endswith("\tO")
            elif line:
                assert new.rpartition("\t")[2] in LABELS
        sure = [value for line in lines_of(trained / "predictions.jsonl") for value in line["probabilities"]]
        without = [line.startswith(NOTHING) for line in lines if line and not line.startswith("-")]
        assert [value is None for value in sure] == without


def test_comments_and_plain_sentences(inputs: Path, trained: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    path = tmp_path / "new.txt"
    asked = {"output_dir": str(trained), "predict_file": str(path), "do_predict": True}
    path.write_text("# id 1 domain=en\nJim _\nHenson _\n\n# id 2 domain=en\nw1 _\n")
    run(inputs, **asked)
    assert "2 comment lines, not read as words; line 1 is the first: # id 1 domain=en" in caplog.text
    lines = (trained / "predictions.txt").read_text().splitlines()
    assert [line for line in lines if line.startswith("#")] == ["# id 1 domain=en", "# id 2 domain=en"]
    assert [line["words"] for line in lines_of(trained / "predictions.jsonl")] == [["Jim", "Henson"], ["w1"]]

    path.write_text("Jim Henson w1 w2.\n")
    run(inputs, **asked)
    assert (
        "new.txt: read as plain sentences, one per line; if that is wrong, give --predict_format=columns" in caplog.text
    )
    (line,) = lines_of(trained / "predictions.jsonl")
    assert (line["text"], line["words"]) == ("Jim Henson w1 w2.", ["Jim", "Henson", "w1", "w2", "."])
    assert (line["spans"][0]["text"], line["spans"][0]["type"]) == ("Jim Henson", "person")

    path = path.with_suffix(".conll")
    path.write_text("Jim Henson saw Rome .\n")
    asked["predict_file"] = str(path)
    with pytest.raises(InputError, match=r"line 1 has 5 words between spaces, .* which looks like a sentence"):
        run(inputs, **asked)
    run(inputs, **asked, predict_format="text")
    assert [line["words"] for line in lines_of(trained / "predictions.jsonl")] == [
        ["Jim", "Henson", "saw", "Rome", "."]
    ]
    path.write_text("# id 1 domain=en\nJim Henson saw Rome\n")
    for comments, words in (("auto", ["Rome"]), ("no", ["domain=en", "Rome"])):
        run(inputs, **asked, token_column=3, comments=comments)
        assert [line["words"] for line in lines_of(trained / "predictions.jsonl")] == [words]


def test_files_in_another_scheme(inputs: Path, trained: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    before = run(inputs, **data_flags(inputs, trained), do_eval=True)
    files = {}
    for split in ("train", "dev"):
        file = conll.read(str(inputs / f"{split}.conll"), 0, -1)
        tags = [tag for one in file.split(file.tags) for tag in schemes.from_bio(one, Scheme("IOBES", "_"))]
        lines = iter(zip(file.words, tags, strict=True))
        path = tmp_path / f"{split}.conll"
        path.write_text("".join(f"{' '.join(next(lines)) if line else ''}\n" for line in file.lines))
        files[f"{split}_file"] = str(path)
    assert run(inputs, output_dir=str(trained), dev_file=files["dev_file"], do_eval=True) == before
    assert "dev.conll: the tags are in the scheme IOBES_ and were converted to BIO" in caplog.text

    directory = tmp_path / "model"
    flags = {"init_checkpoint": str(trained), "num_train_epochs": 1.0, "do_train": True}
    run(inputs, **data_flags(inputs, directory, **files), **flags)
    assert json.loads((directory / "task.json").read_text())["scheme"] == "IOBES_"
    assert (directory / "labels.txt").read_text().split() == list(LABELS)
    (tmp_path / "new").write_text("Jim\nHenson\nw1\nw2\n\nw3\nw1\nRome\n")
    run(inputs, output_dir=str(directory), predict_file=str(tmp_path / "new"), do_predict=True)
    assert (directory / "predictions.txt").read_text() == (
        "Jim B_person\nHenson E_person\nw1 O\nw2 O\n\nw3 O\nw1 O\nRome S_place\n"
    )
    # The scheme of the file goes before that of the model.
    run(inputs, output_dir=str(directory), predict_file=str(inputs / "dev.conll"), do_predict=True)
    assert {tag[0] for tag in conll.read(str(directory / "predictions.txt"), 0, -1).tags} == set("OBI")
    assert "S_" not in (directory / "predictions.txt").read_text()


def test_a_model_of_an_earlier_version_has_no_scheme(trained: Path, tmp_path: Path) -> None:
    content = json.loads((trained / "task.json").read_text())
    del content["scheme"]
    (tmp_path / "task.json").write_text(json.dumps(content))
    (tmp_path / "labels.txt").write_text("\n".join(LABELS) + "\n")
    found = TaggingDescription.load(str(tmp_path))
    assert (found.scheme, found.labels) == (None, LABELS)


def test_evaluation_in_one_window_and_in_several(inputs: Path, trained: Path) -> None:
    """Batches of any size give the same scores; split sentences give about as good ones."""
    asked = {"output_dir": str(trained), "dev_file": str(inputs / "dev.conll"), "do_eval": True}
    whole = run(inputs, **asked)
    for size in (1, 7, 60):
        assert_results_close(run(inputs, **asked, eval_batch_size=size), whole, forward(1), scale=1)
    assert whole["eval_f1"] > 0.9
    divided = run(inputs, **asked, max_seq_length=7)
    assert divided["eval_loss"] != pytest.approx(whole["eval_loss"], abs=1e-4)
    assert divided["eval_f1"] > 0.7


def test_balanced_classes(inputs: Path, tmp_path: Path, caplog) -> None:
    """A model that has learned little predicts rare tags if they have larger weights."""
    caplog.set_level("INFO")
    found = {}
    for kind in ("none", "balanced"):
        flags = data_flags(inputs, tmp_path / kind, class_weights=kind, num_train_epochs=1.0, learning_rate=1e-3)
        run(inputs, **flags, do_train=True, do_predict=True, predict_file=str(inputs / "dev.conll"))
        found[kind] = conll.read(str(tmp_path / kind / "predictions.txt"), 0, -1).tags.count("O")
    assert found["balanced"] < 0.7 * found["none"]
    assert "Weights of labels: O 0." in caplog.text
    assert "I-place 0." in caplog.text


# --- Resuming, the best, other directories ---------------------------------------------------------------------------


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_bits(inputs: Path, tmp_path: Path, scripts: Scripts) -> None:
    write_model_files(tmp_path, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    flags = {"do_train": True, "do_eval": True, "num_train_epochs": 4.0, "eval_every_steps": 5}
    flags["save_checkpoints_steps"] = 2
    run(tmp_path, **data_flags(inputs, tmp_path / "whole"), **flags)
    given = config(tmp_path, **data_flags(inputs, tmp_path / "broken"), **flags)
    names = {*data_flags(inputs, tmp_path), *flags, "vocab_file", "bert_config_file", "max_seq_length", "learning_rate"}
    names |= {f"{kind}_batch_size" for kind in ("train", "eval", "predict")}
    process = scripts.start("run_ner.py", [f"--{name}={getattr(given, name)}" for name in names])
    path = tmp_path / "broken" / "eval_history.jsonl"
    while process.poll() is None and not (path.exists() and len(path.read_text().splitlines()) >= 3):
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "it ended too soon"
    run(tmp_path, **data_flags(inputs, tmp_path / "broken"), **flags)
    for name in ("eval_history.jsonl", "eval_results.txt", "span_report.json"):
        assert (tmp_path / "broken" / name).read_text() == (tmp_path / "whole" / name).read_text()
    for part in (".", "best"):
        found, expected = (weights(tmp_path / one / part) for one in ("broken", "whole"))
        assert found.keys() == expected.keys()
        for name, value in found.items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name)


@pytest.mark.slow
def test_moving_averages_early_stopping_and_seeds(inputs: Path, tmp_path: Path) -> None:
    flags = data_flags(inputs, tmp_path / "model", do_train=True, do_eval=True, eval_every_steps=2, learning_rate=1e-9)
    means = run(inputs, **flags, seeds="3,4", early_stopping_patience=1, optimizer=OptimizerConfig(ema_decay=0.9))
    found = json.loads((tmp_path / "model/seed_results.json").read_text())["seeds"]
    assert [found[seed]["global_step"] for seed in "34"] == [4, 4]
    assert means["eval_loss"] == pytest.approx(np.mean([found[seed]["eval_loss"] for seed in "34"]))
    assert (tmp_path / "model/seed-3/best/task.json").exists()


def test_other_labels_are_refused_and_overwritten_if_requested(inputs: Path, tmp_path: Path) -> None:
    directory = tmp_path / "model"
    run(inputs, **data_flags(inputs, directory), do_train=True, num_train_epochs=1.0)
    for name in ("notes.txt", "predictions.txt", "span_report.json"):
        (directory / name).write_text("ner_flags")
    (tmp_path / "other").write_text("w1 B-x\nw2 O\n\n" * 20)
    flags = data_flags(inputs, directory, do_train=True, num_train_epochs=1.0)
    flags["train_file"] = str(tmp_path / "other")
    with pytest.raises(
        InputError, match=r"holds a model for the labels 'O', 'B-person', .* this command has 'O', 'B-x"
    ):
        run(inputs, **flags)
    run(inputs, **flags, overwrite_output_dir=True)
    assert (directory / "labels.txt").read_text() == "O\nB-x\nI-x\n"
    assert (directory / "notes.txt").exists()
    assert not (directory / "predictions.txt").exists()
    assert not (directory / "span_report.json").exists()


def test_a_classifier_is_not_taken_for_a_tagger(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "task.json").write_text('{"problem_type": "single_label", "labels": ["O"]}')
    with pytest.raises(InputError, match="holds a model for single_label, not for tagging"):
        run(inputs, **data_flags(inputs, tmp_path), do_train=True)


def test_to_hugging_face_and_back(inputs: Path, trained: Path, tmp_path: Path) -> None:
    """The head is converted, too, and the result can be evaluated directly; also without a pooler, as usual there."""
    convert(ConversionConfig(str(trained), str(tmp_path / "there")))
    content = json.loads((tmp_path / "there/config.json").read_text())
    assert content["architectures"] == ["BertForTokenClassification"]
    assert tuple(content["id2label"][str(index)] for index in range(5)) == LABELS
    convert(ConversionConfig(str(tmp_path / "there"), str(tmp_path / "back"), allow_unused="*pooler*"))
    assert not [name for name in weights(tmp_path / "back/bert_model.ckpt") if "pooler" in name]
    description = TaggingDescription.load(str(tmp_path / "back"))
    assert (description.labels, description.do_lower_case) == (LABELS, True)
    dev = {"dev_file": str(inputs / "dev.conll"), "do_eval": True, "vocab_file": None, "bert_config_file": None}
    expected = run(inputs, output_dir=str(trained), **dev)
    for name in ("there", "back"):
        found = run(inputs, output_dir=str(tmp_path / f"{name}-eval"), init_checkpoint=str(tmp_path / name), **dev)
        assert_results_close({**found, "global_step": 0}, {**expected, "global_step": 0}, forward(1), scale=1)


def test_the_label_order_is_that_of_the_initial_head(inputs: Path, trained: Path, tmp_path: Path) -> None:
    convert(ConversionConfig(str(trained), str(tmp_path / "there")))
    content = json.loads((tmp_path / "there/config.json").read_text())
    other = ("O", "B-place", "I-place", "B-person", "I-person")
    content["id2label"] = {str(index): label for index, label in enumerate(other)}
    content["label2id"] = {label: index for index, label in enumerate(other)}
    (tmp_path / "there/config.json").write_text(json.dumps(content))
    without = {"vocab_file": None, "bert_config_file": None}
    flags = data_flags(inputs, tmp_path / "model", init_checkpoint=str(tmp_path / "there"), **without)
    run(inputs, **flags, do_train=True, num_train_epochs=0.0)
    assert tuple((tmp_path / "model/labels.txt").read_text().split()) == other


def test_the_first_layers_of_a_tagger(inputs: Path, tmp_path: Path) -> None:
    """With their own config, as for any other checkpoint."""
    write_model_files(tmp_path, num_hidden_layers=2)
    run(tmp_path, **data_flags(inputs, tmp_path / "two"), do_train=True, num_train_epochs=0.0)
    flags = data_flags(inputs, tmp_path / "one", init_checkpoint=str(tmp_path / "two"), num_hidden_layers=1)
    run(inputs, **flags, do_train=True, dry_run=True)


# --- What is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"train_file": None}, "--train_file is missing; which words"),
        ({"dev_file": None}, "--dev_file is missing"),
        ({"do_predict": True}, "--predict_file is missing"),
        ({"train_file": "none.conll"}, r"Cannot read none\.conll"),
        ({"token_column": 2}, r"train\.conll, line 1 has 2 columns, so there is no --token_column=2"),
        ({"token_column": 1, "tag_column": 0}, r"train\.conll, line 1 has the tag '\w+'; expected O"),
        ({"max_seq_length": 25}, "--max_seq_length=25, but the model has only 24 positions"),
        ({"context_pieces": 7}, "--context_pieces=7 must be from 0 to 6"),
        ({"context_pieces": -1}, "--context_pieces=-1 must be from 0 to 6"),
        ({"class_weights": "balanced", "do_train": False}, "--class_weights needs --do_train"),
        ({"class_weights": "x"}, "Unknown --class_weights 'x'; choose one of none, balanced"),
        ({"metric_for_best": "f2"}, "--metric_for_best=f2: this task is evaluated by f1, precision, recall, macro_f1"),
        ({"num_train_epochs": 0.01}, "160 examples and --num_train_epochs=0.01 are not one batch"),
        ({"init_checkpoint": "none.ckpt"}, r"There is no (checkpoint )?none\.ckpt"),
        ({"do_train": False}, "has no checkpoint; train first, or give --init_checkpoint"),
    ],
)
def test_mistakes(inputs: Path, tmp_path: Path, flags, sentence: str) -> None:
    given = {**data_flags(inputs, tmp_path / "model"), "do_train": True, "do_eval": True, **flags}
    with pytest.raises(InputError, match=sentence):
        run(inputs, **given)
    assert not (tmp_path / "model" / "checkpoint").exists()


def test_unknown_labels(inputs: Path, trained: Path, tmp_path: Path) -> None:
    dev = {"dev_file": str(inputs / "dev.conll"), "do_eval": True}
    (tmp_path / "labels").write_text("O\nPER\n")
    with pytest.raises(InputError, match="labels has the label 'PER'; expected O, and B-type and I-type"):
        run(inputs, output_dir=str(trained), labels_file=str(tmp_path / "labels"), **dev)
    (tmp_path / "dev.conll").write_text("w1 O\nw2 B-x\n")
    with pytest.raises(InputError, match=r"dev\.conll, line 2 has the tag 'B-x', which the model does not know"):
        run(inputs, output_dir=str(trained), **{**dev, "dev_file": str(tmp_path / "dev.conll")})


def test_data_outside_the_directory_must_be_given(inputs: Path, trained: Path) -> None:
    named = json.loads((trained / "task.json").read_text())["dev_file"]
    assert named == str(inputs / "dev.conll")
    with pytest.raises(InputError, match=rf"^--dev_file is missing, .* give --dev_file={named}\.$"):
        run(inputs, output_dir=str(trained), do_eval=True)


def test_a_checkpoint_without_a_head_is_not_evaluated(inputs: Path, tmp_path: Path) -> None:
    asked = {"output_dir": str(tmp_path), "dev_file": str(inputs / "dev.conll"), "do_eval": True}
    tiny = {"init_checkpoint": str(GOLDEN / "tiny/bert_model.ckpt"), "bert_config_file": None}
    (tmp_path / "vocab.txt").write_bytes((inputs / "vocab.txt").read_bytes())
    with pytest.raises(InputError, match=r"has no task\.json, so the labels are unknown"):
        run(inputs, **asked, **tiny)
    (tmp_path / "labels").write_text("\n".join(LABELS))
    with pytest.raises(InputError, match=r"not a model of this task: it lacks output_bias, output_weights.*--do_train"):
        run(inputs, **asked, **tiny, labels_file=str(tmp_path / "labels"))


def test_a_dry_run_writes_nothing(inputs: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    flags = data_flags(inputs, tmp_path / "model", dry_run=True, do_train=True, do_eval=True)
    assert run(inputs, **flags) is None
    assert "Dry run: all checks passed; nothing was written" in caplog.text
    assert not list(tmp_path.iterdir())


def test_flags_are_those_of_run_classifier() -> None:
    """Flags of the same name have the same default."""
    ner_flags, classifier_flags = defaults_of("run_ner"), defaults_of("run_classifier")
    assert {name: ner_flags[name] for name in ner_flags if name in classifier_flags} == {
        name: classifier_flags[name] for name in classifier_flags if name in ner_flags
    }
    assert ner_flags.keys() - classifier_flags.keys() == {
        *("token_column", "tag_column", "context_pieces", "comments", "predict_format")
    }
