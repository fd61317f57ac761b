"""Batches of examples in memory: whole epochs, resuming, padding to the longest row, the order of an evaluation."""

import collections
import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf2.input_pipeline import example_batches
from bert_tf2.input_pipeline.example_batches import ExampleArrays
from bert_tf2.input_pipeline.record_batches import Share
from bert_tf2.io.sparse_rows import SparseRows


def examples_of(lengths, max_length=40):
    """Example `i` has the tokens 100 * i + 1, 100 * i + 2, ..."""
    splits = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    tokens = [np.arange(length) + 100 * row + 1 for row, length in enumerate(lengths)]
    values = np.concatenate(tokens).astype(np.int32)
    return ExampleArrays(
        splits,
        {"input_ids": values, "segment_ids": values % 2},
        {"number": np.arange(len(lengths), dtype=np.int32), "pair": np.eye(len(lengths), dtype=np.float32)},
        max_length,
    )


LENGTHS = [3, 9, 1, 33, 8, 16, 2, 5, 7, 20, 40]


def numbers(dataset, count):
    return [batch["number"].numpy().tolist() for batch in dataset.take(count)]


def check_rows(batch, examples):
    """Checks that each row has the tokens of its example, then zeros, and the columns of its example."""
    for row, number in enumerate(batch["number"].numpy()):
        length = examples.lengths[number]
        expected = np.zeros(batch["input_ids"].shape[1], np.int32)
        expected[:length] = np.arange(length) + 100 * number + 1
        np.testing.assert_array_equal(batch["input_ids"][row], expected)
        np.testing.assert_array_equal(batch["segment_ids"][row], expected % 2)
        np.testing.assert_array_equal(batch["input_mask"][row], expected > 0)
        np.testing.assert_array_equal(batch["pair"][row], np.eye(len(examples))[number])


