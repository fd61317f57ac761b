"""The vocabulary that training keeps: which one, and that filling masks then needs only `output_dir`."""

import dataclasses
import json
import shutil

import pytest
from helpers.repository import TINY_CONFIG
from helpers.tiny_huggingface import write_directory

from bert_tf2.checkpoints import pretrained
from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError
from bert_tf2.pretraining_data.config import PretrainingDataConfig
from bert_tf2.pretraining_data.runner import create_pretraining_data
from bert_tf2.tasks.pretraining import kept_vocabulary, whole_run
from bert_tf2.tasks.pretraining.config import PretrainingConfig
from bert_tf2.tasks.pretraining.kept_vocabulary import KeptVocabulary
from bert_tf2.tokenization.auto import VocabularyFile

LENGTHS = {"max_seq_length": 16, "max_predictions_per_seq": 3}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A directory with a vocabulary of 40 pieces, a config and records."""
    directory = tmp_path_factory.mktemp("data")
    words = [f"w{index}" for index in range(35)]
    (directory / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]) + "\n")
    (directory / "text.txt").write_text("w1 w2 w3\nw4 w5\n\nw6 w7\nw8 w9 w10\n")
    (directory / "bert_config.json").write_text(BertConfig(**TINY_CONFIG).to_json_string())
    paths = {"input_file": f"{directory}/text.txt", "output_file": f"{directory}/a.tfrecord"}
    create_pretraining_data(PretrainingDataConfig(**paths, vocab_file=f"{directory}/vocab.txt", **LENGTHS))
    return directory


def run(data_dir, output_dir, **changes):
    flags = {
        "input_file": f"{data_dir}/a.tfrecord",
        "bert_config_file": f"{data_dir}/bert_config.json",
        **LENGTHS,
        **changes,
    }
    options = {"train_batch_size": 4, "num_train_steps": 0, "num_warmup_steps": 0, "do_train": True}
    return whole_run.run(PretrainingConfig(output_dir=str(output_dir), **options, **flags))


def test_the_vocabulary_is_kept_for_filling_masks(data_dir, tmp_path):
    """As in the README: training, then filling masks with only `output_dir`."""
    (tmp_path / "lines.txt").write_text("w1 [MASK] w3\n")
    run(data_dir, tmp_path / "model")
    assert (tmp_path / "model/vocab.txt").read_bytes() == (data_dir / "vocab.txt").read_bytes()
    flags = {"do_predict": True, "predict_file": str(tmp_path / "lines.txt"), "max_seq_length": 16}
    whole_run.run(PretrainingConfig(output_dir=str(tmp_path / "model"), **flags))
    (line,) = (tmp_path / "model/fill_mask.jsonl").read_text().splitlines()
    assert len(json.loads(line)["masks"][0]) == 5

    other = tmp_path / "other.txt"
    other.write_text((data_dir / "vocab.txt").read_text().replace("w7", "w77"))
    with pytest.raises(
        InputError, match=r"other\.txt is not the vocabulary that the model in .*/model was trained with"
    ):
        run(data_dir, tmp_path / "model", vocab_file=str(other))
    other.write_text((data_dir / "vocab.txt").read_text() + "w99\n" * 30)
    with pytest.raises(InputError, match=r"other\.txt"):
        run(data_dir, tmp_path / "new", vocab_file=str(other))
    assert not (tmp_path / "new").exists()


def test_which_vocabulary_is_kept(data_dir, tmp_path, caplog):
    bert_config = BertConfig(**TINY_CONFIG)
    records, plain = str(data_dir / "a.tfrecord"), str(tmp_path / "plain.tfrecord")
    shutil.copy(records, plain)  # without a summary
    model = write_directory(tmp_path / "model", "BertForPreTraining")

    def kept(path, **changes):
        config = PretrainingConfig(output_dir=str(tmp_path / "out"), input_file=path, do_train=True, **changes)
        vocabulary = kept_vocabulary.find(config, bert_config, [path])
        return vocabulary and (vocabulary.file.path, vocabulary.do_lower_case)

    assert kept(records) == (str(data_dir / "vocab.txt"), True)
    assert kept(records, init_checkpoint=str(model)) == (str(data_dir / "vocab.txt"), True)
    assert kept(plain) is None
    assert kept(plain, init_checkpoint=str(model)) == (str(model / "vocab.txt"), None)
    copied = shutil.copy(data_dir / "vocab.txt", tmp_path / "copied.txt")
    assert kept(plain, vocab_file=str(copied)) == (str(copied), None)
    (model / "vocab.txt").unlink()
    assert kept(plain, init_checkpoint=str(model)) is None
    small = dataclasses.replace(bert_config, vocab_size=7)
    config = PretrainingConfig(output_dir=str(tmp_path / "out"), input_file=records, do_train=True)
    assert kept_vocabulary.find(config, small, [records]) is None
    assert caplog.messages[-1].startswith("The vocabulary is not kept with the model: ")

    (tmp_path / "out").mkdir()
    KeptVocabulary(VocabularyFile(str(copied)), do_lower_case=False).copy_into(str(tmp_path / "out"))
    assert pretrained.find_do_lower_case(str(tmp_path / "out")) is False
    assert kept(records) is None, "output_dir already has one"


def test_the_case_is_kept_with_the_vocabulary(data_dir, tmp_path):
    """Of a vocabulary without capitals, which does not show it."""
    KeptVocabulary(VocabularyFile(str(data_dir / "vocab.txt")), do_lower_case=False).copy_into(str(tmp_path))
    assert pretrained.find_do_lower_case(None, output_dir=str(tmp_path), pieces=["w1"]) is False
    lower = write_directory(tmp_path / "model", "BertForPreTraining")
    assert pretrained.find_do_lower_case(str(lower), output_dir=str(tmp_path)) is False


def test_filling_masks_after_training_needs_a_vocabulary(data_dir, tmp_path):
    plain = shutil.copy(data_dir / "a.tfrecord", tmp_path)  # without a summary
    with pytest.raises(InputError, match=r"--do_predict: there is no vocabulary .*; give --vocab_file\."):
        run(data_dir, tmp_path / "model", input_file=str(plain), do_predict=True)
    assert not (tmp_path / "model").exists()
    (tmp_path / "lines.txt").write_text("w1 [MASK]\n")
    flags = {"vocab_file": str(data_dir / "vocab.txt"), "predict_file": str(tmp_path / "lines.txt")}
    run(data_dir, tmp_path / "model", input_file=str(plain), do_predict=True, **flags)
    assert (tmp_path / "model/fill_mask.jsonl").exists()
