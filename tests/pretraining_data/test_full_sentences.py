"""Rows of consecutive sentences: every token once and in order, separators, lengths, masks."""

import itertools
import random
from typing import Any

import numpy as np
import pytest
from helpers.instance_columns import instance_columns
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.instances import mask_tokens

from bert_tf2.pretraining_data import full_sentences
from bert_tf2.pretraining_data.fast_instances import Corpus, Vocabulary
from bert_tf2.pretraining_data.instances import InstanceParameters

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{n}" for n in range(20)), *(f"##{n}" for n in range(15))]
CLS, SEP, MASK, WORD, CONTINUATION = 2, 3, 4, 5, 25
VOCABULARY = Vocabulary.of({piece: number for number, piece in enumerate(PIECES)})

Documents = list[list[list[int]]]

sentences = st.builds(
    lambda first, rest: [first, *rest],
    st.integers(WORD, CONTINUATION - 1),
    st.lists(st.integers(WORD, len(PIECES) - 1), max_size=20),
)
documents = st.lists(st.lists(sentences, min_size=1, max_size=6), max_size=6)


def corpus_of(texts: Documents) -> Corpus:
    flat = [sentence for document in texts for sentence in document]
    return Corpus(
        np.array([token for sentence in flat for token in sentence], np.int32),
        np.cumsum([0, *map(len, flat)], dtype=np.int64),
        np.cumsum([0, *map(len, texts)], dtype=np.int64),
    )


def random_documents(count: int, seed: int) -> Documents:
    rng = random.Random(seed)

    def sentence() -> list[int]:
        return [WORD, *rng.choices(range(WORD, len(PIECES)), k=rng.randint(0, rng.choice([2, 12, 60])))]

    return [[sentence() for _ in range(rng.randint(1, 8))] for _ in range(count)]


def expected_rows(texts: Documents, length: int) -> list[list[int]]:
    """Returns the rows of documents in this order, one sentence at a time, as the module's docstring describes."""
    rows: list[list[int]] = [[]]
    for number, document in enumerate(texts):
        between = [SEP] if number else []
        for sentence in document:
            room = length - 2
            for start in range(0, len(sentence), room):
                part = sentence[start : start + room]
                if rows[-1] and len(rows[-1]) + len(between) + len(part) > room:
                    rows.append([])
                rows[-1] += [*(between if rows[-1] else []), *part]
                between = []
    return [[CLS, *row, SEP] for row in rows if row]


def shuffled(texts: Documents, seed: int) -> Documents:
    order = list(texts)
    random.Random(seed).shuffle(order)
    return order


def texts_of(features: dict[str, Any]) -> list[list[int]]:
    """The rows without padding."""
    rows = zip(features["input_ids"].tolist(), features["input_mask"].sum(axis=1).tolist(), strict=True)
    return [ids[:length] for ids, length in rows]


@given(texts=documents, length=st.integers(5, 24), seed=st.integers(0, 9))
@settings(max_examples=200)
def test_rows(texts: Documents, length: int, seed: int) -> None:
    parameters = InstanceParameters(length, dupe_factor=3)
    instances = full_sentences.pack(corpus_of(texts), VOCABULARY, parameters, random.Random(seed), masked=False)
    features = instance_columns(instances, masked=False)
    rows = texts_of(features)
    assert sorted(rows) == sorted(expected_rows(shuffled(texts, seed), length))
    assert len(instances) == len(rows)

    # In the order of creation, the rows without special tokens are the concatenated documents.
    in_order = [rows[at] for at in np.argsort(instances.order)]
    assert all(row[0] == CLS and row[-1] == SEP and row[1] != SEP and row[-2] != SEP for row in in_order)
    assert all(3 <= len(row) <= length for row in in_order)
    assert all((SEP, SEP) not in itertools.pairwise(row) for row in in_order)
    tokens = [token for row in in_order for token in row if token not in (CLS, SEP)]
    assert tokens == [token for document in shuffled(texts, seed) for sentence in document for token in sentence]

    assert instances.padding == int((features["input_mask"] == 0).sum())
    assert features.keys() == {"input_ids", "input_mask", "segment_ids"}
    assert not features["segment_ids"].any()
    assert not features["input_ids"][features["input_mask"] == 0].any()
    for name, value in features.items():
        assert value.dtype == np.int32, name
        assert value.shape == (len(instances), length)


