"""Questions whose contexts decide among their endings, for a tiny model to learn in seconds."""

import json
import random
from pathlib import Path
from typing import Any

from bert_tf2.configs.model import BertConfig
from bert_tf2.tasks.multiple_choice import runner
from bert_tf2.tasks.multiple_choice.config import MultipleChoiceConfig
from helpers.repository import TINY_CONFIG

WORDS = [f"w{index}" for index in range(10)]
SIGNS = ["red", "blue"]
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "?", *WORDS, *SIGNS]


def write_model_files(folder: Path, **changes: Any) -> dict[str, str]:
    """A vocabulary and a config; the flags that name them."""
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = {**TINY_CONFIG, "num_hidden_layers": 1, "initializer_range": 0.2, **no_dropout}
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    (folder / "bert_config.json").write_text(BertConfig(**{**config, **changes}).to_json_string())
    return {"vocab_file": str(folder / "vocab.txt"), "bert_config_file": str(folder / "bert_config.json")}


def questions(count: int, seed: int) -> list[dict[str, Any]]:
    """Questions of 2 to 4 endings, of which the one that has `red` is right, wherever it stands."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        endings = [f"{' '.join(rng.choices(WORDS, k=rng.randint(1, 3)))} blue" for _ in range(rng.randint(2, 4))]
        label = rng.randrange(len(endings))
        endings[label] = endings[label].replace("blue", "red")
        context = " ".join(rng.choices(WORDS, k=rng.randint(2, 5)))
        made.append({"context": context, "question": "w1 ?", "endings": endings, "label": label})
    return made


def write_json_lines(path: Path, made: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(one) + "\n" for one in made))
    return str(path)


def config(folder: Path, **flags: Any) -> MultipleChoiceConfig:
    """A training that learns the endings in a few seconds; `folder` has what `write_model_files` wrote."""
    given = {
        "output_dir": str(folder / "model"),
        "vocab_file": str(folder / "vocab.txt"),
        "bert_config_file": str(folder / "bert_config.json"),
        "max_seq_length": 16,
        "learning_rate": 5e-3,
        "train_batch_size": 16,
        "eval_batch_size": 16,
        "predict_batch_size": 16,
        **flags,
    }
    return MultipleChoiceConfig(**given)


def run(folder: Path, **flags: Any) -> dict[str, float] | None:
    return runner.run(config(folder, **flags))
