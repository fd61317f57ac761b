"""Batches of records: whole epochs, an order that depends on the seed, resuming anywhere, padded evaluation."""

import collections
import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf2.errors import InputError
from bert_tf2.input_pipeline import record_batches
from bert_tf2.records.reader import count_records


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Three files with the records 0 to 22, as text."""
    directory, numbers = tmp_path_factory.mktemp("records"), iter(range(23))
    for index, count in enumerate((10, 1, 12)):
        with tf.io.TFRecordWriter(str(directory / f"{index}.tfrecord")) as writer:
            for _ in range(count):
                writer.write(str(next(numbers)).encode())
    return sorted(str(path) for path in directory.iterdir())


def parse(records):
    return {"number": tf.strings.to_number(records, tf.int32)}


def numbers(dataset, count):
    return [batch["number"].numpy().tolist() for batch in dataset.take(count)]


def test_each_epoch_has_each_record_once_in_a_different_order(paths):
    rows = np.concatenate(numbers(record_batches.training(paths, parse, 23, seed=1), 4)).reshape(4, 23)
    for row in rows:
        assert sorted(row) == list(range(23))
    assert len({tuple(row) for row in rows}) == 4


def test_batches_continue_across_epochs(paths):
    flat = np.concatenate(numbers(record_batches.training(paths, parse, 10, seed=1), 23))
    assert set(collections.Counter(flat.tolist()).values()) == {10}


def test_datasets_are_not_autotuned():
    # In TensorFlow 2.21 the tuning thread can delay the end of a dataset by a minute, as it misses the signal to end.
    dataset = record_batches.distribute(lambda share: tf.data.Dataset.range(3), tf.distribute.get_strategy())
    assert dataset.options().autotune.enabled is False


def test_the_order_depends_on_the_seed(paths):
    first = numbers(record_batches.training(paths, parse, 4, seed=1), 8)
    assert first == numbers(record_batches.training(paths, parse, 4, seed=1), 8)
    assert first != numbers(record_batches.training(paths, parse, 4, seed=2), 8)


@given(done=st.integers(0, 20), batch_size=st.integers(1, 30), buffer=st.sampled_from([3, 1000]))
@settings(max_examples=15)
def test_a_resumed_run_has_the_same_batches(paths, done, batch_size, buffer):
    uninterrupted = numbers(record_batches.training(paths, parse, batch_size, seed=3, buffer=buffer), done + 2)
    later = record_batches.training(paths, parse, batch_size, seed=3, examples_done=done * batch_size, buffer=buffer)
    assert numbers(later, 2) == uninterrupted[done:]


def test_evaluation_repeats_records_in_order(paths):
    batches = numbers(record_batches.evaluation(paths, parse, 10, steps=3), 5)
    assert batches == [list(range(10)), list(range(10, 20)), [20, 21, 22, *range(7)]]


def test_evaluation_of_each_record_once(paths):
    batches = list(record_batches.evaluation(paths, parse, 10, steps=None))
    assert [batch["number"].shape[0] for batch in batches] == [10, 10, 10]
    last = batches[-1]
    assert last["number"].numpy().tolist() == [20, 21, 22] + [0] * 7
    assert last["example_weights"].numpy().tolist() == [1.0] * 3 + [0.0] * 7
    assert sum(float(tf.reduce_sum(batch["example_weights"])) for batch in batches) == 23


def test_gzip_files_give_the_same_batches(paths, tmp_path):
    packed = [str(tmp_path / os.path.basename(path)) for path in paths]
    for path, target in zip(paths, packed, strict=True):
        Path(target).write_bytes(gzip.compress(Path(path).read_bytes()))
    assert count_records(packed) == count_records(paths) == 23
    expected = numbers(record_batches.training(paths, parse, 4, seed=1, examples_done=8), 8)
    assert numbers(record_batches.training(packed, parse, 4, seed=1, examples_done=8), 8) == expected
    assert numbers(record_batches.evaluation(packed, parse, 10, 3), 3) == numbers(
        record_batches.evaluation(paths, parse, 10, 3), 3
    )
    with pytest.raises(InputError, match="are compressed differently; decompress them or compress all"):
        record_batches.training([paths[0], packed[1]], parse, 4, seed=1)
    Path(packed[0]).write_bytes(Path(packed[0]).read_bytes()[:-12])
    with pytest.raises(InputError, match="corrupt or truncated"):
        count_records(packed)


def test_shapes_are_static(paths):
    assert record_batches.training(paths, parse, 4, seed=1).element_spec["number"].shape == [4]
    assert record_batches.evaluation(paths, parse, 4, steps=None).element_spec["number"].shape == [4]


@pytest.mark.parametrize(("workers", "devices"), [(1, 2), (2, 1), (2, 2), (3, 1)])
def test_shares_together_are_the_rows_of_one_device(paths, workers, devices):
    size = 12
    one_device = numbers(record_batches.training(paths, parse, size, seed=1, examples_done=size), 4)
    pieces = {}
    for worker in range(workers):
        share = record_batches.Share(worker, workers, devices)
        elements = numbers(record_batches.training(paths, parse, size, 1, size, share=share), 4 * devices)
        for element, piece in enumerate(elements):
            pieces[int(share.first_row(element, size))] = piece
            assert len(piece) == share.rows(size)
    assert [row for first in sorted(pieces) for row in pieces[first]] == [row for batch in one_device for row in batch]


def test_shares_of_an_evaluation(paths):
    pieces = []
    for worker in (0, 1):
        share = record_batches.Share(worker, 2, 1)
        pieces.append([batch["number"].numpy() for batch in record_batches.evaluation(paths, parse, 8, None, share)])
    rows = [row for pair in zip(*pieces, strict=True) for piece in pair for row in piece.tolist()]
    assert rows == [*range(23), 0]


@pytest.mark.parametrize(("workers", "files"), [(2, 3), (3, 3), (3, 2), (4, 1)])
def test_by_files_each_record_belongs_to_one_worker(paths, workers, files):
    """If there are fewer files than workers, each reads every n-th record."""
    paths = paths[:files]
    all_records = sorted(np.concatenate(numbers(record_batches.evaluation(paths, parse, 1, None), 30)).tolist())
    worker_records = []
    for worker in range(workers):
        share = record_batches.Share(worker, workers, 1, by_files=True)
        stream = numbers(record_batches.training(paths, parse, workers, 1, share=share), 46)
        worker_records += {row for piece in stream for row in piece}
        later = record_batches.training(paths, parse, workers, 1, examples_done=workers * 7, share=share)
        assert numbers(later, 9) == stream[7:16]
    assert sorted(worker_records) == all_records


def test_columns_of_padding_are_removed():
    mask = np.zeros([4, 32], np.int32)
    for row, length in enumerate((3, 9, 30, 0)):
        mask[row, :length] = 1
    rows = {"input_ids": mask * 7, "input_mask": mask, "segment_ids": mask, "other": np.ones([4, 32], np.int32)}
    batches = list(record_batches.trim(tf.data.Dataset.from_tensor_slices(rows).batch(2)))
    assert [batch["input_ids"].shape[1] for batch in batches] == [16, 32]
    assert batches[0]["other"].shape == [2, 32]
    np.testing.assert_array_equal(batches[0]["input_ids"], rows["input_ids"][:2, :16])
    (empty,) = record_batches.trim(tf.data.Dataset.from_tensor_slices(rows).skip(3).batch(1))
    assert empty["input_mask"].shape == [1, 8]
