"""The same instances as `reference.instances.create_instances` makes, and the same random draws."""

import itertools
import random
from typing import Any

import numpy as np
import pytest
import reference.instances
from helpers import golden_outputs
from helpers.instance_columns import instance_columns
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.instances import Document

from bert_tf2.pretraining_data import fast_instances
from bert_tf2.pretraining_data.fast_instances import Corpus, InstanceArrays, Vocabulary, create_instances
from bert_tf2.pretraining_data.instances import InstanceParameters

PIECES = ["[PAD]", *(f"##p{number}" for number in range(20)), "[CLS]", "[UNK]", "[SEP]", "[MASK]"]
PIECES += [f"w{number}" for number in range(60)]
VOCAB = {piece: number for number, piece in enumerate(PIECES)}
VOCABULARY = Vocabulary.of(VOCAB)


def documents_of(seed: int, documents: int, segments: int, tokens: int, continuations: float) -> list[Document]:
    """Returns random documents; some have special tokens, which no text has."""
    rng = random.Random(f"{seed} {documents} {segments} {tokens}")
    words = [piece for piece in PIECES if not piece.startswith(("[", "##"))]
    pieces = [piece for piece in PIECES if piece.startswith("##")]
    special = ["[CLS]", "[SEP]", "[MASK]", "[UNK]"]

    def token() -> str:
        if rng.random() < 0.02:
            return rng.choice(special)
        return rng.choice(pieces if rng.random() < continuations else words)

    def segment() -> list[str]:
        return [token() for _ in range(rng.randint(1, tokens))]

    return [[segment() for _ in range(rng.randint(1, segments))] for _ in range(documents)]


def corpus_of(documents: list[Document], vocab: dict[str, int] = VOCAB) -> Corpus:
    segments = [segment for document in documents for segment in document]
    return Corpus(
        np.array([vocab[token] for segment in segments for token in segment], np.int32),
        np.cumsum([0, *map(len, segments)]),
        np.cumsum([0, *map(len, documents)]),
    )


