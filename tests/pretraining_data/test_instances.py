"""What is true of the instances of any text; tests/e2e compares them with the original's."""

import hashlib
import json
import math
import random
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.instances import (
    Document,
    TrainingInstance,
    create_instances,
    mask_candidates,
    mask_tokens,
    read_documents,
)

from bert_tf2.errors import InputError
from bert_tf2.pretraining_data.instances import InstanceParameters

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [f"w{number}" for number in range(600)]
PIECES = [f"##p{number}" for number in range(200)]
VOCAB = [*SPECIAL, *WORDS, *PIECES]


def corpus(seed: int, documents: int = 30, segments: int = 12, words: int = 10) -> list[Document]:
    """Documents of random words, some of several pieces; no token of one document is in another."""
    rng = random.Random(seed)

    def segment(number: int) -> list[str]:
        tokens = []
        for _ in range(rng.randint(1, words)):
            tokens.append(f"{rng.choice(WORDS)}.{number}")
            tokens += [f"{rng.choice(PIECES)}.{number}" for _ in range(rng.choice([0, 0, 0, 1, 3]))]
        return tokens

    return [[segment(number) for _ in range(rng.randint(1, segments))] for number in range(documents)]


def document_of(token: str) -> str:
    return token.rpartition(".")[2]


def unmasked(instance: TrainingInstance) -> list[str]:
    tokens = list(instance.tokens)
    for position, label in zip(instance.masked_lm_positions, instance.masked_lm_labels, strict=True):
        tokens[position] = label
    return tokens


def check(instance: TrainingInstance, parameters: InstanceParameters) -> None:
    original = unmasked(instance)
    middle = original.index("[SEP]")
    assert len(original) <= parameters.max_seq_length
    assert [at for at, token in enumerate(original) if token in ("[CLS]", "[SEP]")] == [0, middle, len(original) - 1]
    assert 1 < middle < len(original) - 2, "both texts have a token"
    assert instance.segment_ids == [0] * (middle + 1) + [1] * (len(original) - middle - 1)

    positions = instance.masked_lm_positions
    assert positions == sorted(set(positions))
    assert not {0, middle, len(original) - 1} & set(positions)
    limit = min(parameters.max_predictions_per_seq, max(1, round(len(original) * parameters.masked_lm_prob)))
    if parameters.do_whole_word_mask:
        assert len(positions) <= limit
        for word in mask_candidates(original, whole_words=True):
            assert len({at in positions for at in word}) == 1, "a word is masked completely or not at all"
    else:
        assert len(positions) == min(limit, len(original) - 3)


@given(
    seed=st.integers(0, 10_000),
    documents=st.integers(1, 6),
    segments=st.integers(1, 12),
    words=st.integers(1, 40),
    parameters=st.builds(
        InstanceParameters,
        max_seq_length=st.integers(5, 140),
        max_predictions_per_seq=st.integers(1, 30),
        masked_lm_prob=st.floats(0, 1),
        short_seq_prob=st.floats(0, 1),
        dupe_factor=st.integers(1, 3),
        do_whole_word_mask=st.booleans(),
    ),
)
@settings(max_examples=400)
def test_invariants(seed: int, documents: int, segments: int, words: int, parameters: InstanceParameters) -> None:
    texts = corpus(seed, documents, segments, words)
    progress: list[None] = []
    instances = create_instances(
        texts, VOCAB, parameters, random.Random(seed), after_document=lambda: progress.append(None)
    )
    assert len(progress) == parameters.dupe_factor * len(texts)
    assert len(instances) >= len(progress)
    running = {document_of(text[0][0]): " ".join(token for segment in text for token in segment) for text in texts}
    for instance in instances:
        check(instance, parameters)
        original = unmasked(instance)
        middle = original.index("[SEP]")
        for part in (original[1:middle], original[middle + 1 : -1]):
            assert " ".join(part) in running[document_of(part[0])], "each text is a run of one document"
        same = document_of(original[1]) == document_of(original[middle + 1])
        if not instance.is_random_next:
            assert same
            is_complete = parameters.max_seq_length > len(original)
            if is_complete:  # nothing was truncated, so that the second text follows the first without a gap
                assert " ".join(original[1:middle] + original[middle + 1 : -1]) in running[document_of(original[1])]


