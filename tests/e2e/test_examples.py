"""The programs of examples/, on a tiny model."""

import csv
import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from helpers.repository import GOLDEN, REPOSITORY, own_lines

from bert_tf2 import BertClassifier

CHECKPOINT = str(GOLDEN / "tiny/bert_model.ckpt")


def load_example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_csv(path: Path, rows: list[dict[str, object]]) -> str:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


@pytest.fixture
def labelled(tmp_path: Path) -> str:
    """Texts that are short or long, which any model can tell apart."""
    lines = [line for line in own_lines() if line][:60]
    rows = [
        {"text": "the" if index % 2 else line, "label": "short" if index % 2 else "long"}
        for index, line in enumerate(lines)
    ]
    return write_csv(tmp_path / "texts.csv", rows)


def test_every_example_is_tested() -> None:
    assert sorted(path.stem for path in (REPOSITORY / "examples").glob("*.py")) == [
        "classify_texts",
        "frozen_features",
        "own_head",
    ]


@pytest.mark.slow
def test_classify_texts(labelled: str, tmp_path: Path, capsys) -> None:
    accuracy = load_example("classify_texts").main(CHECKPOINT, labelled, labelled, str(tmp_path / "model"), 10, 3e-3)
    assert accuracy > 0.9
    assert "['long', 'short']" in capsys.readouterr().out
    assert BertClassifier.from_pretrained(tmp_path / "model").labels == ("long", "short")


@pytest.mark.slow
def test_own_head(tmp_path: Path) -> None:
    lines = [line for line in own_lines() if line][:40]
    rows = [
        {"first": line, "second": line if index % 2 else "the", "score": index % 2} for index, line in enumerate(lines)
    ]
    pairs = write_csv(tmp_path / "pairs.csv", rows)
    scores = load_example("own_head").main(CHECKPOINT, pairs, str(tmp_path / "model.keras"), 10, 3e-3)
    assert np.mean((scores > 0.5) == (np.arange(len(lines)) % 2 == 1)) > 0.9


def test_frozen_features(labelled: str) -> None:
    assert load_example("frozen_features").main(CHECKPOINT, labelled, labelled) > 0.9
