"""Record files: their records as a dataset, and diagnosis of errors; gzip is decompressed."""

import functools
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from google.protobuf.message import DecodeError

from bert_tf2.errors import InputError, counted
from bert_tf2.io import file_system, files
from bert_tf2.records.schema import Kind, Schema

_HEADER = struct.Struct("<QI")  # length of a record, checksum of that length
_FOOTER_SIZE = 4  # checksum of the record
_MOST_BYTES = 2**31  # of a record; a length above is no length


def check_lengths(paths: Iterable[str | os.PathLike[str]], schema: Schema) -> None:
    """Checks the first record of every file against the features that a task expects.

    Empty files are let pass beside others that are not: dealing few records over many files leaves some empty.

    Raises:
      InputError: a file has other features, or features of another length or type; or all are empty.
    """
    checked = [os.fspath(path) for path in paths]
    filled = [path for path in checked if not file_system.exists(path) or file_system.getsize(path)]
    for path in filled or checked:
        _check_file(path, schema)


def has_feature(paths: Iterable[str], name: str) -> bool:
    """Whether the first record of one of the files has a feature.

    Raises:
      InputError: a file has no record that can be read.
    """
    return any(name in _first_record(path) for path in paths if file_system.getsize(path))


def _check_file(path: str, schema: Schema) -> None:
    found = _first_record(path)
    missing = [feature for feature in schema.features if feature.name not in found]
    advice = [feature.without for feature in missing]
    if missing and None not in advice:
        names = ", ".join(feature.name for feature in missing)
        raise InputError(f"{path} lacks {names}. {' '.join(dict.fromkeys(filter(None, advice)))}")
    if missing:
        raise InputError(
            f"{path} holds no {schema.task} records: it lacks {', '.join(feature.name for feature in missing)} and has "
            f"{', '.join(sorted(found)) or 'nothing'}; give files made for this task."
        )
    for name, sentence in schema.unwanted:
        if name in found:
            raise InputError(f"{path} has {name}. {sentence}")
    for feature in schema.features:
        kind, length = found[feature.name]
        if kind != feature.kind:
            raise InputError(
                f"{path} holds no {schema.task} records: {feature.name} has values of type {kind}, expected "
                f"{feature.kind}; give files made for this task."
            )
        if length == feature.size:
            continue
        if feature.flag is None:
            raise InputError(
                f"{path} holds no {schema.task} records: {feature.name} has {counted(length, 'value')} a record, "
                f"expected {feature.size}; give files made for this task."
            )
        raise InputError(
            f"{path} was made with --{feature.flag}={length} ({feature.name} has {counted(length, 'value')} a record), "
            f"but --{feature.flag} is {feature.size}; set --{feature.flag}={length}, or create the records again with "
            f"--{feature.flag}={feature.size}."
        )


def record_dataset(paths: Sequence[str]) -> Any:
    """A `tf.data.TFRecordDataset` of files, all of them plain or all of them gzip.

    Raises:
      InputError: some are compressed and some are not, or in another format.
    """
    return record_reader(paths)(list(paths))


def record_reader(paths: Sequence[str]) -> Callable[[Any], Any]:
    """From names of some of the files (a list or a tensor) to a dataset of their records; see `record_dataset`."""
    import tensorflow as tf

    kinds = {files.compression(path): path for path in paths}
    if len(kinds) > 1:
        raise InputError(
            f"The record files {' and '.join(kinds.values())} are compressed differently; decompress them or compress "
            "all."
        )
    kind = next(iter(kinds))
    if kind == "zstd":
        raise InputError(f"{kinds[kind]} is compressed with Zstandard; decompress it, or compress records with gzip.")
    return functools.partial(tf.data.TFRecordDataset, compression_type="GZIP" if kind else None)


def count_records(paths: Iterable[str | os.PathLike[str]]) -> int:
    """How many records the files hold together; follows their length headers and checks no checksums.

    Raises:
      InputError: a file is missing, not a TFRecord file, or truncated; names file and record.
    """
    return sum(map(_count, paths))


