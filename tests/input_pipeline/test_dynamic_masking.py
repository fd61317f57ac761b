"""Masks drawn in the input pipeline: the statistics of the reference, exact counts, whole words, resuming."""

import collections
import dataclasses
import itertools
import random
import re
from collections.abc import Sequence

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.instances import mask_tokens

from bert_tf2.input_pipeline import dynamic_masking
from bert_tf2.pretraining_data.fast_instances import Vocabulary
from bert_tf2.pretraining_data.instances import InstanceParameters

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{n}" for n in range(20)), *(f"##{n}" for n in range(15))]
CLS, SEP, MASK, WORD, CONTINUATION = 2, 3, 4, 5, 25
VOCABULARY = Vocabulary.of({piece: number for number, piece in enumerate(PIECES)})
SEED = 7


def rows_of(texts: Sequence[Sequence[int]], length: int) -> dict[str, np.ndarray]:
    """Rows of token ids, padded with 0."""
    ids = np.zeros([len(texts), length], np.int32)
    for row, text in zip(ids, texts, strict=True):
        row[: len(text)] = text
    is_token = np.arange(length) < np.array([[len(text)] for text in texts])
    return {"input_ids": ids, "input_mask": is_token.astype(np.int32)}


def random_rows(count: int, length: int, seed: int = 1) -> dict[str, np.ndarray]:
    """Rows `[CLS] a [SEP] b [SEP]` of lengths from 5 to `length`."""
    rng = np.random.default_rng(seed)
    texts = []
    for size in rng.integers(5, length + 1, count):
        text = rng.integers(WORD, len(PIECES), size)
        text[[0, rng.integers(2, size - 2), -1]] = CLS, SEP, SEP
        texts.append(text.tolist())
    return rows_of(texts, length)


def mask(
    rows: dict[str, np.ndarray], parameters: InstanceParameters, seed: int = SEED, first_example: int = 0
) -> dict[str, np.ndarray]:
    @tf.function
    def graph(batch: dict[str, tf.Tensor], first: tf.Tensor) -> dict[str, tf.Tensor]:
        return dynamic_masking.mask(batch, VOCABULARY, parameters, seed, first)

    batch = {name: tf.constant(value) for name, value in rows.items()}
    return {name: value.numpy() for name, value in graph(batch, tf.constant(first_example, tf.int64)).items()}


def chosen_positions(masked: dict[str, np.ndarray]) -> list[list[int]]:
    weights = masked["masked_lm_weights"]
    return [row[weight == 1].tolist() for row, weight in zip(masked["masked_lm_positions"], weights, strict=True)]


def words_of(text: Sequence[int]) -> list[list[int]]:
    """Positions of each word of a row without padding; independent of the code under test."""
    words: list[list[int]] = []
    before = None
    for position, token in enumerate(text):
        if token not in (CLS, SEP):
            if token >= CONTINUATION and before not in (None, CLS, SEP):
                words[-1].append(position)
            else:
                words.append([position])
        before = token
    return words


def check(rows: dict[str, np.ndarray], masked: dict[str, np.ndarray], parameters: InstanceParameters) -> None:
    """What holds for every row, whatever was drawn."""
    slots = np.arange(parameters.max_predictions_per_seq)
    assert masked["masked_lm_weights"].dtype == np.float32
    assert masked["masked_lm_positions"].dtype == masked["masked_lm_ids"].dtype == masked["input_ids"].dtype == np.int32
    for name in rows.keys() - {"input_ids"}:
        np.testing.assert_array_equal(masked[name], rows[name])
    for number, chosen in enumerate(chosen_positions(masked)):
        ids, shown = rows["input_ids"][number], masked["input_ids"][number]
        text = ids[rows["input_mask"][number] == 1].tolist()
        assert chosen == sorted(set(chosen))
        assert all(0 < position < len(text) and ids[position] not in (CLS, SEP) for position in chosen)
        np.testing.assert_array_equal(masked["masked_lm_weights"][number], slots < len(chosen))
        padding = [0] * (len(slots) - len(chosen))
        assert masked["masked_lm_positions"][number].tolist() == chosen + padding
        assert masked["masked_lm_ids"][number].tolist() == ids[chosen].tolist() + padding
        others = np.delete(np.arange(len(ids)), chosen)
        np.testing.assert_array_equal(shown[others], ids[others])

        words = words_of(text) if parameters.do_whole_word_mask else [[at] for word in words_of(text) for at in word]
        left = parameters.number_to_mask(len(text)) - len(chosen)
        assert left >= 0
        for word in words:
            assert set(word) <= set(chosen) or (set(word).isdisjoint(chosen) and len(word) > left)


@pytest.mark.parametrize("whole_words", [False, True])
@pytest.mark.parametrize("predictions", [3, 20, 40])
def test_every_row_by_the_rules(whole_words: bool, predictions: int) -> None:
    parameters = InstanceParameters(32, predictions, do_whole_word_mask=whole_words)
    rows = {**random_rows(600, 32), "segment_ids": np.ones([600, 32], np.int32)}
    check(rows, mask(rows, parameters), parameters)


