"""Google's vocabularies, ALBERT's SentencePiece model and texts of several languages through every tokenizer."""

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bert_tf2.errors import InputError
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer
from bert_tf2.tokenization.sentencepiece import SentencePieceTokenizer
from bert_tf2.tokenization.tf_tokenizer import GraphTokenizer
from bert_tf2.tokenization.wordpiece import SPECIAL_TOKENS, FullTokenizer, load_vocab

VOCABULARIES = {"uncased": True, "cased": False, "chinese": True}
SAMPLE = 12  # Every so manieth text; all of them were compared by hand.


@pytest.mark.parametrize(("name", "size"), [("uncased", 30522), ("cased", 28996), ("chinese", 21128)])
def test_google_vocabularies(real_data: Path, name: str, size: int) -> None:
    vocab = load_vocab(real_data / f"data/vocab/bert_{name}.txt")
    assert list(vocab.values()) == list(range(size))
    special = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
    expected = {
        "uncased": {**special, "the": 1996, "##s": 2015},
        "cased": {**special, "the": 1103, "The": 1109},
        "chinese": {**special, "": 343, "的": 4638, "##": 13502, "##😎": 21127},
    }[name]
    assert {piece: vocab[piece] for piece in expected} == expected


def texts_of(path: Path) -> Iterator[str]:
    """The lines of a file, or the strings of a JSON file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".json":
        yield from text.split("\n")
        return
    left = [json.loads(text)]
    while left:
        value = left.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list | dict):
            left += value.values() if isinstance(value, dict) else value


@pytest.mark.parametrize("name", VOCABULARIES)
def test_fast_tokenizer(real_data: Path, name: str) -> None:
    vocab_file = real_data / "data/vocab" / f"bert_{name}.txt"
    full, fast = (kind(vocab_file, VOCABULARIES[name]) for kind in (FullTokenizer, FastTokenizer))
    paths = sorted(path for path in (real_data / "data").rglob("*") if path.is_file() and path.suffix != ".model")
    assert len(paths) >= 25
    for path in paths:
        texts = list(texts_of(path))[::SAMPLE]
        tokens = [full.tokenize(text) for text in texts]
        ids = [full.convert_tokens_to_ids(row) for row in tokens]
        assert rows(fast, texts) == ids, path
        assert [fast.tokenize(text) for text in texts] == tokens, path


def rows(tokenizer: FastTokenizer, texts: Sequence[str]) -> list[list[int]]:
    ids, splits = tokenizer.encode_batch(texts)
    return [ids[start:end].tolist() for start, end in itertools.pairwise(splits)]


@pytest.mark.parametrize("name", VOCABULARIES)
def test_tokenizer_in_the_graph(real_data: Path, name: str) -> None:
    vocab_file = real_data / "data/vocab" / f"bert_{name}.txt"
    texts = lines_of(real_data, "wikitext2.test.raw")[:2000]
    texts += lines_of(real_data, "zh_novels.txt")[:: 1 if name == "chinese" else 5]
    graph = GraphTokenizer(vocab_file, VOCABULARIES[name])
    found = graph.tokenize(tf.constant(texts, tf.string))
    expected = FastTokenizer(vocab_file, VOCABULARIES[name]).encode_batch(texts)
    np.testing.assert_array_equal(found.row_splits, expected.row_splits)
    np.testing.assert_array_equal(found.values, expected.values)
    assert len(expected.values) > 200000


def lines_of(real_data: Path, name: str) -> list[str]:
    return (real_data / "data/text" / name).read_text(encoding="utf-8").split("\n")


# --- SentencePiece ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def albert(real_data: Path) -> str:
    return str(real_data / "data/sentencepiece/albert_like_30k.model")


def test_tokens_and_ids_of_another_projects_model(albert: str) -> None:
    tokenizer = SentencePieceTokenizer(albert, do_lower_case=True)
    tokens = tokenizer.tokenize("Hello WÖRLD, ``it's'' the unaffable")
    assert tokens == ["▁hell", "o", "▁", "world", ",", "▁", '"', "it", "'", "s", '"', "▁the", "▁un", "aff", "able"]
    assert tokenizer.convert_tokens_to_ids(tokens) == tokenizer.encode("Hello WÖRLD, ``it's'' the unaffable")
    assert tokenizer.encode(b"the 9,000") == tokenizer.encode("the 9,000") == [708, 256, 14, 246]
    assert list(tokenizer.vocab)[:6] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "("]
    assert [tokenizer.inv_vocab[index] for index in range(5)] == list(SPECIAL_TOKENS)
    assert list(tokenizer.vocab.values()) == list(range(30000))
    assert tokenizer.convert_ids_to_tokens([2, 708]) == ["[CLS]", "▁the"]
    with pytest.raises(InputError, match="'nothing' is not in the vocabulary of 30,000 pieces"):
        tokenizer.convert_tokens_to_ids(["nothing"])
    assert SentencePieceTokenizer(albert).tokenize("HELLO") == ["▁H", "ELL", "O"]


def test_draws_of_another_projects_model(albert: str) -> None:
    tokenizer = SentencePieceTokenizer(albert, alpha=0.1, seed=7)
    drawn = [13, 2010, 13, 2642, 9662, 277, 142, 1344, 72, 121, 297, 26, 13, 219, 4988]
    assert tokenizer.encode("the quick brown fox") == drawn


def test_sentencepiece_in_the_graph(albert: str, real_data: Path) -> None:
    import tensorflow_text

    lines = lines_of(real_data, "en_novels.txt")[:3000]
    ragged = tensorflow_text.SentencepieceTokenizer(Path(albert).read_bytes()).tokenize(tf.constant(lines))
    expected = SentencePieceTokenizer(albert).encode_batch(lines)
    np.testing.assert_array_equal(expected.row_splits, ragged.row_splits)
    np.testing.assert_array_equal(expected.values, ragged.values)
    assert expected.values.size > 30000
