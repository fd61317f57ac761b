"""Inspecting models from every kind of directory: description, predictions, labels, attention, errors."""

import json

import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import GOLDEN
from helpers.rounding import assert_close, forward
from helpers.tiny_huggingface import PIECES, arrays_of, write_directory
from reference import encoder

from bert_tf2 import checkpoints
from bert_tf2.checkpoints.huggingface import ModelDirectory
from bert_tf2.errors import InputError
from bert_tf2.inspection import Attention, Inspector
from bert_tf2.modeling.classifier import BertClassifier
from bert_tf2.modeling.pretraining import BertForPreTraining
from bert_tf2.modeling.tagger import BertTagger
from bert_tf2.tokenization.wordpiece import FullTokenizer

pytestmark = pytest.mark.numeric

LAYERS, HEADS = 2, 2


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return write_directory(tmp_path_factory.mktemp("model"), "BertForPreTraining")


@pytest.fixture(scope="module")
def inspector(directory):
    return Inspector.open(str(directory), top_k=3)


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


# --- What the model is -----------------------------------------------------------------------------------------------


def test_description(inspector, directory):
    result = inspector.description
    assert (result.weights, result.format) == (
        f"{directory}/model.safetensors",
        "Hugging Face directory, model.safetensors",
    )
    assert result.heads == ("masked_lm", "next_sentence")
    assert (result.tokenizer, result.pieces, result.lower_cased, result.strips_accents) == ("WordPiece", 12, True, True)
    counts = {name.strip(): count for name, count in result.blocks}
    assert counts["embeddings"] == (12 + 8 + 2) * 4 + 8
    assert counts["one layer"] == 4 * 20 + 8 + 30 + 28 + 8
    assert (counts["pooler"], counts["head cls/predictions"], counts["head cls/seq_relationship"]) == (20, 40, 10)
    assert (result.parameters, result.bytes) == (474, 1896)
    assert result.labels == ()
    assert result.others == ()
    shown = result.to_table()
    assert "hidden size    4, 2 heads of 2\n" in shown
    assert "head           masked language model, next sentence\n" in shown
    assert "parameters     474, 0.0 MB in float32\n" in shown
    values = json.loads(json.dumps(result.to_dict()))
    assert values["config"]["num_hidden_layers"] == 2
    assert values["blocks"][-1] == {"name": "total", "depth": 0, "parameters": 474}


def test_description_of_a_google_checkpoint():
    result = Inspector.open(str(GOLDEN / "tiny/bert_model.ckpt")).description
    assert result.format == "checkpoint under Google's names"
    assert (result.config.num_hidden_layers, result.pieces, result.config.vocab_size) == (3, 2006, 2006)
    assert result.heads == ("masked_lm", "next_sentence")
    assert result.title() == "BERT, 3 layers of 96, 4 heads each; masked language model and next sentence"


def test_description_without_a_vocabulary(tmp_path):
    directory = write_directory(tmp_path / "model", "BertForSequenceClassification", id2label={0: "a", 1: "b", 2: "c"})
    (directory / "vocab.txt").unlink()
    inspector = Inspector.open(str(directory), num_hidden_layers=1)
    result = inspector.description
    assert (result.vocabulary, result.pieces, result.lower_cased) == (None, None, None)
    assert (result.config.num_hidden_layers, result.problem_type, result.labels) == (1, "single_label", ("a", "b", "c"))
    assert result.parameters == 474 - 50 + 15 - 154
    assert "labels         3: a, b, c\n" in result.to_table()
    assert "give --vocab_file" in result.to_table()
    with pytest.raises(InputError, match=r"has no vocab\.txt; give --vocab_file"):
        inspector.pieces("a")


# --- What it says of a text ------------------------------------------------------------------------------------------


def test_masks(inspector, directory):
    result = inspector.inspect("co[MASK] a [MASK]")
    assert [mask.position for mask in result.masks] == [2, 4]
    model = BertForPreTraining.from_pretrained(directory)
    logits = model({"input_ids": result.pieces.ids[None]})["masked_lm"].numpy()[0].astype(np.float64)
    for mask in result.masks:
        probabilities = softmax(logits[mask.position])
        best = np.argsort(-probabilities)[:3]
        assert [each.token for each in mask.candidates] == [PIECES[index] for index in best]
        assert_close([each.probability for each in mask.candidates], probabilities[best], forward(LAYERS))
    assert result.follows is None
    lines = result.to_table().splitlines()
    assert lines[0] == "co[MASK] a [MASK]"
    assert lines[2].split() == ["0", "[CLS]", "2", "0"]
    assert lines[3].split() == ["1", "co", "7", "0", "co"]
    assert lines[-1].startswith(f"[MASK] at 4: {result.masks[1].candidates[0].token} ")
    assert [mask["position"] for mask in result.to_dict()["masks"]] == [2, 4]


