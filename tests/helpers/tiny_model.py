"""What the tiny models of all tasks have in common: one layer without dropout, and flags that train it in seconds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bert_tf2.configs.model import BertConfig
from helpers.repository import TINY_CONFIG


def write_model_files(folder: Path, pieces: Sequence[str], **changes: Any) -> dict[str, str]:
    """A vocabulary and a config; the flags that name them."""
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = {**TINY_CONFIG, "num_hidden_layers": 1, "initializer_range": 0.2, **no_dropout}
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    (folder / "bert_config.json").write_text(BertConfig(**{**config, **changes}).to_json_string())
    return model_files(folder)


def model_files(folder: Path) -> dict[str, str]:
    """The flags that name what `write_model_files` wrote."""
    return {"vocab_file": str(folder / "vocab.txt"), "bert_config_file": str(folder / "bert_config.json")}


def training_flags(folder: Path, **flags: Any) -> dict[str, Any]:
    """Those of a training in `folder`, which has what `write_model_files` wrote; without a report, which takes time."""
    batches = {f"{kind}_batch_size": 16 for kind in ("train", "eval", "predict")}
    given = {"output_dir": str(folder / "model"), **model_files(folder), **batches}
    return {**given, "max_seq_length": 16, "learning_rate": 5e-3, "report": False, **flags}
