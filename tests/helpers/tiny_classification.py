"""Rows whose label a word decides, a vocabulary and a config, for a tiny model to learn in seconds."""

import random
from pathlib import Path
from typing import Any

from bert_tf2.tasks.classification import runner
from bert_tf2.tasks.classification.config import ClassificationConfig
from helpers import tiny_model

WORDS = [f"w{index}" for index in range(30)]
SIGNS = {"good": "happy", "bad": "sad"}
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *SIGNS.values()]


def write_model_files(directory: Path, **changes: Any) -> dict[str, str]:
    """Writes a vocabulary and a config; returns the flags that name them."""
    return tiny_model.write_model_files(directory, PIECES, **changes)


def rows(count: int, seed: int, good: float = 0.5) -> list[tuple[str, str]]:
    """Texts of 3 to 8 words and their labels."""
    rng = random.Random(seed)
    examples = []
    for _ in range(count):
        label = "good" if rng.random() < good else "bad"
        words = rng.choices(WORDS, k=rng.randint(2, 7))
        words.insert(rng.randint(0, len(words)), SIGNS[label])
        examples.append((" ".join(words), label))
    return examples


def write_csv(path: Path, examples: list[tuple[str, str]]) -> str:
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in examples))
    return str(path)


def config(directory: Path, **flags: Any) -> ClassificationConfig:
    """A training that learns the rows in a few seconds, with files of `write_model_files` and `write_csv`."""
    return ClassificationConfig(**tiny_model.training_flags(directory, **flags))


def run(directory: Path, **flags: Any) -> dict[str, float] | None:
    return runner.run(config(directory, **flags))
