"""The vocabulary of records, according to their summary."""

import json
import logging
from pathlib import Path

import pytest

from bert_tf2.configs.tokenizer import TextTokenizerConfig
from bert_tf2.pretraining_data import records_vocabulary
from bert_tf2.pretraining_data.config import PretrainingDataConfig
from bert_tf2.pretraining_data.runner import create_pretraining_data

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "One", "two", "three", "."]


def create(directory: Path, output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the records of a small text, with relative paths, as a user writes them."""
    (directory / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    (directory / "text.txt").write_text("One two.\nthree two.\n\ntwo One.\nOne three.\n", encoding="utf-8")
    monkeypatch.chdir(directory)
    flags = {"input_file": "text.txt", "output_file": output, "vocab_file": "vocab.txt", "do_lower_case": False}
    tokenizer = TextTokenizerConfig(never_split="two")
    create_pretraining_data(PretrainingDataConfig(**flags, tokenizer=tokenizer, max_seq_length=16))


@pytest.mark.parametrize("output", ["records/", "a.tfrecord,b.tfrecord"])
def test_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str) -> None:
    create(tmp_path, output, monkeypatch)
    records = tmp_path / ("records/part-00000-of-00001" if output == "records/" else "a.tfrecord")
    monkeypatch.chdir("/")
    vocabulary = records_vocabulary.find(str(records))
    assert vocabulary
    assert vocabulary.file.content() == (tmp_path / "vocab.txt").read_bytes()
    assert vocabulary.file.options.never_split == ("two",)
    assert (vocabulary.file.is_sentencepiece, vocabulary.do_lower_case) == (False, False)


def test_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    create(tmp_path, "a.tfrecord", monkeypatch)
    caplog.clear()
    assert records_vocabulary.find("other.tfrecord") is None
    summary = tmp_path / "a.tfrecord.summary.json"
    content = json.loads(summary.read_text(encoding="utf-8"))
    for other in (
        {**content, "outputs": ["c.tfrecord"]},
        {**content, "config": None},
        {name: value for name, value in content.items() if name != "vocabulary"},
        [],
    ):
        summary.write_text(json.dumps(other), encoding="utf-8")
        assert records_vocabulary.find("a.tfrecord") is None
    summary.write_text("{", encoding="utf-8")
    assert records_vocabulary.find("a.tfrecord") is None
    assert caplog.messages == []
    summary.write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES[:-1]) + "\n", encoding="utf-8")
    assert records_vocabulary.find("a.tfrecord") is None
    (tmp_path / "vocab.txt").unlink()
    assert records_vocabulary.find("a.tfrecord") is None
    message = (
        f"{tmp_path}/vocab.txt, with which a.tfrecord was made, {{}}, so it is not kept with the model; give it as"
    )
    assert [message.split(" --")[0] for message in caplog.messages] == [
        message.format("has changed since"),
        message.format("is gone"),
    ]


def test_other_records_than_those_of_the_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a killed run leaves them that makes the files of a directory again, with other flags."""
    create(tmp_path, "records/", monkeypatch)
    records = tmp_path / "records/part-00000-of-00001"
    assert records_vocabulary.find(str(records))
    records.write_bytes(2 * records.read_bytes())
    assert records_vocabulary.find(str(records)) is None
