"""Windows as model inputs: pieces, first pieces, words without pieces or with too many."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf2.tasks.tagging import features as features_module
from bert_tf2.tasks.tagging.conll import Sentences
from bert_tf2.tasks.tagging.features import Features, featurize
from bert_tf2.tasks.tagging.task_description import TaggingDescription
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "##a", "##b", ".", "北", "京"]
LABELS = ("O", "B-x", "I-x")
NO_PIECES = "\u0007\u200b"  # a control and a format character, which the tokenizer removes


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> FastTokenizer:
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join(PIECES) + "\n")
    return FastTokenizer(str(path))


def make(
    tokenizer: FastTokenizer, sentences: list[list[str]], max_seq_length: int, context: int | None = None
) -> Features:
    words = [word for sentence in sentences for word in sentence]
    splits = np.cumsum([0, *map(len, sentences)])
    file = Sentences("a.conll", words, words, None, np.arange(len(words)), splits, [])
    description = TaggingDescription(labels=LABELS, max_seq_length=max_seq_length, context_pieces=context)
    return featurize(file, tokenizer, description)


def rows(tokenizer: FastTokenizer, features: Features, values: np.ndarray | None = None) -> list[list]:
    """The tokens of each window, or its part of other values."""
    tokens = [tokenizer.inv_vocab[index] for index in features.input_ids.tolist()]
    windows = np.split(np.array(tokens) if values is None else values, features.row_splits[1:-1])
    return [window.tolist() for window in windows]


def test_the_first_piece_of_a_word_has_its_tag(tokenizer: FastTokenizer) -> None:
    features = make(tokenizer, [["ab", "b.a", "x"], ["北京", NO_PIECES, "a"]], 10)
    assert rows(tokenizer, features) == [
        ["[CLS]", "a", "##b", "b", ".", "a", "[UNK]", "[SEP]"],
        ["[CLS]", "北", "京", "a", "[SEP]"],
    ]
    assert rows(tokenizer, features, features.words) == [[-1, 0, -1, 1, -1, -1, 2, -1], [-1, 3, -1, 5, -1]]
    tags = features.tag_ids(np.array([0, 1, 2, 0, 1, 2], np.int32))
    assert rows(tokenizer, features, tags) == [[0, 1, 0, 2, 0, 0, 3, 0], [0, 1, 0, 3, 0]]
    assert features.without_pieces == 1
    assert features.summary(TaggingDescription(labels=LABELS, max_seq_length=10)) == (
        "2 sentences in 2 windows; the longest has 6 pieces, all fit into max_seq_length=10. Words without any piece, "
        "tagged O: 1."
    )


def test_long_sentences_are_split_without_losing_words(tokenizer: FastTokenizer) -> None:
    features = make(tokenizer, [list("ababab")], 6, context=1)
    assert rows(tokenizer, features) == [
        ["[CLS]", "a", "b", "a", "b", "[SEP]"],
        ["[CLS]", "a", "b", "a", "b", "[SEP]"],
    ]
    assert rows(tokenizer, features, features.words) == [[-1, 0, 1, 2, -1, -1], [-1, -1, 3, 4, 5, -1]]
    assert features.summary(TaggingDescription(labels=LABELS, max_seq_length=6, context_pieces=1)) == (
        "1 sentence in 2 windows; the longest has 6 pieces, 1 did not fit into max_seq_length=6 and was split, "
        "with 2 pieces in common."
    )


def test_words_longer_than_a_window(tokenizer: FastTokenizer) -> None:
    features = make(tokenizer, [["a", "." * 600, "b"]], 6)
    assert rows(tokenizer, features) == [
        ["[CLS]", "a", "[SEP]"],
        ["[CLS]", ".", ".", ".", ".", "[SEP]"],
        ["[CLS]", "b", "[SEP]"],
    ]
    assert (features.truncated, features.longest) == (1, 602)
    description = TaggingDescription(labels=LABELS, max_seq_length=6)
    assert "Words longer than a window, read up to its end: 1." in features.summary(description)


def test_sentences_without_pieces_have_no_window(tokenizer: FastTokenizer) -> None:
    features = make(tokenizer, [[NO_PIECES], ["a"], [NO_PIECES, "", NO_PIECES]], 6)
    assert rows(tokenizer, features) == [["[CLS]", "a", "[SEP]"]]
    assert features.without_pieces == 4
    assert len(make(tokenizer, [[NO_PIECES]], 6)) == 0


WORDS = st.sampled_from(["a", "ab", "abab", "x", "北京", "a.b.a", "." * 30, NO_PIECES, ""])


@given(st.lists(st.lists(WORDS, min_size=1, max_size=30), min_size=1, max_size=4), st.integers(3, 14), st.data())
@settings(max_examples=200)
def test_every_word_with_pieces_is_decided_exactly_once(
    tokenizer: FastTokenizer, sentences: list[list[str]], max_seq_length: int, data: st.DataObject
) -> None:
    context = data.draw(st.integers(0, (max_seq_length - 3) // 2))
    features = make(tokenizer, sentences, max_seq_length, context)
    words = [word for sentence in sentences for word in sentence]
    decided = features.words[features.words >= 0]
    assert decided.tolist() == [index for index, word in enumerate(words) if tokenizer.encode(word)]
    positions = np.flatnonzero(features.words >= 0)
    assert features.input_ids[positions].tolist() == [tokenizer.encode(words[index])[0] for index in decided]
    lengths = np.diff(features.row_splits)
    assert (lengths <= max_seq_length).all()
    starts, ends = features.row_splits[:-1], features.row_splits[1:] - 1
    assert (features.input_ids[starts] == tokenizer.vocab["[CLS]"]).all()
    assert (features.input_ids[ends] == tokenizer.vocab["[SEP]"]).all()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features_module, "_PIECES_AT_ONCE", 20)
        in_blocks = make(tokenizer, sentences, max_seq_length, context)
    for name in ("row_splits", "input_ids", "words"):
        np.testing.assert_array_equal(getattr(in_blocks, name), getattr(features, name))
    padded = features.padded_words(np.arange(len(features)), max_seq_length)
    np.testing.assert_array_equal(padded[np.arange(max_seq_length) < lengths[:, None]], features.words)
    assert (padded[np.arange(max_seq_length) >= lengths[:, None]] == -1).all()


def test_windows_are_pieces_of_their_sentence(tokenizer: FastTokenizer, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    sentences = [rng.choice(["a", "ab", "x", "北京"], size).tolist() for size in (50, 3, 80)]
    features = make(tokenizer, sentences, 12)
    whole = [" ".join(token for word in words for token in tokenizer.tokenize(word)) for words in sentences]
    for row in rows(tokenizer, features):
        assert sum(" ".join(row[1:-1]) in text for text in whole) >= 1