def test_a_pair(inspector, directory):
    result = inspector.inspect("co", "a covid")
    assert result.masks == ()
    batch = {"input_ids": [result.pieces.ids], "segment_ids": [result.pieces.segments]}
    logits = BertForPreTraining.from_pretrained(directory)(batch)["next_sentence"].numpy()
    assert result.follows == pytest.approx(softmax(logits.astype(np.float64))[0, 0], abs=1e-5)
    assert f"the second text follows the first: {result.follows:.1%}" in result.to_table()


@pytest.mark.parametrize("decoder", ["none", "untied"])
def test_next_sentence_without_a_masked_lm_head(tmp_path, inspector, decoder):
    arrays = arrays_of("BertForPreTraining")
    if decoder == "none":
        arrays = {name: array for name, array in arrays.items() if not name.startswith("cls.predictions.")}
    else:
        arrays["cls.predictions.decoder.weight"] = arrays["bert.embeddings.word_embeddings.weight"] + 1
    architecture = "BertForPreTraining" if decoder == "untied" else "BertForNextSentencePrediction"
    alone = Inspector.open(str(write_directory(tmp_path / "m", architecture, arrays)))
    assert alone.description.heads == ("next_sentence",)
    result = alone.inspect("co [MASK]", "a covid")
    assert result.masks == ()
    assert result.follows == pytest.approx(inspector.inspect("co [MASK]", "a covid").follows, abs=1e-6)
    with pytest.raises(InputError, match="has no masked-LM head"):
        alone.score(["a"])


def test_unknown_word_is_marked(inspector):
    assert inspector.inspect("zebra a").to_table().count("zebra  (not in the vocabulary)") == 1


@pytest.mark.parametrize("problem", ["single_label_classification", "multi_label_classification", "regression"])
def test_a_classifier(tmp_path, problem):
    arrays = arrays_of("BertForSequenceClassification")
    labels = {} if problem == "regression" else {"id2label": {0: "x", 1: "y", 2: "z"}}
    if problem == "regression":
        arrays |= {name: arrays[name][:1] for name in ("classifier.weight", "classifier.bias")}
    directory = write_directory(tmp_path / "m", "BertForSequenceClassification", arrays, problem_type=problem, **labels)
    model = BertClassifier.from_pretrained(directory)
    model.save_pretrained(tmp_path / "google", "google", FullTokenizer(directory / "vocab.txt"))
    result = Inspector.open(str(tmp_path / "google")).inspect("a co")
    logits = model({"input_ids": [result.pieces.ids]}).numpy()[0].astype(np.float64)
    if problem == "regression":
        assert result.value == pytest.approx(logits[0], abs=1e-5)
        assert result.labels == ()
        assert result.to_dict()["value"] == round(result.value, 6)
        return
    expected = softmax(logits) if problem.startswith("single") else 1 / (1 + np.exp(-logits))
    assert [each.label for each in result.labels] == ["x", "y", "z"]
    assert_close([each.probability for each in result.labels], expected, forward(LAYERS))
    assert list(result.to_dict()["labels"]) == ["x", "y", "z"]
    assert result.value is None
    best = max(result.labels, key=lambda each: each.probability)
    assert f"labels: {best.label} {best.probability:.1%}   " in result.to_table()


def test_a_tagger(tmp_path):
    directory = write_directory(tmp_path / "m", "BertForTokenClassification", id2label={0: "O", 1: "B-x", 2: "I-x"})
    result = Inspector.open(str(directory)).inspect("covid a co")
    logits = BertTagger.from_pretrained(directory)({"input_ids": [result.pieces.ids]}).numpy()[0].astype(np.float64)
    probabilities = softmax(logits)[[1, 3, 4]]  # the first pieces of the words
    assert [tag.label for tag in result.tags] == [("O", "B-x", "I-x")[index] for index in probabilities.argmax(1)]
    assert_close([tag.probability for tag in result.tags], probabilities.max(1), forward(LAYERS))
    assert [tag["word"] for tag in result.to_dict()["tags"]] == [0, 1, 2]
    assert f"covid  {result.tags[0].label} " in result.to_table()


# --- Attention -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["BertForPreTraining", "BertModel"])
def test_attention_equals_the_numpy_encoder(tmp_path, architecture):
    directory = write_directory(tmp_path / "m", architecture)
    result = Inspector.open(str(directory)).attention("covid a", "+ [MASK]")
    read = ModelDirectory(directory)
    weights = {name: read.get_tensor(name) for name in read.hf_names}
    batch = result.pieces.ids[None], np.ones((1, 8), np.int64), result.pieces.segments[None]
    _, expected = encoder.encode(weights, HEADS, "gelu_exact", *batch)
    assert result.probabilities.shape == (LAYERS, HEADS, 8, 8)
    assert_close(result.probabilities, np.concatenate(expected), forward(LAYERS), scale=1.0)
    np.testing.assert_allclose(result.probabilities.sum(-1), 1.0, rtol=0, atol=1e-6)


