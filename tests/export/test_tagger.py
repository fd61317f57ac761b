"""Exported taggers: the tags and probabilities of run_ner.py, including for sentences longer than a window."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers import tiny_tagging as tiny
from helpers.exported import ask
from helpers.rounding import assert_close, forward
from helpers.tagging_windows import cases, divided
from hypothesis import given, settings

from bert_tf2.export import runner, tagger
from bert_tf2.export.config import ExportConfig

pytestmark = pytest.mark.numeric

EXTRA = [
    ["Jim", "\u200b", "Henson"],
    ["Annson"],
    ["w1" * 30, "Paris"],
    ["w2"] * 14,
    ["w3"] * 15,
    ["\ufffd"],
    ["w1."] * 9,
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a tagger, in `model`, and its predictions for sentences of up to 60 words."""
    directory = tmp_path_factory.mktemp("tagger")
    tiny.write_model_files(directory)
    train = tiny.write_conll(directory / "train.conll", tiny.sentences(150, seed=1))
    long = [[word for word, _ in sentence] for sentence in tiny.sentences(25, seed=2, words=60)]
    lines = "\n".join("".join(f"{word}\n" for word in words) for words in [*long, *EXTRA])
    (directory / "new.conll").write_text(lines, encoding="utf-8")
    files = {"train_file": train, "predict_file": str(directory / "new.conll")}
    tiny.run(directory, **files, do_train=True, do_predict=True, num_train_epochs=4.0, context_pieces=3)
    return directory


@pytest.mark.slow
def test_words_to_tags_in_a_fresh_process(directory: Path):
    exported = Path(runner.run(ExportConfig(output_dir=str(directory / "model"), export_dir=str(directory / "export"))))
    lines = [json.loads(line) for line in (directory / "model/predictions.jsonl").read_text().splitlines()]
    outputs = ask(exported, {"text": ["  ".join(line["words"]) for line in lines]})
    longest = max(len(line["words"]) for line in lines)
    assert longest > 40
    kinds = set()
    for number, line in enumerate(lines):
        count = len(line["words"])
        assert outputs["lengths"][number] == count
        assert outputs["words"][number] == [*line["words"], *[""] * (longest - count)]
        assert outputs["tags"][number] == [*line["tags"], *[""] * (longest - count)]
        expected = [probability or 0.0 for probability in line["probabilities"]]
        assert_close(outputs["probabilities"][number][:count], expected, forward(1), scale=1)
        kinds |= set(line["tags"])
    assert kinds == {"O", "B-person", "I-person", "B-place"}
    settings = json.loads((exported / "assets/settings.json").read_text())
    assert settings["labels"] == ["O", "B-person", "I-person", "B-place", "I-place"]
    assert settings["context_pieces"] == 3

    model = tf.saved_model.load(str(exported))
    empty = model.signatures["serving_default"](tf.constant(["", " \t"]))
    assert empty["tags"].shape == (2, 0)
    assert empty["lengths"].numpy().tolist() == [0, 0]
    ids = tf.constant([[2, 6, 3, 0]])
    of_ids = model.signatures["token_ids"](
        input_ids=ids, input_mask=tf.constant([[1, 1, 1, 0]]), segment_ids=tf.zeros_like(ids)
    )["probabilities"]
    assert of_ids.shape == (1, 4, 5)
    bad = model.signatures["serving_default"](tf.constant([b"w1 \xff w2\xc3 \xed\xa0\x80", b"Jim \xf0\x9f"]))
    assert [[word.decode() for word in row] for row in bad["words"].numpy()] == [["w1", "w2"], ["Jim", ""]]
    assert bad["lengths"].numpy().tolist() == [2, 1]
    assert settings["max_word_characters"] == 256 * settings["max_seq_length"]
    alone = model.signatures["serving_default"](tf.constant([tiny.PIECES[6]]))
    assert_close(alone["probabilities"][0, 0], of_ids[0, 1].numpy().max(), forward(1), scale=1)


@given(cases())
@settings(max_examples=150)
def test_windows_equal_those_of_the_task(case: tuple[list[list[int]], int, int]):
    sentences, room, context = case
    pieces = np.array([count for words in sentences for count in words])
    offsets = tf.constant(np.concatenate([[0], np.cumsum(pieces)]), tf.int64)
    splits = tf.constant(np.cumsum([0, *map(len, sentences)]), tf.int64)
    result = tagger.divide(offsets, splits, room, context)
    expected = divided(*case)
    words = np.flatnonzero(pieces)
    windows = np.searchsorted(result.decided, words, side="right") - 1
    deciding = expected.deciding_window(words)
    np.testing.assert_array_equal(result.first.numpy()[windows], expected.first[deciding])
    np.testing.assert_array_equal(result.end.numpy()[windows], expected.end[deciding])
