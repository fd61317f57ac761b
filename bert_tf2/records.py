"""The one place that knows what is in a TFRecord file: names, shapes and types of the features, both ways.

The files are the original's: uncompressed TFRecords of `tf.train.Example`, integers as int64 lists, floats as float32
lists. `B` batch, `S` sequence, `P` predictions.
"""

import contextlib
import errno
import math
import os
import struct
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from bert_tf2.errors import InputError
from bert_tf2.files import beside

Kind = Literal["int", "float"]

_INT32 = np.iinfo(np.int32)
_HEADER = struct.Struct("<QI")  # length of a record, checksum of that length
_FOOTER_SIZE = 4  # checksum of the record
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Feature:
    """One named array of a record.

    Attributes:
      name: its name in the file.
      shape: without the batch; every dimension is fixed.
      kind: `"int"` is int64 in the file and int32 in memory, `"float"` is float32 in both.
      flag: the flag that sets its length, named in errors.
    """

    name: str
    shape: tuple[int, ...]
    kind: Kind = "int"
    flag: str | None = None

    @property
    def size(self) -> int:
        """How many values a record has of it."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Schema:
    """All features of one task's records; writes and parses them.

    Attributes:
      task: how errors call the records, for example `"pre-training"`.
      features: in any order.
    """

    task: str
    features: tuple[Feature, ...]

    def encode(self, values: Mapping[str, Any]) -> bytes:
        """One record.

        Args:
          values: for each feature, and for nothing else, an array or (nested) list of its shape.

        Returns:
          A serialized `tf.train.Example`; the same values always give the same bytes.

        Raises:
          ValueError: a name, shape or type does not fit, or an integer does not fit into int32.
        """
        names = {feature.name for feature in self.features}
        if values.keys() != names:
            raise ValueError(f"A {self.task} record has the features {sorted(names)}, not {sorted(values)}.")
        example = tf.train.Example()
        fields = example.features.feature
        for feature in self.features:
            array = np.asarray(values[feature.name])
            _check(array, feature)
            if feature.kind == "int":
                fields[feature.name].int64_list.value.extend(array.ravel().tolist())
            else:
                fields[feature.name].float_list.value.extend(array.ravel().tolist())
        return bytes(example.SerializeToString(deterministic=True))

    def parse(self, batch: Any) -> dict[str, Any]:
        """A batch of records as tensors; for use in `tf.data` after batching, and outside of it.

        Args:
          batch: serialized records, string [B].

        Returns:
          name -> [B, *shape], int32 or float32.
        """
        types = {"int": tf.int64, "float": tf.float32}
        parsed = tf.io.parse_example(
            batch,
            {feature.name: tf.io.FixedLenFeature(feature.shape, types[feature.kind]) for feature in self.features},
        )
        return {
            name: tf.cast(tensor, tf.int32) if tensor.dtype == tf.int64 else tensor for name, tensor in parsed.items()
        }


def _check(array: np.ndarray[Any, Any], feature: Feature) -> None:
    if array.shape != feature.shape:
        raise ValueError(f"Feature {feature.name} has the shape {array.shape}, expected {feature.shape}.")
    if feature.kind == "float":
        if array.dtype.kind not in "fiu":
            raise ValueError(f"Feature {feature.name} is {array.dtype}, expected floats.")
    elif array.dtype.kind not in "iub":
        raise ValueError(f"Feature {feature.name} is {array.dtype}, expected integers.")
    elif array.dtype.itemsize > 2 and array.size and not (_INT32.min <= array.min() and array.max() <= _INT32.max):
        raise ValueError(f"Feature {feature.name} has values from {array.min()} to {array.max()}, too big for int32.")


def pretraining(max_seq_length: int, max_predictions_per_seq: int) -> Schema:
    """Records of create_pretraining_data.py, S = `max_seq_length` and P = `max_predictions_per_seq`.

    | feature | shape | |
    |---|---|---|
    | input_ids, input_mask, segment_ids | [S] | mask: 1 for tokens, 0 for padding |
    | masked_lm_positions, masked_lm_ids | [P] | indexes into S; what stood there; 0 for padding |
    | masked_lm_weights | [P] | float: 1 for predictions, 0 for padding |
    | next_sentence_labels | [1] | 0: b follows a, 1: b is random |
    """
    sequence: dict[str, Any] = {"shape": (max_seq_length,), "flag": "max_seq_length"}
    predictions: dict[str, Any] = {"shape": (max_predictions_per_seq,), "flag": "max_predictions_per_seq"}
    return Schema(
        "pre-training",
        (
            Feature("input_ids", **sequence),
            Feature("input_mask", **sequence),
            Feature("segment_ids", **sequence),
            Feature("masked_lm_positions", **predictions),
            Feature("masked_lm_ids", **predictions),
            Feature("masked_lm_weights", kind="float", **predictions),
            Feature("next_sentence_labels", (1,)),
        ),
    )


class RecordWriter:
    """Deals records round-robin over files that appear, all of them, when the `with` block has ended well.

    Until then each is written beside its place. After an exception the unfinished files are removed and what stood
    under the final names before is untouched. Missing folders are made.

    Args:
      paths: the files, no two the same.

    Raises:
      OSError: a file cannot be written; names the file.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._finals = [Path(path) for path in paths]
        self._unfinished = [beside(path) for path in paths]
        self._writers: list[Any] = []
        self._turn = 0
        self.counts = [0] * len(paths)
        """Records written so far, for each file."""

    def __enter__(self) -> Self:
        try:
            for final, unfinished in zip(self._finals, self._unfinished, strict=True):
                final.parent.mkdir(parents=True, exist_ok=True)
                with _as_os_error(final):
                    self._writers.append(tf.io.TFRecordWriter(os.fspath(unfinished)))
        except BaseException:
            self._remove()
            raise
        return self

    def write(self, record: bytes) -> None:
        """Appends one record to the file whose turn it is."""
        turn = self._turn
        with _as_os_error(self._finals[turn]):
            self._writers[turn].write(record)
        self.counts[turn] += 1
        self._turn = (turn + 1) % len(self.counts)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._remove()

    def _finish(self) -> None:
        for writer, final, unfinished in zip(self._writers, self._finals, self._unfinished, strict=True):
            with _as_os_error(final):
                writer.close()
            with open(unfinished, "rb+") as file:
                os.fsync(file.fileno())
        for final, unfinished in zip(self._finals, self._unfinished, strict=True):
            os.replace(unfinished, final)

    def _remove(self) -> None:
        for writer in self._writers:
            with contextlib.suppress(tf.errors.OpError):
                writer.close()
        for unfinished in self._unfinished:
            unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def _as_os_error(path: Path) -> Iterator[None]:
    """TensorFlow has exceptions of its own for a full disk and the like."""
    try:
        yield
    except tf.errors.OpError as error:
        raise OSError(errno.EIO, f"cannot be written ({error.message})", os.fspath(path)) from error


