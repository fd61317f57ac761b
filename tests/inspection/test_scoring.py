"""Pseudo-perplexity: against a plain loop that masks one piece at a time."""

import json
import math

import numpy as np
import pytest
from helpers.rounding import assert_close, forward
from helpers.tiny_huggingface import PIECES, write_directory

from bert_tf2.errors import InputError
from bert_tf2.inspection import Inspector, scoring
from bert_tf2.modeling.pretraining import BertMaskedLM

pytestmark = pytest.mark.numeric

TEXTS = [("covid a", None), ("+", None), ("a co", "as +"), ("\x00", None), ("zebra as", None)]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return write_directory(tmp_path_factory.mktemp("model"), "BertForMaskedLM")


@pytest.fixture(scope="module")
def inspector(directory):
    return Inspector.open(str(directory))


@pytest.fixture(scope="module")
def scores(inspector):
    return inspector.score([inspector.pieces(*pair) for pair in TEXTS], batch_size=3)


def test_against_a_plain_loop(directory, scores):
    model = BertMaskedLM.from_pretrained(directory)
    for score in scores:
        pieces, expected = score.pieces.pieces, []
        for position, piece in enumerate(pieces):
            if piece.token in ("[CLS]", "[SEP]"):
                continue
            ids = [PIECES.index("[MASK]") if other == position else each.id for other, each in enumerate(pieces)]
            logits = model({"input_ids": np.array([ids]), "segment_ids": score.pieces.segments[None]})[
                0, position
            ].numpy()
            logits = logits.astype(np.float64)
            expected.append(logits[piece.id] - logits.max() - math.log(np.exp(logits - logits.max()).sum()))
        assert [pieces[position].token for position in score.positions] == list(score.tokens)
        assert_close(score.log_probabilities, expected, forward(2), scale=10.0)
        assert score.pseudo_log_likelihood == pytest.approx(sum(expected), abs=1e-3)
        if expected:
            assert score.pseudo_perplexity == pytest.approx(math.exp(-sum(expected) / len(expected)), rel=1e-4)


def test_scores_keep_the_order_for_any_batch_size(inspector, scores):
    assert [score.pieces.text for score in scores] == [text for text, _ in TEXTS]
    for batch_size in (1, 64):
        done = []
        others = inspector.score([score.pieces for score in scores], batch_size, done.append)
        for score, other in zip(scores, others, strict=True):
            assert_close(other.log_probabilities, score.log_probabilities, forward(2), scale=10.0)
        assert sum(done) == sum(len(score.positions) for score in scores) == 12


def test_text_without_pieces(scores):
    empty = scores[3]
    assert (empty.tokens, empty.pseudo_log_likelihood, empty.pseudo_perplexity) == ((), 0.0, None)
    assert empty.to_dict()["pseudo_perplexity"] is None
    assert "no pieces" in empty.to_table()


def test_unknown_word_is_scored_as_unk(scores):
    assert scores[4].tokens == ("[UNK]", "a", "##s")


def test_no_texts(inspector):
    assert inspector.score([]) == []


def test_table_and_dictionary(scores):
    score = scores[2]
    assert score.to_table().splitlines()[0] == "a co ||| as +"
    assert f"pseudo-perplexity {score.pseudo_perplexity:,.2f}" in score.to_table()
    assert len(score.to_table().splitlines()) == 2 + 5
    values = json.loads(json.dumps(score.to_dict()))
    assert values["tokens"] == ["a", "co", "a", "##s", "+"]
    assert values["text_b"] == "as +"
    assert values["log_probabilities"] == [round(value, 6) for value in score.log_probabilities]


def test_perplexity_overflow_is_infinity():
    assert scoring.perplexity(-1e6, 10) == math.inf
    assert scoring.perplexity(-math.log(8) * 3, 3) == pytest.approx(8)


def test_mask_is_an_error(inspector):
    with pytest.raises(InputError, match=r"^Text 2 has a \[MASK\]; scoring masks each piece itself"):
        inspector.score(["a", "co [MASK]"])


def test_model_without_the_head_is_an_error(tmp_path):
    inspector = Inspector.open(str(write_directory(tmp_path / "m", "BertForTokenClassification")))
    with pytest.raises(InputError, match=r"has no masked-LM head \(it is a model with the head tagger\)"):
        inspector.score(["a"])
