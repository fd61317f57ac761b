"""The programs of docs/python.md that run a whole task, as they stand there, on tiny data."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from helpers import tiny_choices, tiny_classification, tiny_squad, tiny_tagging
from helpers.repository import REPOSITORY, own_lines

from bert_tf2 import checkpoints, tasks
from bert_tf2.configs.model import BertConfig
from bert_tf2.modeling.encoder import BertModel
from bert_tf2.tasks import classification, feature_extraction, multiple_choice, pretraining, squad, tagging

TEXT = (REPOSITORY / "docs/python.md").read_text(encoding="utf-8").split("\n## The tasks themselves\n")[1]
PROGRAMS = re.findall(r"```python\n(.*?)```", TEXT.split("\n## ")[0], re.DOTALL)
MODEL = "uncased_L-4_H-256_A-4"
PACKAGES = {
    module.__name__.rpartition(".")[2]: module
    for module in (classification, tagging, squad, multiple_choice, pretraining, feature_extraction)
}


def run(package: str, folder: Path, monkeypatch: pytest.MonkeyPatch, pieces: list[str]) -> dict:
    """Runs the program of a package in a directory that has a model with these pieces; its variables."""
    (program,) = [program for program in PROGRAMS if f"from bert_tf2.tasks import {package}\n" in program]
    (folder / MODEL).mkdir()
    (folder / MODEL / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    config = BertConfig(len(pieces), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    (folder / MODEL / "bert_config.json").write_text(config.to_json_string())
    variables = checkpoints.tf_variables(BertModel(config).named_variables())
    checkpoints.write(str(folder / MODEL / "bert_model.ckpt"), variables)
    monkeypatch.chdir(folder)
    names: dict = {}
    exec(compile(program, f"docs/python.md, {package}", "exec"), names)
    return names


def test_every_task_has_its_program_and_the_function_of_its_script() -> None:
    found = [re.findall(r"from bert_tf2\.tasks import (\w+)\n", program) for program in PROGRAMS]
    assert found == [[name] for name in PACKAGES]
    for name, module in PACKAGES.items():
        run_function, config = (getattr(module, exported) for exported in reversed(module.__all__))
        assert f"| `{name}` | `{config.__name__}`" in TEXT
        script = re.search(rf"\| `(\w+)\.py` \| `{name}` \|", TEXT)
        assert script is not None
        command = (REPOSITORY / f"bert_tf2/commands/{script[1]}.py").read_text(encoding="utf-8")
        home = run_function.__module__.rpartition(".")[2]
        assert f"{home}.run(config)" in command
        assert f"cli.command({config.__name__}, run)" in command
    assert {path.parent.name for path in Path(tasks.__path__[0]).glob("*/__init__.py")} == {*PACKAGES, "finetuning"}


@pytest.mark.slow
def test_classification(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, count in (("train", 40), ("dev", 20)):
        tiny_classification.write_csv(tmp_path / f"{name}.csv", tiny_classification.rows(count, seed=count))
    names = run("classification", tmp_path, monkeypatch, tiny_classification.PIECES)
    assert names["results"]["global_step"] == 3
    lines = (tmp_path / "reviews/best/predictions.jsonl").read_text().splitlines()
    labels = [label for _, label in tiny_classification.rows(20, seed=20)]
    best = [json.loads(line) for line in (tmp_path / "reviews/eval_history.jsonl").read_text().splitlines()]
    right = sum(json.loads(line)["label"] == label for line, label in zip(lines, labels, strict=True))
    assert right / 20 == max(entry["eval_accuracy"] for entry in best)


def test_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.txt").write_text("w1 w2\nw3\n")
    names = run("feature_extraction", tmp_path, monkeypatch, tiny_classification.PIECES)
    assert names["lines"] == 2
    assert names["vectors"].shape == (2, 16)
    assert names["vectors"].dtype == np.float32


@pytest.mark.slow
def test_tagging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("train", "dev"):
        tiny_tagging.write_conll(tmp_path / f"{name}.conll", tiny_tagging.sentences(40, seed=1))
    assert 0 <= run("tagging", tmp_path, monkeypatch, tiny_tagging.PIECES)["results"]["eval_f1"] <= 1


@pytest.mark.slow
def test_squad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("train", "dev"):
        tiny_squad.write_json(tmp_path / f"{name}-v1.1.json", tiny_squad.squad(20, seed=1))
    results = run("squad", tmp_path, monkeypatch, tiny_squad.PIECES)["results"]
    assert 0 <= results["exact_match"] <= results["f1"] <= 100


@pytest.mark.slow
def test_multiple_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "swag").mkdir()
    for name in ("train", "val"):
        tiny_choices.write_json_lines(tmp_path / f"swag/{name}.jsonl", tiny_choices.questions(40, seed=1))
    assert 0 <= run("multiple_choice", tmp_path, monkeypatch, tiny_choices.PIECES)["results"]["eval_accuracy"] <= 1


@pytest.mark.slow
def test_pretraining(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.txt").write_text("\n".join(own_lines()[:60]) + "\n", encoding="utf-8")
    pieces = (REPOSITORY / "tests/golden/own/vocab_uncased.txt").read_text(encoding="utf-8").split("\n")[:-1]
    results = run("pretraining", tmp_path, monkeypatch, pieces)["results"]
    assert results["global_step"] == 20
    assert 0 <= results["masked_lm_accuracy"] <= 1
