"""Checkpoints of the Model Garden and of TF-Hub: the same variables as in Google's."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from helpers.tiny_huggingface import PIECES
from helpers.tiny_model_garden import Garden, save

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import google, model_garden, model_source, pretrained
from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError

CONFIG = BertConfig(
    12,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=6,
    max_position_embeddings=10,
    type_vocab_size=3,
)
LABELS = 5


@pytest.fixture(scope="module")
def arrays():
    """A model with all heads, by Google's names."""
    rng = np.random.default_rng(0)
    shapes = model_source.expected_shapes(CONFIG)
    sizes = {name: [LABELS if length is None else length for length in shape] for name, shape in shapes.items()}
    return {name: rng.normal(size=size).astype(np.float32) for name, size in sizes.items()}


def some(arrays, *beginnings):
    return {name: array for name, array in arrays.items() if name.startswith(beginnings)}


def assert_holds(prefix, arrays):
    reader = google.open_reader(prefix)
    shapes = reader.get_variable_to_shape_map()
    assert {name for name in shapes if shapes[name]} == {*arrays}
    for name, array in arrays.items():
        assert shapes[name] == list(array.shape)
        np.testing.assert_array_equal(checkpoints.read(reader, name, prefix), array)


@pytest.mark.parametrize("of_2020", [False, True])
@pytest.mark.parametrize("item", ["encoder", "model"])
def test_an_encoder(tmp_path, arrays, item, of_2020):
    garden = Garden(arrays, 2, of_2020)
    prefix = save(tmp_path / "bert_model.ckpt", **{item: garden.encoder()})
    assert prefix.endswith("bert_model.ckpt-1")
    assert f"{item}/layer_with_weights-4/_attention_layer/_query_dense/kernel/.ATTRIBUTES/VARIABLE_VALUE" in (
        tf.train.load_checkpoint(prefix).get_variable_to_shape_map()
    )
    assert_holds(prefix, some(arrays, "bert/"))


def test_pretraining_model(tmp_path, arrays):
    garden = Garden(arrays, 2)
    next_sentence = {
        "dense": garden.layer("bert/pooler/dense", "next_sentence/pooler_dense"),
        "out_proj": garden.scores("cls/seq_relationship/", "next_sentence/logits"),
    }
    encoder = garden.encoder()
    encoder["layer_with_weights-6"] = {
        "kernel": tf.Variable(np.zeros([8, 8], np.float32), name="pooler_transform/kernel"),
        "bias": tf.Variable(np.ones(8, np.float32), name="pooler_transform/bias"),
    }
    model = {"encoder": encoder, "masked_lm": garden.masked_lm()}
    prefix = save(tmp_path / "ckpt", **model, **{"next_sentence.pooler_dense": next_sentence["dense"]})
    assert "masked_lm/embedding_table/.ATTRIBUTES/VARIABLE_VALUE" in (
        tf.train.load_checkpoint(prefix).get_variable_to_shape_map()
    )
    assert_holds(prefix, some(arrays, "bert/", "cls/predictions"))
    prefix = save(tmp_path / "ckpt", model={**model, "classification_heads": {"0": next_sentence}})
    assert_holds(prefix, some(arrays, "bert/", "cls/predictions", "cls/seq"))


def test_pretraining_model_of_2020(tmp_path, arrays):
    garden = Garden(arrays, 2, of_2020=True)
    heads = {
        "layer_with_weights-0": garden.encoder(),
        "layer_with_weights-1": garden.masked_lm(),
        "layer_with_weights-2": {
            "layer_with_weights-0": garden.scores("cls/seq_relationship/", "predictions/transform/logits")
        },
    }
    assert_holds(save(tmp_path / "ckpt", model=heads), some(arrays, "bert/", "cls/predictions", "cls/seq"))