@pytest.mark.parametrize(
    ("seed", "documents", "flags", "digest"),
    [
        (1, 30, {}, "d1d4bad88b5608cf"),
        (2, 1, {"short_seq_prob": 0.5}, "a08df3c915c60791"),
        (3, 4, {"max_seq_length": 5, "masked_lm_prob": 0.5}, "4356dcf36d4b6597"),
        (4, 20, {"do_whole_word_mask": True, "max_seq_length": 40, "max_predictions_per_seq": 4}, "b83bd98559344a46"),
    ],
)
def test_draws_are_pinned(seed: int, documents: int, flags: dict[str, Any], digest: str) -> None:
    """The digests were made by a second implementation that follows the original's loops."""
    rng = random.Random(seed)
    instances = create_instances(corpus(seed, documents), VOCAB, InstanceParameters(**flags), rng)
    rows = [(i.tokens, i.segment_ids, i.is_random_next, i.masked_lm_positions, i.masked_lm_labels) for i in instances]
    content = json.dumps([rows, rng.random()])
    assert hashlib.sha256(content.encode()).hexdigest()[:16] == digest


def test_only_the_seed_matters() -> None:
    texts = corpus(1)
    before = [[list(segment) for segment in text] for text in texts]

    def run(seed: int) -> list[TrainingInstance]:
        return create_instances(texts, VOCAB, InstanceParameters(), random.Random(seed))

    first = run(5)
    random.seed(0)
    assert run(5) == first
    assert run(6) != first
    assert texts == before, "the caller's documents are not changed"


def test_random_texts_come_from_another_document() -> None:
    texts = corpus(2, documents=200, segments=30)
    for instance in create_instances(texts, VOCAB, InstanceParameters(max_seq_length=64), random.Random(3)):
        original = unmasked(instance)
        same = document_of(original[1]) == document_of(original[original.index("[SEP]") + 1])
        assert instance.is_random_next != same, "ten draws among 200 documents find another one"


def test_half_of_the_second_texts_are_random() -> None:
    # A chunk of one segment has no next text but a random one. Here only the last chunk of a document can be one.
    texts: list[Document] = [[[f"w{number}"]] * 400 for number in range(50)]
    parameters = InstanceParameters(max_seq_length=32, short_seq_prob=0.0)
    instances = create_instances(texts, VOCAB, parameters, random.Random(4))
    count = len(instances)
    fraction = sum(instance.is_random_next for instance in instances) / count
    forced = 50 * parameters.dupe_factor / count
    assert count > 9_000
    assert -4 * math.sqrt(0.25 / count) < fraction - 0.5 < 4 * math.sqrt(0.25 / count) + forced / 2


def test_a_single_document_is_its_own_random_next() -> None:
    instances = create_instances(corpus(7, documents=1), VOCAB, InstanceParameters(), random.Random(0))
    assert any(instance.is_random_next for instance in instances)


def test_eighty_ten_ten() -> None:
    rng = random.Random(8)
    text = [f"text{number}" for number in range(200)]
    kinds: Counter[str] = Counter()
    for _ in range(1500):
        masked, positions = mask_tokens(text, WORDS, InstanceParameters(max_predictions_per_seq=200), rng)
        assert len(positions) == 30
        for position in positions:
            token = masked[position]
            kinds["mask" if token == "[MASK]" else "same" if token == text[position] else "random"] += 1
            assert token in {"[MASK]", text[position], *WORDS}
        untouched = set(range(200)) - set(positions)
        assert all(masked[position] == text[position] for position in untouched)
    count = kinds.total()
    for kind, fraction in (("mask", 0.8), ("same", 0.1), ("random", 0.1)):
        assert abs(kinds[kind] / count - fraction) < 4 * math.sqrt(fraction * (1 - fraction) / count), kinds


