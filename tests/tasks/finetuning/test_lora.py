"""Fine-tuning with LoRA: resumed to the last bit, evaluated and predicted with from its directory, converted."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers import tiny_choices, tiny_squad, tiny_tagging
from helpers.repository import REPOSITORY
from helpers.rounding import assert_close, assert_results_close, assert_trained_close, backward, forward
from helpers.scripts import Scripts
from helpers.tiny_classification import config, rows, run, write_csv, write_model_files

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import by_name, listing
from bert_tf2.configs.training import OptimizerConfig, PrecisionConfig
from bert_tf2.conversion.config import ConversionConfig
from bert_tf2.conversion.convert import convert
from bert_tf2.errors import InputError
from bert_tf2.modeling import heads, lora
from bert_tf2.tasks.finetuning.lora import find_lora

pytestmark = pytest.mark.numeric

LORA = {"lora_rank": 4, "lora_alpha": 8.0, "lora_layers": "query,value,output"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_model_files(folder, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    write_csv(folder / "train.csv", rows(80, seed=1))
    write_csv(folder / "dev.csv", rows(40, seed=2))
    return folder


def flags(made: Path, output_dir: Path, **changes):
    given = {"train_file": str(made / "train.csv"), "dev_file": str(made / "dev.csv"), "output_dir": str(output_dir)}
    return {**given, "do_train": True, "do_eval": True, "num_train_epochs": 4.0, "learning_rate": 1e-2, **changes}


def weights(folder: Path) -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(checkpoints.latest(folder))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def history(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "eval_history.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 steps with LoRA and moving averages, all checkpoints kept."""
    folder = tmp_path_factory.mktemp("trained")
    averages = OptimizerConfig(ema_decay=0.5)
    run(made, **flags(made, folder, **LORA, save_checkpoints_steps=5, optimizer=averages))
    return folder


def test_checkpoints_hold_the_frozen_weights_and_slots_of_what_is_trained_alone(trained: Path) -> None:
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
def test_a_killed_training_ends_with_the_same_bits(trained: Path, made: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    folder = tmp_path / "killed"
    shutil.copytree(trained, folder)
    listing.write_state(folder, [str(folder / "model.ckpt-5")])
    shutil.rmtree(folder / "best")
    asked = flags(made, folder, **LORA, save_checkpoints_steps=5, optimizer=OptimizerConfig(ema_decay=0.5))
    run(made, **asked)
    assert (
        "LoRA of rank 4 (alpha 8) on query, value, output. Training 754 of 4,066 parameters (18.54%): " in caplog.text
    )
    assert history(folder) == history(trained)
    for part in (".", "best"):
        found, expected = weights(folder / part), weights(trained / part)
        assert found.keys() == expected.keys()
        for name, value in found.items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name)


@pytest.mark.parametrize("changes", [{"lora_rank": 2}, {"lora_alpha": 4.0}, {"lora_layers": "key"}, {"lora_rank": 0}])
def test_another_lora_is_refused(trained: Path, made: Path, changes) -> None:
    others = {**LORA, **changes} if changes.get("lora_rank", 1) else {}
    for do_train in (True, False) if others else (True,):
        before = (trained / "checkpoint").read_text()
        with pytest.raises(
            InputError, match=r"was trained with --lora_rank=4 --lora_alpha=8 .*, but this command is w"
        ):
            run(made, **flags(made, trained, **others, do_train=do_train, optimizer=OptimizerConfig(ema_decay=0.5)))
        assert (trained / "checkpoint").read_text() == before


def test_evaluation_prediction_and_best_need_no_flags_of_lora(trained: Path, made: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "model")
    asked = {"dev_file": str(made / "dev.csv"), "do_eval": True}
    last = history(trained)[-1]
    results = run(made, output_dir=str(tmp_path / "model"), **asked, optimizer=OptimizerConfig(ema_decay=0.5))
    assert {name: value for name, value in results.items() if name in last} == {
        name: value for name, value in last.items() if name in results
    }
    best = max(history(trained), key=lambda entry: entry["eval_accuracy"])
    predicted = {"predict_file": str(made / "dev.csv"), "do_predict": True}
    results = run(made, output_dir=str(tmp_path / "model/best"), **asked, **predicted)
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
        made,
        output_dir=str(tmp_path / "out"),
        init_checkpoint=str(tmp_path / "plain"),
        labels_file=str(tmp_path / "plain/labels.txt"),
        **asked,
    )
    assert plain["eval_accuracy"] == results["eval_accuracy"]
    assert_close(plain["eval_loss"], results["eval_loss"], forward(1), scale=1)


