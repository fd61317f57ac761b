"""The compiled writer: the same bytes as `records.Schema.encode` and TensorFlow's writer, gzip, errors."""

import gzip
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from helpers.full_disk import expect_full_disk
from helpers.repository import REPOSITORY
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf2 import records
from bert_tf2.records import reader
from bert_tf2.records.schema import Feature, RecordWriter, Schema
from bert_tf2.records.writer import BlockWriter, Encoder

EDGES = [0, 1, *(2**bits + d for bits in (7, 14, 21, 28, 31) for d in (-2, -1, 0, 1)), 101, 30_521]
INTS = st.one_of(
    st.sampled_from([sign * edge for edge in EDGES for sign in (1, -1) if -(2**31) <= sign * edge < 2**31]),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(0, 127),
)
FLOATS = st.one_of(st.sampled_from([0.0, -0.0, 1.0]), st.floats(width=32))

Columns = dict[str, Any]


def write_plainly(paths: Sequence[str], schema: Schema, columns: Columns) -> None:
    with RecordWriter(paths) as writer:
        for row in zip(*columns.values(), strict=True):
            writer.write(schema.encode(dict(zip(columns, row, strict=True))))


def write_fast(paths: Sequence[str], schema: Schema, columns: Columns, blocks: Sequence[int], **options: Any) -> None:
    """Writes columns in blocks that end at the rows `blocks`."""
    with BlockWriter(paths, schema, **options) as writer:
        for start, end in zip([0, *blocks], [*blocks, None], strict=True):
            writer.write({name: column[start:end] for name, column in columns.items()})


def contents(paths: Sequence[str]) -> list[bytes]:
    return [Path(path).read_bytes() for path in paths]


def pretraining_columns(count: int, max_seq_length: int = 16, max_predictions_per_seq: int = 3) -> Columns:
    rng = np.random.default_rng(count)
    return {
        feature.name: rng.integers(0, 30_522, (count, *feature.shape))
        for feature in records.pretraining(max_seq_length, max_predictions_per_seq).features
    }


@st.composite
def schemas_and_columns(draw: st.DrawFn) -> tuple[Schema, Columns]:
    names = draw(
        st.lists(st.one_of(st.text(max_size=8), st.text("ab", max_size=3)), min_size=1, max_size=5, unique=True)
    )
    features = tuple(
        Feature(name, tuple(draw(st.lists(st.integers(0, 4), max_size=2))), draw(st.sampled_from(("int", "float"))))
        for name in names
    )
    count = draw(st.integers(0, 7))

    def column(feature: Feature) -> Any:
        kind, dtype = (INTS, np.int64) if feature.kind == "int" else (FLOATS, np.float32)
        size = count * feature.size
        array = np.asarray(draw(st.lists(kind, min_size=size, max_size=size)), dtype)
        array = array.reshape((count, *feature.shape))
        if feature.kind == "int" and draw(st.booleans()):
            array = array.astype(np.int32)
        return array

    return Schema("test", features), {feature.name: column(feature) for feature in features}


@given(schemas_and_columns(), st.integers(1, 4), st.lists(st.integers(0, 7), max_size=2).map(sorted))
@settings(max_examples=120)
def test_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[Schema, Columns], files: int, blocks: list[int]
) -> None:
    schema, columns = case
    directory = tmp_path_factory.mktemp("records")
    plain, fast = ([str(directory / f"{kind}{number}") for number in range(files)] for kind in ("plain", "fast"))
    write_plainly(plain, schema, columns)
    write_fast(fast, schema, columns, blocks)
    assert contents(fast) == contents(plain)


@pytest.mark.parametrize("size", [1, 15, 16, 17, 31, 32, 33, 42, 127, 128, 1000, 16_383, 16_384, 300_000])
@pytest.mark.parametrize("kind", ["int", "float"])
def test_lengths_of_every_number_of_bytes(tmp_path: Path, size: int, kind: Any) -> None:
    schema = Schema("test", (Feature("b" * 200, (size,), kind), Feature("a", (1,), kind)))
    values = np.array([1, -1, 3 * 2**20], np.int32).repeat(size).reshape(3, size)
    columns = {"b" * 200: values, "a": np.ones((3, 1), np.int32)}
    paths = [str(tmp_path / "plain"), str(tmp_path / "fast")]
    write_plainly(paths[:1], schema, columns)
    write_fast(paths[1:], schema, columns, [2])
    assert contents(paths[:1]) == contents(paths[1:])


def test_checksums_of_every_length() -> None:
    """Names of 1 to 39 bytes, as checksums are computed eight bytes at a time."""
    for length in range(1, 40):
        schema = Schema("test", (Feature("n" * length, (1,)),))
        encoder = Encoder(schema)
        content, count = encoder.encode(encoder.rows({"n" * length: np.arange(300).reshape(300, 1)}))
        assert count == 300
        record = schema.encode({"n" * length: [299]})
        assert bytes(content).endswith(record + bytes(content)[-4:])


def test_tensorflow_reads_the_records(tmp_path: Path) -> None:
    schema, columns = records.pretraining(16, 3), pretraining_columns(500)
    path = str(tmp_path / "a")
    write_fast([path], schema, columns, [100, 101])
    (batch,) = tf.data.TFRecordDataset(path).batch(500).map(schema.parse)
    for name, column in columns.items():
        np.testing.assert_array_equal(batch[name].numpy(), column)
    assert reader.count_records([path]) == 500
    assert reader.locate_damage([path]) is None


