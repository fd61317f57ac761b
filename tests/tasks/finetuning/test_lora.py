"""Fine-tuning with LoRA: exact resumption, evaluation and prediction from the run directory, conversion."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers import tiny_choices, tiny_squad, tiny_tagging
from helpers.repository import REPOSITORY, TINY_CONFIG
from helpers.rounding import assert_close, assert_results_close, assert_trained_close, backward, forward
from helpers.scripts import Scripts
from helpers.tiny_classification import config, rows, run, write_csv, write_model_files

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import by_name, listing
from bert_tf2.configs.lora import Lora
from bert_tf2.configs.model import BertConfig
from bert_tf2.configs.training import OptimizerConfig, PrecisionConfig
from bert_tf2.conversion.config import ConversionConfig
from bert_tf2.conversion.convert import convert
from bert_tf2.errors import InputError
from bert_tf2.modeling import heads, lora
from bert_tf2.modeling.question_answering import SpanModel
from bert_tf2.tasks.finetuning.lora import find_lora
from bert_tf2.tasks.finetuning.outputs import fingerprint

pytestmark = pytest.mark.numeric

LORA = {"lora_rank": 4, "lora_alpha": 8.0, "lora_layers": "query,value,output"}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("data")
    write_model_files(directory, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    write_csv(directory / "train.csv", rows(80, seed=1))
    write_csv(directory / "dev.csv", rows(40, seed=2))
    return directory


def flags(data_dir: Path, output_dir: Path, **changes):
    files = {f"{name}_file": str(data_dir / f"{name}.csv") for name in ("train", "dev")}
    training = {"do_train": True, "do_eval": True, "num_train_epochs": 4.0, "learning_rate": 1e-2}
    return {**files, "output_dir": str(output_dir), **training, **changes}


def weights(directory: Path) -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(checkpoints.latest(directory))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def history(directory: Path) -> list[dict]:
    return [json.loads(line) for line in (directory / "eval_history.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 steps with LoRA and moving averages, all checkpoints kept."""
    directory = tmp_path_factory.mktemp("trained")
    averages = OptimizerConfig(ema_decay=0.5)
    run(data_dir, **flags(data_dir, directory, **LORA, save_checkpoints_steps=5, optimizer=averages))
    return directory


def test_checkpoints_have_frozen_weights_but_only_slots_of_trained_ones(trained: Path) -> None:
    first, last = (tf.train.load_checkpoint(str(trained / f"model.ckpt-{step}")) for step in (0, 20))
    names = set(last.get_variable_to_shape_map())
    base = {name for name in names if name.endswith(("kernel", "gamma", "beta", "embeddings", "bias"))}
    changes = {name for name in names if name.endswith((lora.A, lora.B))}
    assert len(changes) == 2 * 3
    is_trained = changes | {"output_weights", "output_bias", "bert/pooler/dense/kernel", "bert/pooler/dense/bias"}
    for name in base | changes:
        assert np.array_equal(first.get_tensor(name), last.get_tensor(name)) != (name in is_trained), name
    for slot in ("adam_m", "adam_v", checkpoints.AVERAGE):
        assert {name.removesuffix(f"/{slot}") for name in names if name.endswith(slot)} == is_trained


@pytest.mark.slow
def test_resumed_training_is_bitwise_identical(trained: Path, data_dir: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    directory = tmp_path / "killed"
    shutil.copytree(trained, directory)
    listing.write_state(directory, [str(directory / "model.ckpt-5")])
    shutil.rmtree(directory / "best")
    options = flags(data_dir, directory, **LORA, save_checkpoints_steps=5, optimizer=OptimizerConfig(ema_decay=0.5))
    run(data_dir, **options)
    assert (
        "LoRA of rank 4 (alpha 8) on query, value, output. Training 754 of 4,066 parameters (18.54%): " in caplog.text
    )
    assert history(directory) == history(trained)
    for subdirectory in (".", "best"):
        actual, expected = weights(directory / subdirectory), weights(trained / subdirectory)
        assert actual.keys() == expected.keys()
        for name, value in actual.items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name)


@pytest.mark.parametrize("changes", [{"lora_rank": 2}, {"lora_alpha": 4.0}, {"lora_layers": "key"}, {"lora_rank": 0}])
def test_different_lora_is_rejected(trained: Path, data_dir: Path, changes) -> None:
    other = {**LORA, **changes} if changes.get("lora_rank", 1) else {}
    for do_train in (True, False) if other else (True,):
        before = (trained / "checkpoint").read_text()
        with pytest.raises(
            InputError, match=r"was trained with --lora_rank=4 --lora_alpha=8 .*, but this command is w"
        ):
            run(
                data_dir,
                **flags(data_dir, trained, **other, do_train=do_train, optimizer=OptimizerConfig(ema_decay=0.5)),
            )
        assert (trained / "checkpoint").read_text() == before