@pytest.mark.parametrize("kind", ["classifier", "tagger", "span"])
def test_a_fine_tuned_model(tmp_path, arrays, kind):
    garden = Garden(arrays, 2)
    name = "sentence_prediction/logits" if kind == "classifier" else "predictions/transform/logits"
    scores = garden.scores("cls/squad/" if kind == "span" else "", name)
    head = {
        "classifier": {"classifier": {"out_proj": scores}},
        "tagger": {"classifier": scores},
        "span": {"span_labeling": {"layer_with_weights-0": scores}},
    }[kind]
    prefix = save(tmp_path / "ckpt", model={"_network": garden.encoder(), **head})
    assert_holds(prefix, some(arrays, "bert/", "cls/squad/" if kind == "span" else "output_"))


def test_training_state_is_left_out(tmp_path, arrays):
    encoder = Garden(some(arrays, "bert/"), 2).encoder()
    slot = {"m": tf.Variable(np.zeros([12, 8], np.float32), name="Adam/word_embeddings/embeddings/m")}
    optimizer = {"_variables": slot, "iter": tf.Variable(7)}
    prefix = save(tmp_path / "ckpt", encoder=encoder, model={"optimizer": dict(optimizer)}, optimizer=optimizer)
    assert_holds(prefix, some(arrays, "bert/"))
    assert checkpoints.training_state(google.open_reader(prefix).get_variable_to_shape_map()) == {"save_counter"}


def test_config_is_inferred_from_the_weights(tmp_path, arrays, caplog):
    caplog.set_level("INFO")
    save(tmp_path / "bert_model.ckpt", encoder=Garden(arrays, 2).encoder())
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES))
    model = pretrained.find(str(tmp_path))
    assert model.bert_config == CONFIG
    assert "inferring the model config from the weights" in caplog.text
    variables = {name: tf.Variable(tf.zeros_like(array)) for name, array in some(arrays, "bert/").items()}
    report = pretrained.load(variables, str(model.checkpoint))
    assert (report.missing, report.unused) == ((), ("save_counter",))
    np.testing.assert_array_equal(
        variables["bert/encoder/layer_1/attention/output/dense/kernel"],
        arrays["bert/encoder/layer_1/attention/output/dense/kernel"],
    )
    wrong = tmp_path / "config.json"
    wrong.write_text(BertConfig(**{**CONFIG.to_dict(), "num_attention_heads": 4}).to_json_string())
    with pytest.raises(InputError, match="has 2 attention heads, the BERT config 4"):
        pretrained.find_bert_config(str(tmp_path / "bert_model.ckpt-1"), str(wrong))


def test_the_first_layers_of_a_model_without_a_config(tmp_path, arrays):
    save(tmp_path / "bert_model.ckpt", encoder=Garden(arrays, 2).encoder())
    config = pretrained.find_bert_config(str(tmp_path), num_hidden_layers=1)
    assert config == dataclasses.replace(CONFIG, num_hidden_layers=1)
    source = model_source.open_source(str(tmp_path), num_hidden_layers=1)
    model_source.check_complete(source, list(source.own_names))
    with pytest.raises(InputError, match=rf"^--num_hidden_layers=3, but {tmp_path} has 2 layers; give a number from 1"):
        pretrained.find_bert_config(str(tmp_path), num_hidden_layers=3)


def test_variable_that_bert_lacks_is_an_error(tmp_path, arrays):
    more = {"layer_with_weights-9": {"kernel": tf.Variable(np.zeros([4, 8], np.float32), name="projection/kernel")}}
    prefix = save(tmp_path / "ckpt", encoder={**Garden(arrays, 2).encoder(), **more})
    variables = {name: tf.Variable(tf.zeros_like(array)) for name, array in some(arrays, "bert/").items()}
    with pytest.raises(InputError, match=r"only the checkpoint has bert/projection/kernel"):
        pretrained.load(variables, prefix)


def test_error_for_another_model_shows_its_own_names(tmp_path):
    prefix = save(tmp_path / "ckpt", model={"dense": {"kernel": tf.Variable([[1.0]], name="dense/kernel")}})
    with pytest.raises(InputError, match=r"has no variable named bert/\.\.\.; it holds .*model/dense/kernel"):
        pretrained.load({"bert/embeddings/word_embeddings": tf.Variable([[1.0]])}, prefix)


