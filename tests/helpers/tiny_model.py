"""What the tiny models of all tasks have in common: one layer without dropout, and flags that train it in seconds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bert_tf2.configs.model import BertConfig
from helpers.repository import TINY_CONFIG


def write_model_files(directory: Path, pieces: Sequence[str], **changes: Any) -> dict[str, str]:
    """Writes a vocabulary and a config; returns the flags that name them."""
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = {**TINY_CONFIG, "num_hidden_layers": 1, "initializer_range": 0.2, **no_dropout}
    (directory / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    (directory / "bert_config.json").write_text(BertConfig(**{**config, **changes}).to_json_string())
    return model_files(directory)


def model_files(directory: Path) -> dict[str, str]:
    """The flags that name the files of `write_model_files`."""
    return {"vocab_file": str(directory / "vocab.txt"), "bert_config_file": str(directory / "bert_config.json")}


def training_flags(directory: Path, **flags: Any) -> dict[str, Any]:
    """The flags of a training with the files of `write_model_files`; without a report, which takes time."""
    batches = {f"{kind}_batch_size": 16 for kind in ("train", "eval", "predict")}
    defaults = {"output_dir": str(directory / "model"), **model_files(directory), **batches}
    return {**defaults, "max_seq_length": 16, "learning_rate": 5e-3, "report": False, **flags}
