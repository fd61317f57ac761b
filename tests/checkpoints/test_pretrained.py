"""Finding and loading models: all kinds of --init_checkpoint; config, vocabulary and case in the directory."""

import dataclasses
import json
import logging
import math

import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import GOLDEN
from helpers.rounding import SUM, assert_close
from helpers.tiny_huggingface import CONFIG, ENCODER, PIECES, POOLER, arrays_of, write_directory

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import huggingface, pretrained
from bert_tf2.configs.model import BertConfig
from bert_tf2.configs.tokenizer import PLAIN, TokenizerConfig, TokenizerOptions
from bert_tf2.errors import InputError
from bert_tf2.modeling.encoder import BertModel
from bert_tf2.modeling.layers import ACTIVATIONS
from bert_tf2.tokenization.auto import VocabularyFile

pytestmark = pytest.mark.numeric


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    directory = write_directory(tmp_path_factory.mktemp("config"), "BertModel")
    return BertModel(pretrained.find_bert_config(str(directory)))


def variables_of(model, **heads):
    named = checkpoints.tf_variables(model.named_variables())
    return {**named, **{name: tf.Variable(value) for name, value in heads.items()}}


def test_gelu_exact_uses_the_error_function():
    numbers = np.linspace(-5, 5, 101, dtype=np.float32)
    exact = [0.5 * x * (1 + math.erf(x / math.sqrt(2))) for x in numbers.tolist()]
    assert_close(ACTIVATIONS["gelu_exact"](tf.constant(numbers)), exact, SUM)
    assert np.abs(ACTIVATIONS["gelu"](tf.constant(numbers)) - exact).max() > 4e-4  # the approximation differs


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_loads_a_hugging_face_directory(tmp_path, model, kind):
    arrays = arrays_of("BertModel")
    directory = write_directory(tmp_path, "BertModel", arrays)
    path = str(directory / "model.safetensors" if kind == "file" else directory)
    variables = variables_of(model)
    report = pretrained.load(variables, path)
    assert report.prefix == str(directory / "model.safetensors")
    assert len(report.loaded) == len(ENCODER) + len(POOLER) == len(variables)
    assert (report.missing, report.unused, report.mismatched) == ((), (), ())
    np.testing.assert_array_equal(variables["bert/pooler/dense/kernel"], arrays["pooler.dense.weight"].T)
    np.testing.assert_array_equal(
        variables["bert/embeddings/word_embeddings"], arrays["embeddings.word_embeddings.weight"]
    )


def test_missing_pooler_is_reported_and_keeps_its_initial_values(tmp_path, model):
    variables = variables_of(model)
    before = variables["bert/pooler/dense/kernel"].numpy()
    report = pretrained.load(variables, str(write_directory(tmp_path, "BertForMaskedLM")))
    assert report.missing == ("bert/pooler/dense/bias", "bert/pooler/dense/kernel")
    assert "newly initialized (2): bert/pooler/dense/bias" in str(report)
    assert len([name for name in report.unused if name.startswith("cls/predictions/")]) == 5
    np.testing.assert_array_equal(variables["bert/pooler/dense/kernel"], before)


def test_head_is_loaded_if_its_shape_matches(tmp_path, model):
    arrays = arrays_of("BertForSequenceClassification")
    directory = str(write_directory(tmp_path, "BertForSequenceClassification", arrays))
    variables = variables_of(model, output_weights=np.zeros([3, 4], np.float32), output_bias=np.zeros(3, np.float32))
    report = pretrained.load(variables, directory)
    assert (report.missing, report.unused, report.mismatched) == ((), (), ())
    np.testing.assert_array_equal(variables["output_weights"], arrays["classifier.weight"])

    variables = variables_of(model, output_weights=np.ones([5, 4], np.float32), output_bias=np.ones(5, np.float32))
    report = pretrained.load(variables, directory)
    assert report.mismatched == ("output_weights", "output_bias")
    assert "newly initialized (2): output_weights, output_bias" in str(report)
    assert not set(report.mismatched) & {*report.loaded, *report.missing, *report.unused}
    np.testing.assert_array_equal(variables["output_weights"], np.ones([5, 4]))