@settings(max_examples=40)
@given(
    texts=st.lists(st.lists(st.integers(WORD, 39) | st.just(SEP), max_size=11), min_size=1, max_size=4),
    predictions=st.integers(1, 15),
    share=st.sampled_from([0.0, 0.15, 0.5, 1.0]),
    whole_words=st.booleans(),
    first_example=st.integers(0, 2**40),
)
def test_any_row(texts: list[list[int]], predictions: int, share: float, whole_words: bool, first_example: int) -> None:
    parameters = InstanceParameters(12, predictions, share, do_whole_word_mask=whole_words)
    rows = rows_of([[CLS, *text] for text in texts], 12)
    check(rows, mask(rows, parameters, first_example=first_example), parameters)


def test_marks_in_the_records_are_as_continuations_in_the_vocabulary() -> None:
    rows, parameters = random_rows(200, 32), InstanceParameters(32, 6, 0.2, do_whole_word_mask=True)
    pieces = {piece.replace("##", "p"): number for number, piece in enumerate(PIECES)}
    without = dataclasses.replace(Vocabulary.of(pieces), word_ids=VOCABULARY.word_ids)
    marked = {**rows, "continues_word": (rows["input_ids"] >= CONTINUATION).astype(np.int32)}
    expected = mask(rows, parameters)

    def found(rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        batch = {name: tf.constant(value) for name, value in rows.items()}
        masked = dynamic_masking.mask(batch, without, parameters, SEED, tf.constant(0, tf.int64))
        return {name: value.numpy() for name, value in masked.items()}

    by_marks = found(marked)
    assert by_marks.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(by_marks[name], values)
    assert (found(rows)["masked_lm_positions"] != expected["masked_lm_positions"]).any()


def test_the_number_is_that_of_the_original_for_every_length() -> None:
    parameters = InstanceParameters(128, 15)
    texts = [[CLS, *[WORD] * (length - 2), SEP] for length in range(2, 129)]
    numbers = [len(chosen) for chosen in chosen_positions(mask(rows_of(texts, 128), parameters))]
    words = PIECES[WORD:]
    for text, number in zip(texts, numbers, strict=True):
        static = mask_tokens([PIECES[token] for token in text], words, parameters, random.Random(1))[1]
        assert number == len(static)
    assert numbers[:2] == [0, 1]  # [CLS] [SEP] has nothing to mask
    assert numbers[-1] == 15


def close(found: int, count: int, share: float) -> bool:
    """Whether `found` of `count` is `share` within 5 standard errors."""
    return abs(found - count * share) < 5 * np.sqrt(count * share * (1 - share))


@pytest.mark.parametrize("whole_words", [False, True])
def test_statistics_of_static_masking(whole_words: bool) -> None:
    parameters = InstanceParameters(64, 10, do_whole_word_mask=whole_words)
    rows = random_rows(4000, 64)
    tokens = int(rows["input_mask"].sum())
    assert tokens > 100_000
    rng, static = random.Random(2), collections.Counter[str]()
    for ids, length in zip(rows["input_ids"].tolist(), rows["input_mask"].sum(axis=1).tolist(), strict=True):
        text = [PIECES[token] for token in ids[:length]]
        shown, positions = mask_tokens(text, PIECES, parameters, rng)
        static["chosen"] += len(positions)
        static["masked"] += sum(shown[at] == "[MASK]" for at in positions)
        static["kept"] += sum(shown[at] == text[at] for at in positions)
        static["at the front"] += sum(at < 10 for at in positions)

    masked = mask(rows, parameters)
    is_chosen = masked["masked_lm_weights"] == 1
    shown = np.take_along_axis(masked["input_ids"], masked["masked_lm_positions"], axis=1)[is_chosen]
    dynamic = {
        "chosen": shown.size,
        "masked": int((shown == MASK).sum()),
        "kept": int((shown == masked["masked_lm_ids"][is_chosen]).sum()),
        "at the front": int((masked["masked_lm_positions"][is_chosen] < 10).sum()),
    }
    if not whole_words:
        assert dynamic["chosen"] == static["chosen"]  # with whole words, which ones fit depends on their order
    assert close(dynamic["chosen"], tokens, static["chosen"] / tokens)
    for name, share in (("masked", 0.8 + 0.1 / len(PIECES)), ("kept", 0.1 + 0.1 / len(PIECES))):
        assert close(dynamic[name], dynamic["chosen"], share), name
        assert close(static[name], static["chosen"], share), name
    assert close(dynamic["at the front"], dynamic["chosen"], static["at the front"] / static["chosen"])


def test_random_words_are_uniform_over_the_vocabulary() -> None:
    text = [CLS, *[WORD] * 30, SEP]
    masked = mask(rows_of([text] * 8000, 32), InstanceParameters(32, 30, masked_lm_prob=1.0))
    shown = masked["input_ids"][:, 1:-1]
    counts = np.bincount(shown.ravel(), minlength=len(PIECES))
    assert counts.size == len(PIECES)
    others = np.delete(counts, [MASK, WORD])
    expected = shown.size * 0.1 / len(PIECES)
    chi_square = float(((others - expected) ** 2 / expected).sum())
    assert chi_square < 78  # 38 degrees of freedom: 1 in 7,000
    # What is done to one token says nothing about its neighbour.
    both = int(((shown[:, 0::2] == MASK) & (shown[:, 1::2] == MASK)).sum())
    assert close(both, shown.size // 2, (0.8 + 0.1 / len(PIECES)) ** 2)


@pytest.mark.parametrize("whole_words", [False, True])
def test_each_set_of_words_is_as_likely_as_by_shuffling_them(whole_words: bool) -> None:
    # Words of 1, 2, 3 and 1 pieces, one of them after a [SEP]; at most 3 of 9 tokens.
    text = [CLS, WORD, WORD, CONTINUATION, WORD, CONTINUATION, CONTINUATION, SEP, CONTINUATION, SEP]
    words = words_of(text) if whole_words else [[at] for word in words_of(text) for at in word]
    orders = list(itertools.permutations(words))
    expected = collections.Counter[tuple[int, ...]]()
    for order in orders:
        chosen: list[int] = []
        for word in order:
            if len(chosen) + len(word) <= 3:
                chosen += word
        expected[tuple(sorted(chosen))] += 1

    count = 20_000
    masked = mask(rows_of([text] * count, 10), InstanceParameters(10, 3, 0.3, do_whole_word_mask=whole_words))
    found = collections.Counter(map(tuple, chosen_positions(masked)))
    assert found.keys() == expected.keys()
    for chosen_set, orders_of_it in expected.items():
        assert close(found[chosen_set], count, orders_of_it / len(orders)), chosen_set


PARAMETERS = InstanceParameters(16, 4)


def test_masks_follow_from_seed_and_number_of_the_example() -> None:
    rows = random_rows(40, 16)
    whole = mask(rows, PARAMETERS)
    for name, value in mask(rows, PARAMETERS).items():
        np.testing.assert_array_equal(value, whole[name])
    for start, stop in ((0, 3), (3, 20), (39, 40)):
        part = mask({name: value[start:stop] for name, value in rows.items()}, PARAMETERS, first_example=start)
        for name, value in part.items():
            np.testing.assert_array_equal(value, whole[name][start:stop])
    for other in (mask(rows, PARAMETERS, seed=SEED + 1), mask(rows, PARAMETERS, first_example=1)):
        differ = (other["masked_lm_positions"] != whole["masked_lm_positions"]).any(axis=1)
        assert differ.mean() > 0.8


def test_same_rows_get_masks_of_their_own() -> None:
    masked = mask(rows_of([[CLS, *[WORD] * 40, SEP]] * 500, 42), InstanceParameters(42, 6))
    assert len(set(map(tuple, chosen_positions(masked)))) == 500


def batches(rows: dict[str, np.ndarray], batch_size: int, done: int = 0) -> list[dict[str, np.ndarray]]:
    """Three epochs in batches, after `done` examples."""
    dataset = tf.data.Dataset.from_tensor_slices(rows).repeat(3).skip(done).batch(batch_size, drop_remainder=True)
    masked = dynamic_masking.masked(dataset, VOCABULARY, PARAMETERS, SEED, lambda number: done + number * batch_size)
    assert masked.element_spec["input_ids"].shape == [batch_size, 16]
    assert masked.element_spec["masked_lm_ids"].shape == [batch_size, 4]
    return [{name: value.numpy() for name, value in batch.items()} for batch in masked]


def test_resuming_gives_the_masks_that_would_have_come_and_each_epoch_other_ones() -> None:
    rows = random_rows(24, 16)
    whole = batches(rows, 8)
    assert len(whole) == 9
    for name, value in mask(rows, PARAMETERS).items():
        np.testing.assert_array_equal(np.concatenate([batch[name] for batch in whole[:3]]), value)
    for done in (1, 4):
        for later, expected in zip(batches(rows, 8, done * 8), whole[done:], strict=True):
            for name, value in later.items():
                np.testing.assert_array_equal(value, expected[name])
    for first, second in itertools.combinations((0, 3, 6), 2):
        differ = (whole[first]["masked_lm_positions"] != whole[second]["masked_lm_positions"]).any(axis=1)
        assert differ.mean() > 0.5


def test_rows_that_fill_up_a_batch_have_nothing_to_predict() -> None:
    rows = {name: np.concatenate([value, np.zeros_like(value)]) for name, value in random_rows(2, 16).items()}
    masked = mask(rows, PARAMETERS)
    assert masked["masked_lm_weights"].any(axis=1).tolist() == [True, True, False, False]
    assert not masked["input_ids"][2:].any()


def test_records_of_another_vocabulary_are_noticed() -> None:
    rows = random_rows(3, 16)
    rows["input_ids"][1, 0] = WORD
    with pytest.raises(tf.errors.InvalidArgumentError, match=re.escape(dynamic_masking.OTHER_VOCABULARY)):
        mask(rows, PARAMETERS)
