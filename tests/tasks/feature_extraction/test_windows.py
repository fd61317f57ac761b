"""Lines that are longer than the model: in windows, against their definition one window at a time, or truncated."""

import json
import logging

import numpy as np
import pytest
import tensorflow as tf
from helpers.rounding import assert_close, forward
from helpers.tiny_huggingface import H

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import pretrained
from bert_tf2.io import text_lines
from bert_tf2.modeling.encoder import BertModel
from bert_tf2.tasks.feature_extraction import data, runner
from bert_tf2.tasks.feature_extraction.config import FeatureConfig
from bert_tf2.tasks.feature_extraction.runner import run
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer

pytestmark = pytest.mark.numeric


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(text_lines, "_MOST_LINES", 2)
    monkeypatch.setattr(runner, "_BLOCK_BYTES", 4 * H * 12)


def config(model, text, output, **options):
    files = {"input_file": str(text), "output_file": str(output), "init_checkpoint": str(model)}
    return FeatureConfig(**files, max_seq_length=8, batch_size=3, layers="-1", **options)


LONG = ["as co covid a + co as covid covid a co + as a a co covid", "co", "a co as + co a as co covid as ||| co"]


def of_windows(model, stride):
    """Of each line the whole sequence, and of each of its windows places in it and vectors, by the definition."""
    bert = BertModel(pretrained.find_bert_config(str(model)))
    pretrained.load(checkpoints.tf_variables(bert.named_variables()), str(model))
    tokenizer = FastTokenizer(str(model / "vocab.txt"))
    for line in LONG:
        whole = data.encode([line], tokenizer, 99)
        end, length = int(whole.first_lengths[0]) - 1, len(whole.input_ids)
        room = 8 - 2 - (length - end - 1)
        begins = [1]
        while begins[-1] + room < end:
            begins.append(min(begins[-1] + stride, end - room))
        windows = []
        for begin in begins:
            places = np.r_[0, begin : min(begin + room, end), end:length]
            ids, segments = whole.input_ids[places], whole.segment_ids[places]
            outputs = bert(tf.constant([ids]), token_type_ids=tf.constant([segments]))
            windows.append((places, outputs.encoder_layers[1][0].numpy()))
        yield whole, windows


@pytest.mark.usefixtures("small_blocks")
def test_long_lines_in_windows(model, tmp_path, caplog):
    (tmp_path / "text").write_text("".join(f"{line}\n" for line in LONG))
    given = {"long_text": "windows", "window_stride": 2, "output_format": "npz"}
    with caplog.at_level(logging.INFO):
        run(config(model, tmp_path / "text", tmp_path / "tokens", **given))
    said = "2 of 3 lines (67 %) did not fit into max_seq_length=8 and were split; the longest has 26 tokens."
    assert said in caplog.messages
    for pooling in ("mean", "max", "cls"):
        run(config(model, tmp_path / "text", tmp_path / pooling, **given, pooling=pooling))
    pooled = {pooling: np.load(tmp_path / pooling)["values"] for pooling in ("mean", "max", "cls")}
    tokens = np.load(tmp_path / "tokens")
    for row, (whole, windows) in enumerate(of_windows(model, 2)):
        part = slice(*tokens["row_splits"][row : row + 2])
        assert tokens["input_ids"][part].tolist() == whole.input_ids.tolist()
        best = {}
        for places, values in windows:
            last = np.flatnonzero(places < whole.first_lengths[0] - 1)[-1]
            for within, place in enumerate(places.tolist()):
                context = min(within - 1, last - within) if 0 < within <= last else 0
                if place not in best or context > best[place][0]:
                    best[place] = context, values[within]
        assert_close(tokens["values"][part], [best[place][1] for place in range(len(best))], forward(2))
        everything = np.concatenate([values for _, values in windows])
        counts = np.array([len(values) for _, values in windows])
        assert_close(pooled["mean"][row], everything.mean(0), forward(2))
        assert_close(pooled["max"][row], everything.max(0), forward(2))
        firsts = np.stack([values[0] for _, values in windows])
        assert_close(pooled["cls"][row], counts @ firsts / counts.sum(), forward(2))


def test_truncated_lines_are_counted(model, tmp_path, caplog):
    (tmp_path / "text").write_text("".join(f"{line}\n" for line in LONG))
    with caplog.at_level(logging.INFO):
        run(config(model, tmp_path / "text", tmp_path / "out", long_text="truncate_head"))
    said = "2 of 3 lines (67 %) were truncated to max_seq_length=8 (truncate_head); the longest had 26 tokens."
    assert said in caplog.messages
    (tmp_path / "line").write_text("a\n")
    with caplog.at_level(logging.INFO):
        run(config(model, tmp_path / "line", tmp_path / "of_line"))
    assert "The line fits into max_seq_length=8; it has 3 tokens." in caplog.messages
    first = json.loads((tmp_path / "out").read_text().splitlines()[0])
    tokenizer = FastTokenizer(str(model / "vocab.txt"))
    ids = data.encode(LONG[:1], tokenizer, 99).input_ids
    assert [token["token"] for token in first["features"]] == tokenizer.convert_ids_to_tokens(
        [ids[0], *ids[-7:].tolist()]
    )
