"""config.json and the tokenizer's files: reading, unsupported values, writing."""

import json

import pytest
from helpers.tiny_huggingface import CONFIG, PIECES

from bert_tf2.checkpoints.huggingface_config import (
    HuggingFaceConfig,
    TokenizerSettings,
    pieces_of_tokenizer_json,
    tokenizer_config,
)
from bert_tf2.configs.model import BertConfig
from bert_tf2.configs.tokenizer import PLAIN, TokenizerOptions
from bert_tf2.errors import InputError


def read(tmp_path, **changes):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**CONFIG, **changes}))
    return HuggingFaceConfig.read(path)


def test_model_config(tmp_path):
    assert read(tmp_path).bert == BertConfig(
        vocab_size=12,
        hidden_size=4,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=6,
        hidden_act="gelu_exact",
        max_position_embeddings=8,
        type_vocab_size=2,
    )


def test_missing_keys_have_the_defaults_of_transformers(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"model_type": "bert"}')
    config = HuggingFaceConfig.read(path)
    assert (config.bert.vocab_size, config.bert.type_vocab_size, config.bert.hidden_size) == (30522, 2, 768)
    assert config.bert.hidden_act == "gelu_exact"
    assert (config.architecture, config.labels, config.problem_type) == (None, (), None)


@pytest.mark.parametrize(
    ("hf_name", "ours", "written"),
    [
        ("gelu", "gelu_exact", "gelu"),
        ("gelu_new", "gelu", "gelu_pytorch_tanh"),
        ("gelu_pytorch_tanh", "gelu", "gelu_pytorch_tanh"),
        ("relu", "relu", "relu"),
    ],
)
def test_activations(tmp_path, hf_name, ours, written):
    config = read(tmp_path, hidden_act=hf_name)
    assert config.bert.hidden_act == ours
    assert json.loads(config.to_json_string())["hidden_act"] == written
    google = tmp_path / "bert_config.json"
    google.write_text(config.bert.to_json_string())
    assert BertConfig.from_json_file(google) == config.bert


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "roberta"}, r"model_type is 'roberta'; only models of type 'bert'"),
        ({"model_type": None, "architectures": ["ElectraModel"]}, "model_type is None"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'; only 'absolute'"),
        ({"is_decoder": True}, "is_decoder is True; only False"),
        ({"add_cross_attention": True}, "add_cross_attention is True"),
        ({"pruned_heads": {"0": [1]}}, "pruned_heads is"),
        ({"quantization_config": {"bits": 8}}, r"quantization_config is \{'bits': 8\}; such models are not supported"),
        ({"layer_norm_eps": 1e-5}, "layer_norm_eps is 1e-05; only 1e-12"),
        ({"hidden_act": ["gelu"]}, r"hidden_act is \['gelu'\]; supported are"),
        ({"hidden_act": "silu"}, "hidden_act is 'silu'; supported are gelu, gelu_python"),
        ({"hidden_size": 5}, "hidden_size 5 is not a multiple of num_attention_heads 2"),
        ({"id2label": {"0": "a", "2": "b"}}, "id2label is .*; expected names for the numbers 0"),
        ({"id2label": ["a"]}, "id2label is"),
    ],
)
def test_unsupported_values_are_errors(tmp_path, changes, message):
    with pytest.raises(InputError, match=rf"config\.json: .*{message}"):
        read(tmp_path, **changes)


def test_invalid_json_is_an_error(tmp_path):
    path = tmp_path / "config.json"
    for text, message in (("{", "is not JSON"), ("[]", "holds a list instead of a JSON object")):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            HuggingFaceConfig.read(path)
    with pytest.raises(InputError, match="Cannot read"):
        HuggingFaceConfig.read(tmp_path / "none")


def test_labels(tmp_path):
    config = read(tmp_path, id2label={"1": "Ü", "0": "O"}, problem_type="regression")
    assert (config.labels, config.problem_type) == (("O", "Ü"), "regression")
    values = json.loads(config.to_json_string())
    assert (values["id2label"], values["label2id"]) == ({"0": "O", "1": "Ü"}, {"O": 0, "Ü": 1})
    assert read(tmp_path, id2label={"0": "LABEL_0", "1": "LABEL_1"}).labels == ()


