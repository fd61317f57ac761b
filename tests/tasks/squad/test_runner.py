"""run_squad.py after the first training: SQuAD 2.0 and its threshold, resuming after a kill, other models."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers.rounding import assert_close, assert_results_close, forward, largest
from helpers.run_directory import unlisted
from helpers.scripts import Scripts
from helpers.tiny_squad import QUESTION, SIZES, run, squad, write_json, write_model_files
from reference import squad_answers, squad_windows

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import pretrained
from bert_tf2.configs.model import BertConfig
from bert_tf2.conversion import convert
from bert_tf2.errors import InputError
from bert_tf2.input_pipeline import example_batches
from bert_tf2.io import run_files, spilled
from bert_tf2.metrics import squad as scoring
from bert_tf2.modeling.question_answering import SpanModel
from bert_tf2.tasks.finetuning import loop
from bert_tf2.tasks.squad import examples, logits, runner, tokenized_examples
from bert_tf2.tasks.squad.answers import AnswerParameters
from bert_tf2.tasks.squad.window_parameters import FeatureParameters
from bert_tf2.tasks.squad.windows import make_windows
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer
from bert_tf2.tokenization.wordpiece import FullTokenizer
from bert_tf2.training.concurrency import Concurrency

pytestmark = pytest.mark.numeric


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a vocabulary, a config and questions of both versions, 120 for training and 40 to predict."""
    directory = tmp_path_factory.mktemp("data")
    write_model_files(directory)
    for version in (1, 2):
        write_json(directory / f"train{version}.json", squad(60, seed=1, version_2=version == 2))
        write_json(directory / f"dev{version}.json", squad(20, seed=2, version_2=version == 2))
    return directory