def test_arrays_of_attention(inspector):
    arrays = inspector.attention("covid").to_arrays("_7")
    assert {name: array.shape for name, array in arrays.items()} == {
        "attention_7": (LAYERS, HEADS, 4, 4),
        "tokens_7": (4,),
        "input_ids_7": (4,),
        "segment_ids_7": (4,),
    }
    assert arrays["tokens_7"].tolist() == ["[CLS]", "co", "##vid", "[SEP]"]
    assert isinstance(inspector.attention("covid"), Attention)


# --- Refusals --------------------------------------------------------------------------------------------------------


def test_too_long_text_is_an_error(inspector):
    with pytest.raises(InputError, match=r"^The text has 9 pieces with \[CLS\] and \[SEP\], .* only 8 positions"):
        inspector.inspect("a a a a a a a")


def test_pair_needs_two_segment_types(tmp_path):
    arrays = arrays_of("BertModel")
    arrays["embeddings.token_type_embeddings.weight"] = arrays["embeddings.token_type_embeddings.weight"][:1]
    inspector = Inspector.open(str(write_directory(tmp_path / "m", "BertModel", arrays, type_vocab_size=1)))
    with pytest.raises(InputError, match=r"The text is a pair, but the model has only one segment type"):
        inspector.attention("a", "co")


def test_untied_decoder_makes_no_predictions(tmp_path):
    """With a decoder that is not tied to the word embeddings, the masked-LM head is ignored."""
    arrays = arrays_of("BertForMaskedLM")
    arrays["cls.predictions.decoder.weight"] = arrays["bert.embeddings.word_embeddings.weight"] + 1
    inspector = Inspector.open(str(write_directory(tmp_path / "m", "BertForMaskedLM", arrays)))
    assert inspector.inspect("a [MASK]").masks == ()
    with pytest.raises(InputError, match="whose decoder is not its word embeddings"):
        inspector.score(["a"])


def test_incomplete_model_is_an_error(tmp_path):
    arrays = arrays_of("BertForMaskedLM")
    del arrays["cls.predictions.transform.dense.weight"]
    inspector = Inspector.open(str(write_directory(tmp_path / "m", "BertForMaskedLM", arrays)))
    with pytest.raises(InputError, match=r"lacks cls/predictions/transform/dense/kernel, .* the model is incomplete"):
        inspector.inspect("a")


def test_non_finite_weights_are_an_error(tmp_path):
    arrays = {name: np.full_like(array, np.nan) for name, array in arrays_of("BertModel").items()}
    inspector = Inspector.open(str(write_directory(tmp_path / "m", "BertModel", arrays)))
    with pytest.raises(InputError, match="attention are not all finite"):
        inspector.attention("a")
    with pytest.raises(InputError, match="word embeddings are not all finite"):
        inspector.nearest("a")


def test_nearest_reads_only_the_embeddings(directory):
    inspector = Inspector.open(str(directory))
    table = arrays_of("BertForPreTraining")["bert.embeddings.word_embeddings.weight"].astype(np.float64)
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    cosines = unit @ unit[PIECES.index("co")]
    order = [index for index in np.argsort(-cosines) if PIECES[index] != "co"]
    result = inspector.nearest("co", 5)
    assert [each.token for each in result.neighbors] == [PIECES[index] for index in order[:5]]
    assert "_network" not in vars(inspector)


def test_a_run_directory(tmp_path):
    """The newest checkpoint of a training run, with the state of its optimizer."""
    config = json.loads((GOLDEN / "tiny/bert_config.json").read_text())
    (tmp_path / "bert_config.json").write_text(json.dumps(config))
    (tmp_path / "vocab.txt").write_bytes((GOLDEN / "tiny/vocab.txt").read_bytes())
    reader = checkpoints.open_reader(str(GOLDEN / "tiny/bert_model.ckpt"))
    names = reader.get_variable_to_shape_map()
    variables = {name: tf.Variable(reader.get_tensor(name)) for name in names}
    variables["global_step"] = tf.Variable(7, dtype=tf.int64)
    variables["bert/pooler/dense/bias/adam_m"] = tf.Variable(tf.zeros([96]))
    checkpoints.save(str(tmp_path), 7, variables)
    result = Inspector.open(str(tmp_path)).description
    assert result.weights == f"{tmp_path}/model.ckpt-7"
    assert result.others == (("state of the training", 2),)
    assert "besides        2 variables: state of the training\n" in result.to_table()