def test_round_trip(tmp_path):
    config = HuggingFaceConfig(
        BertConfig(vocab_size=9, hidden_size=6, num_attention_heads=3, hidden_act="gelu"),
        "BertForSequenceClassification",
        ("yes", "no"),
        "multi_label_classification",
    )
    path = tmp_path / "config.json"
    path.write_text(config.to_json_string(pad_token_id=3))
    assert HuggingFaceConfig.read(path) == config
    values = json.loads(path.read_text())
    assert {key: values[key] for key in ("model_type", "torch_dtype", "pad_token_id", "layer_norm_eps")} == {
        "model_type": "bert",
        "torch_dtype": "float32",
        "pad_token_id": 3,
        "layer_norm_eps": 1e-12,
    }


def test_tokenizer_settings(tmp_path):
    assert TokenizerSettings.read(tmp_path) == TokenizerSettings()
    normalizer = {"type": "BertNormalizer", "lowercase": False, "handle_chinese_chars": True, "strip_accents": True}
    (tmp_path / "tokenizer.json").write_text(json.dumps({"normalizer": normalizer}))
    assert TokenizerSettings.read(tmp_path) == TokenizerSettings(False, options=TokenizerOptions(strip_accents=True))
    settings = {"do_lower_case": True, "tokenize_chinese_chars": False, "strip_accents": None}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert TokenizerSettings.read(tmp_path) == TokenizerSettings(
        True, options=TokenizerOptions(tokenize_chinese_chars=False)
    )
    settings = {"do_lower_case": True, "tokenizer_class": "BertJapaneseTokenizer"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert TokenizerSettings.read(tmp_path).differences == ("tokenizer_class is BertJapaneseTokenizer",)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer_config.json").write_text(tokenizer_config(BertConfig(9), do_lower_case=False))
    assert TokenizerSettings.read(tmp_path) == TokenizerSettings(False)


BERT_NORMALIZER = {"type": "BertNormalizer", "lowercase": True, "handle_chinese_chars": True, "clean_text": True}


@pytest.mark.parametrize(
    ("tokenizer", "lower", "differences"),
    [
        ({"normalizer": BERT_NORMALIZER, "pre_tokenizer": {"type": "BertPreTokenizer"}}, True, ()),
        ({"normalizer": {**BERT_NORMALIZER, "clean_text": False}}, True, ("clean_text is False",)),
        (
            {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, BERT_NORMALIZER]}},
            True,
            ("normalizer is NFKC",),
        ),
        (
            {"normalizer": {"type": "Sequence", "normalizers": [{"type": name} for name in ("NFD", "Lowercase")]}},
            True,
            ("clean_text is False", "no BertNormalizer"),
        ),
        (
            {"normalizer": None},
            False,
            ("clean_text is False", "no BertNormalizer"),
        ),
        (
            {
                "normalizer": BERT_NORMALIZER,
                "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}, {"type": "Digits"}]},
            },
            True,
            ("pre_tokenizer is Whitespace", "pre_tokenizer is Digits"),
        ),
    ],
)
def test_normalizers(tmp_path, tokenizer, lower, differences):
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    settings = TokenizerSettings.read(tmp_path)
    assert (settings.do_lower_case, settings.differences) == (lower, differences)
    of_bert = "no BertNormalizer" not in differences
    assert settings.options == (PLAIN if of_bert else TokenizerOptions(False if lower else None, False))