def test_evaluation_prediction_and_best_need_no_lora_flags(trained: Path, data_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "model")
    options = {"dev_file": str(data_dir / "dev.csv"), "do_eval": True}
    last = history(trained)[-1]
    results = run(data_dir, output_dir=str(tmp_path / "model"), **options, optimizer=OptimizerConfig(ema_decay=0.5))
    assert {name: value for name, value in results.items() if name in last} == {
        name: value for name, value in last.items() if name in results
    }
    best = max(history(trained), key=lambda entry: entry["eval_accuracy"])
    predicted = {"predict_file": str(data_dir / "dev.csv"), "do_predict": True}
    results = run(data_dir, output_dir=str(tmp_path / "model/best"), **options, **predicted)
    assert results["eval_accuracy"] == best["eval_accuracy"]
    lines = (tmp_path / "model/best/predictions.jsonl").read_text().splitlines()
    labels = [label for _, label in rows(40, seed=2)]
    right = sum(json.loads(line)["label"] == label for line, label in zip(lines, labels, strict=True))
    assert right / 40 == pytest.approx(best["eval_accuracy"])

    convert(
        ConversionConfig(
            init_checkpoint=str(tmp_path / "model/best"), output_dir=str(tmp_path / "plain"), output_format="google"
        )
    )
    reader = tf.train.load_checkpoint(str(tmp_path / "plain/bert_model.ckpt"))
    assert not any(map(lora.is_lora, reader.get_variable_to_shape_map()))
    shutil.copy(tmp_path / "model/best/task.json", tmp_path / "plain")
    plain = run(
        data_dir,
        output_dir=str(tmp_path / "out"),
        init_checkpoint=str(tmp_path / "plain"),
        labels_file=str(tmp_path / "plain/labels.txt"),
        **options,
    )
    assert plain["eval_accuracy"] == results["eval_accuracy"]
    assert_close(plain["eval_loss"], results["eval_loss"], forward(1), scale=1)