def test_every_position_and_every_random_word_is_drawn_equally_often() -> None:
    rng = random.Random(9)
    tokens = ["[CLS]", *[f"text{number}" for number in range(18)], "[SEP]"]
    chosen: Counter[int] = Counter()
    drawn: Counter[str] = Counter()
    for _ in range(8_000):
        masked, positions = mask_tokens(tokens, WORDS[:20], InstanceParameters(), rng)
        chosen.update(positions)
        drawn.update(token for token in masked if token in WORDS)
    assert set(chosen) == set(range(1, 19))
    for counter, kinds in ((chosen, 18), (drawn, 20)):
        mean = counter.total() / kinds
        assert all(abs(times - mean) < 5 * math.sqrt(mean) for times in counter.values())
        assert len(counter) == kinds


def test_number_of_masked_tokens() -> None:
    def masked(length: int, **flags: Any) -> int:
        parameters = InstanceParameters(**flags)
        return len(mask_tokens(["a"] * length, WORDS, parameters, random.Random(0))[1])

    assert masked(128) == 19
    assert masked(128, max_predictions_per_seq=7) == 7
    assert masked(4, masked_lm_prob=0.01) == 1
    assert masked(4, masked_lm_prob=0) == 1
    assert masked(10, masked_lm_prob=1) == 10
    # Halves are rounded to even, as Python 3 does.
    assert masked(50, masked_lm_prob=0.05) == 2
    assert masked(70, masked_lm_prob=0.05) == 4


def test_candidates() -> None:
    tokens = ["[CLS]", "##a", "b", "##c", "##d", "[SEP]", "##e", "f", "[SEP]"]
    assert mask_candidates(tokens, whole_words=False) == [[1], [2], [3], [4], [6], [7]]
    assert mask_candidates(tokens, whole_words=True) == [[1], [2, 3, 4, 6], [7]]
    assert mask_candidates(["[CLS]", "[SEP]"], whole_words=True) == []


def test_a_word_with_too_many_pieces_is_skipped() -> None:
    parameters = InstanceParameters(do_whole_word_mask=True, max_predictions_per_seq=2)
    long_word = ["a", "##b", "##c"]
    assert mask_tokens(long_word, WORDS, parameters, random.Random(0)) == (long_word, [])
    for seed in range(50):
        _, positions = mask_tokens([*long_word, "d"] * 5, WORDS, parameters, random.Random(seed))
        assert len(positions) == 2
        assert all(position % 4 == 3 for position in positions)


def test_documents_are_separated_by_empty_lines() -> None:
    lines = ["", "a b", " c \t", "\x00", "", "  ", "d", "\u3000", "e", ""]

    def tokenize(text: str) -> list[str]:
        assert text == text.strip()
        return text.replace("\x00", "").split()

    assert read_documents(lines, tokenize) == [[["a", "b"], ["c"]], [["d"]], [["e"]]]
    assert read_documents([], tokenize) == []
    assert read_documents(["", " ", "\x00"], tokenize) == []


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"max_seq_length": 4}, r"--max_seq_length=4 is too small.*at least 5"),
        ({"max_seq_length": -1}, r"--max_seq_length=-1 is too small"),
        ({"max_predictions_per_seq": 0}, r"--max_predictions_per_seq=0 masks nothing; give at least 1"),
        ({"masked_lm_prob": 15}, r"--masked_lm_prob=15 must be between 0 and 1"),
        ({"masked_lm_prob": -0.1}, r"--masked_lm_prob=-0.1 must be between 0 and 1"),
        ({"masked_lm_prob": math.nan}, "--masked_lm_prob=nan; it must be a number"),
        ({"short_seq_prob": 1.5}, r"--short_seq_prob=1.5 must be between 0 and 1"),
        ({"dupe_factor": 0}, r"--dupe_factor=0 makes no instances; give at least 1"),
    ],
)
def test_impossible_parameters(flags: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        InstanceParameters(**flags)


def test_the_shortest_sequences_work() -> None:
    parameters = InstanceParameters(max_seq_length=5, short_seq_prob=1.0)
    for instance in create_instances(corpus(3), VOCAB, parameters, random.Random(1)):
        assert len(instance.tokens) == 5
        check(instance, parameters)


def test_tensorflow_is_not_imported() -> None:
    code = "import sys, bert_tf2.pretraining_data.runner; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