def test_mismatched_encoders_are_errors(tmp_path, model):
    arrays = arrays_of("BertModel")
    directory = str(
        write_directory(tmp_path, "BertModel", {**arrays, "encoder.layer.0.adapter.weight": np.float32([1])})
    )
    with pytest.raises(InputError, match=r"holds encoder\.layer\.0\.adapter\.weight, for which BERT's encoder has no"):
        pretrained.load(variables_of(model), directory)
    more = {name.replace("layer.0", "layer.2"): array for name, array in arrays.items()}
    write_directory(tmp_path, "BertModel", {**arrays, **more})
    with pytest.raises(InputError, match="only the checkpoint has bert/encoder/layer_2"):
        pretrained.load(variables_of(model), directory)
    write_directory(
        tmp_path, "BertModel", {name: a for name, a in arrays.items() if name != "embeddings.LayerNorm.bias"}
    )
    with pytest.raises(InputError, match="the model has but the checkpoint lacks bert/embeddings/LayerNorm/beta"):
        pretrained.load(variables_of(model), directory)
    write_directory(tmp_path, "BertModel", {**arrays, "pooler.dense.bias": np.zeros(5, np.float32)})
    with pytest.raises(InputError, match=r"bert/pooler/dense/bias is \[5\] in .*model\.safetensors but \[4\]"):
        pretrained.load(variables_of(model), directory)


def test_untied_masked_lm_decoder(tmp_path, model):
    arrays = {**arrays_of("BertForMaskedLM"), "cls.predictions.decoder.weight": np.ones([13, 4], np.float32)}
    directory = str(write_directory(tmp_path, "BertForMaskedLM", arrays))
    variables = variables_of(model, output_weights=np.zeros([3, 4], np.float32))
    for load in (pretrained.load, checkpoints.load):
        report = load(variables, directory)
        assert "cls.predictions.decoder.weight" in report.unused
        np.testing.assert_array_equal(
            variables["bert/embeddings/word_embeddings"], arrays["bert.embeddings.word_embeddings.weight"]
        )
        with pytest.raises(InputError, match="the masked-LM head of this model cannot be read; all else can"):
            load(variables_of(model, **{"cls/predictions/output_bias": np.zeros(12, np.float32)}), directory)


def test_checkpoints_of_google_and_ours(tmp_path, model):
    prefix = str(GOLDEN / "tiny/bert_model.ckpt")
    for way in (prefix, str(GOLDEN / "tiny")):
        assert pretrained.find_bert_config(way).hidden_size == 96
        assert pretrained.find_vocabulary(way).path == str(GOLDEN / "tiny/vocab.txt")
        assert pretrained.find_do_lower_case(way)
    golden = BertModel(pretrained.find_bert_config(prefix))
    assert pretrained.load(variables_of(golden), prefix).missing == ()

    checkpoints.save(str(tmp_path), 3, variables_of(model))
    (tmp_path / "bert_config.json").write_text(model.config.to_json_string())
    assert pretrained.find_bert_config(str(tmp_path)) == model.config
    assert pretrained.load(variables_of(model), str(tmp_path)).prefix == str(tmp_path / "model.ckpt-3")


def test_directories_without_weights_are_errors(tmp_path):
    write_directory(tmp_path, "BertModel")
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "flax_model.msgpack").touch()
    with pytest.raises(InputError, match=r"has a config\.json, but neither model\.safetensors nor pytorch_model\.bin"):
        pretrained.load({}, str(tmp_path))
    with pytest.raises(InputError, match="There is no checkpoint"):
        pretrained.load({}, str(tmp_path / "none"))


def test_flags_for_config_and_vocabulary_take_precedence(tmp_path, caplog):
    directory = str(write_directory(tmp_path / "model", "BertModel"))
    own = tmp_path / "bert_config.json"
    config = pretrained.find_bert_config(directory)
    own.write_text(config.to_json_string())
    with caplog.at_level(logging.WARNING):
        assert pretrained.find_bert_config(directory, str(own)) == config
        assert pretrained.find_bert_config(None, directory + "/config.json") == config
    assert caplog.text == ""
    own.write_text(config.to_json_string().replace("gelu_exact", "gelu").replace("0.1", "0.2"))
    assert pretrained.find_bert_config(directory, str(own)).hidden_act == "gelu"
    assert "differs: hidden_act gelu there gelu_exact." in caplog.text
    assert pretrained.find_vocabulary(directory, "other.txt").path == "other.txt"
    assert pretrained.find_vocabulary(directory).path == f"{directory}/vocab.txt"


def test_directory_without_model_type_has_the_exact_gelu(tmp_path):
    write_directory(tmp_path, None, arrays_of("BertModel"), model_type=None)
    assert pretrained.find_bert_config(str(tmp_path)).hidden_act == "gelu_exact"
    config = {key: value for key, value in CONFIG.items() if key not in ("model_type", "architectures")}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert pretrained.find_bert_config(str(tmp_path)).hidden_act == "gelu_exact"


