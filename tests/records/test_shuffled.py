"""Shuffled records: whole epochs, entered anywhere; corrupt records skipped or reported; the index of files."""

import gzip
import json
import os
from pathlib import Path

import pytest
import tensorflow as tf
from helpers import bytes_read
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf2.errors import InputError
from bert_tf2.records import index as record_index
from bert_tf2.records import shuffled
from bert_tf2.records.shuffled import RecordSource, RecordStream

RECORDS = [f"record {number}".encode() * (number + 1) + b"\0" * (number % 3) for number in range(20)]


def write(path, records):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return str(path)


def read(paths, **options):
    return list(RecordSource(**options).records(paths))


def first(paths, count, done=0, **options):
    """The next `count` records of a stream after the first `done`."""
    source = options.pop("source", None) or RecordSource()
    blocks = RecordStream(paths, source, 1, **options).blocks(1, done)
    records = [next(blocks)[0] for _ in range(count)]
    blocks.close()
    return records


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    return write(tmp_path_factory.mktemp("records") / "a.tfrecord", RECORDS)


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Files of 0 to 12 records, more than are open at a time."""
    directory, numbers = tmp_path_factory.mktemp("several"), iter(range(1000))
    sizes = [7, 0, 1, 12, 3, 3, 1, 0, 5, 2, 1, 9, 4, 1, 1, 6, 2, 8, 3, 10]
    return [
        write(directory / f"{index:02}", [b"%d\0" % next(numbers) for _ in range(size)])
        for index, size in enumerate(sizes)
    ]


# --- The order -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("segment_size", [1, 5, 16, 30, 1000])
def test_epochs_are_whole_and_of_different_orders(several, segment_size):
    all_records = sorted(b"%d\0" % number for number in range(79))
    records = first(several, 3 * 79, segment_size=segment_size)
    epochs = [tuple(records[begin : begin + 79]) for begin in (0, 79, 158)]
    assert all(sorted(epoch) == all_records for epoch in epochs)
    assert len(set(epochs)) == 3


def test_the_order_is_pinned(several):
    """Otherwise a run resumed with another version would see some records twice in an epoch."""
    order = [int(record[:-1]) for record in first(several, 8, segment_size=30)]
    assert order == [1, 23, 45, 66, 57, 67, 21, 51]


def test_records_of_all_open_files_are_mixed(tmp_path):
    paths = [write(tmp_path / str(number), [b"%d" % number] * 100) for number in range(4)]
    assert len(set(first(paths, 40, segment_size=40))) == 4


@given(st.integers(0, 250), st.sampled_from([1, 7, 30, 1000]), st.sampled_from([(0, 1), (0, 2), (2, 3)]))
@settings(max_examples=60)
def test_a_stream_is_entered_anywhere(several, done, segment_size, shard):
    options = {"segment_size": segment_size, "shard_index": shard[0], "shard_count": shard[1]}
    assert first(several, 10, done, **options) == first(several, done + 10, **options)[done:]


def test_segments_are_bounded_by_bytes(tmp_path, monkeypatch):
    path = write(tmp_path / "a", [b"%03d" % number * 100 for number in range(100)])
    monkeypatch.setattr(shuffled, "_MAX_SEGMENT_BYTES", 5000)
    order = [int(record[:3]) for record in first([path], 100)]
    assert sorted(order[:15]) == list(range(15))  # 316 bytes each


def test_no_record_for_a_process(several):
    with pytest.raises(InputError, match="no file holds a record for this process"):
        first([several[1]], 1)
    with pytest.raises(InputError, match="no file holds a record for this process"):
        first([several[2]], 1, shard_index=1, shard_count=2)


# --- The index -------------------------------------------------------------------------------------------------------


def test_a_resumed_run_does_not_read_indexed_files_again(several, tmp_path, monkeypatch):
    index = str(tmp_path / record_index.INDEX_FILE)
    monkeypatch.setattr(record_index, "_RECORDS_BETWEEN_PLACES", 1)
    expected = first(several, 200, segment_size=10, source=RecordSource(index))
    assert len(json.loads((tmp_path / record_index.INDEX_FILE).read_text())["files"]) == 20

    skipped = []
    skip = shuffled.RecordFile.skip
    monkeypatch.setattr(shuffled.RecordFile, "skip", lambda file, count: skipped.append(count) or skip(file, count))
    assert first(several, 60, 140, segment_size=10, source=RecordSource(index)) == expected[140:]
    assert not skipped


@pytest.mark.parametrize("shard", [(0, 1), (1, 2)])
def test_resuming_in_the_first_epoch_does_not_read_later_files(tmp_path, monkeypatch, shard):
    monkeypatch.setattr(shuffled, "_FILES_READ_AT_ONCE", 3)
    monkeypatch.setattr(shuffled, "_CHUNK", 64)
    paths = [write(tmp_path / f"{number:02}", [b"%d %d" % (number, row) for row in range(40)]) for number in range(30)]
    options = {"segment_size": 20, "shard_index": shard[0], "shard_count": shard[1]}
    expected = first(paths, 170, **options)
    read = bytes_read.counted(monkeypatch)
    assert first(paths, 20, 150, **options) == expected[150:]
    assert 150 * shard[1] // 40 <= len(read) <= 15  # of 30 files


def test_resuming_reads_only_the_records_that_follow(tmp_path, monkeypatch):
    """The index shows where they begin in a file, in the first epoch too."""
    index = str(tmp_path / "index")
    monkeypatch.setattr(shuffled, "_FILES_READ_AT_ONCE", 3)
    monkeypatch.setattr(shuffled, "_CHUNK", 64)
    monkeypatch.setattr(record_index, "_RECORDS_BETWEEN_PLACES", 1)
    (tmp_path / "records").mkdir()
    paths = [
        write(tmp_path / "records" / f"{number:02}", [b"%d %03d" % (number, row) for row in range(200)])
        for number in range(10)
    ]
    size = Path(paths[0]).stat().st_size // 200
    expected = first(paths, 1500, segment_size=30)
    for done in (1, 29, 30, 450, 700, 1499):
        first(paths, done, segment_size=30, source=RecordSource(index))
        with monkeypatch.context() as patch:
            read = bytes_read.counted(patch)
            assert first(paths, 1, done, segment_size=30, source=RecordSource(index)) == expected[done : done + 1]
        assert read.total() <= 5 * 30 * size  # three segments, one of them read ahead, and the ends of chunks


def test_indexes_of_several_processes_are_merged(tmp_path, several):
    """Each process reads its own files and writes to the same index."""
    index = str(tmp_path / "index")
    sources = [RecordSource(index), RecordSource(index)]
    for source in sources:
        assert all(source.index.of(path).records is None for path in several)
    for number, source in enumerate(sources):
        for path in several[number::2]:
            source.count(path)
        source.index.save()
    assert all(RecordSource(index).index.of(path).records is not None for path in several)


def test_a_replaced_file_is_detected(tmp_path):
    index, path = str(tmp_path / "index"), write(tmp_path / "a", RECORDS)
    source = RecordSource(index)
    assert source.count(path) == 20
    source.index.save()
    assert RecordSource(index).index.of(path).records == 20
    assert RecordSource(index, max_damaged=1).index.of(path).records is None  # corrupt records were not counted
    write(path, RECORDS[:10])
    assert RecordSource(index).index.of(path).records is None
    write(path, RECORDS)
    os.utime(path, ns=(1, 1))
    assert RecordSource(index).count(path) == 20


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"format": 1}', '{"format": 2, "files": {}}', '{"format": 1, "files": {"a": 3}}']
)
def test_a_corrupt_index_is_rebuilt(tmp_path, content):
    path = write(tmp_path / "a", RECORDS)
    (tmp_path / "index").write_text(content)
    source = RecordSource(str(tmp_path / "index"))
    assert source.count(path) == 20
    source.index.save()
    assert RecordSource(str(tmp_path / "index")).index.of(path).records == 20


# --- Corrupt files ---------------------------------------------------------------------------------------------------


def start_of(number):
    return sum(len(record) + 16 for record in RECORDS[:number])


def damage(intact, directory, *, flip=(), end=None):
    """A copy of a file with bits flipped at some offsets, or truncated."""
    content = bytearray(Path(intact).read_bytes())
    for offset in flip:
        content[offset] ^= 0x10
    path = directory / "damaged.tfrecord"
    path.write_bytes(content[:end])
    return str(path)


@pytest.mark.parametrize("chunk", [1, 64, 1 << 20])
def test_intact_files(intact, tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(shuffled, "_CHUNK", chunk)
    assert read([intact]) == RECORDS
    packed = tmp_path / "a.gz"
    packed.write_bytes(gzip.compress(Path(intact).read_bytes()))
    assert read([str(packed), intact]) == RECORDS * 2
    assert first([str(packed)], 5, 7, segment_size=4) == first([intact], 5, 7, segment_size=4)


@pytest.mark.parametrize("chunk", [1, 64, 1 << 20])
@pytest.mark.parametrize(
    "offset", [3, 9, 12, 20, -1], ids=["length", "length's checksum", "first", "inner", "checksum"]
)
def test_a_flipped_bit_costs_one_record(intact, tmp_path, caplog, monkeypatch, offset, chunk):
    monkeypatch.setattr(shuffled, "_CHUNK", chunk)
    path = damage(intact, tmp_path, flip=[start_of(5) + offset if offset >= 0 else start_of(6) - 1])
    assert read([path, path], max_damaged=1) == (RECORDS[:5] + RECORDS[6:]) * 2
    assert caplog.messages == [f"Skipping corrupt records (1): {path}."]
    with pytest.raises(InputError, match=r"damaged.tfrecord is corrupt or truncated at record 6;"):
        read([path])


@pytest.mark.parametrize("end", [start_of(19) + 30, start_of(19) + 5, start_of(20) - 1])
def test_complete_records_of_a_truncated_file_are_read(intact, tmp_path, end):
    path = damage(intact, tmp_path, end=end)
    assert read([path], max_damaged=1) == RECORDS[:19]
    with pytest.raises(InputError, match="is corrupt or truncated at record 20;"):
        read([path])


def test_more_corrupt_records_than_allowed(intact, tmp_path):
    path = damage(intact, tmp_path, flip=[start_of(3) + 20, start_of(7) + 20])
    message = rf"2 corrupt records in {path} \(2\), more than --skip_bad_records=1; make the files again"
    with pytest.raises(InputError, match=message):
        read([intact, path], max_damaged=1)
    assert read([path], max_damaged=2) == RECORDS[:3] + RECORDS[4:7] + RECORDS[8:]


def test_a_stream_with_corrupt_records_is_entered_anywhere(intact, tmp_path, monkeypatch):
    monkeypatch.setattr(record_index, "_RECORDS_BETWEEN_PLACES", 1)
    path = damage(intact, tmp_path, flip=[start_of(3) + 20, start_of(7) + 2])
    source = RecordSource(str(tmp_path / "index"), 2)
    expected = first([path], 50, segment_size=4, source=source)
    assert set(expected) == set(RECORDS) - {RECORDS[3], RECORDS[7]}
    for done in range(0, 40, 3):
        resumed = RecordSource(str(tmp_path / "index"), 2)
        assert first([path], 10, done, segment_size=4, source=resumed) == expected[done : done + 10]


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"Cannot read .*missing"):
        read([str(tmp_path / "missing")])
