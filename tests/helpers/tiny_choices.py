"""Questions whose contexts decide among their endings, for a tiny model to learn in seconds."""

import json
import random
from pathlib import Path
from typing import Any

from bert_tf2.tasks.multiple_choice import runner
from bert_tf2.tasks.multiple_choice.config import MultipleChoiceConfig
from helpers import tiny_model

WORDS = [f"w{index}" for index in range(10)]
SIGNS = ["red", "blue"]
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "?", *WORDS, *SIGNS]


def write_model_files(directory: Path, **changes: Any) -> dict[str, str]:
    """Writes a vocabulary and a config; returns the flags that name them."""
    return tiny_model.write_model_files(directory, PIECES, **changes)


def questions(count: int, seed: int) -> list[dict[str, Any]]:
    """Questions of 2 to 4 endings, of which the one that contains `red` is right, at any position."""
    rng = random.Random(seed)
    examples = []
    for _ in range(count):
        endings = [f"{' '.join(rng.choices(WORDS, k=rng.randint(1, 3)))} blue" for _ in range(rng.randint(2, 4))]
        label = rng.randrange(len(endings))
        endings[label] = endings[label].replace("blue", "red")
        context = " ".join(rng.choices(WORDS, k=rng.randint(2, 5)))
        examples.append({"context": context, "question": "w1 ?", "endings": endings, "label": label})
    return examples


def write_json_lines(path: Path, examples: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(example) + "\n" for example in examples))
    return str(path)


def config(directory: Path, **flags: Any) -> MultipleChoiceConfig:
    """A training that learns the endings in a few seconds, with the files of `write_model_files`."""
    return MultipleChoiceConfig(**tiny_model.training_flags(directory, **flags))


def run(directory: Path, **flags: Any) -> dict[str, float] | None:
    return runner.run(config(directory, **flags))
