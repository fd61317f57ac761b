"""Reading the files of a command: flags of tables are applied or rejected."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers import tiny_squad as tiny

from bert_tf2.configs.tokenizer import PLAIN
from bert_tf2.errors import InputError
from bert_tf2.tasks.squad.data import open_data

FOUNDATION: Any = SimpleNamespace(do_lower_case=True, vocabulary=SimpleNamespace(options=PLAIN))


def test_flags_of_tables(tmp_path: Path) -> None:
    tiny.write_model_files(tmp_path)
    table = tmp_path / "a.csv"
    table.write_bytes("question^context\nwhere^Été.\n".encode("cp850"))
    flags = {"do_predict": True, "predict_file": str(table), "delimiter": "^", "encoding": "cp850"}
    _, files = open_data(tiny.config(tmp_path, **flags), FOUNDATION)
    assert files["test"].examples[0].paragraph.text == "Été."
    flags["predict_file"] = tiny.write_json(tmp_path / "a.json", tiny.squad(1, seed=0))
    with pytest.raises(InputError, match=r"--delimiter is for \.csv files"):
        open_data(tiny.config(tmp_path, **flags), FOUNDATION)
    flags["delimiter"] = None
    with pytest.raises(InputError, match=r"--encoding is for \.csv and \.tsv files, and others must be UTF-8; omit it"):
        open_data(tiny.config(tmp_path, **flags), FOUNDATION)