def test_two_encoders_are_an_error(tmp_path, arrays):
    prefix = save(tmp_path / "ckpt", one=Garden(arrays, 2).encoder(), other=Garden(arrays, 2).encoder())
    with pytest.raises(InputError, match=r"are the same variable of BERT, so it holds several models"):
        google.open_reader(prefix)


def test_second_of_two_heads_is_unmapped(tmp_path, arrays):
    garden = Garden(arrays, 2)
    heads = {name: {"out_proj": garden.scores("", f"{name}/logits")} for name in ("first", "second")}
    prefix = save(tmp_path / "ckpt", model={"network": garden.encoder(), **heads})
    source = model_source.open_source(prefix)
    assert len(source.unmapped) == 2
    assert {name.split("/")[1] for name in source.unmapped} < {"first", "second"}


def test_corrupt_graph_is_an_error(tmp_path):
    class Reader:
        def get_variable_to_shape_map(self):
            return {"_CHECKPOINTABLE_OBJECT_GRAPH": []}

        def get_tensor(self, name):
            return b"\xff" * 20

    with pytest.raises(ValueError, match="its object graph is corrupt"):
        model_garden.with_google_names(Reader())


@pytest.mark.parametrize("size", [0, 10])
def test_truncated_graph_is_an_error(tmp_path, arrays, size):
    prefix = save(tmp_path / "ckpt", encoder=Garden(arrays, 2).encoder())
    (data,) = tmp_path.glob("ckpt-1.data-*")
    data.write_bytes(data.read_bytes()[:size])
    with pytest.raises(InputError, match=r"ckpt-1 is not a readable TensorFlow checkpoint \(.*\); use another one"):
        google.open_reader(prefix)


# --- TF-Hub ----------------------------------------------------------------------------------------------------------


def test_module_prefix_is_removed(tmp_path, arrays):
    named = {f"module/{name}": array for name, array in some(arrays, "bert/").items()}
    google.write(str(tmp_path / "model.ckpt-1"), {**named, **some(arrays, "output_"), "global_step": np.int64(7)})
    assert_holds(str(tmp_path / "model.ckpt-1"), some(arrays, "bert/", "output_"))
    assert google.step_of(str(tmp_path / "model.ckpt-1")) == 7


def test_a_saved_model(tmp_path, arrays):
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES))
    root = tf.Module()
    root.encoder = encoder = tf.Module()

    def fill(module, tree):
        for name, item in tree.items():
            if isinstance(item, dict):
                setattr(module, name, tf.Module())
                fill(getattr(module, name), item)
            else:
                setattr(module, name, item)

    fill(encoder, Garden(arrays, 2).encoder())
    root.vocab_file = tf.saved_model.Asset(str(tmp_path / "vocab.txt"))
    root.do_lower_case = tf.Variable(False, trainable=False)
    tf.saved_model.save(root, str(tmp_path / "hub"))
    model = pretrained.find(str(tmp_path / "hub"))
    assert model.bert_config == CONFIG
    assert model.vocabulary.path == str(tmp_path / "hub/assets/vocab.txt")
    assert not model.do_lower_case
    source = model_source.open_source(str(tmp_path / "hub"))
    assert source.unmapped == ()
    model_source.check_complete(source, list(source.own_names))
    for name, array in some(arrays, "bert/").items():
        np.testing.assert_array_equal(source.read(name), array)


def test_a_module_of_tensorflow_1(tmp_path, arrays):
    (tmp_path / "variables").mkdir()
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets/vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES))
    google.write(str(tmp_path / "variables/variables"), some(arrays, "bert/", "cls/predictions"))
    (tmp_path / "config.json.txt").write_text(CONFIG.to_json_string())
    with pytest.raises(InputError, match=r"assets has no bert_config.json; give --bert_config_file"):
        pretrained.find(str(tmp_path))
    model = pretrained.find(str(tmp_path), bert_config_file=str(tmp_path / "config.json.txt"))
    assert model.vocabulary.path == str(tmp_path / "assets/vocab.txt")
    source = model_source.open_source(str(tmp_path), str(tmp_path / "config.json.txt"))
    assert (source.directory, {*source.own_names}) == (
        str(tmp_path / "assets"),
        {*some(arrays, "bert/", "cls/predictions")},
    )