def test_training_starts_from_a_model_with_lora(trained: Path, data_dir: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    options = {"init_checkpoint": str(trained / "best"), "num_train_epochs": 0.0, "do_eval": False}
    run(data_dir, **flags(data_dir, tmp_path / "plain", **options))
    assert "has LoRA of rank 4 (alpha 8) on query, value, output, which is merged into the kernels" in caplog.text
    actual, expected = weights(tmp_path / "plain"), lora.merged_variables(weights(trained / "best"))
    for name in expected:
        if name != checkpoints.GLOBAL_STEP:
            np.testing.assert_array_equal(actual[name], expected[name], err_msg=name)


def test_the_fingerprint_is_that_of_the_merged_weights(tmp_path: Path) -> None:
    """So that an exported model has the threshold that `run_squad.py` found for it."""
    bert_config = BertConfig(**{**TINY_CONFIG, "num_hidden_layers": 1})
    with lora.lora_scope(Lora(2, 3.0, ("query", "output"))):
        model = SpanModel(bert_config)
    for name, variable in model.named_variables.items():
        if name.endswith(lora.B):  # 0 at first
            variable.assign(np.full(variable.shape, 0.1))
    checkpoints.save(str(tmp_path), 1, checkpoints.tf_variables(model.named_variables))
    merged = SpanModel(bert_config)
    assert fingerprint(merged) != fingerprint(model)
    checkpoints.load(checkpoints.tf_variables(merged.named_variables), str(tmp_path))
    assert fingerprint(merged) == fingerprint(model)
    bias = model.named_variables["cls/squad/output_bias"]
    bias.assign(np.ones(bias.shape))
    assert fingerprint(merged) != fingerprint(model)


@pytest.mark.slow
def test_recompute_accumulation_and_padding_keep_the_results(data_dir: Path, tmp_path: Path, monkeypatch) -> None:
    write_model_files(tmp_path)
    monkeypatch.setattr(heads, "_CLASSIFIER_DROPOUT", 0.0)  # the config does not change it
    results = {}
    for name, changes in (
        ("plain", {}),
        ("recompute", {"recompute": True}),
        ("accumulated", {"gradient_accumulation_steps": 2}),
        ("padded", {"pack_sequences": False}),
        ("compiled", {"precision": PrecisionConfig(jit="on")}),
    ):
        options = flags(data_dir, tmp_path / name, **LORA, num_train_epochs=1.0, learning_rate=5e-3, **changes)
        results[name] = run(tmp_path, **options)
        assert_results_close(results[name], results["plain"], 2 * backward(1), scale=1)


@pytest.mark.slow
def test_two_devices_train_like_one(data_dir: Path, tmp_path: Path, scripts: Scripts) -> None:
    write_model_files(tmp_path)
    program = (
        "import sys, tensorflow as tf\n"
        "cpu = tf.config.list_physical_devices('CPU')[0]\n"
        "tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)\n"
        "from bert_tf2.modeling import heads\n"
        "heads._CLASSIFIER_DROPOUT = 0.0\n"
        "from bert_tf2.commands.run_classifier import main\n"
        "main()\n"
    )
    trained_weights = {}
    for strategy in ("off", "mirrored"):
        options = config(
            tmp_path, **flags(data_dir, tmp_path / strategy, **LORA, num_train_epochs=1.0, learning_rate=5e-3)
        )
        names = {*flags(data_dir, data_dir), *LORA, "vocab_file", "bert_config_file", "max_seq_length"}
        names |= {f"{kind}_batch_size" for kind in ("train", "eval", "predict")}
        arguments = [
            f"--{name}={getattr(options, name, None) or getattr(options.data, name)}" for name in sorted(names)
        ]
        process = scripts.run_program(program, [*arguments, f"--distribution_strategy={strategy}"])
        assert process.returncode == 0, process.stderr
        trained_weights[strategy] = weights(tmp_path / strategy)
    trained = {name.removesuffix("/adam_m") for name in trained_weights["off"] if name.endswith("/adam_m")}
    assert len(trained) == 2 * 3 + 2 + 2
    one, two = ({name: trained_weights[strategy][name] for name in trained} for strategy in ("off", "mirrored"))
    assert_trained_close(two, one, layers=1, steps=5, rate=5e-3)
    for name in trained_weights["off"].keys() - trained:
        if name.startswith("bert/") and "adam" not in name:
            np.testing.assert_array_equal(trained_weights["mirrored"][name], trained_weights["off"][name], err_msg=name)


def test_model_by_name_is_read_where_it_was_downloaded(data_dir: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(by_name, "_download", {"owner/name": str(REPOSITORY / "tests" / "golden" / "tiny")}.__getitem__)
    options = {
        "do_train": False,
        "do_eval": True,
        "init_checkpoint": "owner/name",
        "dev_file": str(data_dir / "dev.csv"),
    }
    assert find_lora(config(data_dir, output_dir=str(tmp_path / "new"), **options)) is None


# --- The other tasks -------------------------------------------------------------------------------------------------


def check_task(module, directory: Path, head: set[str], pooler: bool, **options) -> None:
    """Trains, evaluates again from the run directory alone, and checks which weights were trained."""
    training = {"do_train": True, "do_eval": True, "lora_rank": 4, "num_train_epochs": 2.0, **options}
    results = module.run(directory, **training)
    again = module.run(directory, **{**training, "do_train": False, "lora_rank": 0})
    assert_results_close(again, results, 0)
    names = set(weights(directory / "model"))
    slots = {name.removesuffix("/adam_m") for name in names if name.endswith("/adam_m")}
    trained = {f"bert/encoder/layer_0/attention/self/{kind}/{part}" for kind in ("query", "value") for part in "ab"}
    trained = {name[:-1] + f"lora_{name[-1]}" for name in trained} | head
    assert slots == trained | ({"bert/pooler/dense/kernel", "bert/pooler/dense/bias"} if pooler else set())


@pytest.mark.slow
def test_tagging(tmp_path: Path) -> None:
    tiny_tagging.write_model_files(tmp_path)
    train = tiny_tagging.write_conll(tmp_path / "train.conll", tiny_tagging.sentences(40, 1))
    dev = tiny_tagging.write_conll(tmp_path / "dev.conll", tiny_tagging.sentences(20, 2))
    head = {"output_weights", "output_bias"}
    check_task(tiny_tagging, tmp_path, head, pooler=False, train_file=train, dev_file=dev)


@pytest.mark.slow
def test_multiple_choice(tmp_path: Path) -> None:
    tiny_choices.write_model_files(tmp_path)
    train = tiny_choices.write_json_lines(tmp_path / "train.jsonl", tiny_choices.questions(40, 1))
    dev = tiny_choices.write_json_lines(tmp_path / "dev.jsonl", tiny_choices.questions(20, 2))
    head = {"output_weights", "output_bias"}
    check_task(tiny_choices, tmp_path, head, pooler=True, train_file=train, dev_file=dev)


@pytest.mark.slow
def test_squad(tmp_path: Path) -> None:
    tiny_squad.write_model_files(tmp_path)
    train = tiny_squad.write_json(tmp_path / "train.json", tiny_squad.squad(10, 1))
    dev = tiny_squad.write_json(tmp_path / "dev.json", tiny_squad.squad(5, 2))
    head = {"cls/squad/output_weights", "cls/squad/output_bias"}
    check_task(tiny_squad, tmp_path, head, pooler=False, train_file=train, predict_file=dev)
