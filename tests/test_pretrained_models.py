"""Models and tokenizers from directories, and back into them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import GOLDEN
from helpers.tiny_teacher import write_teacher

from bert_tf2 import (
    BertClassifier,
    BertForMultipleChoice,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertMaskedLM,
    BertModel,
    BertTagger,
    FullTokenizer,
    checkpoints,
)
from bert_tf2.configs.tokenizer import TokenizerOptions
from bert_tf2.errors import InputError

TINY = GOLDEN / "tiny"
CHECKPOINT = str(TINY / "bert_model.ckpt")
LABELS = ["no", "maybe", "yes"]
MODELS = {
    BertModel: {},
    BertClassifier: {"labels": LABELS},
    BertTagger: {"labels": LABELS},
    BertForMultipleChoice: {},
    BertForQuestionAnswering: {},
    BertMaskedLM: {},
    BertForPreTraining: {},
}


@pytest.fixture(scope="module")
def tokenizer() -> FullTokenizer:
    return FullTokenizer.from_pretrained(TINY)


@pytest.fixture(scope="module")
def batch(tokenizer):
    return tokenizer(["a quick test", "of two texts"], max_length=16)


def assert_same(model, other, batch) -> None:
    for name, variable in model.named_variables().items():
        np.testing.assert_array_equal(variable, other.named_variables()[name], name)
    if isinstance(model, BertForMultipleChoice):  # the texts as two choices of one question
        batch = {name: array[None] for name, array in batch.items()}
    found, expected = (one.predict(batch, verbose=0) for one in (other, model))
    if isinstance(model, BertModel):
        found, expected = found.pooled_output, expected.pooled_output
    np.testing.assert_array_equal(
        np.concatenate([*map(np.ravel, values(found))]), np.concatenate([*map(np.ravel, values(expected))])
    )


def values(outputs):
    return outputs.values() if isinstance(outputs, dict) else [outputs]


@pytest.mark.parametrize("output_format", ["google", "huggingface"])
@pytest.mark.parametrize(("kind", "options"), MODELS.items(), ids=lambda one: getattr(one, "__name__", ""))
def test_saved_and_loaded(kind, options, output_format: str, tokenizer, batch, tmp_path: Path) -> None:
    model = kind.from_pretrained(CHECKPOINT, **options)
    model.save_pretrained(tmp_path / "model", output_format, tokenizer)
    other = kind.from_pretrained(tmp_path / "model")
    assert_same(model, other, batch)
    assert FullTokenizer.from_pretrained(tmp_path / "model").vocab == tokenizer.vocab
    if options:
        assert list(other.labels) == LABELS
    config = tmp_path / "model/config.json"
    assert config.is_file() == (output_format == "huggingface")
    if config.is_file():
        assert json.loads(config.read_text())["architectures"] == [kind.ARCHITECTURE]


def test_the_encoder_is_the_checkpoints(batch) -> None:
    golden = np.load(TINY / "forward.npz")
    inputs = {name: golden[f"in_{name}"] for name in ("input_ids", "input_mask", "segment_ids")}
    model = BertForPreTraining.from_pretrained(TINY)
    np.testing.assert_allclose(model.bert(inputs).pooled_output, golden["out_pooled_output"], atol=1e-5)
    assert BertModel.from_pretrained(CHECKPOINT, dtype="mixed_bfloat16").encoder[0].query.compute_dtype == "bfloat16"


@pytest.mark.parametrize("kind", ["multi_label", "regression"])
def test_the_kind_of_problem_is_kept(kind, tmp_path: Path, caplog) -> None:
    labels = 1 if kind == "regression" else 3
    model = BertClassifier.from_pretrained(TINY, labels=labels, problem_type=kind)
    assert "has no weights for output_weights, output_bias, which are initialized randomly" in caplog.text
    for output_format in ("google", "huggingface"):
        model.save_pretrained(tmp_path / output_format, output_format)
        other = BertClassifier.from_pretrained(tmp_path / output_format)
        assert (other.problem_type, other.number_of_labels) == (kind, labels)
    assert "gets no vocabulary" in caplog.text


def test_a_head_of_another_task_is_not_taken(tmp_path: Path, caplog) -> None:
    tagger = BertTagger.from_pretrained(TINY, labels=LABELS)
    tagger.save_pretrained(tmp_path / "tagger")
    with pytest.raises(InputError, match="has no head of a BertClassifier; give labels="):
        BertClassifier.from_pretrained(tmp_path / "tagger")
    caplog.clear()
    classifier = BertClassifier.from_pretrained(tmp_path / "tagger", labels=3)
    assert "which are initialized randomly" in caplog.text
    assert np.abs(classifier.get_weights()[-2] - tagger.get_weights()[-2]).max() > 0


@pytest.mark.parametrize("output_format", ["google", "huggingface"])
def test_a_head_of_the_same_shape_is_another_tasks(output_format: str, tmp_path: Path, caplog) -> None:
    """Regression and multiple choice both have one output."""
    value = BertClassifier.from_pretrained(TINY, labels=1, problem_type="regression")
    value.save_pretrained(tmp_path / "value", output_format)
    choice = BertForMultipleChoice.from_pretrained(TINY)
    choice.save_pretrained(tmp_path / "choice", output_format)
    with caplog.at_level("INFO"):
        other = BertForMultipleChoice.from_pretrained(tmp_path / "value")
        assert "is that of a classifier, not of multiple choice: it is not loaded" in caplog.text
        caplog.clear()
        one = BertClassifier.from_pretrained(tmp_path / "choice", labels=1)
        assert "is that of multiple choice, not of a classifier: it is not loaded" in caplog.text
        assert "has no weights for output_weights, output_bias, which are initialized randomly" in caplog.text
    for new, taken in ((other.choice, value.classifier), (one.classifier, choice.choice)):
        assert np.abs(np.asarray(new.output_weights) - np.asarray(taken.output_weights)).max() > 0
    with pytest.raises(InputError, match="has no head of a BertClassifier; give labels="):
        BertClassifier.from_pretrained(tmp_path / "choice")


def test_a_cased_tokenizer_stays_cased(tokenizer, tmp_path: Path) -> None:
    model = BertModel.from_pretrained(TINY)
    for output_format in ("google", "huggingface"):
        model.save_pretrained(tmp_path / output_format, output_format, FullTokenizer(TINY / "vocab.txt", False))
        found = FullTokenizer.from_pretrained(tmp_path / output_format)
        assert not found.basic_tokenizer.do_lower_case
        assert FullTokenizer.from_pretrained(tmp_path / output_format, do_lower_case=True).basic_tokenizer.do_lower_case


@pytest.mark.parametrize("output_format", ["google", "huggingface"])
def test_the_rules_of_a_tokenizer_are_kept(output_format: str, tmp_path: Path) -> None:
    options = {"strip_accents": False, "tokenize_chinese_chars": False, "never_split": ("[MASK]", "the")}
    tokenizer = FullTokenizer.from_pretrained(TINY, **options)
    BertModel.from_pretrained(TINY).save_pretrained(tmp_path / "model", output_format, tokenizer)
    found = FullTokenizer.from_pretrained(tmp_path / "model")
    options["never_split"] = ("the", "[MASK]") if output_format == "huggingface" else options["never_split"]
    assert found.basic_tokenizer.options == TokenizerOptions(**options)
    assert found.tokenize("other[MASK]É") == tokenizer.tokenize("other[MASK]É")
    assert FullTokenizer.from_pretrained(tmp_path / "model", never_split=()).basic_tokenizer.options.never_split == ()


def test_the_first_layers(batch) -> None:
    model = BertModel.from_pretrained(CHECKPOINT, num_hidden_layers=2)
    assert (model.config.num_hidden_layers, len(model.encoder)) == (2, 2)
    whole = BertModel.from_pretrained(CHECKPOINT)
    np.testing.assert_array_equal(model(batch).encoder_layers[1], whole(batch).encoder_layers[1])
    classifier = BertClassifier.from_pretrained(CHECKPOINT, labels=2, num_hidden_layers=1)
    assert classifier.config.num_hidden_layers == 1
    with pytest.raises(InputError, match=r"^--num_hidden_layers=9, but .* has 3 layers"):
        BertModel.from_pretrained(CHECKPOINT, num_hidden_layers=9)


def test_better_weights_of_a_training_are_mentioned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory = write_teacher(tmp_path / "model")
    BertClassifier.from_pretrained(directory)
    assert not caplog.messages
    checkpoints.save(str(directory / "best"), 3, {"global_step": tf.Variable(3, dtype=tf.int64)}, keep=1)
    BertClassifier.from_pretrained(directory)
    assert caplog.messages == [
        f"The latest weights (step 0) are loaded; those in {directory}/best (step 3) had the best score on the dev "
        f"data: from_pretrained('{directory}/best') takes them."
    ]


def test_what_cannot_be_loaded_or_saved(tokenizer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^google-bert/bert-base-uncased is not on this machine \("):
        BertModel.from_pretrained("bert-base-uncased")
    with pytest.raises(InputError, match=r"^There is no bert-base-uncase: .*; did you mean bert-base-uncased\?$"):
        BertModel.from_pretrained("bert-base-uncase")
    with pytest.raises(InputError, match="give labels="):
        BertClassifier.from_pretrained(TINY)
    model = BertModel.from_pretrained(TINY)
    with pytest.raises(InputError, match="choose one of google, huggingface"):
        model.save_pretrained(tmp_path / "x", "torch")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("mine")
    with pytest.raises(InputError, match="full exists already"):
        model.save_pretrained(tmp_path / "full")
    with pytest.raises(InputError, match=re.escape("tokenizer= is a str")):
        model.save_pretrained(tmp_path / "x", tokenizer="vocab.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
