"""A tokenizer called on texts makes what the scripts make."""

import pickle
import re

import numpy as np
import pytest
from helpers.repository import GOLDEN, own_lines
from helpers.tiny_sentencepiece import sentencepiece_model

from bert_tf2.errors import InputError
from bert_tf2.tasks.classification.examples import Examples
from bert_tf2.tasks.classification.features import featurize
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer
from bert_tf2.tokenization.sentencepiece import SentencePieceTokenizer
from bert_tf2.tokenization.wordpiece import FullTokenizer

VOCAB = str(GOLDEN / "tiny/vocab.txt")
TEXTS, PAIRS = own_lines()[:40], own_lines()[40:80]
NAMES = ["input_ids", "input_mask", "segment_ids"]


class Shouting(FullTokenizer):
    def tokenize(self, text):
        return [*super().tokenize(text), "[MASK]"]


def of_scripts(tokenizer, pairs, max_length: int):
    rows = range(len(TEXTS))
    examples = Examples("x.tsv", rows, rows, TEXTS, pairs, None)
    return featurize(examples, np.zeros(len(TEXTS), np.int32), tokenizer, max_length).columns()


def assert_same(found, expected) -> None:
    assert list(found) == NAMES
    for name, array in found.items():
        assert array.dtype == np.int32
        np.testing.assert_array_equal(array, expected[name], name)


@pytest.mark.parametrize("pairs", [None, PAIRS], ids=["texts", "pairs"])
def test_batches_are_those_of_the_scripts(pairs, tmp_path) -> None:
    full, fast = FullTokenizer(VOCAB), FastTokenizer(VOCAB)
    sentencepiece = SentencePieceTokenizer(sentencepiece_model(tmp_path, control_symbols="[CLS],[SEP],[MASK]"))
    expected = of_scripts(fast, pairs, 20)
    for tokenizer in (full, fast, pickle.loads(pickle.dumps(full))):
        assert_same(tokenizer(TEXTS, pairs, max_length=20, pad_to_max_length=True), expected)
        assert_same(tokenizer(np.array(TEXTS), pairs, max_length=20, pad_to_max_length=True), expected)
    found = sentencepiece(TEXTS, pairs, max_length=20, pad_to_max_length=True)
    assert_same(found, of_scripts(sentencepiece, pairs, 20))
    longest = full(TEXTS, pairs)
    width = longest["input_mask"].sum(axis=1).max()
    assert longest["input_ids"].shape == (len(TEXTS), width)
    assert_same(full(TEXTS, pairs, max_length=int(width)), longest)


def test_one_text_is_a_batch_of_one() -> None:
    tokenizer = FullTokenizer(VOCAB)
    ids = tokenizer.convert_tokens_to_ids(
        ["[CLS]", *tokenizer.tokenize("a b"), "[SEP]", *tokenizer.tokenize("c"), "[SEP]"]
    )
    found = tokenizer("a b", "c")
    assert found["input_ids"].tolist() == [ids]
    assert found["segment_ids"].sum() == len(tokenizer.tokenize("c")) + 1
    assert tokenizer([])["input_ids"].shape == (0, 0)


def test_a_subclass_decides_how_batches_are_tokenized() -> None:
    tokenizer = Shouting(VOCAB)
    assert tokenizer("a")["input_ids"][0, -2] == tokenizer.vocab["[MASK]"]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((["a", float("nan")],), {}, "texts[1] is nan of type float; expected str."),
        ((["a"], ["b", "c"]), {}, "The numbers of texts (1) and pairs (2) differ; there must be as many of both."),
        ((["a"],), {"max_length": 2}, "max_length=2; a token of each text and the special tokens need at least 3."),
        ((["a"], ["b"]), {"max_length": 4}, "need at least 5."),
        ((["a"],), {"pad_to_max_length": True}, "needs max_length"),
    ],
)
def test_what_is_no_batch(arguments, options, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        FullTokenizer(VOCAB)(*arguments, **options)
