"""Schemas and their records: encoding and parsing, the original's features, and the writer of files."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from helpers.full_disk import expect_full_disk
from helpers.pretraining_records import example, write
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf2 import records
from bert_tf2.records.schema import Feature, RecordWriter, Schema

INTS = st.integers(-(2**31), 2**31 - 1)
FLOATS = st.floats(width=32)


def read(path: str | Path) -> list[bytes]:
    return [record.numpy() for record in tf.data.TFRecordDataset(str(path))]


# --- Schemas ---------------------------------------------------------------------------------------------------------


@st.composite
def schemas_and_batches(draw: st.DrawFn) -> tuple[Schema, list[dict[str, Any]]]:
    names = draw(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=4, unique=True))
    features = tuple(
        Feature(name, tuple(draw(st.lists(st.integers(1, 4), max_size=2))), draw(st.sampled_from(("int", "float"))))
        for name in names
    )

    def values(feature: Feature) -> Any:
        kind, dtype = (INTS, np.int64) if feature.kind == "int" else (FLOATS, np.float32)
        flat = draw(st.lists(kind, min_size=feature.size, max_size=feature.size))
        array = np.asarray(flat, dtype).reshape(feature.shape)
        return array if draw(st.booleans()) else array.tolist()

    batch = [{feature.name: values(feature) for feature in features} for _ in range(draw(st.integers(1, 3)))]
    return Schema("test", features), batch


@given(schemas_and_batches())
@settings(max_examples=60)
def test_parsing_restores_the_encoded_values(case: tuple[Schema, list[dict[str, Any]]]) -> None:
    schema, batch = case
    parsed = schema.parse(tf.constant([schema.encode(values) for values in batch]))
    assert parsed.keys() == {feature.name for feature in schema.features}
    for feature in schema.features:
        tensor = parsed[feature.name]
        assert tensor.dtype == (tf.int32 if feature.kind == "int" else tf.float32)
        expected = np.asarray([values[feature.name] for values in batch], tensor.dtype.as_numpy_dtype)
        assert tensor.shape == (len(batch), *feature.shape)
        np.testing.assert_array_equal(tensor.numpy(), expected)


def test_pretraining_records_are_those_of_the_original(tmp_path: Path) -> None:
    values = example(6, 3, masked_lm_weights=[1.0, 1.0, 0.0], next_sentence_labels=[1])
    path = write(tmp_path / "a", [records.pretraining(6, 3).encode(values)] * 2)

    # As the original's input_fn reads them.
    name_to_features = {
        "input_ids": tf.io.FixedLenFeature([6], tf.int64),
        "input_mask": tf.io.FixedLenFeature([6], tf.int64),
        "segment_ids": tf.io.FixedLenFeature([6], tf.int64),
        "masked_lm_positions": tf.io.FixedLenFeature([3], tf.int64),
        "masked_lm_ids": tf.io.FixedLenFeature([3], tf.int64),
        "masked_lm_weights": tf.io.FixedLenFeature([3], tf.float32),
        "next_sentence_labels": tf.io.FixedLenFeature([1], tf.int64),
    }
    parsed = tf.io.parse_single_example(read(path)[0], name_to_features)
    for name, expected in values.items():
        np.testing.assert_array_equal(parsed[name].numpy(), expected)
    assert set(tf.train.Example.FromString(read(path)[0]).features.feature) == set(name_to_features)

    # As `Schema.parse` does.
    dataset = tf.data.TFRecordDataset(path).batch(2, drop_remainder=True).map(records.pretraining(6, 3).parse)
    assert {name: (spec.shape.as_list(), spec.dtype.name) for name, spec in dataset.element_spec.items()} == {
        **dict.fromkeys(("input_ids", "input_mask", "segment_ids"), ([2, 6], "int32")),
        **dict.fromkeys(("masked_lm_positions", "masked_lm_ids"), ([2, 3], "int32")),
        "masked_lm_weights": ([2, 3], "float32"),
        "next_sentence_labels": ([2, 1], "int32"),
    }
    for batch in dataset:
        for name, expected in values.items():
            np.testing.assert_array_equal(batch[name].numpy(), [expected] * 2)


def test_the_same_values_give_the_same_bytes() -> None:
    values = example()
    backwards = dict(reversed(values.items()))
    content = records.pretraining(8, 2).encode(values)
    assert content == records.pretraining(8, 2).encode(backwards)
    # Unless told to sort, protobuf guarantees no order, and uses different ones in different processes.
    assert sorted(values, key=lambda name: content.index(name.encode())) == sorted(values)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"input_ids": [1] * 7}, r"input_ids has the shape \(7,\), expected \(8,\)"),
        ({"input_ids": [[1] * 8]}, r"input_ids has the shape \(1, 8\), expected \(8,\)"),
        ({"input_ids": [1.0] * 8}, r"input_ids is float64, expected integers"),
        ({"input_ids": [2**31] * 8}, r"input_ids has values from 2147483648 .* beyond the range of int32"),
        ({"input_ids": [-(2**31) - 1] * 8}, r"beyond the range of int32"),
        ({"masked_lm_weights": ["a", "b"]}, r"masked_lm_weights is <U1, expected floats"),
        ({"guid": [1]}, r"A pre-training record has the features .*'input_ids'.* not .*'guid'"),
    ],
)
def test_values_that_do_not_fit(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        records.pretraining(8, 2).encode(example(**changes))


# --- Writing ---------------------------------------------------------------------------------------------------------


@given(count=st.integers(0, 12), files=st.integers(1, 5))
@settings(max_examples=25)
def test_records_are_distributed_round_robin(tmp_path_factory: pytest.TempPathFactory, count: int, files: int) -> None:
    directory = tmp_path_factory.mktemp("records")
    paths = [str(directory / "new" / str(number)) for number in range(files)]
    contents = [str(number).encode() for number in range(count)]
    with RecordWriter(paths) as writer:
        for content in contents:
            writer.write(content)
    assert [read(path) for path in paths] == [contents[number::files] for number in range(files)]
    assert writer.counts == [len(contents[number::files]) for number in range(files)]
    assert sorted(os.listdir(directory / "new")) == sorted(map(str, range(files)))


def test_files_appear_only_when_all_records_are_written(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"old")
    with RecordWriter([str(tmp_path / "a"), str(tmp_path / "b")]) as writer:
        writer.write(b"1")
        writer.write(b"2")
        assert not (tmp_path / "a").exists()
        assert (tmp_path / "b").read_bytes() == b"old"
    assert read(tmp_path / "a") + read(tmp_path / "b") == [b"1", b"2"]
    assert len(os.listdir(tmp_path)) == 2


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_no_new_files(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "b").write_bytes(b"old")

    def interrupt() -> None:
        with RecordWriter([str(tmp_path / "a"), str(tmp_path / "b")]) as writer:
            writer.write(b"1")
            raise error

    with pytest.raises(error):
        interrupt()
    assert os.listdir(tmp_path) == ["b"]
    assert (tmp_path / "b").read_bytes() == b"old"


def test_a_killed_process_leaves_no_files_under_the_final_names(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from bert_tf2.records import RecordWriter\n"
        "with RecordWriter(sys.argv[1:]) as writer:\n"
        "    for _ in range(5000): writer.write(b'x' * 100)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    paths = [str(tmp_path / "a"), str(tmp_path / "b")]
    killed = subprocess.run([sys.executable, "-c", code, *paths], timeout=120, stderr=subprocess.DEVNULL)
    assert killed.returncode < 0
    assert all(name.startswith(".") for name in os.listdir(tmp_path))


@pytest.mark.parametrize("size", [100_000, 1_000_000])
def test_the_error_of_a_full_disk_names_the_file(tmp_path: Path, size: int) -> None:
    """The smaller file is in a buffer until it is closed. No unfinished file stays."""
    path = tmp_path / "a"

    def fill() -> None:
        with RecordWriter([str(path)]) as writer:
            for _ in range(size // 1000):
                writer.write(b"x" * 1000)

    expect_full_disk(path, 50_000, fill)
    assert os.listdir(tmp_path) == []


def test_a_directory_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), RecordWriter([str(tmp_path / "a"), str(tmp_path / "file" / "b")]):
        pass
    assert os.listdir(tmp_path) == ["file"]