def locate_damage(paths: Iterable[str | os.PathLike[str]]) -> str | None:
    """Reads files completely, with checksums, to find the first corrupt record.

    For use after TensorFlow ended with `DataLossError`, whose message does not name the file.

    Returns:
      A sentence that names file and record (counted from 1); None if all files are intact.
    """
    for path in paths:
        number = _unreadable_record(path)
        if number is not None:
            return damage(path, number)
        try:
            count_records([path])  # TensorFlow takes a file that ends within a length header for whole
        except InputError as error:
            return str(error)
    return None


def _unreadable_record(path: str | os.PathLike[str]) -> int | None:
    """The first record, counted from 1, that TensorFlow refuses."""
    import tensorflow as tf

    good = 0
    for batch_size in (1024, 1):  # batches are much faster; the records of the damaged one are read one by one
        try:
            for batch in record_dataset([os.fspath(path)]).skip(good).batch(batch_size):
                good += int(batch.shape[0])
            return None
        except tf.errors.DataLossError:
            continue
    return good + 1


def damage(path: str | os.PathLike[str], number: int) -> str:
    """The message for a corrupt record, counted from 1."""
    return (
        f"{os.fspath(path)} is corrupt or truncated at record {number:,}; create it again, or copy it again from an "
        "intact one."
    )


def _count(path: str | os.PathLike[str]) -> int:
    try:
        size = None if files.compression(path) else file_system.getsize(path)
        with files.open_bytes(path) as file:
            number = 0
            while header := file.read(_HEADER.size):
                number += 1
                length = _HEADER.unpack(header)[0] if len(header) == _HEADER.size else _MOST_BYTES
                rest = length + _FOOTER_SIZE
                if length >= _MOST_BYTES:
                    whole = False
                elif size is None:  # compressed: seeking would not tell where the end is
                    whole = len(file.read(rest)) == rest
                else:
                    whole = file.seek(rest, os.SEEK_CUR) <= size
                if not whole:
                    raise InputError(_no_records(path) if number == 1 else damage(path, number))
            return number
    except (OSError, EOFError) as error:
        raise files.cannot_read(path, error) from None


def _first_content(path: str | os.PathLike[str]) -> bytes:
    try:
        with files.open_bytes(path) as file:
            header = file.read(_HEADER.size)
            if not header:
                raise InputError(f"{os.fspath(path)} is empty: it has no records; create it again.")
            length = _HEADER.unpack(header)[0] if len(header) == _HEADER.size else _MOST_BYTES
            content = file.read(length) if length < _MOST_BYTES else b""
            if len(content) < length:
                raise InputError(_no_records(path))
            return content
    except (OSError, EOFError) as error:
        raise files.cannot_read(path, error) from None


def first_size(paths: Iterable[str | os.PathLike[str]]) -> int:
    """The bytes of the first record of the first file that has one; 0 where none has.

    Raises:
      InputError: the file is not a TFRecord file.
    """
    for path in paths:
        if not file_system.exists(path) or file_system.getsize(path):
            return len(_first_content(path))
    return 0


def _no_records(path: str | os.PathLike[str]) -> str:
    return f"{os.fspath(path)} is not a TFRecord file, or is truncated in its first record; create it again."


def _first_record(path: str | os.PathLike[str]) -> dict[str, tuple[Kind | Literal["bytes"], int]]:
    """Type and number of values of each feature in the first record."""
    import tensorflow as tf

    # Read without tf.data: it would start TensorFlow's runtime, which a distribution strategy wants to do itself.
    content = _first_content(path)
    try:
        features = tf.train.Example.FromString(content).features.feature
    except DecodeError:
        raise InputError(f"{os.fspath(path)} has records that are not a tf.train.Example; create it again.") from None
    kinds: dict[str, Kind | Literal["bytes"]] = {"int64_list": "int", "float_list": "float", "bytes_list": "bytes"}
    found: dict[str, tuple[Kind | Literal["bytes"], int]] = {}
    for name, feature in features.items():
        field = feature.WhichOneof("kind")
        found[name] = (kinds[field], len(getattr(feature, field).value)) if field else ("bytes", 0)
    return found
