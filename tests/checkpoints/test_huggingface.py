"""Hugging Face directories: names in both directions, older names, tied weights, writing."""

import json

import numpy as np
import pytest
from helpers.tiny_huggingface import ENCODER, MODELS, POOLER, V, arrays_of, write_directory

from bert_tf2.checkpoints import huggingface
from bert_tf2.checkpoints.safetensors import open_safetensors
from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError
from bert_tf2.modeling.encoder import BertModel
from bert_tf2.modeling.heads import MaskedLMHead, NextSentenceHead


@pytest.fixture(scope="module")
def named_shapes():
    """The shapes of our model, by Google's names."""
    config = BertConfig(
        12, hidden_size=4, num_hidden_layers=2, num_attention_heads=2, intermediate_size=6, type_vocab_size=2,
        max_position_embeddings=8,
    )  # fmt: skip
    parts = (BertModel(config), MaskedLMHead(config), NextSentenceHead(config))
    return {name: tuple(v.shape) for part in parts for name, v in part.named_variables().items()}


def test_names_match_both_projects(named_shapes):
    hf_shapes = MODELS["BertForPreTraining"]
    for name, shape in named_shapes.items():
        mapping = huggingface.to_huggingface(name)
        assert hf_shapes[mapping.name] == list(shape[::-1] if mapping.transposed else shape)
        assert huggingface.to_google(mapping.name) == (name, mapping.transposed)
    assert {huggingface.to_huggingface(name).name for name in named_shapes} == hf_shapes.keys()
    for name in named_shapes:
        if name.startswith("bert/encoder/"):
            same = name.replace("/", ".").replace("layer_", "layer.").replace("kernel", "weight")
            same = same.replace("gamma", "weight").replace("beta", "bias")
            assert huggingface.to_huggingface(name).name == same
    assert huggingface.to_huggingface("output_weights") == ("classifier.weight", False)
    assert huggingface.to_huggingface("cls/squad/output_bias") == ("qa_outputs.bias", False)
    for name in ("global_step", "bert/encoder/layer_0/attention/self/query/kernel/adam_m", "bert/other"):
        assert huggingface.to_huggingface(name) is None
    for name in ("bert.encoder.layer.0.adapter.weight", "classifier.out_proj.weight", "lm_head.bias"):
        assert huggingface.to_google(name) is None


@pytest.mark.parametrize("architecture", MODELS)
def test_reads_and_writes_every_model_bitwise(tmp_path, architecture):
    arrays = arrays_of(architecture)
    directory = huggingface.ModelDirectory(write_directory(tmp_path / "in", architecture, arrays))
    assert (directory.unmapped, directory.ignored) == ((), {})
    shapes = directory.get_variable_to_shape_map()
    assert len(shapes) == len(arrays)
    variables = {name: directory.get_tensor(name) for name in shapes}
    assert {name: list(variable.shape) for name, variable in variables.items()} == shapes
    head = huggingface.output_weights_head(architecture) or "classifier"
    assert huggingface.heads_of(shapes, head) == huggingface.ARCHITECTURES[architecture]
    kernel = variables["bert/encoder/layer_1/intermediate/dense/kernel"]
    hf_kernel = next(array for name, array in arrays.items() if name.endswith("layer.1.intermediate.dense.weight"))
    np.testing.assert_array_equal(kernel, hf_kernel.T)

    huggingface.write_directory(tmp_path / "out", directory.config, variables, do_lower_case=True)
    written, original = (tmp_path / part / "model.safetensors" for part in ("out", "in"))
    assert written.read_bytes() == original.read_bytes()
    assert json.loads((tmp_path / "out/config.json").read_text())["architectures"] == [architecture]


def test_older_names(tmp_path):
    """`gamma` and `beta`, the constant position_ids, and encoder names without a prefix in a model with a head."""
    arrays = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): array
        for name, array in arrays_of("BertForPreTraining").items()
    }
    arrays = {name.removeprefix("bert."): array for name, array in arrays.items()}
    arrays["embeddings.position_ids"] = np.zeros([1, 8], np.float32)
    directory = huggingface.ModelDirectory(write_directory(tmp_path, "BertForPreTraining", arrays))
    assert directory.unmapped == ()
    assert directory.ignored == {"embeddings.position_ids": "the position numbers, not weights"}
    modern = arrays_of("BertForPreTraining")
    np.testing.assert_array_equal(
        directory.get_tensor("bert/encoder/layer_0/output/LayerNorm/gamma"),
        modern["bert.encoder.layer.0.output.LayerNorm.weight"],
    )
    assert len(directory.hf_names) == len(modern)


