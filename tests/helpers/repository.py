"""Paths of the repository and its golden outputs, and the config of a tiny model."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
GOLDEN = REPOSITORY / "tests" / "golden"  # outputs of the original; the README there describes how they were made
CASES = REPOSITORY / "tests" / "cases"  # small hand-made inputs that once failed

TINY_CONFIG = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 24,
    "type_vocab_size": 2,
}


def own_lines() -> list[str]:
    """The lines of the golden text of our own, nearly 600 English sentences."""
    return (GOLDEN / "own/pretraining_data/text.txt").read_text(encoding="utf-8").split("\n")
