"""Fixtures: a tiny model, a text file, and blocks so small that a few lines fill several."""

import pytest
from helpers.tiny_features import LINES
from helpers.tiny_huggingface import H, write_directory

from bert_tf2.io import resumable_output, text_lines
from bert_tf2.tasks.feature_extraction import outputs as feature_outputs
from bert_tf2.tasks.feature_extraction import runner


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_directory(tmp_path_factory.mktemp("model"), "BertModel")


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("".join(f"{line}\n" for line in LINES))
    return path


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(text_lines, "_MOST_LINES", 3)
    monkeypatch.setattr(runner, "_BLOCK_BYTES", 4 * 2 * H * 12)
    monkeypatch.setattr(feature_outputs, "_ROW_GROUP_BYTES", 4 * 2 * H * 12)
    monkeypatch.setattr(resumable_output, "_SECONDS_BETWEEN_STATES", 0.0)