@pytest.mark.parametrize("files", [1, 2])
def test_gzip(tmp_path: Path, files: int) -> None:
    schema, columns = records.pretraining(16, 3), pretraining_columns(50)
    names = [str(number) for number in range(files)]
    plain, packed, again = ([str(tmp_path / kind / name) for name in names] for kind in ("plain", "packed", "again"))
    write_plainly(plain, schema, columns)
    write_fast(packed, schema, columns, [20, 45], compression="gzip")
    assert [gzip.decompress(content) for content in contents(packed)] == contents(plain)
    for path, expected in zip(packed, plain, strict=True):
        unpacked = list(tf.data.TFRecordDataset(path, compression_type="GZIP").as_numpy_iterator())
        assert unpacked == list(tf.data.TFRecordDataset(expected).as_numpy_iterator())
    write_fast(again, schema, columns, [20, 45], compression="gzip")
    assert contents(packed) == contents(again)
    assert all(content[4:8] == bytes(4) for content in contents(packed)), "the header contains no time"


def test_blocks_are_distributed_round_robin(tmp_path: Path) -> None:
    schema = Schema("test", (Feature("a", (1,)),))
    paths = [str(tmp_path / "new" / str(number)) for number in range(4)]
    with BlockWriter(paths, schema) as writer:
        for start, end in ((0, 1), (1, 3), (3, 3), (3, 14), (14, 15)):
            writer.write({"a": np.arange(start, end)[:, None]})
            assert sum(writer.counts) == end
    assert writer.counts == [4, 4, 4, 3]
    for number, path in enumerate(paths):
        (batch,) = tf.data.TFRecordDataset(path).batch(9).map(schema.parse)
        assert batch["a"].numpy().ravel().tolist() == list(range(number, 15, 4))


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_an_exception_leaves_no_new_files(tmp_path: Path, compression: Any) -> None:
    (tmp_path / "b").write_bytes(b"old")
    schema, columns = records.pretraining(16, 3), pretraining_columns(50)

    def interrupt() -> None:
        with BlockWriter([str(tmp_path / "a"), str(tmp_path / "b")], schema, compression) as writer:
            writer.write(columns)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert os.listdir(tmp_path) == ["b"]
    assert (tmp_path / "b").read_bytes() == b"old"


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("blocks", [1, 100])
def test_the_error_of_a_full_disk_names_the_file(tmp_path: Path, compression: Any, blocks: int) -> None:
    """A single block may be in a buffer until the file is closed. No unfinished file stays."""
    schema, columns = records.pretraining(128, 20), pretraining_columns(100, 128, 20)
    path = tmp_path / "a"

    def fill() -> None:
        with BlockWriter([str(path)], schema, compression) as writer:
            for _ in range(blocks):
                writer.write(columns)

    expect_full_disk(path, 20_000, fill)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"input_ids": np.zeros((4, 15), int)}, r"input_ids has the shape \(4, 15\), expected \(4, 16\)"),
        ({"segment_ids": np.zeros((3, 16), int)}, r"segment_ids has the shape \(3, 16\), expected \(4, 16\)"),
        ({"input_ids": np.zeros((4, 16))}, r"input_ids is float64, expected integers"),
        ({"input_ids": np.full((4, 16), 2**31)}, r"beyond the range of int32"),
        ({"input_ids": np.full((4, 16), -(2**31) - 1)}, r"beyond the range of int32"),
        ({"guid": np.zeros(4, int)}, r"A pre-training record has the features .*'input_ids'.* not .*'guid'"),
    ],
)
def test_values_that_do_not_fit(tmp_path: Path, changes: Columns, sentence: str) -> None:
    with (
        BlockWriter([str(tmp_path / "a")], records.pretraining(16, 3)) as writer,
        pytest.raises(ValueError, match=sentence),
    ):
        writer.write({**pretraining_columns(4), **changes})
    assert writer.counts == [0]


def test_tensorflow_is_not_imported(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np; from bert_tf2.records.writer import BlockWriter; from bert_tf2 import records\n"
        "schema = records.pretraining(8, 2)\n"
        "with BlockWriter(sys.argv[1:], schema) as writer:\n"
        "    writer.write({feature.name: np.ones((3, *feature.shape), int) for feature in schema.features})\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], timeout=60, cwd=REPOSITORY)
    assert done.returncode == 0
    assert reader.count_records([tmp_path / "a"]) == 3


def test_many_random_records(tmp_path: Path) -> None:
    """Ids of one, two and three bytes, as in real records."""
    rng = random.Random(1)
    schema = Schema("test", (Feature("ids", (400,)), Feature("weights", (20,), "float")))
    columns = {
        "ids": np.array([[int(2 ** rng.uniform(0, 22)) for _ in range(400)] for _ in range(200)]),
        "weights": np.array([[rng.random() for _ in range(20)] for _ in range(200)]),
    }
    paths = [str(tmp_path / "plain"), str(tmp_path / "fast")]
    write_plainly(paths[:1], schema, columns)
    write_fast(paths[1:], schema, columns, [50])
    assert contents(paths[:1]) == contents(paths[1:])