def test_a_training_starts_from_one_with_lora(trained: Path, made: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level("INFO")
    asked = {"init_checkpoint": str(trained / "best"), "num_train_epochs": 0.0, "do_eval": False}
    run(made, **flags(made, tmp_path / "plain", **asked))
    assert "has LoRA of rank 4 (alpha 8) on query, value, output, which is merged into the kernels" in caplog.text
    found, expected = weights(tmp_path / "plain"), lora.merged_variables(weights(trained / "best"))
    for name in expected:
        if name != checkpoints.GLOBAL_STEP:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


@pytest.mark.slow
def test_recompute_accumulation_and_padding_change_no_number(made: Path, tmp_path: Path, monkeypatch) -> None:
    write_model_files(tmp_path)
    monkeypatch.setattr(heads, "_CLASSIFIER_DROPOUT", 0.0)  # which is there whatever the config says
    results = {}
    for name, changes in (
        ("plain", {}),
        ("recompute", {"recompute": True}),
        ("accumulated", {"gradient_accumulation_steps": 2}),
        ("padded", {"pack_sequences": False}),
        ("compiled", {"precision": PrecisionConfig(jit="on")}),
    ):
        asked = flags(made, tmp_path / name, **LORA, num_train_epochs=1.0, learning_rate=5e-3, **changes)
        results[name] = run(tmp_path, **asked)
        assert_results_close(results[name], results["plain"], 2 * backward(1), scale=1)


@pytest.mark.slow
def test_two_devices_give_the_numbers_of_one(made: Path, tmp_path: Path, scripts: Scripts) -> None:
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
    found = {}
    for strategy in ("off", "mirrored"):
        asked = config(tmp_path, **flags(made, tmp_path / strategy, **LORA, num_train_epochs=1.0, learning_rate=5e-3))
        names = {*flags(made, made), *LORA, "vocab_file", "bert_config_file", "max_seq_length"}
        names |= {f"{kind}_batch_size" for kind in ("train", "eval", "predict")}
        given = [f"--{name}={getattr(asked, name, None) or getattr(asked.data, name)}" for name in sorted(names)]
        done = scripts.run_program(program, [*given, f"--distribution_strategy={strategy}"])
        assert done.returncode == 0, done.stderr
        found[strategy] = weights(tmp_path / strategy)
    trained = {name.removesuffix("/adam_m") for name in found["off"] if name.endswith("/adam_m")}
    assert len(trained) == 2 * 3 + 2 + 2
    one, two = ({name: found[strategy][name] for name in trained} for strategy in ("off", "mirrored"))
    assert_trained_close(two, one, layers=1, steps=5, rate=5e-3)
    for name in found["off"].keys() - trained:
        if name.startswith("bert/") and "adam" not in name:
            np.testing.assert_array_equal(found["mirrored"][name], found["off"][name], err_msg=name)


def test_a_model_by_its_name_is_looked_at_where_it_was_downloaded(made: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(by_name, "_download", {"owner/name": str(REPOSITORY / "tests" / "golden" / "tiny")}.__getitem__)
    asked = {"do_train": False, "do_eval": True, "init_checkpoint": "owner/name", "dev_file": str(made / "dev.csv")}
    assert find_lora(config(made, output_dir=str(tmp_path / "new"), **asked)) is None


# --- The other tasks -------------------------------------------------------------------------------------------------


def check_task(module, folder: Path, head: set[str], pooler: bool, **asked) -> None:
    """Trains, evaluates again from the directory alone, and looks at what was trained."""
    given = {"do_train": True, "do_eval": True, "lora_rank": 4, "num_train_epochs": 2.0, **asked}
    results = module.run(folder, **given)
    again = module.run(folder, **{**given, "do_train": False, "lora_rank": 0})
    assert_results_close(again, results, 0)
    names = set(weights(folder / "model"))
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