def test_an_example() -> None:
    a, b = [WORD] * 3, [WORD + 1] * 4
    texts = [[a, b, a], [b, a], [[WORD + 2] * 10], [a]]
    rows = expected_rows(texts, 10)
    assert rows == [
        [CLS, *a, *b, SEP],
        [CLS, *a, SEP, *b, SEP],
        [CLS, *a, SEP],  # ends with its document: the next sentence does not fit in the row
        [CLS, *[WORD + 2] * 8, SEP],
        [CLS, *[WORD + 2] * 2, SEP, *a, SEP],
    ]


def masked_rows(texts: Documents, parameters: InstanceParameters, rng: random.Random) -> list[list[Any]]:
    """The records with masks that `mask_tokens` draws, in the order to write them; ids."""
    order = list(texts)
    rng.shuffle(order)
    rows = []
    for _ in range(parameters.dupe_factor):
        for row in expected_rows(order, parameters.max_seq_length):
            shown, positions = mask_tokens([PIECES[token] for token in row], PIECES, parameters, rng)
            rows.append([[PIECES.index(piece) for piece in shown], positions, [row[at] for at in positions]])
    rng.shuffle(rows)
    return rows


@pytest.mark.parametrize("whole_words", [False, True])
def test_static_masks_are_those_of_mask_tokens(whole_words: bool) -> None:
    texts = random_documents(40, seed=3)
    parameters = InstanceParameters(24, 4, 0.2, dupe_factor=3, do_whole_word_mask=whole_words)
    done: list[int] = []
    rng, rng_of_expected = random.Random(5), random.Random(5)
    instances = full_sentences.pack(corpus_of(texts), VOCABULARY, parameters, rng, after_rows=done.append)
    expected = masked_rows(texts, parameters, rng_of_expected)
    assert len(instances) == len(expected) == sum(done)
    features = instance_columns(instances)
    for number, (shown, positions, labels) in enumerate(expected):
        row = {name: value[number].tolist() for name, value in features.items()}
        padding = [0] * (4 - len(positions))
        assert texts_of(features)[number] == shown
        assert row["masked_lm_positions"] == positions + padding
        assert row["masked_lm_ids"] == labels + padding
        assert row["masked_lm_weights"] == [1.0] * len(positions) + [0.0] * len(padding)
    assert rng.getstate() == rng_of_expected.getstate()


def test_slices() -> None:
    parameters = InstanceParameters(16, 3, dupe_factor=2)
    instances = full_sentences.pack(corpus_of(random_documents(20, seed=4)), VOCABULARY, parameters, random.Random(1))
    columns = instance_columns(instances)
    assert instances.padding == int((columns["input_mask"] == 0).sum())
    parts = [instance_columns(instances, start, start + 7) for start in range(0, len(instances), 7)]
    for name, value in columns.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), value)


def test_the_seed_decides() -> None:
    corpus, parameters = corpus_of(random_documents(30, seed=6)), InstanceParameters(16, 3, dupe_factor=2)

    def ids(seed: int) -> list[list[int]]:
        instances = full_sentences.pack(corpus, VOCABULARY, parameters, random.Random(seed))
        return instance_columns(instances)["input_ids"].tolist()

    assert ids(1) == ids(1)
    assert sorted(ids(1)) != sorted(ids(2))


def test_each_pass_masks_rows_differently() -> None:
    corpus = corpus_of(random_documents(30, seed=6))
    instances = full_sentences.pack(corpus, VOCABULARY, InstanceParameters(24, 4, dupe_factor=4), random.Random(1))
    once = full_sentences.pack(corpus, VOCABULARY, InstanceParameters(24, 4), random.Random(1), masked=False)
    features = instance_columns(instances)
    restored = [tuple(row) for row in _restored(features).tolist()]
    plain = [tuple(row) for row in instance_columns(once, masked=False)["input_ids"].tolist()]
    assert sorted(restored) == sorted(plain * 4)
    assert len({tuple(row) for row in features["masked_lm_positions"].tolist()}) > len(plain)


def _restored(features: dict[str, Any]) -> Any:
    ids = features["input_ids"].copy()
    for row, positions, labels, weights in zip(
        ids, *(features[f"masked_lm_{name}"] for name in ("positions", "ids", "weights")), strict=True
    ):
        row[positions[weights == 1]] = labels[weights == 1]
    return ids


def test_unknown_ids() -> None:
    corpus = corpus_of([[[WORD, len(PIECES)]]])
    with pytest.raises(ValueError, match="ids from 5 to 40, the vocabulary from 0 to 39"):
        full_sentences.pack(corpus, VOCABULARY, InstanceParameters(16), random.Random(1))
