"""Sentences whose words decide their tags, a vocabulary and a config: enough for a tiny tagger to learn in seconds."""

import random
from pathlib import Path
from typing import Any

from bert_tf2.tasks.tagging import runner
from bert_tf2.tasks.tagging.config import TaggingConfig
from helpers import tiny_model

WORDS = [f"w{index}" for index in range(20)]
FIRST, LAST, PLACES = ["jim", "ann"], ["henson", "##son"], ["paris", "rome"]
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *WORDS, *FIRST, *LAST, *PLACES]

Sentence = list[tuple[str, str]]


def write_model_files(folder: Path, **changes: Any) -> dict[str, str]:
    """A vocabulary and a config; the flags that name them."""
    return tiny_model.write_model_files(folder, PIECES, **changes)


def sentences(count: int, seed: int, words: int = 7) -> list[Sentence]:
    """Sentences of 3 words and more, with a person of one word or two, a place, or neither."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        sentence: Sentence = [(word, "O") for word in rng.choices(WORDS, k=rng.randint(3, words))]
        place = rng.randint(0, len(sentence))
        person = [("Jim", "B-person"), ("Henson", "I-person")], [("Annson", "B-person")]
        sentence[place:place] = rng.choice([*person, [(rng.choice(["Paris", "Rome"]), "B-place")], []])
        made.append(sentence)
    return made


def write_conll(path: Path, made: list[Sentence], with_tags: bool = True) -> str:
    line = "{}\t{}\n" if with_tags else "{}\n"
    path.write_text("\n".join("".join(line.format(*word) for word in sentence) for sentence in made))
    return str(path)


def config(folder: Path, **flags: Any) -> TaggingConfig:
    """A training that learns the tags in a few seconds; `folder` has what the functions above wrote."""
    return TaggingConfig(**tiny_model.training_flags(folder, **flags))


def run(folder: Path, **flags: Any) -> dict[str, float] | None:
    return runner.run(config(folder, **flags))