def rows(instances: InstanceArrays, start: int = 0, stop: int | None = None) -> list[dict[str, list[Any]]]:
    columns = {name: column.tolist() for name, column in instance_columns(instances, start, stop).items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def expected_rows(
    documents: list[Document], parameters: InstanceParameters, rng: random.Random, vocab: dict[str, int] = VOCAB
) -> list[dict[str, list[Any]]]:
    """Returns the reference implementation's instances as records."""
    instances = reference.instances.create_instances(documents, list(vocab), parameters, rng)

    def padded(values: list[Any], length: int) -> list[Any]:
        assert len(values) <= length
        return values + [0] * (length - len(values))

    length, predictions = parameters.max_seq_length, parameters.max_predictions_per_seq
    return [
        {
            "input_ids": padded([vocab[token] for token in instance.tokens], length),
            "input_mask": padded([1] * len(instance.tokens), length),
            "segment_ids": padded(instance.segment_ids, length),
            "masked_lm_positions": padded(instance.masked_lm_positions, predictions),
            "masked_lm_ids": padded([vocab[token] for token in instance.masked_lm_labels], predictions),
            "masked_lm_weights": padded([1.0] * len(instance.masked_lm_labels), predictions),
            "next_sentence_labels": [int(instance.is_random_next)],
        }
        for instance in instances
    ]


def check(documents: list[Document], parameters: InstanceParameters, seed: int) -> InstanceArrays:
    rng, plain_rng = random.Random(seed), random.Random(seed)
    done: list[int] = []
    instances = create_instances(corpus_of(documents), VOCABULARY, parameters, rng, done.append)
    assert rows(instances) == expected_rows(documents, parameters, plain_rng)
    assert rng.getstate() == plain_rng.getstate()
    assert sum(done) == parameters.dupe_factor * len(documents)
    check_without_masks(instances)
    return instances


def check_without_masks(instances: InstanceArrays) -> None:
    """In records without masks, the tokens are not replaced, and everything else is the same."""
    masked, plain = instance_columns(instances), instance_columns(instances, masked=False)
    assert plain.keys() == {"input_ids", "input_mask", "segment_ids", "next_sentence_labels"}
    rows, slots = np.nonzero(masked["masked_lm_weights"])
    masked["input_ids"][rows, masked["masked_lm_positions"][rows, slots]] = masked["masked_lm_ids"][rows, slots]
    for name, column in plain.items():
        np.testing.assert_array_equal(column, masked[name])


PARAMETERS = st.builds(
    InstanceParameters,
    max_seq_length=st.integers(5, 150),
    max_predictions_per_seq=st.integers(1, 30),
    masked_lm_prob=st.floats(0, 1),
    short_seq_prob=st.floats(0, 1),
    dupe_factor=st.integers(1, 3),
    do_whole_word_mask=st.booleans(),
)
DOCUMENTS = st.builds(
    documents_of,
    seed=st.integers(0, 2**32),
    documents=st.integers(1, 8),
    segments=st.integers(1, 12),
    tokens=st.integers(1, 40),
    continuations=st.sampled_from([0.0, 0.3, 0.7, 1.0]),
)


@given(DOCUMENTS, PARAMETERS, st.integers(0, 2**64))
@settings(max_examples=250)
def test_the_same_instances(documents: list[Document], parameters: InstanceParameters, seed: int) -> None:
    check(documents, parameters, seed)


@given(DOCUMENTS, PARAMETERS, st.integers(0, 2**64), st.integers(1, 7))
@settings(max_examples=50)
def test_slices_change_nothing(
    documents: list[Document], parameters: InstanceParameters, seed: int, instances_at_once: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast_instances, "_SLICE", instances_at_once)
        check(documents, parameters, seed)


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"do_whole_word_mask": True},
        {"max_seq_length": 5, "short_seq_prob": 1.0},
        {"max_seq_length": 512, "max_predictions_per_seq": 80},
        {"masked_lm_prob": 1.0, "max_predictions_per_seq": 600},
        {"masked_lm_prob": 0, "short_seq_prob": 0, "do_whole_word_mask": True},  # integers, as a caller may give them
    ],
    ids=str,
)
def test_many_documents(flags: dict[str, Any]) -> None:
    parameters = InstanceParameters(dupe_factor=2, **flags)
    instances = check(documents_of(1, 300, 20, 30, 0.4), parameters, 12345)
    assert len(instances) == len(instances.order) > 80


@pytest.mark.slow
def test_sequences_too_long_for_16_bits() -> None:
    documents: list[Document] = [[random.Random(number).choices(PIECES[-60:], k=35_000)] * 4 for number in range(2)]
    instances = check(documents, InstanceParameters(max_seq_length=70_000, short_seq_prob=0, dupe_factor=2), 1)
    assert instances.positions.max() >= 2**16


def test_nothing_is_masked_if_all_words_are_too_long() -> None:
    documents: list[Document] = [[["w1", "##p1", "##p2"]] * 8] * 3
    parameters = InstanceParameters(do_whole_word_mask=True, max_predictions_per_seq=2)
    instances = check(documents, parameters, 1)
    assert instances.positions.size == instances.replacements.size == 0
    assert not instance_columns(instances)["masked_lm_weights"].any()


@pytest.mark.parametrize("whole_words", [False, True])
@pytest.mark.parametrize("token", ["[CLS]", "[SEP]", "##p1"])
def test_texts_of_a_single_token(token: str, whole_words: bool) -> None:
    check([[[token] * 9] * 4] * 2, InstanceParameters(max_seq_length=20, do_whole_word_mask=whole_words), 3)


@pytest.mark.parametrize("documents", [1, 2])
def test_few_documents(documents: int) -> None:
    check(documents_of(5, documents, 200, 20, 0.2), InstanceParameters(), 6)


def test_no_documents() -> None:
    instances = check([], InstanceParameters(), 1)
    assert len(instances) == 0
    assert instance_columns(instances)["input_ids"].shape == (0, 128)
    assert instances.padding == 0


@pytest.mark.parametrize("case", golden_outputs.PRETRAINING_CASES)
def test_golden(case: str) -> None:
    golden_outputs.check_instances(golden_outputs.own_pretraining_case(case))


