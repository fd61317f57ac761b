"""Conversions that change the model: fewer layers, more positions, other tokenizer options; what they keep."""

import dataclasses
import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from helpers.tiny_huggingface import P, write_directory

from bert_tf2.checkpoints.safetensors import open_safetensors
from bert_tf2.configs.model import BertConfig
from bert_tf2.configs.tokenizer import PLAIN, TokenizerConfig
from bert_tf2.conversion.convert import ConversionConfig, convert
from bert_tf2.errors import InputError
from bert_tf2.tasks.classification.task_description import TaskDescription
from bert_tf2.tasks.multiple_choice.task_description import MultipleChoiceDescription
from bert_tf2.tasks.squad.task_description import TaskDescription as SquadDescription
from bert_tf2.tasks.tagging.task_description import TaggingDescription
from bert_tf2.tokenization.wordpiece import FullTokenizer

FORMATS = pytest.mark.parametrize("output_format", ["google", "huggingface"])
POSITIONS = "bert/embeddings/position_embeddings"


def run(source: Path, output: Path, **options: Any) -> Path:
    convert(ConversionConfig(str(source), str(output), **options))
    return output


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One model in both formats."""
    directory = tmp_path_factory.mktemp("source")
    hf_directory = write_directory(directory / "huggingface", "BertForPreTraining")
    return {"huggingface": hf_directory, "google": run(hf_directory, directory / "google")}


def arrays_in(directory: Path) -> dict[str, Any]:
    reader = tf.train.load_checkpoint(str(directory / "bert_model.ckpt"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


@FORMATS
@pytest.mark.parametrize("from_format", ["google", "huggingface"])
def test_more_positions(sources: dict[str, Path], from_format: str, output_format: str, tmp_path: Path, caplog) -> None:
    caplog.set_level(logging.INFO)
    count = 2 * P + 3
    flags = {} if from_format == output_format else {"output_format": output_format}  # by default the source's format
    out = run(sources[from_format], tmp_path / "out", max_position_embeddings=count, **flags)
    assert (
        f"{count} positions instead of {P}; the new ones are copies of the old ones, repeated in order." in caplog.text
    )
    assert BertConfig.from_json_file(out).max_position_embeddings == count
    if output_format == "huggingface":
        table = open_safetensors(out / "model.safetensors")["bert.embeddings.position_embeddings.weight"].read()
        assert json.loads((out / "tokenizer_config.json").read_text())["model_max_length"] == count
    else:
        arrays, before = arrays_in(out), arrays_in(sources["google"])
        table = arrays.pop(POSITIONS)
        assert arrays.keys() == before.keys() - {POSITIONS}
        assert all(arrays[name].tobytes() == before[name].tobytes() for name in arrays)
    old = arrays_in(sources["google"])[POSITIONS]
    assert table.tobytes() == np.concatenate([old, old, old[:3]]).tobytes()


def test_the_best_weights_of_a_training(sources: dict[str, Path], tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(sources["google"], model / "best")
    with pytest.raises(InputError, match=r"--use_best: .*model has no best/ with a checkpoint"):
        run(model, tmp_path / "out", use_best=True)
    (model / "best/checkpoint").write_text('model_checkpoint_path: "bert_model.ckpt"\n')
    out = run(model, tmp_path / "out", use_best=True, output_format="google")
    assert arrays_in(out)[POSITIONS].tobytes() == arrays_in(sources["google"])[POSITIONS].tobytes()


def test_as_many_or_fewer_positions_are_an_error(sources: dict[str, Path], tmp_path: Path) -> None:
    for count in (P, P - 1):
        with pytest.raises(InputError, match=rf"^--max_position_embeddings={count}, but .* has {P} positions; give"):
            run(sources["google"], tmp_path / "x", max_position_embeddings=count)
    assert not (tmp_path / "x").exists()


@FORMATS
def test_the_first_layers(sources: dict[str, Path], output_format: str, tmp_path: Path, capsys) -> None:
    out = run(sources[output_format], tmp_path / "out", num_hidden_layers=1)
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.match(r"bert.encoder.layer.1.\S+ and 15 more .*left out: above the first layer \(", last)
    assert BertConfig.from_json_file(out).num_hidden_layers == 1
    arrays = arrays_in(out if output_format == "google" else run(out, tmp_path / "again"))
    expected = {name: value for name, value in arrays_in(sources["google"]).items() if "layer_1/" not in name}
    assert arrays.keys() == expected.keys()
    assert all(arrays[name].tobytes() == expected[name].tobytes() for name in arrays)
    with pytest.raises(InputError, match=r"^--num_hidden_layers=3, but .*config\.json has 2 layers"):
        run(sources[output_format], tmp_path / "x", num_hidden_layers=3)


@FORMATS
def test_tokenizer_options(sources: dict[str, Path], output_format: str, tmp_path: Path) -> None:
    flags = TokenizerConfig(strip_accents=False, tokenize_chinese_chars=False, never_split="[unused1],a,[MASK]")
    out = run(sources["google"], tmp_path / "out", output_format=output_format, tokenizer=flags)
    assert FullTokenizer.from_pretrained(out).basic_tokenizer.options == flags.over(PLAIN)
    other = run(out, tmp_path / "there")  # in the other format; options without flags are kept
    assert FullTokenizer.from_pretrained(other).basic_tokenizer.options == flags.over(PLAIN)
    with pytest.raises(InputError, match=r"--never_split: '\[E1\]' is not in the vocabulary .*vocab\.txt"):
        run(sources["google"], tmp_path / "x", tokenizer=TokenizerConfig(never_split="[E1]"))


DESCRIPTIONS = {
    "BertForSequenceClassification": TaskDescription(
        "mine", "multi_label", ("a", "b", "c"), 7, threshold=0.3, text_column="x", text_pair_column="y"
    ),
    "BertForTokenClassification": TaggingDescription(labels=("O", "B-x", "I-x"), max_seq_length=6, context_pieces=1),
    "BertForMultipleChoice": MultipleChoiceDescription(max_seq_length=6),
    "BertForQuestionAnswering": SquadDescription(8, 2, 3, version_2_with_negative=True, language="zh"),
}


@pytest.mark.parametrize("architecture", DESCRIPTIONS)
def test_settings_of_the_task_are_kept(architecture: str, tmp_path: Path) -> None:
    """From Google's format to Google's, as when positions are added."""
    description = DESCRIPTIONS[architecture]
    google = run(write_directory(tmp_path / "source", architecture), tmp_path / "google")
    description.save(str(google))
    out = run(google, tmp_path / "out", max_position_embeddings=P + 1)
    assert type(description).load(str(out)) == description
    cased = run(google, tmp_path / "cased", output_format="google", do_lower_case=False)
    assert type(description).load(str(cased)) == dataclasses.replace(description, do_lower_case=False)


def test_settings_of_the_task_of_another_head_are_not_kept(tmp_path: Path) -> None:
    google = run(write_directory(tmp_path / "source", "BertForSequenceClassification"), tmp_path / "google")
    DESCRIPTIONS["BertForSequenceClassification"].save(str(google))
    out = run(google, tmp_path / "out", output_format="google", head="tagger")
    assert TaggingDescription.load(str(out)) == TaggingDescription(labels=("a", "b", "c"), max_seq_length=P)


def test_output_that_cannot_be_written_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=rf"^{tmp_path}/file/x cannot be written: no permission in {tmp_path}/file"):
        run(tmp_path / "none", tmp_path / "file/x")
