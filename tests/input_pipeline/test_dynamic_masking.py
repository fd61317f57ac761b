"""Masks drawn in the input pipeline: the statistics of static masking, exact counts, whole words, resuming."""

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
    """Checks what must hold for every row, whatever was drawn."""
    slots = np.arange(parameters.max_predictions_per_seq)
    assert masked["masked_lm_weights"].dtype == np.float32
    assert masked["masked_lm_positions"].dtype == masked["masked_lm_ids"].dtype == masked["input_ids"].dtype == np.int32
    for name in rows.keys() - {"input_ids"}:
        np.testing.assert_array_equal(masked[name], rows[name])
    for number, chosen in enumerate(chosen_positions(masked)):
        ids, masked_ids = rows["input_ids"][number], masked["input_ids"][number]
        text = ids[rows["input_mask"][number] == 1].tolist()
        assert chosen == sorted(set(chosen))
        assert all(0 < position < len(text) and ids[position] not in (CLS, SEP) for position in chosen)
        np.testing.assert_array_equal(masked["masked_lm_weights"][number], slots < len(chosen))
        padding = [0] * (len(slots) - len(chosen))
        assert masked["masked_lm_positions"][number].tolist() == chosen + padding
        assert masked["masked_lm_ids"][number].tolist() == ids[chosen].tolist() + padding
        others = np.delete(np.arange(len(ids)), chosen)
        np.testing.assert_array_equal(masked_ids[others], ids[others])

        words = words_of(text)
        if not parameters.do_whole_word_mask:
            words = [[position] for word in words for position in word]
        remaining = parameters.number_to_mask(len(text)) - len(chosen)
        assert remaining >= 0
        for word in words:
            assert set(word) <= set(chosen) or (set(word).isdisjoint(chosen) and len(word) > remaining)


@pytest.mark.parametrize("whole_words", [False, True])
@pytest.mark.parametrize("predictions", [3, 20, 40])
def test_every_row_follows_the_rules(whole_words: bool, predictions: int) -> None:
    parameters = InstanceParameters(32, predictions, do_whole_word_mask=whole_words)
    rows = {**random_rows(600, 32), "segment_ids": np.ones([600, 32], np.int32)}
    check(rows, mask(rows, parameters), parameters)


@settings(max_examples=25)
@given(
    texts=st.lists(st.lists(st.integers(WORD, 39) | st.just(SEP), max_size=11), min_size=1, max_size=4),
    predictions=st.integers(1, 15),
    probability=st.sampled_from([0.0, 0.15, 0.5, 1.0]),
    whole_words=st.booleans(),
    first_example=st.integers(0, 2**40),
)
def test_any_row_follows_the_rules(
    texts: list[list[int]], predictions: int, probability: float, whole_words: bool, first_example: int
) -> None:
    parameters = InstanceParameters(12, predictions, probability, do_whole_word_mask=whole_words)
    rows = rows_of([[CLS, *text] for text in texts], 12)
    check(rows, mask(rows, parameters, first_example=first_example), parameters)