def record_lengths(path: str | os.PathLike[str]) -> dict[str, int]:
    """How many values each feature has in the first record of a file.

    Raises:
      InputError: the file is missing, empty or no TFRecord file of examples.
    """
    return {name: length for name, (_, length) in _first_record(path).items()}


def check_lengths(paths: Iterable[str | os.PathLike[str]], schema: Schema) -> None:
    """Compares the first record of every file with what a task expects.

    Empty files are let pass beside others that are not: dealing few records over many files leaves some empty.

    Raises:
      InputError: a file has other features, or features of another length or type; or all are empty.
    """
    checked = [os.fspath(path) for path in paths]
    filled = [path for path in checked if not os.path.exists(path) or os.path.getsize(path)]
    for path in filled or checked:
        _check_file(path, schema)


def _check_file(path: str, schema: Schema) -> None:
    found = _first_record(path)
    missing = [feature.name for feature in schema.features if feature.name not in found]
    if missing:
        raise InputError(
            f"{path} holds no {schema.task} records: it lacks {', '.join(missing)} and has "
            f"{', '.join(sorted(found)) or 'nothing'}; give files made for this task."
        )
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
                f"{path} holds no {schema.task} records: {feature.name} has {length} values a record, expected "
                f"{feature.size}; give files made for this task."
            )
        raise InputError(
            f"{path} was made with --{feature.flag}={length} ({feature.name} has {length} values a record), but "
            f"--{feature.flag} is {feature.size}; set --{feature.flag}={length}, or make the records again with "
            f"--{feature.flag}={feature.size}."
        )