def test_missing_files_are_errors(tmp_path):
    with pytest.raises(InputError, match=r"^Give --bert_config_file"):
        pretrained.find_bert_config(None)
    for find in (pretrained.find_bert_config, pretrained.find_vocabulary):
        with pytest.raises(InputError, match=rf"^There is no {tmp_path}/x: {tmp_path} has no directory and no checkpo"):
            find(f"{tmp_path}/x")
    (tmp_path / "x.ckpt.index").touch()
    with pytest.raises(InputError, match=rf"of that name, but {tmp_path}/x\.ckpt\.$"):
        pretrained.find_vocabulary(f"{tmp_path}/y.ckpt")
    with pytest.raises(InputError, match=rf"^{tmp_path} has no bert_config\.json; give --bert_config_file"):
        pretrained.find_bert_config(f"{tmp_path}/x.ckpt")
    with pytest.raises(InputError, match=r"^Give --vocab_file"):
        pretrained.find_vocabulary(None)
    with pytest.raises(InputError, match=rf"^{tmp_path} has no vocab\.txt; give --vocab_file"):
        pretrained.find_vocabulary(f"{tmp_path}/x.ckpt")
    directory = write_directory(tmp_path / "model", "BertModel")
    (directory / "vocab.txt").rename(directory / huggingface.TOKENIZER_FILE)
    with pytest.raises(InputError, match=r"its vocabulary is in tokenizer\.json\. Convert it once, with convert_check"):
        pretrained.find_vocabulary(str(directory))


def test_case_of_the_flag_takes_precedence_and_differences_are_logged(tmp_path, caplog):
    directory = write_directory(tmp_path, "BertModel")
    (directory / "added_tokens.json").write_text('{"[ENT]": 12}')
    assert pretrained.find_do_lower_case(str(directory), flag=False) is False
    assert "([ENT] stay whole in upper or lower case there)" in caplog.text
    assert pretrained.find_do_lower_case(None, flag=True) is True


