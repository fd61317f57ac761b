"""The description of a tagging command: from flags, the model's directory, and the data."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bert_tf2.configs.tokenizer import PLAIN
from bert_tf2.tasks.tagging.config import TaggingConfig
from bert_tf2.tasks.tagging.data import open_data
from bert_tf2.tasks.tagging.task_description import TaggingDescription

FOUNDATION: Any = SimpleNamespace(do_lower_case=True, vocabulary=SimpleNamespace(options=PLAIN))


def test_settings_of_the_initial_checkpoint(tmp_path: Path) -> None:
    """Without training, they are those of its training, but not the paths of its data."""
    model = tmp_path / "model"
    model.mkdir()
    saved = TaggingDescription(
        labels=("O", "B-x", "I-x"), max_seq_length=40, token_column=1, context_pieces=3, scheme="BILOU", dev_file="/x"
    )
    saved.save(str(model))
    path = tmp_path / "new.conll"
    path.write_text("1\tJim\n2\tran\n")
    flags = {"output_dir": str(tmp_path / "out"), "init_checkpoint": str(model), "predict_file": str(path)}
    data = open_data(TaggingConfig(**flags, do_predict=True), FOUNDATION)
    assert data.description == dataclasses.replace(saved, dev_file=None, predict_file=str(path))
    assert data.files["test"].words == ["Jim", "ran"]
    assert str(data.files["test"].scheme) == "BILOU"
    data = open_data(TaggingConfig(**flags, do_predict=True, max_seq_length=50, token_column=0), FOUNDATION)
    assert (data.description.max_seq_length, data.description.context_pieces) == (50, 3)
    assert data.files["test"].words == ["1", "2"]
