"""The tokenizer inside a graph against its definition: every code point, nasty texts, SentencePiece."""

import functools
import random
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import GOLDEN
from helpers.tiny_sentencepiece import sentencepiece_model
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf2.configs.tokenizer import TokenizerOptions
from bert_tf2.errors import InputError
from bert_tf2.tokenization import tf_tokenizer
from bert_tf2.tokenization.auto import VocabularyFile
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer
from bert_tf2.tokenization.sentencepiece import SentencePieceTokenizer
from bert_tf2.tokenization.tf_tokenizer import GraphSentencePieceTokenizer, GraphTokenizer
from bert_tf2.tokenization.wordpiece import BasicTokenizer, FullTokenizer

VOCABULARIES = {"uncased": True, "cased": False}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CHARACTERS = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
SIGMAS = "ΣσςAa.'·\u00ad\u0345\u0301 中\x07\ufffd"
# Marks that are kept when accents are stripped, stripped marks of all classes, and characters that decompose into both.
MARKS = "a〮〯\u3099\u0301\u0316\u094d\u0941\u0f71\u0f72\u0cc0\u1a60\U0001d165\U0001d16d\U0001d172\U0001d15e\u09cb각ệ "


@functools.cache
def both(name: str) -> tuple[GraphTokenizer, FastTokenizer]:
    path = GOLDEN / "own" / f"vocab_{name}.txt"
    return GraphTokenizer(path, VOCABULARIES[name]), FastTokenizer(path, VOCABULARIES[name])


def assert_same(name: str, texts: Sequence[str]) -> int:
    graph, python = both(name)
    result, expected = graph.tokenize(tf.constant(texts, tf.string)), python.encode_batch(texts)
    different = np.flatnonzero(result.row_splits.numpy() != expected.row_splits)
    assert not len(different), repr(texts[different[0] - 1])
    np.testing.assert_array_equal(result.values, expected.values)
    assert result.values.dtype == tf.int32
    return len(expected.values)


@pytest.mark.parametrize("name", VOCABULARIES)
def test_every_code_point(name: str):
    assert assert_same(name, [f"a{char}b" for char in CHARACTERS]) > len(CHARACTERS)
    assert_same(name, CHARACTERS)


@pytest.mark.parametrize("name", VOCABULARIES)
def test_code_points_next_to_a_sigma(name: str):
    rng = random.Random(1)
    near = [char for char in CHARACTERS if f"{char}Σ".lower()[-1] == "ς" or f"A{char}Σ".lower()[-1] == "ς"]
    texts = [f"{char}Σ{char}" for char in [*near, *rng.sample(CHARACTERS, 5000)]]
    texts += ["".join(rng.choices(SIGMAS, k=10)) for _ in range(10000)]
    assert len(near) > 4000
    assert_same(name, texts)


@pytest.mark.parametrize("name", VOCABULARIES)
def test_marks_are_sorted(name: str):
    rng = random.Random(2)
    texts = ["".join(rng.choices(MARKS, k=12)) for _ in range(10000)]
    combining = [char for char in CHARACTERS if unicodedata.combining(char)]
    texts += [f"a{one}{other}\u302e{one}b" for one in combining[::7] for other in combining[::31]]
    assert_same(name, texts)
    if VOCABULARIES[name]:
        rules = BasicTokenizer()
        words = both(name)[0].words(tf.constant(texts)).to_list()
        assert [[word.decode() for word in row] for row in words] == [rules.tokenize(text) for text in texts]
        assert any(text != unicodedata.normalize("NFD", text) for text in texts)


@settings(max_examples=60)
@given(texts=st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40), max_size=8))
def test_random_texts(texts: list[str]):
    for name in VOCABULARIES:
        assert_same(name, texts)


@pytest.mark.parametrize("name", VOCABULARIES)
def test_text(name: str):
    paths = [path for path in (GOLDEN / "own").rglob("*") if path.suffix in (".txt", ".tsv", ".json")]
    texts = [line for path in paths for line in path.read_text(encoding="utf-8").split("\n")]
    assert assert_same(name, texts) > 50000


def test_long_words():
    longest = ["a" * 200, "é" * 200, "가" * 100, "가" * 101, "\U0001d11e" * 200, "\U0001d11e" * 201, "a" * 201]
    texts = [*longest, " ".join(longest), f"{'a' * 150}-{'a' * 150}"]
    for name in VOCABULARIES:
        assert_same(name, texts)
    graph = both("uncased")[0]
    assert graph.tokenize(tf.constant(["b " + "a" * 201])).to_list() == [[graph.vocab["b"], graph.vocab["[UNK]"]]]


def test_empty_texts_and_invalid_bytes():
    graph = both("uncased")[0]
    assert graph.tokenize(tf.constant(["", " \t", "\ufffd\0"])).to_list() == [[], [], []]
    assert graph.tokenize(tf.constant([], tf.string)).to_list() == []
    assert graph.tokenize(tf.constant([b"a\xffb\xc3"])).to_list() == graph.tokenize(tf.constant(["ab"])).to_list()