def test_ranges_of_instances() -> None:
    instances = check(documents_of(1, 20, 10, 10, 0.2), InstanceParameters(max_seq_length=32), 1)
    all_rows = rows(instances)
    for start, stop in ((0, 7), (7, 8), (8, 8), (8, None), (len(all_rows), None), (0, 10**9)):
        assert rows(instances, start, stop) == all_rows[start:stop]
    padding = sum(row["input_mask"].count(0) for row in all_rows)
    assert instances.padding == padding > 0


def test_arrays() -> None:
    documents = documents_of(1, 20, 10, 10, 0.2)
    instances = check(documents, InstanceParameters(max_seq_length=32), 1)
    assert instances.prediction_splits[-1] == instances.positions.size == instances.replacements.size
    assert sorted(instances.order) == list(range(len(instances)))
    assert instances.lengths.min() >= 1
    assert instances.lengths.sum(axis=1).max() <= 29
    runs = {tuple(run) for document in corpus_texts(documents) for run in runs_of(document)}
    for (a, b), (a_length, b_length) in zip(instances.starts.tolist(), instances.lengths.tolist(), strict=True):
        for start, length in ((a, a_length), (b, b_length)):
            assert tuple(instances.token_ids[start : start + length].tolist()) in runs


def corpus_texts(documents: list[Document]) -> list[list[int]]:
    return [[VOCAB[token] for segment in document for token in segment] for document in documents]


def runs_of(text: list[int]) -> list[list[int]]:
    return [text[start:end] for start, end in itertools.combinations(range(len(text) + 1), 2) if end - start < 30]


def test_arrays_that_cannot_be_written_to_or_have_other_types() -> None:
    documents = documents_of(1, 20, 10, 10, 0.2)
    corpus = corpus_of(documents)
    other = Corpus(corpus.token_ids.astype(np.int64), corpus.segment_splits.astype(np.int32), corpus.document_splits)
    other.token_ids.flags.writeable = False
    parameters = InstanceParameters()
    instances = create_instances(other, VOCABULARY, parameters, random.Random(1))
    assert rows(instances) == rows(create_instances(corpus, VOCABULARY, parameters, random.Random(1)))


def test_an_interruption_does_not_change_the_generator() -> None:
    rng = random.Random(1)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        create_instances(corpus_of(documents_of(1, 20, 10, 10, 0.2)), VOCABULARY, InstanceParameters(), rng, interrupt)
    assert rng.getstate() == random.Random(1).getstate()


@pytest.mark.parametrize(
    ("segments", "documents", "sentence"),
    [
        ([0, 2, 2, 4], [0, 3], "segment_splits does not rise from 0 to 4; no segment may be empty"),
        ([0, 2, 3], [0, 2], "segment_splits does not rise from 0 to 4"),
        ([1, 2, 4], [0, 2], "segment_splits does not rise from 0 to 4"),
        ([], [0], "segment_splits does not rise from 0 to 4"),
        ([0, 2, 4], [0, 0, 2], "document_splits does not rise from 0 to 2; no document may be empty"),
        ([0, 2, 4], [0, 1], "document_splits does not rise from 0 to 2"),
    ],
)
def test_invalid_splits(segments: list[int], documents: list[int], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Corpus(np.zeros(4, np.int32), np.array(segments, np.int64), np.array(documents, np.int64))


@pytest.mark.parametrize("wrong", [-1, len(PIECES)])
def test_unknown_ids(wrong: int) -> None:
    corpus = Corpus(np.array([5, wrong], np.int32), np.array([0, 1, 2]), np.array([0, 2]))
    with pytest.raises(ValueError, match=rf"has ids from {min(5, wrong)} to {max(5, wrong)}, .* from 0 to 84"):
        create_instances(corpus, VOCABULARY, InstanceParameters(), random.Random(1))


def test_vocabulary() -> None:
    vocabulary = Vocabulary.of({"##b": 7, "[SEP]": 2, "[CLS]": 9, "[MASK]": 1, "##": 3, "#a": 4})
    assert vocabulary.word_ids.tolist() == [7, 2, 9, 1, 3, 4]
    assert np.flatnonzero(vocabulary.is_continuation).tolist() == [3, 7]
    assert vocabulary.is_continuation.size == 10
    assert (vocabulary.cls_id, vocabulary.sep_id, vocabulary.mask_id) == (9, 2, 1)
