"""Sentences whose words decide their tags, a vocabulary and a config, for a tiny tagger to learn in seconds."""

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


def write_model_files(directory: Path, **changes: Any) -> dict[str, str]:
    """Writes a vocabulary and a config; returns the flags that name them."""
    return tiny_model.write_model_files(directory, PIECES, **changes)


def sentences(count: int, seed: int, words: int = 7) -> list[Sentence]:
    """Sentences of at least 3 words, with a person of one or two words, a place, or neither."""
    rng = random.Random(seed)
    tagged = []
    for _ in range(count):
        sentence: Sentence = [(word, "O") for word in rng.choices(WORDS, k=rng.randint(3, words))]
        position = rng.randint(0, len(sentence))
        person = [("Jim", "B-person"), ("Henson", "I-person")], [("Annson", "B-person")]
        sentence[position:position] = rng.choice([*person, [(rng.choice(["Paris", "Rome"]), "B-place")], []])
        tagged.append(sentence)
    return tagged


def write_conll(path: Path, tagged: list[Sentence], with_tags: bool = True) -> str:
    line = "{}\t{}\n" if with_tags else "{}\n"
    path.write_text("\n".join("".join(line.format(*word) for word in sentence) for sentence in tagged))
    return str(path)


def config(directory: Path, **flags: Any) -> TaggingConfig:
    """A training that learns the tags in a few seconds, with files of the functions above."""
    return TaggingConfig(**tiny_model.training_flags(directory, **flags))


def run(directory: Path, **flags: Any) -> dict[str, float] | None:
    return runner.run(config(directory, **flags))