@pytest.fixture(scope="module")
def trained(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output directory of a training run on SQuAD 2.0 with evaluation and prediction."""
    directory = tmp_path_factory.mktemp("trained")
    files = {"train_file": str(data_dir / "train2.json"), "predict_file": str(data_dir / "dev2.json")}
    flags = {"do_train": True, "do_eval": True, "do_predict": True, "version_2_with_negative": True}
    run(data_dir, output_dir=str(directory), **files, **flags, num_train_epochs=3.0, eval_every_steps=11, report=True)
    return directory


def version_1_flags(data_dir: Path, **flags):
    return {"train_file": str(data_dir / "train1.json"), "predict_file": str(data_dir / "dev1.json"), **flags}


def read_json(*path):
    return json.loads(Path(*path).read_text(encoding="utf-8"))


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def results_of(directory: Path) -> dict[str, float]:
    lines = (directory / "eval_results.txt").read_text().splitlines()
    return {name: float(value) for name, value in (line.split(" = ") for line in lines)}


def content(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def largest_logit(directory: Path) -> float:
    """The magnitude of the logits whose differences are null odds and thresholds."""
    entries = itertools.chain(*read_json(directory, "nbest_predictions.json").values())
    return max(max(abs(entry["start_logit"]), abs(entry["end_logit"])) for entry in entries)


def assert_odds_close(odds: dict[str, float], directory: Path) -> None:
    assert_results_close(odds, read_json(directory, "null_odds.json"), forward(1), largest_logit(directory))


# --- SQuAD 2.0 -------------------------------------------------------------------------------------------------------


def test_the_best_threshold_is_found_saved_and_used(data_dir: Path, trained: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    results, saved = results_of(trained), read_json(trained, "null_score_diff_threshold.json")
    assert saved["null_score_diff_threshold"] == pytest.approx(results["best_f1_thresh"], rel=1e-6)
    assert results["global_step"] == 22
    rows = lines_of(trained / "eval_predictions.jsonl")
    assert 100 * np.mean([row["exact"] for row in rows]) == pytest.approx(results["exact"])
    assert [row["truth"] == [] for row in rows].count(True) == results["NoAns_total"]
    assert "<h2>Questions without an answer</h2>" in (trained / "report.html").read_text(encoding="utf-8")
    (tmp_path / "gold.json").write_bytes((data_dir / "dev2.json").read_bytes())
    flags = {"output_dir": str(trained), "predict_file": str(tmp_path / "gold.json")}  # task.json has the version

    def predict(**more_flags) -> tuple[int, dict]:
        run(data_dir, **flags, do_predict=True, **more_flags)
        answers, odds = read_json(trained, "predictions.json"), read_json(trained, "null_odds.json")
        assert answers.keys() == odds.keys()
        return sum(answer == "" for answer in answers.values()), odds

    empty, odds = predict()
    assert f"{saved['null_score_diff_threshold']:g}, from " in caplog.text
    assert empty == sum(value > saved["null_score_diff_threshold"] for value in odds.values())
    for threshold in (-1e9, 0.0, 1e9):
        assert predict(null_score_diff_threshold=threshold)[0] == sum(value > threshold for value in odds.values())
    assert [line["start"] is None for line in lines_of(trained / "predictions.jsonl")] == [False] * 40

    # The directory of the best weights has their threshold.
    history = lines_of(trained / "eval_history.jsonl")
    best = max(history, key=lambda entry: entry["best_f1"])
    assert (
        read_json(trained, "best/null_score_diff_threshold.json")["null_score_diff_threshold"] == best["best_f1_thresh"]
    )
    caplog.clear()
    run(data_dir, **{**flags, "output_dir": str(trained / "best")}, do_predict=True)
    assert f"{best['best_f1_thresh']:g}, from " in caplog.text

    # A threshold found with other weights is not used.
    path = trained / "null_score_diff_threshold.json"
    before = path.read_bytes()
    path.write_text(json.dumps({"null_score_diff_threshold": -1e9, "weights": "others"}))
    assert predict()[0] == sum(value > 0 for value in odds.values())
    assert "was found with other weights: using --null_score_diff_threshold=0" in caplog.text
    path.write_bytes(before)


def test_the_threshold_of_the_initial_checkpoint_is_used(data_dir: Path, trained: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    flags = {"output_dir": str(tmp_path), "init_checkpoint": str(trained), "predict_file": str(data_dir / "dev2.json")}
    threshold = read_json(trained, "null_score_diff_threshold.json")["null_score_diff_threshold"]
    run(data_dir, **flags, do_predict=True)
    assert f"{threshold:g}, from {trained}/null_score_diff_threshold.json." in caplog.text
    odds, answers = read_json(tmp_path, "null_odds.json"), read_json(tmp_path, "predictions.json")
    assert [answer == "" for answer in answers.values()] == [value > threshold for value in odds.values()]


def test_data_that_exceeds_memory_gives_the_same_files(data_dir: Path, trained: Path, monkeypatch) -> None:
    names = ("predictions.json", "nbest_predictions.json", "null_odds.json", "predictions.jsonl", "eval.tf_record")
    flags = {
        "output_dir": str(trained),
        "predict_file": str(data_dir / "dev2.json"),
        "do_eval": True,
        "do_predict": True,
    }
    results = run(data_dir, **flags)
    before = {name: (trained / name).read_bytes() for name in names}
    monkeypatch.setattr(spilled, "MOST_IN_MEMORY", 1)
    monkeypatch.setattr(spilled, "_ITEMS_AT_ONCE", 3)
    monkeypatch.setattr(runner, "_CHARACTERS_AT_ONCE", 100)
    assert run(data_dir, **flags) == results
    assert {name: (trained / name).read_bytes() for name in names} == before


def test_evaluation_without_training_gives_the_same_results(data_dir: Path, trained: Path, tmp_path: Path) -> None:
    before = results_of(trained)
    assert set(before) >= {"exact", "f1", "total", "HasAns_f1", "NoAns_f1", "best_f1", "best_f1_thresh", "global_step"}
    assert before["best_f1"] >= before["f1"]
    again = run(
        data_dir, output_dir=str(trained), dev_file=str(data_dir / "dev2.json"), do_eval=True, eval_batch_size=3
    )
    assert again.keys() == before.keys()
    for name, value in before.items():
        if name.endswith("_thresh"):  # a difference of logits
            assert_close(again[name], value, forward(1), largest_logit(trained))
        else:  # a fraction of answers, rounded in the file
            assert again[name] == pytest.approx(value, rel=1e-6)
    best = run(data_dir, output_dir=str(trained / "best"), dev_file=str(data_dir / "dev2.json"), do_eval=True)
    history = lines_of(trained / "eval_history.jsonl")
    assert [entry["step"] for entry in history] == [11, 22]
    assert best["best_f1"] == pytest.approx(max(entry["best_f1"] for entry in history), rel=1e-6)


@pytest.mark.parametrize("pad_to_max_length", [True, False])
def test_padding_in_training(data_dir: Path, tmp_path: Path, monkeypatch, pad_to_max_length: bool) -> None:
    """By default as in the original: all batches have length `max_seq_length`, and padding is in the loss."""
    over_padding, at_full_length = [], []
    plain_model, plain_batches = runner.SpanModel, example_batches.training

    def model(*args, **options):
        over_padding.append(options["over_padding"])
        return plain_model(*args, **options)

    def batches(*args):
        at_full_length.append(args[-1])
        return plain_batches(*args)

    monkeypatch.setattr(runner, "SpanModel", model)
    monkeypatch.setattr(example_batches, "training", batches)
    flags = {} if pad_to_max_length else {"pad_to_max_length": False}
    run(data_dir, **version_1_flags(data_dir, output_dir=str(tmp_path / "model")), do_train=True, dry_run=True, **flags)
    assert (over_padding, at_full_length) == ([pad_to_max_length], [pad_to_max_length])


def test_padding_in_prediction(data_dir: Path, tmp_path: Path) -> None:
    """With the flag, padding is among the candidates, as in the original; with random weights, this changes answers."""
    options = {"version_2_with_negative": True, "n_best_size": 2, "null_score_diff_threshold": 0.5}
    files = {"train_file": str(data_dir / "train2.json"), "predict_file": str(data_dir / "dev2.json")}
    flags = {**files, **options, "output_dir": str(tmp_path / "model")}
    run(data_dir, **flags, do_train=True, do_predict=True, num_train_epochs=0.0)
    default = read_json(tmp_path, "model/predictions.json")
    scores = run(data_dir, **flags, do_predict=True, do_eval=True, pad_to_max_length=True)
    predictions, n_best = (read_json(tmp_path, "model", f"{name}predictions.json") for name in ("", "nbest_"))

    data = examples.read(files["predict_file"], training=False)
    sizes = FeatureParameters(*SIZES.values())
    windows = list(squad_windows.windows(data.examples, FullTokenizer(str(data_dir / "vocab.txt")), sizes, False))
    model = SpanModel(BertConfig.from_json_file(str(data_dir / "bert_config.json")))
    pretrained.load(checkpoints.tf_variables(model.named_variables), str(tmp_path / "model"))
    columns = make_windows(
        tokenized_examples.tokenize(data.examples, FastTokenizer(str(data_dir / "vocab.txt"))), sizes, False
    ).columns()
    assert (columns["input_mask"].sum(1) < sizes.max_seq_length).sum() > 20
    start_logits, end_logits = (values.numpy() for values in model.logits(columns))
    parameters = AnswerParameters(2, version_2_with_negative=True, null_score_diff_threshold=0.5)
    for index, example in enumerate(data.examples):
        rows = [row for row, window in enumerate(windows) if window.example_index == index]
        logits_of_rows = (values[rows].tolist() for values in (start_logits, end_logits))
        expected = squad_answers.predict(example, [windows[row] for row in rows], *logits_of_rows, parameters)
        assert predictions[example.id] == expected.answer.text
        entries = n_best[example.id]
        assert [entry["text"] for entry in entries] == [entry.text for entry in expected.n_best]
        saved_logits = [entry["start_logit"] for entry in entries]
        assert_close(saved_logits, [entry.start_logit for entry in expected.n_best], forward(1), largest(start_logits))
    assert predictions != default
    assert scores["exact"] == pytest.approx(
        scoring.evaluate(data.gold, predictions, version_2_with_negative=True)["exact"]
    )

    run(data_dir, **flags, do_predict=True, pad_to_max_length=False)
    assert read_json(tmp_path, "model/predictions.json") == default


@pytest.mark.slow
def test_seeds(data_dir: Path, tmp_path: Path) -> None:
    flags = version_1_flags(
        data_dir, output_dir=str(tmp_path / "model"), do_train=True, do_eval=True, num_train_epochs=0.0
    )
    means = run(data_dir, **flags, seeds="3,4")
    results = read_json(tmp_path, "model/seed_results.json")["seeds"]
    assert means["f1"] == pytest.approx(np.mean([results[seed]["f1"] for seed in "34"]))


# --- Resuming after a kill -------------------------------------------------------------------------------------------


def test_prediction_resumes_after_a_kill(data_dir: Path, trained: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("bert_tf2.io.resumable_output._SECONDS_BETWEEN_STATES", 0.0)
    model_dir = tmp_path / "model"
    shutil.copytree(trained / "best", model_dir)
    flags = {"output_dir": str(model_dir), "predict_file": str(data_dir / "dev2.json"), "do_predict": True}
    run(data_dir, **flags, predict_batch_size=4)
    names = ("predictions.json", "nbest_predictions.json", "null_odds.json", "predictions.jsonl")
    expected = {name: (model_dir / name).read_bytes() for name in names}
    for name in names:
        (model_dir / name).unlink()

    plain = loop.Finetuning.predict_batches
    batches = []

    def counting(self, *args):
        for batch in plain(self, *args):
            batches.append(len(batch["row"]))
            if len(batches) == 5:
                raise KeyboardInterrupt
            yield batch

    monkeypatch.setattr(loop.Finetuning, "predict_batches", counting)
    with pytest.raises(KeyboardInterrupt):
        run(data_dir, **flags, predict_batch_size=4)
    assert not (model_dir / "predictions.json").exists()
    assert (model_dir / ".predictions.json.unfinished").is_dir()
    total = sum(1 for _ in tf.data.TFRecordDataset(str(model_dir / "eval.tf_record")))
    run(data_dir, **flags, predict_batch_size=4)
    assert sum(batches[5:]) == total - 16
    assert {name: (model_dir / name).read_bytes() for name in names} == expected
    assert not (model_dir / ".predictions.json.unfinished").exists()

    # With other weights, other questions or another batch size, prediction starts from the beginning.
    del batches[:]
    with pytest.raises(KeyboardInterrupt):
        run(data_dir, **flags, predict_batch_size=4)
    run(data_dir, **{**flags, "output_dir": str(model_dir)}, predict_batch_size=5)
    assert sum(batches[5:]) == total
    for changes in ({"predict_file": str(data_dir / "train2.json")}, {"init_checkpoint": str(trained)}):
        del batches[:]
        with pytest.raises(KeyboardInterrupt):
            run(data_dir, **flags, predict_batch_size=4)
        if "init_checkpoint" in changes:
            for path in [model_dir / "checkpoint", *model_dir.glob("model.ckpt*")]:
                path.unlink()
        run(data_dir, **{**flags, **changes}, predict_batch_size=4)
        records = tf.data.TFRecordDataset(str(model_dir / "eval.tf_record"))
        assert sum(batches[5:]) == sum(1 for _ in records)


def test_concurrent_batches_predict_the_same_after_a_kill(
    data_dir: Path, trained: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("bert_tf2.io.resumable_output._SECONDS_BETWEEN_STATES", 0.0)
    monkeypatch.setattr(loop.Concurrency, "of", lambda *_: Concurrency(batches=3, max_tokens=40))
    model_dir = tmp_path / "model"
    shutil.copytree(trained, model_dir)
    flags = {"output_dir": str(model_dir), "predict_file": str(data_dir / "dev2.json"), "do_predict": True}
    sizes, ends = [], itertools.count()
    plain = logits.OutputBatches.batches

    def counting(self, done=0):
        for batch in plain(self, done):
            sizes.append(len(batch["row"]))
            if next(ends) == 5:
                raise KeyboardInterrupt
            yield batch

    monkeypatch.setattr(logits.OutputBatches, "batches", counting)
    with pytest.raises(KeyboardInterrupt):
        run(data_dir, **flags, predict_batch_size=4)
    del sizes[5:]
    run(data_dir, **flags, predict_batch_size=4)
    assert sum(sizes) == read_json(model_dir, "predict_summary.json")["windows"]["windows"]
    assert sizes[:-1] == sorted(sizes[:-1])  # the longest windows first: of 24 tokens, one per batch of at most 40
    assert sizes[0] == 1 < sizes[-2] <= 4
    assert_odds_close(read_json(model_dir, "null_odds.json"), trained)
    for name in ("predictions.json", "predictions.jsonl"):
        assert len((model_dir / name).read_text()) > 100


@pytest.mark.slow
def test_two_devices_predict_the_same_after_a_kill(
    data_dir: Path, trained: Path, tmp_path: Path, scripts: Scripts
) -> None:
    """Runs in a process of its own, as a process can have only one strategy."""
    run(data_dir, output_dir=str(trained), predict_file=str(data_dir / "dev2.json"), do_predict=True)
    model_dir = tmp_path / "model"
    shutil.copytree(trained / "best", model_dir)
    flags = {"output_dir": str(model_dir), "predict_file": str(data_dir / "dev2.json"), "init_checkpoint": str(trained)}
    for path in [
        model_dir / "checkpoint",
        *model_dir.glob("model.ckpt*"),
    ]:  # so that the last weights are used, not the best ones
        path.unlink()
    program = f"""if True:
        import tensorflow as tf
        from bert_tf2.configs.training import DistributionConfig
        from bert_tf2.io import resumable_output
        from bert_tf2.tasks.finetuning import loop
        from bert_tf2.tasks.squad import runner
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        resumable_output._SECONDS_BETWEEN_STATES = 0.0
        plain, batches = loop.Finetuning.predict_batches, []
        def counting(self, *args):
            for batch in plain(self, *args):
                batches.append(len(batch["row"]))
                if len(batches) == 3:
                    raise KeyboardInterrupt
                yield batch
        loop.Finetuning.predict_batches = counting
        distribution = DistributionConfig(distribution_strategy="mirrored")
        config = runner.SquadConfig(do_predict=True, predict_batch_size=7, distribution=distribution, **{flags!r})
        try:
            runner.run(config)
        except KeyboardInterrupt:
            runner.run(config)
        print(batches)
    """
    process = scripts.run_program(program, [])
    assert process.returncode == 0, process.stderr
    batches = json.loads(process.stdout.splitlines()[-1])
    assert batches[:4] == [8] * 4
    assert sum(batches) - 8 == read_json(model_dir, "predict_summary.json")["windows"]["windows"]
    assert_odds_close(read_json(model_dir, "null_odds.json"), trained)


# --- Other models ----------------------------------------------------------------------------------------------------


def test_checkpoint_of_the_original(data_dir: Path, trained: Path, tmp_path: Path) -> None:
    """Only weights, without `task.json` and pooler; flags give everything else."""
    prefix = checkpoints.latest(trained)
    reader = tf.train.load_checkpoint(prefix)
    names = [name for name in reader.get_variable_to_shape_map() if "adam" not in name and "pooler" not in name]
    checkpoints.save(str(tmp_path), 7, {name: tf.Variable(reader.get_tensor(name)) for name in names})
    flags = {"output_dir": str(tmp_path / "model"), "init_checkpoint": str(tmp_path / "model.ckpt-7")}
    run(data_dir, **flags, predict_file=str(data_dir / "dev2.json"), do_predict=True, version_2_with_negative=True)
    odds = read_json(tmp_path, "model/null_odds.json")
    assert_odds_close(odds, trained)


def test_to_hugging_face_and_back(data_dir: Path, trained: Path, tmp_path: Path) -> None:
    model_dir = tmp_path / "huggingface"
    convert.convert(convert.ConversionConfig(str(trained), str(model_dir), "huggingface"))
    assert read_json(model_dir, "config.json")["architectures"] == ["BertForQuestionAnswering"]
    flags = {"init_checkpoint": str(model_dir), "vocab_file": None, "bert_config_file": None, "do_predict": True}
    flags |= {"output_dir": str(tmp_path / "model"), "predict_file": str(data_dir / "dev2.json")}
    run(data_dir, **flags, version_2_with_negative=True)
    assert read_json(tmp_path, "model/null_odds.json") == read_json(trained, "null_odds.json")


def test_another_model_in_the_output_directory_is_rejected(data_dir: Path, trained: Path, tmp_path: Path) -> None:
    before = content(trained)
    flags = {"train_file": str(data_dir / "train1.json"), "output_dir": str(trained), "do_train": True}
    for changes, sentence in (
        ({"version_2_with_negative": False}, "--version_2_with_negative true, where this command has false"),
        ({"do_lower_case": False}, "--do_lower_case true, where this command has false"),
    ):
        train_file = str(data_dir / ("train1.json" if "version_2_with_negative" in changes else "train2.json"))
        with pytest.raises(InputError, match=sentence):
            run(data_dir, **{**flags, "train_file": train_file, **changes})
    (tmp_path / "task.json").write_text('{"problem_type": "single_label", "labels": []}')
    with pytest.raises(InputError, match="holds a model for single_label, not for question answering"):
        run(data_dir, **{**flags, "output_dir": str(tmp_path)})
    assert content(trained) == before


def test_overwriting_removes_only_files_of_the_task(data_dir: Path, tmp_path: Path) -> None:
    model_dir = tmp_path / "model"
    flags = {"output_dir": str(model_dir), "do_train": True, "num_train_epochs": 0.5}
    version_2 = {"train_file": str(data_dir / "train2.json"), "predict_file": str(data_dir / "dev2.json")}
    run(data_dir, **flags, **version_2, version_2_with_negative=True, do_eval=True, do_predict=True)
    assert unlisted(model_dir, run_files.SQUAD) == []
    (model_dir / "notes.json").write_text("notes")
    run(data_dir, **flags, train_file=str(data_dir / "train1.json"), overwrite_output_dir=True)
    names = {path.name for path in model_dir.iterdir()}
    other_names = {name for name in names if not name.startswith(("model.ckpt", "events.out"))}
    expected = {"notes.json", ".lock", "checkpoint", "bert_config.json", "vocab.txt", "task.json", "runs"}
    assert other_names == expected | {"train.tf_record", "train_summary.json"}


def test_contexts_without_text(data_dir: Path, trained: Path, tmp_path: Path) -> None:
    """Without any window, there is nothing to compute or to learn."""
    model_dir = shutil.copytree(trained, tmp_path / "model")  # a copy, as other tests compare with its predictions
    lines = [{"question": QUESTION, "context": context} for context in ("", "  \n")]
    (tmp_path / "new.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run(data_dir, output_dir=str(model_dir), predict_file=str(tmp_path / "new.jsonl"), do_predict=True)
    assert [(line["answer"], line["start"]) for line in lines_of(model_dir / "predictions.jsonl")] == [("", None)] * 2
    assert read_json(model_dir, "null_odds.json") == {"1": 1000000.0, "2": 1000000.0}
    question = {"id": "q", "question": QUESTION, "answers": [], "is_impossible": True}
    path = write_json(tmp_path / "t.json", {"data": [{"paragraphs": [{"context": " ", "qas": [question] * 20}]}]})
    with pytest.raises(InputError, match="no context has any text to learn from"):
        run(data_dir, output_dir=str(tmp_path / "m"), train_file=path, do_train=True, version_2_with_negative=True)