def test_marks_in_the_records_act_like_continuations_in_the_vocabulary() -> None:
    rows, parameters = random_rows(200, 32), InstanceParameters(32, 6, 0.2, do_whole_word_mask=True)
    pieces = {piece.replace("##", "p"): number for number, piece in enumerate(PIECES)}
    without_continuations = dataclasses.replace(Vocabulary.of(pieces), word_ids=VOCABULARY.word_ids)
    marked = {**rows, "continues_word": (rows["input_ids"] >= CONTINUATION).astype(np.int32)}
    expected = mask(rows, parameters)

    def mask_with_marks(rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        batch = {name: tf.constant(value) for name, value in rows.items()}
        masked = dynamic_masking.mask(batch, without_continuations, parameters, SEED, tf.constant(0, tf.int64))
        return {name: value.numpy() for name, value in masked.items()}

    masked = mask_with_marks(marked)
    assert masked.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(masked[name], values)
    assert (mask_with_marks(rows)["masked_lm_positions"] != expected["masked_lm_positions"]).any()


def test_as_many_tokens_as_in_the_original_are_masked_for_every_length() -> None:
    parameters = InstanceParameters(128, 15)
    texts = [[CLS, *[WORD] * (length - 2), SEP] for length in range(2, 129)]
    numbers = [len(chosen) for chosen in chosen_positions(mask(rows_of(texts, 128), parameters))]
    words = PIECES[WORD:]
    for text, number in zip(texts, numbers, strict=True):
        static = mask_tokens([PIECES[token] for token in text], words, parameters, random.Random(1))[1]
        assert number == len(static)
    assert numbers[:2] == [0, 1]  # [CLS] [SEP] has nothing to mask
    assert numbers[-1] == 15


def is_close(successes: int, count: int, probability: float) -> bool:
    """Whether the rate of successes equals a probability within 5 standard errors."""
    return abs(successes - count * probability) < 5 * np.sqrt(count * probability * (1 - probability))


@pytest.mark.parametrize("whole_words", [False, True])
def test_statistics_of_static_masking(whole_words: bool) -> None:
    parameters = InstanceParameters(64, 10, do_whole_word_mask=whole_words)
    rows = random_rows(4000, 64)
    tokens = int(rows["input_mask"].sum())
    assert tokens > 100_000
    rng, static = random.Random(2), collections.Counter[str]()
    for ids, length in zip(rows["input_ids"].tolist(), rows["input_mask"].sum(axis=1).tolist(), strict=True):
        text = [PIECES[token] for token in ids[:length]]
        tokens_shown, positions = mask_tokens(text, PIECES, parameters, rng)
        static["chosen"] += len(positions)
        static["masked"] += sum(tokens_shown[position] == "[MASK]" for position in positions)
        static["kept"] += sum(tokens_shown[position] == text[position] for position in positions)
        static["at the front"] += sum(position < 10 for position in positions)

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
    assert is_close(dynamic["chosen"], tokens, static["chosen"] / tokens)
    for name, probability in (("masked", 0.8 + 0.1 / len(PIECES)), ("kept", 0.1 + 0.1 / len(PIECES))):
        assert is_close(dynamic[name], dynamic["chosen"], probability), name
        assert is_close(static[name], static["chosen"], probability), name
    assert is_close(dynamic["at the front"], dynamic["chosen"], static["at the front"] / static["chosen"])


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
    # What happens to a token is independent of its neighbour.
    both = int(((shown[:, 0::2] == MASK) & (shown[:, 1::2] == MASK)).sum())
    assert is_close(both, shown.size // 2, (0.8 + 0.1 / len(PIECES)) ** 2)


@pytest.mark.parametrize("whole_words", [False, True])
def test_each_set_of_words_is_as_likely_as_by_shuffling_them(whole_words: bool) -> None:
    # Words of 1, 2, 3 and 1 pieces, one of them after a [SEP]; up to 3 of 9 tokens are masked.
    text = [CLS, WORD, WORD, CONTINUATION, WORD, CONTINUATION, CONTINUATION, SEP, CONTINUATION, SEP]
    words = words_of(text) if whole_words else [[position] for word in words_of(text) for position in word]
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
    drawn = collections.Counter(map(tuple, chosen_positions(masked)))
    assert drawn.keys() == expected.keys()
    for chosen_set, order_count in expected.items():
        assert is_close(drawn[chosen_set], count, order_count / len(orders)), chosen_set


PARAMETERS = InstanceParameters(16, 4)


def test_masks_depend_only_on_the_seed_and_the_number_of_the_example() -> None:
    rows = random_rows(40, 16)
    masked = mask(rows, PARAMETERS)
    for name, value in mask(rows, PARAMETERS).items():
        np.testing.assert_array_equal(value, masked[name])
    for start, stop in ((0, 3), (3, 20), (39, 40)):
        part = mask({name: value[start:stop] for name, value in rows.items()}, PARAMETERS, first_example=start)
        for name, value in part.items():
            np.testing.assert_array_equal(value, masked[name][start:stop])
    for other in (mask(rows, PARAMETERS, seed=SEED + 1), mask(rows, PARAMETERS, first_example=1)):
        differ = (other["masked_lm_positions"] != masked["masked_lm_positions"]).any(axis=1)
        assert differ.mean() > 0.8


def test_equal_rows_get_different_masks() -> None:
    masked = mask(rows_of([[CLS, *[WORD] * 40, SEP]] * 500, 42), InstanceParameters(42, 6))
    assert len(set(map(tuple, chosen_positions(masked)))) == 500


def batches(rows: dict[str, np.ndarray], batch_size: int, done: int = 0) -> list[dict[str, np.ndarray]]:
    """Three epochs in batches, without the first `done` examples."""
    dataset = tf.data.Dataset.from_tensor_slices(rows).repeat(3).skip(done).batch(batch_size, drop_remainder=True)
    masked = dynamic_masking.mask_dataset(
        dataset, VOCABULARY, PARAMETERS, SEED, lambda number: done + number * batch_size
    )
    assert masked.element_spec["input_ids"].shape == [batch_size, 16]
    assert masked.element_spec["masked_lm_ids"].shape == [batch_size, 4]
    return [{name: value.numpy() for name, value in batch.items()} for batch in masked]


def test_a_resumed_run_has_the_same_masks_and_each_epoch_different_ones() -> None:
    rows = random_rows(24, 16)
    uninterrupted = batches(rows, 8)
    assert len(uninterrupted) == 9
    for name, value in mask(rows, PARAMETERS).items():
        np.testing.assert_array_equal(np.concatenate([batch[name] for batch in uninterrupted[:3]]), value)
    for done in (1, 4):
        for later, expected in zip(batches(rows, 8, done * 8), uninterrupted[done:], strict=True):
            for name, value in later.items():
                np.testing.assert_array_equal(value, expected[name])
    for first, second in itertools.combinations((0, 3, 6), 2):
        positions = [uninterrupted[number]["masked_lm_positions"] for number in (first, second)]
        differ = (positions[0] != positions[1]).any(axis=1)
        assert differ.mean() > 0.5


def test_rows_that_fill_up_a_batch_have_nothing_to_predict() -> None:
    rows = {name: np.concatenate([value, np.zeros_like(value)]) for name, value in random_rows(2, 16).items()}
    masked = mask(rows, PARAMETERS)
    assert masked["masked_lm_weights"].any(axis=1).tolist() == [True, True, False, False]
    assert not masked["input_ids"][2:].any()


def test_records_of_another_vocabulary_are_rejected() -> None:
    rows = random_rows(3, 16)
    rows["input_ids"][1, 0] = WORD
    with pytest.raises(tf.errors.InvalidArgumentError, match=re.escape(dynamic_masking.OTHER_VOCABULARY)):
        mask(rows, PARAMETERS)
