"""The vocabulary that a training keeps: which one, and that masks are filled with nothing but `output_dir`."""

import dataclasses
import json
import shutil

import pytest
from helpers.repository import TINY_CONFIG
from helpers.tiny_huggingface import write_folder

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
def made(tmp_path_factory):
    """A directory with a vocabulary of 40 pieces, a config and records."""
    folder = tmp_path_factory.mktemp("made")
    words = [f"w{index}" for index in range(35)]
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]) + "\n")
    (folder / "text.txt").write_text("w1 w2 w3\nw4 w5\n\nw6 w7\nw8 w9 w10\n")
    (folder / "bert_config.json").write_text(BertConfig(**TINY_CONFIG).to_json_string())
    paths = {"input_file": f"{folder}/text.txt", "output_file": f"{folder}/a.tfrecord"}
    create_pretraining_data(PretrainingDataConfig(**paths, vocab_file=f"{folder}/vocab.txt", **LENGTHS))
    return folder


def run(made, output_dir, **changes):
    flags = {"input_file": f"{made}/a.tfrecord", "bert_config_file": f"{made}/bert_config.json", **LENGTHS, **changes}
    options = {"train_batch_size": 4, "num_train_steps": 0, "num_warmup_steps": 0, "do_train": True}
    return whole_run.run(PretrainingConfig(output_dir=str(output_dir), **options, **flags))


def test_the_vocabulary_is_kept_for_filling_masks(made, tmp_path):
    """As in the README: training, and then masks to fill with nothing but `output_dir`."""
    (tmp_path / "lines.txt").write_text("w1 [MASK] w3\n")
    run(made, tmp_path / "model")
    assert (tmp_path / "model/vocab.txt").read_bytes() == (made / "vocab.txt").read_bytes()
    flags = {"do_predict": True, "predict_file": str(tmp_path / "lines.txt"), "max_seq_length": 16}
    whole_run.run(PretrainingConfig(output_dir=str(tmp_path / "model"), **flags))
    (line,) = (tmp_path / "model/fill_mask.jsonl").read_text().splitlines()
    assert len(json.loads(line)["masks"][0]) == 5

    other = tmp_path / "other.txt"
    other.write_text((made / "vocab.txt").read_text().replace("w7", "w77"))
    with pytest.raises(
        InputError, match=r"other\.txt is not the vocabulary that the model in .*/model was trained with"
    ):
        run(made, tmp_path / "model", vocab_file=str(other))
    other.write_text((made / "vocab.txt").read_text() + "w99\n" * 30)
    with pytest.raises(InputError, match=r"other\.txt"):
        run(made, tmp_path / "new", vocab_file=str(other))
    assert not (tmp_path / "new").exists()


def test_which_vocabulary_is_kept(made, tmp_path, caplog):
    bert_config = BertConfig(**TINY_CONFIG)
    records, plain = str(made / "a.tfrecord"), str(tmp_path / "plain.tfrecord")
    shutil.copy(records, plain)  # without a summary
    model = write_folder(tmp_path / "model", "BertForPreTraining")

    def kept(path, **changes):
        config = PretrainingConfig(output_dir=str(tmp_path / "out"), input_file=path, do_train=True, **changes)
        found = kept_vocabulary.find(config, bert_config, [path])
        return found and (found.file.path, found.do_lower_case)

    assert kept(records) == (str(made / "vocab.txt"), True)
    assert kept(records, init_checkpoint=str(model)) == (str(made / "vocab.txt"), True)
    assert kept(plain) is None
    assert kept(plain, init_checkpoint=str(model)) == (str(model / "vocab.txt"), None)
    given = shutil.copy(made / "vocab.txt", tmp_path / "given.txt")
    assert kept(plain, vocab_file=str(given)) == (str(given), None)
    (model / "vocab.txt").unlink()
    assert kept(plain, init_checkpoint=str(model)) is None
    small = dataclasses.replace(bert_config, vocab_size=7)
    config = PretrainingConfig(output_dir=str(tmp_path / "out"), input_file=records, do_train=True)
    assert kept_vocabulary.find(config, small, [records]) is None
    assert caplog.messages[-1].startswith("The vocabulary is not kept with the model: ")

    (tmp_path / "out").mkdir()
    KeptVocabulary(VocabularyFile(str(given)), do_lower_case=False).copy_into(str(tmp_path / "out"))
    assert pretrained.find_do_lower_case(str(tmp_path / "out")) is False
    assert kept(records) is None, "one has been kept"
