"""convert_checkpoint.py on what TensorFlow 2 and TF-Hub saved: the same model as from the formats of PyTorch."""

import re
from pathlib import Path

import numpy as np
import pytest
from helpers import tiny_huggingface, tiny_tensorflow
from helpers.tiny_model_garden import Garden, save

from bert_tf2.checkpoints import google, huggingface
from bert_tf2.conversion.convert import ConversionConfig, convert
from bert_tf2.errors import InputError

HEADS = tiny_huggingface.CONFIG["num_attention_heads"]


def convert_to(source: str | Path, output: Path, **options) -> Path:
    convert(ConversionConfig(str(source), str(output), **options))
    return output


@pytest.fixture
def hf_dir(tmp_path):
    """A classifier as PyTorch's transformers saves it."""
    return tiny_huggingface.write_directory(tmp_path / "hf", "BertForSequenceClassification")


def google_arrays(hf_dir):
    directory = huggingface.ModelDirectory(hf_dir)
    return {name: directory.get_tensor(name) for name in directory.hf_names}


def test_tf_model_h5(tmp_path, hf_dir):
    arrays = tiny_huggingface.arrays_of("BertForSequenceClassification")
    tf_dir = tiny_tensorflow.write_directory(tmp_path / "tf", "BertForSequenceClassification", arrays)
    one, other = (convert_to(directory, tmp_path / f"{directory.name}_google") for directory in (hf_dir, tf_dir))
    for name in ("bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001", "bert_config.json", "vocab.txt"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def write_garden_checkpoint(tmp_path: Path, arrays) -> str:
    objects = Garden(arrays, HEADS)
    scores = {"out_proj": objects.scores("", "sentence_prediction/logits")}
    return save(tmp_path / "ckpt", model={"_network": objects.encoder(), "classifier": scores})


def write_hub_checkpoint(tmp_path: Path, arrays) -> str:
    prefix = str(tmp_path / "model.ckpt-7")
    google.write(prefix, {f"module/{name}" if "/" in name else name: array for name, array in arrays.items()})
    return prefix


@pytest.mark.parametrize("write", [write_garden_checkpoint, write_hub_checkpoint])
def test_checkpoints(tmp_path, hf_dir, capsys, write):
    source = write(tmp_path, google_arrays(hf_dir))
    config = str(hf_dir / "config.json")
    output = convert_to(source, tmp_path / "out", bert_config_file=config, vocab_file=str(hf_dir / "vocab.txt"))
    assert (output / "model.safetensors").read_bytes() == (hf_dir / "model.safetensors").read_bytes()
    table = capsys.readouterr().out
    assert re.search(r"^output_weights +\[3, 4\] +classifier\.weight$", table, re.MULTILINE)
    assert re.search(r"^bert/encoder/layer_1/attention/self/key/kernel +\[4, 4\] +bert.*, transposed$", table, re.M)


def test_unknown_weights_are_an_error(tmp_path, hf_dir):
    prefix = str(tmp_path / "model.ckpt-7")
    arrays = {f"module/{name}": array for name, array in google_arrays(hf_dir).items() if "/" in name}
    google.write(prefix, {**arrays, "adapter/kernel": np.zeros([4, 4], np.float32)})
    with pytest.raises(InputError, match=r"model\.ckpt-7 holds adapter/kernel, for which BERT has no place"):
        convert_to(prefix, tmp_path / "out", bert_config_file=str(hf_dir / "config.json"))
