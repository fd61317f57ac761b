"""Directories converted here in PyTorch transformers, and vice versa: the same outputs up to rounding.

Skipped where PyTorch and transformers are not installed (`pip install torch transformers`).
"""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import GOLDEN, REPOSITORY
from helpers.rounding import bound, forward
from helpers.tiny_huggingface import CONFIG, MODELS, PIECES

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import pretrained
from bert_tf2.configs.model import BertConfig
from bert_tf2.conversion.convert import ConversionConfig, convert
from bert_tf2.modeling.encoder import BertModel
from bert_tf2.modeling.heads import MaskedLMHead, NextSentenceHead
from bert_tf2.modeling.multiple_choice import BertForMultipleChoice
from bert_tf2.tokenization.wordpiece import FullTokenizer

pytestmark = [
    pytest.mark.numeric,
    pytest.mark.skipif(
        not all(map(importlib.util.find_spec, ("torch", "transformers"))),
        reason="PyTorch or transformers is not installed",
    ),
]

CASES = [(name, activation) for name in MODELS for activation in ("gelu", "gelu_new")]


def run_transformers(directory, jobs):
    (directory / "jobs.json").write_text(json.dumps(jobs))
    # -P, or transformers would import the `kernels` next to the program instead of the package of that name.
    command = [sys.executable, "-P", REPOSITORY / "tests/helpers/transformers_process.py", directory / "jobs.json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def write_batch(path, vocab_size, size=5, length=7):
    """Token ids, mask with padding, segments."""
    rng = np.random.default_rng(0)
    mask = (np.arange(length) < rng.integers(2, length + 1, [size, 1])).astype(np.int64)
    np.savez(path, ids=rng.integers(0, vocab_size, [size, length]), mask=mask, segments=rng.integers(0, 2, mask.shape))
    return list(np.load(path).values())


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A random model of each class with each GELU, saved by transformers, converted to Google's format and back."""
    root = tmp_path_factory.mktemp("transformers")
    write_batch(root / "batch.npz", CONFIG["vocab_size"])

    def jobs(kind):
        return [
            {
                "architecture": name,
                "folder": f"{root}/{name}-{activation}/{kind}",
                "batch": f"{root}/batch.npz",
                "outputs": f"{root}/{name}-{activation}/{kind}.npz",
                "settings": {**CONFIG, "hidden_act": activation, "num_labels": 2 if "Question" in name else 3},
            }
            for name, activation in CASES
        ]

    run_transformers(root, [{**job, "make": job["settings"]} for job in jobs("source")])
    for name, activation in CASES:
        directory = root / f"{name}-{activation}"
        (directory / "source/vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES))
        convert(ConversionConfig(f"{directory}/source", f"{directory}/google"))
        convert(ConversionConfig(f"{directory}/google", f"{directory}/back"))
    run_transformers(root, jobs("back"))
    return root


class OurModel:
    """Our encoder and heads from any directory, and their outputs for a batch."""

    def __init__(self, directory, batch):
        self.bert = BertModel(pretrained.find_bert_config(str(directory)))
        self.masked_lm, self.next_sentence = MaskedLMHead(self.bert.config), NextSentenceHead(self.bert.config)
        named = {}
        for part in (self.bert, self.masked_lm, self.next_sentence):
            named |= checkpoints.tf_variables(part.named_variables())
        hidden = self.bert.config.hidden_size
        labels = 1 if "MultipleChoice" in str(directory) else 3
        shapes = {"output_weights": [labels, hidden], "output_bias": [labels]}
        shapes |= {"cls/squad/output_weights": [2, hidden], "cls/squad/output_bias": [2]}
        heads = {name: tf.Variable(tf.zeros(shape)) for name, shape in shapes.items()}
        self.report = pretrained.load({**named, **heads}, str(directory))
        self.heads = {name: value.numpy() for name, value in heads.items()}
        self.outputs = self.bert(*(tf.constant(part, tf.int32) for part in batch))

    def masked_lm_scores(self):
        tokens = self.outputs.sequence_output
        size, length = tokens.shape[:2]
        scores = self.masked_lm(tokens, tf.tile(tf.range(length)[None], [size, 1]), self.bert.embedding_table)
        return tf.reshape(scores, [size, length, -1])

    def scores(self, inputs, head):
        return inputs.numpy() @ self.heads[f"{head}output_weights"].T + self.heads[f"{head}output_bias"]


def assert_near(one, other, mask=None):
    difference = np.abs(np.asarray(one) - np.asarray(other))
    if mask is not None:  # values at padding are meaningless
        difference = difference[mask.astype(bool)]
    assert difference.max() <= bound(other, forward(3))


def test_googles_checkpoint_in_transformers(tmp_path):
    """The tanh GELU of Google's config survives; all outputs of the pre-training model."""
    golden = GOLDEN / "tiny"
    convert(ConversionConfig(str(golden), str(tmp_path / "there")))
    vocab_size = BertConfig.from_json_file(golden / "bert_config.json").vocab_size
    batch = write_batch(tmp_path / "batch.npz", vocab_size, length=40)
    job = {"architecture": "BertForPreTraining", "folder": f"{tmp_path}/there", "batch": f"{tmp_path}/batch.npz"}
    run_transformers(tmp_path, [{**job, "outputs": f"{tmp_path}/out.npz"}])
    expected = np.load(tmp_path / "out.npz")
    ours = OurModel(golden, batch)
    assert_near(ours.masked_lm_scores(), expected["prediction_logits"], batch[1])
    assert_near(ours.next_sentence(ours.outputs.pooled_output), expected["seq_relationship_logits"])


@pytest.mark.parametrize(("architecture", "activation"), CASES)
def test_every_model_both_ways(models, architecture, activation):
    directory = models / f"{architecture}-{activation}"
    batch = list(np.load(models / "batch.npz").values())
    expected, again = (np.load(directory / f"{kind}.npz") for kind in ("source", "back"))
    assert expected.files == again.files
    for name in expected.files:
        assert_near(again[name], expected[name])

    for kind in ("source", "google"):
        ours = OurModel(directory / kind, batch)
        assert not ours.report.mismatched
        tokens, pooled, mask = ours.outputs.sequence_output, ours.outputs.pooled_output, batch[1]
        if architecture == "BertModel":
            assert_near(tokens, expected["last_hidden_state"], mask)
            assert_near(pooled, expected["pooler_output"])
        if architecture in ("BertForPreTraining", "BertForMaskedLM"):
            name = "prediction_logits" if architecture == "BertForPreTraining" else "logits"
            assert_near(ours.masked_lm_scores(), expected[name], mask)
        if architecture in ("BertForPreTraining", "BertForNextSentencePrediction"):
            name = "seq_relationship_logits" if architecture == "BertForPreTraining" else "logits"
            assert_near(ours.next_sentence(pooled), expected[name])
        if architecture == "BertForSequenceClassification":
            assert_near(ours.scores(pooled, ""), expected["logits"])
        if architecture == "BertForMultipleChoice":
            assert_near(ours.scores(pooled, "")[:, 0], expected["logits"][0])
            inputs = [part[None] for part in batch]  # all rows are choices of one question
            assert_near(BertForMultipleChoice.from_pretrained(directory / kind)(inputs), expected["logits"])
        if architecture == "BertForTokenClassification":
            assert_near(ours.scores(tokens, ""), expected["logits"], mask)
        if architecture == "BertForQuestionAnswering":
            scores = ours.scores(tokens, "cls/squad/")
            assert_near(scores[..., 0], expected["start_logits"], mask)
            assert_near(scores[..., 1], expected["end_logits"], mask)


def test_tokenizer(tmp_path, models):
    google, texts = models / "BertModel-gelu/google", ["a", "a covid+ as", "A Covid AS", "Á+a", "nothing known"]
    jobs = []
    for lower in (True, False):
        convert(ConversionConfig(str(google), f"{tmp_path}/{lower}", do_lower_case=lower))
        jobs.append({"tokenizer": f"{tmp_path}/{lower}", "texts": texts, "outputs": f"{tmp_path}/{lower}.json"})
    run_transformers(tmp_path, jobs)
    for lower in (True, False):
        own = FullTokenizer(google / "vocab.txt", do_lower_case=lower)
        found = json.loads((tmp_path / f"{lower}.json").read_text())
        assert found.pop("tokens") == [own.tokenize(text) for text in texts]
        assert found == {"ids": [2, 9, 3], "mask": "[MASK]", "pad": 0, "longest": 8}