def test_odd_vocabulary(tmp_path: Path):
    path = tmp_path / "vocab.txt"
    pieces = [*SPECIAL, "\u2028", "a", "##b", "\u3000", "##\x11", "##c", "##\u2029", "#", "d e", "ab##", "中"]
    path.write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")
    graph, python = GraphTokenizer(path), FullTokenizer(path)
    texts = ["abc", "a \u2028 b", "ab##", "#", "##", "中b a中", "d e", "[CLS] [PAD]", "5 \ufffd5"]
    expected = [python.convert_tokens_to_ids(python.tokenize(text)) for text in texts]
    assert graph.tokenize(tf.constant(texts)).to_list() == expected
    assert expected[0] == [6, 7, 10]


# --- Other rules than the original's ----------------------------------------------------------------------------------

TOKENS = ("[E1]", "[E1]x", "[DRUG]", "É", "Σ.", "中国", "a.b|c", "##")
RULES = {
    "lower-accents": (True, TokenizerOptions(False, False)),
    "lower-accents-tokens": (True, TokenizerOptions(False, False, TOKENS)),
    "cased-stripped": (False, TokenizerOptions(True)),
    "tokens": (True, TokenizerOptions(never_split=TOKENS)),
}


@functools.cache
def with_rules(name: str) -> tuple[GraphTokenizer, FastTokenizer]:
    lower, options = RULES[name]
    file = VocabularyFile(str(GOLDEN / "own" / "vocab_cased.txt"), options=options, added_tokens=TOKENS)
    graph, python = tf_tokenizer.make(file, lower), file.tokenizer(lower)
    assert isinstance(graph, GraphTokenizer)
    assert isinstance(python, FastTokenizer)
    return graph, python


@pytest.mark.parametrize("name", RULES)
def test_other_rules(name: str):
    rng = random.Random(4)
    letters = [*SIGMAS, *MARKS, *TOKENS, *"ÉéÅ 中国。İ\0"]
    texts = [f"a{char}b {char}" for char in [*CHARACTERS[:0x2000], *CHARACTERS[::61]]]
    texts += ["", "[E1]", " [E1] ", "[E1][E1]x", "a[DRUG]", "[E\0001]", "[E\ufffd1]"]
    assert_same_rules(name, [*texts, *("".join(rng.choices(letters, k=10)) for _ in range(3000))])


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
def test_every_code_point_with_other_rules(name: str):
    assert_same_rules(name, [f"a{char}b {char}" for char in CHARACTERS])


def assert_same_rules(name: str, texts: list[str]) -> None:
    graph, python = with_rules(name)
    result, expected = graph.tokenize(tf.constant(texts)), python.encode_batch(texts)
    different = np.flatnonzero(result.row_splits.numpy() != expected.row_splits)
    assert not len(different), repr(texts[different[0] - 1])
    np.testing.assert_array_equal(result.values, expected.values)
    assert (result.dtype, result.row_splits.dtype) == (tf.int32, tf.int64)
    words = graph.words(tf.constant(texts[-2000:])).to_list()
    rules = BasicTokenizer.of(*RULES[name])
    assert [[word.decode() for word in row] for row in words] == [rules.tokenize(text) for text in texts[-2000:]]


def test_tokens_among_invalid_bytes():
    graph, python = with_rules("tokens")
    assert graph.tokenize(tf.constant([b"a\xff[E1]b\xc3"])).to_list() == [python.encode("a[E1]b")]
    assert graph.tokenize(tf.constant([], tf.string)).to_list() == []


def test_a_saved_tokenizer_with_other_rules(tmp_path: Path):
    graph, python = with_rules("lower-accents-tokens")
    tf.saved_model.save(graph, str(tmp_path / "saved"))
    text = "Éa[E1] 中国 É"
    assert tf.saved_model.load(str(tmp_path / "saved")).tokenize(tf.constant([text])).to_list() == [python.encode(text)]


# --- SentencePiece ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("symbols", ["control_symbols", "user_defined_symbols"])
def test_sentencepiece(symbols: str, tmp_path: Path):
    path = sentencepiece_model(tmp_path, **{symbols: "[CLS],[SEP],[MASK]"})
    texts = ["the dog", "", " two  blanks ", "[CLS] the [MASK]", "中 fox <pad> <unk>", "Fox"]
    graph = tf_tokenizer.make(VocabularyFile(path, is_sentencepiece=True), do_lower_case=False)
    result = graph.tokenize(tf.constant(texts))
    expected = SentencePieceTokenizer(path).encode_batch(texts)
    np.testing.assert_array_equal(result.row_splits, expected.row_splits)
    np.testing.assert_array_equal(result.values, expected.values)
    assert result.dtype == tf.int32


def test_sentencepiece_that_needs_python_to_lower_case_is_refused(tmp_path: Path):
    path = sentencepiece_model(tmp_path, control_symbols="[CLS],[SEP],[MASK]")
    with pytest.raises(InputError, match=r"x.model does not fold case itself"):
        GraphSentencePieceTokenizer(path, do_lower_case=True)
    folding = sentencepiece_model(tmp_path, control_symbols="[CLS],[SEP],[MASK]", normalization_rule_name="nmt_nfkc_cf")
    graph = GraphSentencePieceTokenizer(folding, do_lower_case=True)
    assert graph.tokenize(tf.constant(["The DOG"])).to_list() == [
        SentencePieceTokenizer(folding, do_lower_case=True).encode("The DOG")
    ]