@pytest.mark.parametrize("fixed_shapes", [False, True])
def test_rows_are_padded_to_the_longest_in_the_batch_or_of_all(fixed_shapes):
    examples = examples_of(LENGTHS)
    batches = list(example_batches.training(examples, 2, seed=1, fixed_shapes=fixed_shapes).take(20))
    for batch in batches:
        check_rows(batch, examples)
        longest = max(examples.lengths[number] for number in batch["number"].numpy())
        assert batch["input_ids"].shape[1] == (40 if fixed_shapes else -(-longest // 8) * 8)
        assert {value.dtype for name, value in batch.items() if name != "pair"} == {tf.int32}
    assert fixed_shapes == (len({batch["input_ids"].shape for batch in batches}) == 1)


@pytest.mark.parametrize("fixed_shapes", [False, True])
@pytest.mark.parametrize("in_file", [False, True])
def test_examples_outside_the_graph_give_the_same_batches(tmp_path, monkeypatch, fixed_shapes, in_file):
    examples = examples_of(LENGTHS)
    ones = SparseRows(np.array([0, 2, 2, *range(3, 12)]), np.array([0, 3, 1, 2, 0, 3, 3, 1, 2, 0, 1], np.int32), 4)
    examples = dataclasses.replace(examples, columns={**examples.columns, "labels": ones})
    tokens = {}
    for name, values in examples.tokens.items():
        values.tofile(tmp_path / name)
        tokens[name] = np.memmap(tmp_path / name, values.dtype, "r")
    outside = dataclasses.replace(examples, tokens=tokens if in_file else examples.tokens)
    for make in (example_batches.training, example_batches.evaluation):
        options = {"seed": 1} if make is example_batches.training else {}
        datasets = [make(examples, 4, fixed_shapes=fixed_shapes, **options)]
        with monkeypatch.context() as patch:
            patch.setattr(example_batches, "MAX_GRAPH_BYTES", example_batches.MAX_GRAPH_BYTES if in_file else 0)
            datasets.append(make(outside, 4, fixed_shapes=fixed_shapes, **options))
        assert datasets[0].element_spec == datasets[1].element_spec
        for batch, other in zip(*(dataset.take(3) for dataset in datasets), strict=True):
            assert batch.keys() == other.keys()
            for name, values in batch.items():
                assert values.dtype == other[name].dtype
                np.testing.assert_array_equal(values, other[name])


def test_sparse_columns_give_the_same_batches():
    examples = examples_of(LENGTHS)
    ones = SparseRows(np.array([0, 2, 2, *range(3, 12)]), np.array([0, 3, 1, 2, 0, 3, 3, 1, 2, 0, 1], np.int32), 4)
    dense, sparse = (
        dataclasses.replace(examples, columns={**examples.columns, "labels": values})
        for values in (np.asarray(ones), ones)
    )
    for make in (
        lambda examples: example_batches.training(examples, 4, seed=1),
        lambda examples: example_batches.evaluation(examples, 4),
    ):
        assert make(dense).element_spec == make(sparse).element_spec
        for batch, other in zip(make(dense).take(3), make(sparse).take(3), strict=True):
            np.testing.assert_array_equal(batch["labels"], other["labels"])


def test_rows_are_never_padded_beyond_max_length():
    batch = next(iter(example_batches.training(examples_of([3, 13], max_length=13), 2, seed=1)))
    assert batch["input_ids"].shape == [2, 13]


def test_shapes_are_as_static_as_they_can_be():
    for fixed, columns in ((False, None), (True, 40)):
        spec = example_batches.training(examples_of(LENGTHS), 4, seed=1, fixed_shapes=fixed).element_spec
        assert spec["input_mask"].shape.as_list() == [4, columns]
        assert spec["pair"].shape.as_list() == [4, len(LENGTHS)]


def test_each_epoch_has_each_example_once_in_a_different_order():
    flat = np.concatenate(numbers(example_batches.training(examples_of(LENGTHS), 4, seed=1), 11))  # four epochs
    epochs = flat.reshape(4, 11)
    assert all(sorted(epoch) == list(range(11)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_the_order_depends_on_the_seed():
    first, again, other = (numbers(example_batches.training(examples_of(LENGTHS), 4, seed), 5) for seed in (1, 1, 2))
    assert first == again != other


@given(done=st.integers(0, 20), batch_size=st.integers(1, 30))
@settings(max_examples=15)
def test_a_resumed_run_has_the_same_batches(done, batch_size):
    uninterrupted = numbers(example_batches.training(examples_of(LENGTHS), batch_size, seed=3), done + 2)
    later = example_batches.training(examples_of(LENGTHS), batch_size, seed=3, examples_done=done * batch_size)
    assert numbers(later, 2) == uninterrupted[done:]


def test_shares_together_are_the_rows_of_one_device():
    examples = examples_of(LENGTHS)
    one_device = numbers(example_batches.training(examples, 8, seed=1), 3)
    pieces = [
        numbers(example_batches.training(examples, 8, seed=1, share=Share(worker, 2, devices=2)), 6)
        for worker in range(2)
    ]
    for batch in range(3):
        parts = [worker[2 * batch + device] for worker in pieces for device in range(2)]
        assert np.concatenate(parts).tolist() == one_device[batch]
    rows = np.concatenate([batch["row"] for batch in example_batches.evaluation(examples, 8)])
    shared = [
        [batch["row"].numpy() for batch in example_batches.evaluation(examples, 8, Share(worker, 2, 1))]
        for worker in range(2)
    ]
    assert np.concatenate([part for pair in zip(*shared, strict=True) for part in pair]).tolist() == rows.tolist()


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=20), batch_size=st.integers(1, 6))
@settings(max_examples=15)
def test_evaluation_batches_rows_of_similar_length(lengths, batch_size):
    examples = examples_of(lengths)
    batches = list(example_batches.evaluation(examples, batch_size))
    assert len(batches) == example_batches.number_of_batches(examples, batch_size)
    counts = collections.Counter()
    outputs = {"row": [], "first": []}
    for batch in batches:
        is_row = batch["example_weights"].numpy() > 0
        assert (batch["row"].numpy() >= 0).tolist() == is_row.tolist()
        assert not batch["input_mask"].numpy()[~is_row].any()
        assert batch["input_ids"].shape[0] == batch_size
        check_rows({name: value[: is_row.sum()] for name, value in batch.items()}, examples)
        outputs["row"].append(batch["row"].numpy()[is_row])
        outputs["first"].append(batch["input_ids"].numpy()[is_row, 0])
        counts.update(batch["row"].numpy()[is_row].tolist())
    assert counts == dict.fromkeys(range(len(lengths)), 1)
    ordered_lengths = [lengths[row] for row in np.concatenate(outputs["row"])]
    assert ordered_lengths == sorted(ordered_lengths, reverse=True)
    rows = np.concatenate(outputs["row"])
    assert np.concatenate(outputs["first"]).tolist() == (100 * rows + 1).tolist()


@pytest.mark.parametrize("large", [False, True])
def test_evaluation_in_batches_of_any_size(large, monkeypatch):
    examples = examples_of(LENGTHS)
    monkeypatch.setattr(example_batches, "MAX_GRAPH_BYTES", 0 if large else 1 << 30)
    splits = np.array([0, 1, 4, 6, 11])
    batches = list(example_batches.evaluation(examples, 99, splits=splits))
    assert [len(batch["row"]) for batch in batches] == [1, 3, 2, 5]
    single = next(iter(example_batches.evaluation(examples, len(LENGTHS))))
    assert np.concatenate([batch["row"] for batch in batches]).tolist() == single["row"].numpy().tolist()
    for batch in batches:
        check_rows(batch, examples)
        assert (batch["example_weights"].numpy() == 1).all()
    rows = [batch["row"].numpy().tolist() for batch in batches]
    later = example_batches.evaluation(examples, 99, splits=splits[2:])
    assert [batch["row"].numpy().tolist() for batch in later] == rows[2:]