def test_added_and_special_tokens(tmp_path):
    """In all three files to which versions of transformers write them."""
    (tmp_path / "added_tokens.json").write_text('{"[E2]": 13, "[E1]": 12}')
    options = TokenizerOptions(never_split=("[E2]", "[E1]"))
    expected = TokenizerSettings(
        None, ("[E2], [E1] stay whole in upper or lower case",), (("[E1]", 12), ("[E2]", 13)), options
    )
    assert TokenizerSettings.read(tmp_path) == expected
    (tmp_path / "added_tokens.json").unlink()
    first = {"content": "[E1]", "id": 12, "normalized": False}
    five = [{"content": piece, "id": index, "special": True} for index, piece in enumerate(PIECES[:5])]
    (tmp_path / "tokenizer.json").write_text(json.dumps({"added_tokens": [*five, first]}))
    decoder = {"0": {"content": "[PAD]"}, "13": {"content": "[E2]", "special": False}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": decoder}))
    options = TokenizerOptions(never_split=("[E1]", "[E2]"))
    expected = TokenizerSettings(
        None, ("[E2] stay whole in upper or lower case",), (("[E1]", 12), ("[E2]", 13)), options
    )
    assert TokenizerSettings.read(tmp_path) == expected
    for path in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / path).unlink()
    special = {
        "cls_token": {"content": "<s>"},
        "sep_token": "[SEP]",
        "additional_special_tokens": ["a", "b", "a b", "[MASK]", {"content": "c"}],
    }
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(special))
    options = TokenizerOptions(never_split=("a", "b", "c"))
    expected = TokenizerSettings(None, ("cls_token is <s>", "a b stay whole in text"), options=options)
    assert TokenizerSettings.read(tmp_path) == expected
    (tmp_path / "special_tokens_map.json").unlink()
    entries = [
        {"content": token, "id": 12 + index, "single_word": token == "alone", "normalized": token != "[x]"}
        for index, token in enumerate(["covid", "Covid", "covid-19", "[x]", "alone"])
    ]
    (tmp_path / "tokenizer.json").write_text(json.dumps({"added_tokens": entries}))
    settings = TokenizerSettings.read(tmp_path)
    assert settings.differences == ("alone stay whole in text", "Covid, covid-19 stay whole in upper or lower case")
    assert settings.options.never_split == ("covid", "Covid", "covid-19", "[x]")
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false, "never_split": ["y"]}')
    settings = TokenizerSettings.read(tmp_path)
    assert (settings.differences, settings.options.never_split[-1]) == (("alone stay whole in text",), "y")


def test_added_tokens_of_other_types_are_ignored(tmp_path):
    entries = [{"content": ["[E1]"], "id": 12}, {"content": "[E2]", "id": "13"}, {"id": 14}, "[E3]"]
    (tmp_path / "tokenizer.json").write_text(json.dumps({"added_tokens": entries}))
    decoder = {"15": {"content": {"a": 1}}, "x": {"content": "[E4]"}, "16": "[E5]"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": decoder}))
    assert TokenizerSettings.read(tmp_path) == TokenizerSettings()


def test_tokenizer_config_for_transformers(tmp_path):
    options = TokenizerOptions(strip_accents=False, tokenize_chinese_chars=False, never_split=("[E1]", "a"))
    text = tokenizer_config(BertConfig(9), True, options, {"[E1]": 12, "a": 9})
    (tmp_path / "tokenizer_config.json").write_text(text)
    assert TokenizerSettings.read(tmp_path) == TokenizerSettings(True, (), (("a", 9), ("[E1]", 12)), options)


def test_vocabulary_of_tokenizer_json(tmp_path):
    path = tmp_path / "tokenizer.json"
    vocab = {piece: index for index, piece in enumerate(PIECES)}
    model = {"type": "WordPiece", "vocab": dict(reversed(vocab.items()))}
    path.write_text(json.dumps({"model": model, "added_tokens": [{"content": "[NEW]", "id": 12}]}))
    assert pieces_of_tokenizer_json(path) == [*PIECES, "[NEW]"]
    path.write_text(json.dumps({"model": model, "added_tokens": [{"content": "[NEW]", "id": 13}]}))
    with pytest.raises(InputError, match="the ids of its 13 pieces are not 0, 1, 2"):
        pieces_of_tokenizer_json(path)
    path.write_text(json.dumps({"model": {"type": "BPE", "vocab": {}}}))
    with pytest.raises(InputError, match="holds no WordPiece vocabulary"):
        pieces_of_tokenizer_json(path)