def test_tied_copies(tmp_path):
    arrays = arrays_of("BertForMaskedLM")
    arrays["cls.predictions.decoder.weight"] = arrays["bert.embeddings.word_embeddings.weight"]
    arrays["cls.predictions.decoder.bias"] = arrays["cls.predictions.bias"]
    directory = huggingface.ModelDirectory(write_directory(tmp_path, "BertForMaskedLM", arrays))
    assert directory.unmapped == ()
    assert directory.ignored == {
        "cls.predictions.decoder.bias": "a copy of cls.predictions.bias",
        "cls.predictions.decoder.weight": "a copy of bert.embeddings.word_embeddings.weight",
    }

    bias = arrays.pop("cls.predictions.bias")  # if only the copy was saved, it is used as the bias
    directory = huggingface.ModelDirectory(write_directory(tmp_path, "BertForMaskedLM", arrays))
    np.testing.assert_array_equal(directory.get_tensor("cls/predictions/output_bias"), bias)
    assert directory.get_variable_to_shape_map()["cls/predictions/output_bias"] == [V]


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("decoder.weight", np.ones([V, 4], np.float32)),
        ("decoder.weight", np.ones([V + 3, 4], np.float32)),
        ("decoder.bias", np.ones([V + 3], np.float32)),
    ],
)
def test_untied_decoder(tmp_path, name, array):
    """It is an error only if the masked-LM head is to be read."""
    arrays = {**arrays_of("BertForMaskedLM"), f"cls.predictions.{name}": array}
    directory = huggingface.ModelDirectory(write_directory(tmp_path, "BertForMaskedLM", arrays))
    assert directory.untied == directory.unmapped == (f"cls.predictions.{name}",)
    directory.check_readable(["bert/embeddings/word_embeddings", "output_weights", "cls/squad/output_bias"])
    with pytest.raises(
        InputError, match=rf"predictions\.{name} in .* differs from .*masked-LM head of this model cannot"
    ):
        directory.check_readable(["bert/embeddings/word_embeddings", "cls/predictions/output_bias"])


def test_duplicate_variable_is_an_error(tmp_path):
    arrays = arrays_of("BertModel")
    arrays["bert.pooler.dense.bias"] = arrays["pooler.dense.bias"]
    with pytest.raises(InputError, match=r"holds both .*pooler\.dense\.bias and .*, the same variable in BERT"):
        huggingface.ModelDirectory(write_directory(tmp_path, "BertModel", arrays))


def test_find_directory(tmp_path):
    directory = write_directory(tmp_path / "model", "BertModel")
    assert huggingface.find_directory(directory) == str(directory)
    assert huggingface.find_directory(directory / "model.safetensors") == str(directory)
    assert huggingface.find_directory(directory / "vocab.txt") is None
    assert huggingface.find_directory(tmp_path) is None
    (directory / "model.safetensors").rename(directory / "part")
    assert huggingface.find_directory(directory) is None
    names = {**ENCODER, **POOLER}
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": dict.fromkeys(names, "part")}))
    assert huggingface.find_directory(directory) == str(directory)
    assert len(huggingface.ModelDirectory(directory).hf_names) == len(names)


def test_writing_is_deterministic(tmp_path):
    directory = huggingface.ModelDirectory(write_directory(tmp_path / "in", "BertModel"))
    variables = {name: directory.get_tensor(name) for name in directory.hf_names}
    for name, order in (("a", sorted(variables)), ("b", sorted(variables, reverse=True))):
        ordered = {name: variables[name] for name in order}
        huggingface.write_directory(tmp_path / name, directory.config, ordered, do_lower_case=False)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    assert sorted(open_safetensors(tmp_path / "a/model.safetensors")) == sorted(MODELS["BertModel"])
    assert json.loads((tmp_path / "a/tokenizer_config.json").read_text())["do_lower_case"] is False
    assert json.loads((tmp_path / "a/special_tokens_map.json").read_text())["mask_token"] == "[MASK]"
