"""What record files hold: counts, lengths, and sentences for all that can be wrong with them."""

import gzip
from pathlib import Path

import pytest
import tensorflow as tf
from helpers.pretraining_records import pretraining_record, write

from bert_tf2 import records
from bert_tf2.errors import InputError
from bert_tf2.records import reader
from bert_tf2.records.schema import Feature, Schema


def test_files_that_fit(tmp_path: Path) -> None:
    fits = [write(tmp_path / name, [pretraining_record()]) for name in "ab"]
    reader.check_lengths(fits, records.pretraining(8, 2))
    reader.check_lengths([*fits, write(tmp_path / "empty", [])], records.pretraining(8, 2))


def test_other_lengths_name_both_numbers_and_the_flag(tmp_path: Path) -> None:
    fits, other = write(tmp_path / "a", [pretraining_record()]), write(tmp_path / "b", [pretraining_record(16, 5)])
    with pytest.raises(InputError) as caught:
        reader.check_lengths([fits, other], records.pretraining(8, 2))
    assert str(caught.value) == (
        f"{other} was made with --max_seq_length=16 (input_ids has 16 values a record), but --max_seq_length is 8; "
        "set --max_seq_length=16, or create the records again with --max_seq_length=8."
    )
    with pytest.raises(
        InputError, match=r"/b was made with --max_predictions_per_seq=5 .*--max_predictions_per_seq is 2"
    ):
        reader.check_lengths([other], records.pretraining(16, 2))


def test_records_of_another_task(tmp_path: Path) -> None:
    feature = Feature("input_ids", (8,))
    other = write(tmp_path / "other", [Schema("other", (feature,)).encode({"input_ids": range(8)})])
    with pytest.raises(
        InputError, match=r"/other holds no pre-training records: it lacks input_mask, .* has input_ids;"
    ):
        reader.check_lengths([other], records.pretraining(8, 2))
    floats = write(tmp_path / "floats", [Schema("other", (Feature("a", (1,), "float"),)).encode({"a": [1.0]})])
    with pytest.raises(InputError, match=r"a has values of type float, expected int;"):
        reader.check_lengths([floats], Schema("some", (Feature("a", (1,)),)))
    with pytest.raises(InputError, match=r"a has 1 value a record, expected 2;"):
        reader.check_lengths([floats], Schema("some", (Feature("a", (2,), "float"),)))
    nothing = write(tmp_path / "nothing", [b""])
    with pytest.raises(InputError, match=r"it lacks input_ids, .* and has nothing;"):
        reader.check_lengths([nothing], records.pretraining(8, 2))
    unset = tf.train.Example()
    unset.features.feature["a"].SetInParent()
    path = write(tmp_path / "unset", [unset.SerializeToString()])
    with pytest.raises(InputError, match=r"a has values of type bytes, expected int;"):
        reader.check_lengths([path], Schema("some", (Feature("a", (1,)),)))


def test_no_records_at_all(tmp_path: Path) -> None:
    schema = records.pretraining(8, 2)
    empty = write(tmp_path / "empty", [])
    with pytest.raises(InputError, match=r"/empty is empty: it has no records"):
        reader.check_lengths([empty, empty], schema)
    with pytest.raises(InputError, match=r"/empty is empty"):
        reader.check_lengths([empty], schema)
    with pytest.raises(InputError, match=r"Cannot read .*/missing: No such file"):
        reader.check_lengths([empty, str(tmp_path / "missing")], schema)
    (tmp_path / "text").write_text("A text file is not a TFRecord file, however long it may be.\n")
    (tmp_path / "short").write_text("short")
    for name in ("text", "short"):
        with pytest.raises(InputError, match=rf"/{name} is not a TFRecord file, or is truncated in its first record"):
            reader.check_lengths([tmp_path / name], schema)
    (tmp_path / "zip").write_bytes(gzip.compress(b"text"))
    with pytest.raises(InputError, match=r"/zip is not a TFRecord file"):
        reader.check_lengths([tmp_path / "zip"], schema)
    with pytest.raises(InputError, match=r"/strings has records that are not a tf.train.Example"):
        reader.check_lengths([write(tmp_path / "strings", [b"\xff" * 20])], schema)


def test_counting(tmp_path: Path) -> None:
    paths = [write(tmp_path / str(count), [b"x" * number for number in range(count)]) for count in (0, 1, 300)]
    assert reader.count_records(paths) == 301
    assert reader.count_records([]) == 0
    with pytest.raises(InputError, match="Cannot read"):
        reader.count_records([tmp_path / "missing"])


@pytest.mark.parametrize("cut", [1, 4, 5, 100, 104, 105, 111])
def test_a_file_cut_short(tmp_path: Path, cut: int) -> None:
    whole = write(tmp_path / "whole", [b"x" * 100] * 1500)
    path = tmp_path / "cut"
    path.write_bytes(Path(whole).read_bytes()[:-cut])
    assert reader.locate_damage([whole]) is None
    sentence = f"{path} is corrupt or truncated at record 1,500; create it again, or copy it again from an intact one."
    assert reader.locate_damage([whole, path, whole]) == sentence
    with pytest.raises(InputError) as caught:
        reader.count_records([whole, path])
    assert str(caught.value) == sentence


@pytest.mark.parametrize("number", [1, 2, 1024, 1025, 1300])
def test_a_flipped_bit(tmp_path: Path, number: int) -> None:
    path = Path(write(tmp_path / "a", [b"x" * 100] * 1300))
    content = bytearray(path.read_bytes())
    content[116 * (number - 1) + 50] ^= 1
    path.write_bytes(content)
    assert reader.count_records([path]) == 1300
    assert f"{path} is corrupt or truncated at record {number:,};" in str(reader.locate_damage([path]))


def test_features_that_only_some_files_have(tmp_path: Path) -> None:
    """The files of one training must be alike."""
    schema = records.pretraining(8, 2, marks_words=True)
    marked = schema.encode({feature.name: [0] * feature.size for feature in schema.features})
    paths = [write(tmp_path / "a", [pretraining_record()]), write(tmp_path / "b", [marked]), write(tmp_path / "c", [])]
    assert reader.has_feature(paths, "continues_word")
    assert not reader.has_feature([paths[0], paths[2]], "continues_word")
    reader.check_lengths(paths, records.pretraining(8, 2))
    with pytest.raises(InputError, match=r"/a lacks continues_word\. Other files mark the characters of each word"):
        reader.check_lengths(paths, schema)
