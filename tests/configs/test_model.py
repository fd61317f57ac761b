"""BertConfig: Google's JSON, refusals by name."""

import json

import pytest

from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError

GOOGLE_CHINESE = {
    "attention_probs_dropout_prob": 0.1,
    "directionality": "bidi",
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pooler_fc_size": 768,
    "pooler_num_attention_heads": 12,
    "pooler_num_fc_layers": 3,
    "pooler_size_per_head": 128,
    "pooler_type": "first_token_transform",
    "type_vocab_size": 2,
    "vocab_size": 21128,
}


def test_defaults_are_those_of_the_original():
    assert BertConfig(7).to_dict() == {
        "vocab_size": 7,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": 512,
        "type_vocab_size": 16,
        "initializer_range": 0.02,
    }


def test_reads_google_json_with_keys_that_have_no_effect(tmp_path):
    path = tmp_path / "bert_config.json"
    path.write_text(json.dumps(GOOGLE_CHINESE))
    config = BertConfig.from_json_file(path)
    assert (config.vocab_size, config.head_size, config.type_vocab_size) == (21128, 64, 2)


# Keys that people and libraries have added to public files; none changes what the model computes.
HARMLESS = {
    "attention_probs_dropout_prob": 0.1,
    "classifier_dropout": None,
    "finetuning_task": None,
    "gradient_checkpointing": False,
    "id2label": {"0": "LABEL_0"},
    "label2id": {"LABEL_0": 0},
    "layer_norm_eps": 1e-12,
    "num_labels": 2,
    "output_attentions": False,
    "output_hidden_states": False,
    "output_past": True,
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "pruned_heads": {},
    "is_decoder": False,
    "torch_dtype": "float32",
    "torchscript": False,
    "transformers_version": "4.6.0",
    "use_cache": True,
    "_name_or_path": "bert-base",
}


def test_harmless_keys_of_public_files(tmp_path):
    path = tmp_path / "bert_config.json"
    path.write_text(json.dumps({**GOOGLE_CHINESE, **HARMLESS}))
    assert BertConfig.from_json_file(path) == BertConfig.from_dict(GOOGLE_CHINESE)
    assert set(BertConfig.from_json_file(path).to_dict()) == set(BertConfig(1).to_dict())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer_norm_eps": 1e-5}, "layer_norm_eps is 1e-05; only 1e-12 is supported"),
        ({"layer_norm_eps": "1e-12"}, "layer_norm_eps is '1e-12'; only 1e-12"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'; only 'absolute'"),
        ({"directionality": "left"}, "directionality is 'left'; only 'bidi'"),
        ({"is_decoder": True}, "is_decoder is True; only False"),
        ({"pruned_heads": {"0": [1]}}, "pruned_heads is"),
        ({"model_type": "electra"}, "model_type is 'electra'; only models of type 'bert'"),
    ],
)
def test_keys_that_change_the_computation(tmp_path, changes, message):
    path = tmp_path / "bert_config.json"
    path.write_text(json.dumps({**GOOGLE_CHINESE, **HARMLESS, **changes}))
    with pytest.raises(InputError, match=rf"bert_config\.json: .*{message}"):
        BertConfig.from_json_file(path)


def test_files_of_hugging_face(tmp_path):
    """They are recognized by name or keys; their "gelu" is the exact one."""
    (tmp_path / "config.json").write_text(json.dumps(GOOGLE_CHINESE))
    expected = BertConfig.from_dict({**GOOGLE_CHINESE, "hidden_act": "gelu_exact"})
    assert BertConfig.from_json_file(tmp_path / "config.json") == expected
    assert BertConfig.from_json_file(tmp_path) == BertConfig.from_json_file(str(tmp_path)) == expected
    (tmp_path / "bert_config.json").write_text(json.dumps(GOOGLE_CHINESE))
    assert BertConfig.from_json_file(tmp_path) == BertConfig.from_dict(GOOGLE_CHINESE)
    (tmp_path / "model.safetensors").touch()  # now the weights are Hugging Face's
    assert BertConfig.from_json_file(tmp_path) == expected
    (tmp_path / "bert_config.json").write_text(json.dumps({**GOOGLE_CHINESE, "model_type": "bert"}))
    assert BertConfig.from_json_file(tmp_path / "bert_config.json") == expected
    (tmp_path / "new").mkdir()
    with pytest.raises(InputError, match=r"new/bert_config\.json: No such file"):
        BertConfig.from_json_file(tmp_path / "new")


def test_writes_what_it_reads(tmp_path):
    config = BertConfig(100, hidden_size=12, num_attention_heads=3, hidden_act="relu")
    path = tmp_path / "bert_config.json"
    path.write_text(config.to_json_string())
    assert BertConfig.from_json_file(path) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hiden_size": 3}, "unknown key 'hiden_size'"),
        ({"pooler_type": "mean"}, "pooler_type is 'mean'"),
        ({"hidden_size": 0}, "hidden_size is 0"),
        ({"hidden_size": 12.5}, "hidden_size is 12.5"),
        ({"num_hidden_layers": True}, "num_hidden_layers is True"),
        ({"num_attention_heads": 7}, "hidden_size 768 is not a multiple of num_attention_heads 7"),
        ({"hidden_act": "swish"}, "hidden_act is 'swish'; choose one of gelu, gelu_exact, linear, relu, tanh"),
        ({"hidden_act": None}, "hidden_act is null"),
        ({"hidden_dropout_prob": 1.0}, "hidden_dropout_prob is 1.0"),
        ({"attention_probs_dropout_prob": "0.1"}, "attention_probs_dropout_prob is '0.1'"),
        ({"initializer_range": 0}, "initializer_range is 0"),
        ({"vocab_size": -1}, "vocab_size is -1"),
    ],
)
def test_impossible_values_are_refused_by_name(change, message):
    with pytest.raises(InputError, match=message):
        BertConfig.from_dict({**GOOGLE_CHINESE, **change})


def test_missing_vocab_size():
    with pytest.raises(InputError, match="vocab_size is missing"):
        BertConfig.from_dict({"hidden_size": 768})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", "holds a list instead of"),
        ('{"vocab_size": 0}', "c.json: BERT config: vocab_size is 0"),
    ],
)
def test_bad_files_are_named(tmp_path, content, message):
    path = tmp_path / "c.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        BertConfig.from_json_file(path)
    with pytest.raises(InputError, match=r"none\.json: No such file"):
        BertConfig.from_json_file(tmp_path / "none.json")