def test_case_of_the_directory(tmp_path, caplog):
    directory = write_directory(tmp_path, "BertModel")
    assert pretrained.find_do_lower_case(str(directory)) is True
    (directory / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert pretrained.find_do_lower_case(str(directory)) is False
    assert caplog.text == ""
    (directory / "tokenizer_config.json").write_text('{"do_lower_case": true, "do_basic_tokenize": false}')
    assert pretrained.find_do_lower_case(str(directory)) is True
    assert "(do_basic_tokenize is False there)" in caplog.text
    assert pretrained.find_do_lower_case(None) is True


# --- Precedence: flags, the directory of a training run, the checkpoint's directory ----------------------------------


@pytest.fixture
def directories(tmp_path, model):
    """`start`, the directory of a checkpoint, and `trained`, with a different config, vocabulary and case."""
    start = write_directory(tmp_path / "start", "BertModel")
    trained = tmp_path / "trained"
    trained.mkdir()
    (trained / "bert_config.json").write_text(model.config.to_json_string().replace("gelu_exact", "relu"))
    (trained / "vocab.txt").write_text("".join(f"{piece}\n" for piece in [*PIECES[:-1], "-"]))
    (trained / "task.json").write_text('{"do_lower_case": false}')
    return str(start), str(trained)


def test_order_of_precedence(directories, tmp_path):
    start, trained = directories
    for output_dir, directory, activation, lower in (
        (None, start, "gelu_exact", True),
        (str(tmp_path / "new"), start, "gelu_exact", True),
        (trained, trained, "relu", False),
    ):
        result = pretrained.find(start, output_dir)
        assert (result.vocabulary, result.checkpoint) == (VocabularyFile(f"{directory}/vocab.txt"), start)
        assert (result.bert_config.hidden_act, result.do_lower_case) == (activation, lower)
    config_file = tmp_path / "given.json"
    config_file.write_text(result.bert_config.to_json_string().replace("relu", "tanh"))
    flags = {"bert_config_file": str(config_file), "vocab_file": f"{trained}/vocab.txt", "do_lower_case": True}
    result = pretrained.find(start, trained, **flags)
    assert (result.bert_config.hidden_act, result.do_lower_case) == ("tanh", True)
    with pytest.raises(InputError, match=r"--vocab_file=.*start/vocab\.txt is not the vocabulary that the model in .*"):
        pretrained.find(start, trained, vocab_file=f"{start}/vocab.txt")
    assert pretrained.find(start, vocab_file=f"{trained}/vocab.txt").vocabulary.path == f"{trained}/vocab.txt"


def test_tokenizer_options(directories, tmp_path, caplog):
    start, trained = directories
    settings = {"strip_accents": False, "tokenize_chinese_chars": False, "never_split": ["co", "[E9]"]}
    (tmp_path / "start/tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "start/added_tokens.json").write_text('{"[E2]": 13, "[E1]": 12}')
    vocabulary = pretrained.find(start).vocabulary
    assert vocabulary.added_tokens == ("[E1]", "[E2]")
    assert vocabulary.options == TokenizerOptions(False, False, ("[E2]", "[E1]", "co"))
    assert "vocab.txt has no [E9], split like other text." in caplog.text
    assert vocabulary.tokenizer(True).encode("aco[E2]É") == [9, 7, 13, 1]
    assert pretrained.find(start, vocab_file=f"{trained}/vocab.txt").vocabulary.options.never_split == ("co",)
    flags = TokenizerConfig(strip_accents=True, never_split="a")
    with_flags = pretrained.find(start, tokenizer=flags).vocabulary
    assert with_flags.options == TokenizerOptions(True, False, ("a",))

    # A trained model's options take precedence over those of the checkpoint, even if they are the defaults.
    assert pretrained.find(start, trained).vocabulary.options == PLAIN
    with pytest.raises(InputError, match=r"^--strip_accents is not how the model in .*trained was trained; omit"):
        pretrained.find(start, trained, tokenizer=flags)
    vocabulary.copy_into(trained)
    copied = pretrained.find(start, trained).vocabulary
    assert (copied.options, copied.added_tokens) == (vocabulary.options, ())
    assert copied.tokenizer(True).vocab == vocabulary.tokenizer(True).vocab
    same_flags = pretrained.find(
        start, trained, vocab_file=f"{start}/vocab.txt", tokenizer=TokenizerConfig(never_split="[E2],[E1],co")
    )
    assert (same_flags.vocabulary.options, same_flags.vocabulary.added_tokens) == (
        vocabulary.options,
        vocabulary.added_tokens,
    )


def test_tokenizer_options_of_a_google_checkpoint(directories, tmp_path):
    _, trained = directories
    (tmp_path / "trained/tokenizer_config.json").write_text('{"do_lower_case": true, "strip_accents": false}')
    assert pretrained.find_vocabulary(trained).options == TokenizerOptions(strip_accents=False)
    assert pretrained.find_do_lower_case(trained) is False  # task.json of the training run takes precedence
    (tmp_path / "trained/task.json").unlink()
    assert pretrained.find_do_lower_case(trained) is True


def test_each_file_is_found_separately(directories, tmp_path):
    """For example a vocabulary in one directory, and the config in another."""
    start, _ = directories
    (tmp_path / "out").mkdir()
    (tmp_path / "start/vocab.txt").rename(tmp_path / "out/vocab.txt")
    result = pretrained.find(start, str(tmp_path / "out"))
    assert (result.vocabulary.path, result.bert_config.hidden_act) == (str(tmp_path / "out/vocab.txt"), "gelu_exact")


def test_file_missing_from_both_directories_is_an_error(directories, model, tmp_path):
    start, trained = directories
    checkpoints.save(trained, 3, variables_of(model))
    for path in (tmp_path / "start/vocab.txt", tmp_path / "trained/vocab.txt", tmp_path / "trained/bert_config.json"):
        path.unlink()
    with pytest.raises(InputError, match=rf"^Neither {trained} nor {start} has a vocab\.txt; give --vocab_file"):
        pretrained.find_vocabulary(start, output_dir=trained)
    with pytest.raises(InputError, match=rf"^{trained} has no bert_config\.json; give --bert_config_file"):
        pretrained.find_bert_config(None, output_dir=trained)


def test_config_must_match_the_weights(model, tmp_path):
    """Those of the run to resume, else those of the checkpoint to start from, which must exist."""
    config = tmp_path / "given.json"
    config.write_text(model.config.to_json_string())
    checkpoints.save(str(tmp_path / "start"), 1, variables_of(model))
    small = {**model.config.to_dict(), "num_hidden_layers": 1}
    (tmp_path / "small.json").write_text(json.dumps(small))
    for directories in ((str(tmp_path / "start"), str(tmp_path / "new")), ("none.ckpt", str(tmp_path / "start"))):
        assert pretrained.find_bert_config(directories[0], str(config), directories[1]) == model.config
        with pytest.raises(InputError, match=r"it has 2 layers, the config 1 \(num_hidden_layers\)"):
            pretrained.find_bert_config(directories[0], str(tmp_path / "small.json"), directories[1])
    with pytest.raises(InputError, match=r"^There is no none\.ckpt: the directory of a model on this machine"):
        pretrained.find_bert_config("none.ckpt", str(config), str(tmp_path / "new"))


def test_case_is_inferred_if_not_specified(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    directory = write_directory(tmp_path, "BertModel")
    (directory / "tokenizer_config.json").unlink()
    cased, uncased = (
        [*PIECES, "Co", "A"],
        [*PIECES, *map(str, range(30)), "A"],
    )  # a single upper-case piece does not count
    assert pretrained.find_do_lower_case(str(directory)) is True
    assert pretrained.find_do_lower_case(str(directory), pieces=cased) is False
    assert pretrained.find_do_lower_case(str(directory), pieces=uncased) is True
    assert pretrained.find_do_lower_case(str(directory), flag=True, pieces=cased) is True
    assert caplog.text == ""
    (directory / "task.json").write_text('{"do_lower_case": false}')
    assert pretrained.find_do_lower_case(str(directory), pieces=uncased) is False
    assert f"Keeping the case of the text (--do_lower_case=false), according to {directory}." in caplog.messages


# --- The first layers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output_format", ["google", "huggingface"])
def test_the_first_layers(tmp_path, model, output_format):
    directory = write_directory(tmp_path / "hf", "BertModel")
    if output_format == "google":
        variables = variables_of(model)
        pretrained.load(variables, str(directory))
        directory = tmp_path / "google"
        checkpoints.save(str(directory), 1, {**variables, "bert/encoder/layer_1/output/dense/bias/adam_m": tf.zeros(4)})
        (directory / "bert_config.json").write_text(model.config.to_json_string())
    config = pretrained.find_bert_config(str(directory), num_hidden_layers=1)
    assert config == dataclasses.replace(model.config, num_hidden_layers=1)
    lower = BertModel(config)
    variables = variables_of(lower)
    report = pretrained.load(variables, str(directory), num_hidden_layers=1)
    assert report.missing == report.mismatched == ()
    assert len(report.above) == 16
    assert all(name.startswith("bert/encoder/layer_1/") for name in report.above)
    assert "Not needed: 16 variables of the layers above the first layer." in str(report)
    assert "In the checkpoint but unused" not in str(report)
    full = variables_of(model)
    pretrained.load(full, str(directory))
    for name, variable in variables.items():
        np.testing.assert_array_equal(variable, full[name], name)

    assert pretrained.find_bert_config(str(directory), num_hidden_layers=2) == model.config
    assert pretrained.load(full, str(directory), num_hidden_layers=2).above == ()
    name = "config.json" if output_format == "huggingface" else "bert_config.json"
    with pytest.raises(
        InputError, match=rf"^--num_hidden_layers=3, but .*{name} has 2 layers; give a number from 1 to 2"
    ):
        pretrained.find_bert_config(str(directory), num_hidden_layers=3)
    with pytest.raises(InputError, match="only the checkpoint has bert/encoder/layer_1"):
        pretrained.load(variables, str(directory))


def test_the_first_layers_of_a_checkpoint_with_fewer_than_its_config(tmp_path, model):
    (tmp_path / "bert_config.json").write_text(dataclasses.replace(model.config, num_hidden_layers=12).to_json_string())
    checkpoints.save(str(tmp_path), 1, variables_of(model))
    with pytest.raises(InputError, match=r"^--num_hidden_layers=3, but the model in .* has 2 layers; omit it, or"):
        pretrained.find_bert_config(str(tmp_path), num_hidden_layers=3)
    assert pretrained.find_bert_config(str(tmp_path), num_hidden_layers=2) == model.config


def test_the_first_layers_of_a_resumed_run(tmp_path, model):
    start, out = write_directory(tmp_path / "start", "BertModel"), tmp_path / "out"
    result = pretrained.find(str(start), str(out), num_hidden_layers=1)
    result.write_files(str(out))
    assert BertConfig.from_json_file(out / "bert_config.json").num_hidden_layers == 1
    checkpoints.save(str(out), 1, variables_of(BertModel(result.bert_config)))
    for flag in (None, 1):  # the flag may be omitted when resuming
        assert pretrained.find(str(start), str(out), num_hidden_layers=flag).bert_config == result.bert_config
    with pytest.raises(InputError, match=r"--num_hidden_layers=2, but .*out/bert_config\.json has 1 layer;"):
        pretrained.find(str(start), str(out), num_hidden_layers=2)
    (out / "bert_config.json").write_text(model.config.to_json_string())
    checkpoints.save(str(out), 2, variables_of(model))
    with pytest.raises(InputError, match=r"^--num_hidden_layers=1, but the model in .*out.* has 2 layers; .* another"):
        pretrained.find(str(start), str(out), num_hidden_layers=1)