def count_records(paths: Iterable[str | os.PathLike[str]]) -> int:
    """How many records the files hold together; follows their length headers and checks no checksums.

    Raises:
      InputError: a file is missing, no TFRecord file or cut short; names file and record.
    """
    return sum(1 for path in paths for _ in _spans(path))


def locate_damage(paths: Iterable[str | os.PathLike[str]]) -> str | None:
    """Reads files through, checksums and all, to say where the first damage is.

    For use after TensorFlow ended with `DataLossError`, whose message does not name the file.

    Returns:
      A sentence that names file and record (counted from 1); None where all files are whole.
    """
    for path in paths:
        number = _unreadable_record(path)
        if number is not None:
            return _damage(path, number)
        try:
            count_records([path])  # TensorFlow takes a file that ends within a length header for whole
        except InputError as error:
            return str(error)
    return None


def _unreadable_record(path: str | os.PathLike[str]) -> int | None:
    """The first record, counted from 1, that TensorFlow refuses."""
    good = 0
    for batch_size in (1024, 1):  # batches are much faster; the records of the damaged one are read one by one
        try:
            for batch in tf.data.TFRecordDataset(os.fspath(path)).skip(good).batch(batch_size):
                good += int(batch.shape[0])
            return None
        except tf.errors.DataLossError:
            continue
    return good + 1


def _damage(path: str | os.PathLike[str], number: int) -> str:
    return (
        f"{os.fspath(path)} is damaged or cut short at record {number:,}; make it again, or copy it again from where "
        "it is whole."
    )


def _spans(path: str | os.PathLike[str]) -> Generator[tuple[int, int], None, None]:
    """Offset and length of each record's content, in bytes."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            end = number = 0
            while end < size:
                number += 1
                header = file.read(_HEADER.size)
                start = end + _HEADER.size
                length = _HEADER.unpack(header)[0] if len(header) == _HEADER.size else size
                end = start + length + _FOOTER_SIZE
                if end > size:
                    raise InputError(_no_records(path, header) if number == 1 else _damage(path, number))
                yield start, length
                file.seek(end)
    except OSError as error:
        raise InputError(f"Cannot read {os.fspath(path)}: {error.strerror}.") from None


def _no_records(path: str | os.PathLike[str], beginning: bytes) -> str:
    if beginning.startswith(_GZIP):
        return f"{os.fspath(path)} is compressed; unpack it with gunzip."
    return f"{os.fspath(path)} is no TFRecord file, or it is cut short in its first record; make it again."


def _first_record(path: str | os.PathLike[str]) -> dict[str, tuple[Kind | Literal["bytes"], int]]:
    """Type and number of values of each feature in the first record."""
    # Read without tf.data: it would start TensorFlow's runtime, which a distribution strategy wants to do itself.
    with contextlib.closing(_spans(path)) as spans:
        span = next(spans, None)
    if span is None:
        raise InputError(f"{os.fspath(path)} is empty: it holds no records; make it again.")
    start, length = span
    with open(path, "rb") as file:
        file.seek(start)
        content = file.read(length)
    try:
        features = tf.train.Example.FromString(content).features.feature
    except DecodeError:
        raise InputError(f"{os.fspath(path)} holds records that are no tf.train.Example; make it again.") from None
    kinds: dict[str, Kind | Literal["bytes"]] = {"int64_list": "int", "float_list": "float", "bytes_list": "bytes"}
    found: dict[str, tuple[Kind | Literal["bytes"], int]] = {}
    for name, feature in features.items():
        field = feature.WhichOneof("kind")
        found[name] = (kinds[field], len(getattr(feature, field).value)) if field else ("bytes", 0)
    return found
