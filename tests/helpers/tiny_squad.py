"""Questions whose answer any model can find, a vocabulary and a config, for a tiny model to learn in seconds.

A context is a list of words with a name of two words, the answer. In 2.0, some contexts have no name.
"""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bert_tf2.tasks.squad import runner
from bert_tf2.tasks.squad.config import SquadConfig
from helpers import tiny_model

WORDS = [f"w{index}" for index in range(20)]
FIRST_NAMES, LAST_NAMES = ["ada", "bob"], ["stone", "hill"]
QUESTION = "who is it"
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *FIRST_NAMES, *LAST_NAMES, *QUESTION.split(), ",", "."]
SIZES = {"max_seq_length": 24, "doc_stride": 8, "max_query_length": 4}


def write_model_files(directory: Path, pieces: Sequence[str] = PIECES, **changes: Any) -> dict[str, str]:
    """Writes a vocabulary and a config; returns the flags that name them."""
    return tiny_model.write_model_files(directory, pieces, **changes)


def squad(articles: int, seed: int, version_2: bool = False, longest: int = 30) -> dict[str, Any]:
    """SQuAD's JSON: articles with two contexts of one question each."""
    rng = random.Random(seed)
    data = []
    for article in range(articles):
        paragraphs = []
        for part in range(2):
            words = rng.choices(WORDS, k=rng.randint(4, longest))
            is_impossible = version_2 and rng.random() < 0.4
            position = rng.randint(0, len(words))
            name = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
            answer = [] if is_impossible else [part.capitalize() for part in name]
            context = " ".join([*words[:position], *answer, *words[position:]]) + "."
            text = " ".join(answer)
            question: dict[str, Any] = {"id": f"{article}-{part}", "question": QUESTION, "answers": []}
            if answer:
                question["answers"] = [{"text": text, "answer_start": context.index(text)}]
            if version_2:
                question["is_impossible"] = is_impossible
            paragraphs.append({"context": context, "qas": [question]})
        data.append({"title": str(article), "paragraphs": paragraphs})
    return {"version": "2.0" if version_2 else "1.1", "data": data}


def write_json(path: Path, content: Any) -> str:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return str(path)


def config(directory: Path, **flags: Any) -> SquadConfig:
    """A training that learns the questions in a few seconds, with the files of `write_model_files`."""
    defaults = {**SIZES, "learning_rate": 1e-2, "num_train_epochs": 6.0, "eval_batch_size": 8, "predict_batch_size": 8}
    return SquadConfig(**tiny_model.training_flags(directory, **{**defaults, **flags}))


def run(directory: Path, **flags: Any) -> dict[str, float] | None:
    return runner.run(config(directory, **flags))
