"""What is left of a damaged record file."""

import gzip

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf2.errors import InputError
from bert_tf2.record_repair import without_damage

RECORDS = [f"record {number}".encode() * (number + 1) for number in range(20)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("records") / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in RECORDS:
            writer.write(record)
    return path


def read(paths):
    return [record.numpy() for record in tf.data.TFRecordDataset(paths)]


def start_of(number):
    return sum(len(record) + 16 for record in RECORDS[:number])


def harmed(whole, folder, *, flip=(), end=None):
    content = bytearray(whole.read_bytes())
    for at in flip:
        content[at] ^= 0x10
    path = folder / "harmed.tfrecord"
    path.write_bytes(content[:end])
    return str(path)


def test_whole_files_are_used_as_they_are(whole, tmp_path):
    assert without_damage([str(whole)], tmp_path, 0) == [str(whole)]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", [3, 9, 12, 20, -1], ids=["length", "length's checksum", "first", "inner", "checksum"])
def test_a_flipped_bit_costs_one_record(whole, tmp_path, caplog, place):
    at = start_of(5) + place if place >= 0 else start_of(6) - 1
    path = harmed(whole, tmp_path, flip=[at])
    (copy,) = without_damage([path], tmp_path / "out", 1)
    assert read([copy]) == RECORDS[:5] + RECORDS[6:]
    assert caplog.messages == [f"Skipping 1 damaged records: {path} (1)."]


def test_a_cut_file_keeps_what_is_whole(whole, tmp_path):
    (copy,) = without_damage([harmed(whole, tmp_path, end=start_of(19) + 30)], tmp_path, 1)
    assert read([copy]) == RECORDS[:19]


def test_more_than_allowed(whole, tmp_path):
    path = harmed(whole, tmp_path, flip=[start_of(2) + 15, start_of(8) + 15])
    with pytest.raises(
        InputError, match=r"2 damaged records in .*harmed\.tfrecord \(2\), more than --skip_bad_records=1"
    ):
        without_damage([str(whole), path], tmp_path / "out", 1)
    assert not (tmp_path / "out").exists()
    assert read(without_damage([str(whole), path], tmp_path / "out", 2)) == [
        *RECORDS,
        *(record for number, record in enumerate(RECORDS) if number not in (2, 8)),
    ]


def test_gzip(whole, tmp_path):
    packed = tmp_path / "a.gz"
    packed.write_bytes(gzip.compress(whole.read_bytes()[:-1]))
    assert read(without_damage([str(packed)], tmp_path, 1)) == RECORDS[:-1]


@given(flips=st.sets(st.integers(0, start_of(20) - 1), max_size=6))
@settings(max_examples=40, deadline=None)
def test_every_record_without_a_flipped_bit_is_kept(whole, tmp_path_factory, flips):
    folder = tmp_path_factory.mktemp("flipped")
    paths = without_damage([harmed(whole, folder, flip=flips)], folder, 10)
    untouched = [
        record
        for number, record in enumerate(RECORDS)
        if not any(start_of(number) <= at < start_of(number + 1) for at in flips)
    ]
    assert read(paths) == untouched
