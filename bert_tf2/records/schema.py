"""The content of TFRecord files: names, shapes and types of the features, for writing and parsing.

TensorFlow is imported where it is used: writing records in bulk (`writer`) does without its seconds of start-up.

The files are the original's: uncompressed TFRecords of `tf.train.Example`, integers as int64 lists, floats as float32
lists. `B` batch, `S` sequence, `P` predictions.
"""

import contextlib
import errno
import functools
import itertools
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from bert_tf2.io import atomic

Kind = Literal["int", "float"]

_INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class Feature:
    """One named array of a record.

    Attributes:
      name: its name in the file.
      shape: without the batch; every dimension is fixed.
      kind: `"int"` is int64 in the file and int32 in memory, `"float"` is float32 in both.
      flag: the flag that sets its length, named in errors.
      missing_advice: a sentence for the error message about records that lack it.
    """

    name: str
    shape: tuple[int, ...]
    kind: Kind = "int"
    flag: str | None = None
    missing_advice: str | None = None

    @property
    def size(self) -> int:
        """The number of values per record."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Schema:
    """All features of one task's records; writes and parses them.

    Attributes:
      task: the name of the records in errors, for example `"pre-training"`.
      features: in any order.
      unwanted: features that records may not have, each with a sentence of advice for the error message.

    Examples:
      >>> from bert_tf2 import records
      >>> schema = records.Schema("toy", (records.schema.Feature("ids", (2,)),))
      >>> record = schema.encode({"ids": [3, 4]})
      >>> schema.parse([record])["ids"].numpy()
      array([[3, 4]], dtype=int32)
    """

    task: str
    features: tuple[Feature, ...]
    unwanted: tuple[tuple[str, str], ...] = ()

    @functools.cached_property
    def slices(self) -> dict[str, slice]:
        """The slice of a row of values (see `writer`) that each feature occupies, in the order of the file.

        Protobuf sorts features by name, and puts a name after those that it is a prefix of.
        """
        features = sorted(self.features, key=lambda feature: feature.name.encode() + b"\xff")  # no UTF-8 has that byte
        ends = itertools.accumulate(feature.size for feature in features)
        return {feature.name: slice(end - feature.size, end) for feature, end in zip(features, ends, strict=True)}

    @property
    def width(self) -> int:
        """The number of values in a row."""
        return sum(feature.size for feature in self.features)

    def encode(self, values: Mapping[str, Any]) -> bytes:
        """Serializes one record.

        Args:
          values: for each feature, and nothing else, an array or (nested) list of its shape.

        Returns:
          A serialized `tf.train.Example`; the same values always give the same bytes.

        Raises:
          ValueError: a name, shape or type does not fit, or an integer does not fit into int32.
        """
        import tensorflow as tf

        arrays = self.validate(values)
        example = tf.train.Example()
        fields = example.features.feature
        for feature in self.features:
            array = arrays[feature.name]
            if feature.kind == "int":
                fields[feature.name].int64_list.value.extend(array.ravel().tolist())
            else:
                fields[feature.name].float_list.value.extend(array.ravel().tolist())
        return bytes(example.SerializeToString(deterministic=True))

    def validate(self, values: Mapping[str, Any], rows: int | None = None) -> dict[str, np.ndarray[Any, Any]]:
        """Checks that values fit this schema, and returns them as arrays.

        Args:
          values: for each feature, and nothing else, an array or (nested) list of its shape.
          rows: the number of records that the values belong to, for arrays `[rows, *shape]`; None: a single record,
            `[*shape]`.

        Raises:
          ValueError: a name, shape or type does not fit, or an integer does not fit into int32.
        """
        names = {feature.name for feature in self.features}
        if values.keys() != names:
            raise ValueError(f"A {self.task} record has the features {sorted(names)}, not {sorted(values)}.")
        arrays = {feature.name: np.asarray(values[feature.name]) for feature in self.features}
        for feature in self.features:
            _check(arrays[feature.name], feature, feature.shape if rows is None else (rows, *feature.shape))
        return arrays

    def parse(self, batch: Any) -> dict[str, Any]:
        """Parses a batch of records into tensors; for use in `tf.data`, after batching, and outside of it.

        Args:
          batch: serialized records, string [B].

        Returns:
          name -> [B, *shape], int32 or float32.
        """
        import tensorflow as tf

        types = {"int": tf.int64, "float": tf.float32}
        parsed = tf.io.parse_example(
            batch,
            {feature.name: tf.io.FixedLenFeature(feature.shape, types[feature.kind]) for feature in self.features},
        )
        return {
            name: tf.cast(tensor, tf.int32) if tensor.dtype == tf.int64 else tensor for name, tensor in parsed.items()
        }


def _check(array: np.ndarray[Any, Any], feature: Feature, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"Feature {feature.name} has the shape {array.shape}, expected {shape}.")
    if feature.kind == "float":
        if array.dtype.kind not in "fiu":
            raise ValueError(f"Feature {feature.name} is {array.dtype}, expected floats.")
    elif array.dtype.kind not in "iub":
        raise ValueError(f"Feature {feature.name} is {array.dtype}, expected integers.")
    elif array.dtype.itemsize > 2 and array.size and not (_INT32.min <= array.min() and array.max() <= _INT32.max):
        raise ValueError(
            f"Feature {feature.name} has values from {array.min()} to {array.max()}, beyond the range of int32."
        )


SEQUENCES = ("input_ids", "input_mask", "segment_ids")
"""The features that all records have, [S] each."""
MASKED_LM = ("masked_lm_positions", "masked_lm_ids", "masked_lm_weights")
"""The features of the predictions of pre-training, [P] each."""
NEXT_SENTENCE = "next_sentence_labels"
CONTINUES_WORD = "continues_word"
"""In records without masks, [S]: 1 for a Chinese character that continues a word, which its id does not show."""


def _sequences(max_seq_length: int) -> list[Feature]:
    return [Feature(name, (max_seq_length,), flag="max_seq_length") for name in SEQUENCES]


def pretraining(
    max_seq_length: int,
    max_predictions_per_seq: int,
    *,
    masked: bool = True,
    next_sentence: bool = True,
    marks_words: bool = False,
) -> Schema:
    """Records of create_pretraining_data.py, S = `max_seq_length` and P = `max_predictions_per_seq`.

    `masked=False` omits the `masked_lm_` features: such records are masked when they are read
    (`input_pipeline.dynamic_masking`). `next_sentence=False` omits `next_sentence_labels`; records that have them are
    accepted all the same.
    `marks_words=True` adds `continues_word`.

    | feature | shape | |
    |---|---|---|
    | input_ids, input_mask, segment_ids | [S] | mask: 1 for tokens, 0 for padding |
    | masked_lm_positions, masked_lm_ids | [P] | indices into S; the original ids there; 0 for padding |
    | masked_lm_weights | [P] | float: 1 for predictions, 0 for padding |
    | next_sentence_labels | [1] | 0: b follows a, 1: b is random |
    | continues_word | [S] | 1 for a Chinese character that continues a word |

    Examples:
      >>> from bert_tf2 import records
      >>> schema = records.pretraining(max_seq_length=128, max_predictions_per_seq=20)
      >>> [feature.name for feature in schema.features][:3]
      ['input_ids', 'input_mask', 'segment_ids']
    """
    predictions: dict[str, Any] = {
        "shape": (max_predictions_per_seq,),
        "flag": "max_predictions_per_seq",
        "missing_advice": "The records have no masks: give --masking=dynamic (and --vocab_file), or create them again "
        "with --masking=static.",
    }
    features = _sequences(max_seq_length)
    if masked:
        positions, ids, weights = MASKED_LM
        features += [Feature(positions, **predictions), Feature(ids, **predictions)]
        features.append(Feature(weights, kind="float", **predictions))
    if next_sentence:
        advice = (
            "The records have no pairs: give --use_nsp=false, or create them again without --no_nsp and --line_by_line."
        )
        features.append(Feature(NEXT_SENTENCE, (1,), missing_advice=advice))
    if marks_words:
        advice = "Other files mark the characters of each word: create all files with the same flags."
        features.append(Feature(CONTINUES_WORD, (max_seq_length,), missing_advice=advice))
    advice = "The records are already masked: give --masking=static, or create them again with --masking=dynamic."
    return Schema("pre-training", tuple(features), () if masked else ((MASKED_LM[0], advice),))


def squad(max_seq_length: int, training: bool) -> Schema:
    """Records of run_squad.py, `train.tf_record` and `eval.tf_record`, S = `max_seq_length`.

    | feature | shape | |
    |---|---|---|
    | unique_ids | [1] | of the window, from 1,000,000,000 on |
    | input_ids, input_mask, segment_ids | [S] | mask: 1 for tokens, 0 for padding |
    | start_positions, end_positions | [1] | training: first and last token of the answer, 0 if there is none |
    | is_impossible | [1] | training: 1 for a question without an answer |

    Examples:
      >>> from bert_tf2 import records
      >>> [feature.name for feature in records.squad(384, training=False).features]
      ['unique_ids', 'input_ids', 'input_mask', 'segment_ids']
    """
    features = [Feature("unique_ids", (1,)), *_sequences(max_seq_length)]
    if training:
        names = ("start_positions", "end_positions", "is_impossible")
        features += [Feature(name, (1,), missing_advice="The records were created for prediction.") for name in names]
    return Schema("question answering", tuple(features))


def classification(
    max_seq_length: int, *, label_size: int = 1, label_kind: Kind = "int", several: bool = False
) -> Schema:
    """Records of run_classifier.py, S = `max_seq_length` and L = `label_size`.

    `several=True` is for several labels per row, for which the original has no records. L is then the maximum number of
    labels in a row of the file. (Earlier versions wrote a 0 or 1 for each possible label, and no `label_count`.)

    | feature | shape | |
    |---|---|---|
    | input_ids, input_mask, segment_ids | [S] | mask: 1 for tokens, 0 for padding |
    | label_ids | [L] | the label's id, L = 1; of several labels the ids, then zeros; for regression a float, L = 1 |
    | label_count | [1] | several labels: the number of labels in `label_ids` |
    | is_real_example | [1] | 0 for rows that only fill up a batch |

    Examples:
      >>> from bert_tf2 import records
      >>> schema = records.classification(4)
      >>> record = schema.encode(
      ...     {
      ...         "input_ids": [2, 17, 3, 0],
      ...         "input_mask": [1, 1, 1, 0],
      ...         "segment_ids": [0, 0, 0, 0],
      ...         "label_ids": [1],
      ...         "is_real_example": [1],
      ...     }
      ... )
      >>> schema.parse([record])["label_ids"].numpy()
      array([[1]], dtype=int32)
    """
    return Schema(
        "classification",
        (
            *_sequences(max_seq_length),
            Feature("label_ids", (label_size,), label_kind),
            *([Feature("label_count", (1,))] if several else []),
            Feature("is_real_example", (1,)),
        ),
    )


class RecordWriter:
    """Distributes records round-robin over files, which all appear when the `with` block ends without an exception.

    Until then each is written to a temporary path. After an exception the unfinished files are removed, and existing
    files are untouched. Missing directories are created.

    Args:
      paths: the files, all different.
      open_file: opens a path for writing and returns an object with `write` and `close`; by default `open_records`,
        which frames the bytes of each `write` as a record.

    Raises:
      InputError: see `atomic.check_output`.
      OSError: a file cannot be written; names the file.

    Examples:
      >>> from bert_tf2 import records
      >>> with records.RecordWriter(["a.tfrecord", "b.tfrecord"]) as writer:
      ...     for record in (b"1", b"2", b"3"):
      ...         writer.write(record)
      >>> writer.counts
      [2, 1]
    """

    def __init__(self, paths: Sequence[str], open_file: Callable[[str], Any] | None = None) -> None:
        self._open_file = open_file or open_records
        self._files = atomic.Files(paths)
        self._writers: list[Any] = []
        self._written = 0
        self.counts = [0] * len(paths)
        """Records written so far, for each file."""

    def __enter__(self) -> Self:
        try:
            self._files.__enter__()
            for number, path in enumerate(self._files.unfinished):
                with self._naming(number):
                    self._writers.append(self._open_file(os.fspath(path)))
        except BaseException:
            self._remove()
            raise
        return self

    def write(self, record: bytes) -> None:
        """Appends one record to the next file, round-robin."""
        self.append(self.turn, record, 1)

    @property
    def turn(self) -> int:
        """The index of the file that the next record belongs to."""
        return self._written % len(self.counts)

    def append(self, number: int, content: bytes | memoryview, count: int) -> None:
        """Appends `count` encoded records to file `number`, for callers that distribute the records themselves."""
        with self._naming(number):
            self._writers[number].write(content)
        self.counts[number] += count
        self._written += count

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._remove()

    def _finish(self) -> None:
        for number, writer in enumerate(self._writers):
            with self._naming(number):
                writer.close()
        self._files.commit()

    def _remove(self) -> None:
        for writer in self._writers:
            with contextlib.suppress(Exception):  # it has failed before, or is already closed
                writer.close()
        self._files.__exit__()

    @contextlib.contextmanager
    def _naming(self, number: int) -> Iterator[None]:
        """Makes errors name the file; TensorFlow raises exceptions of its own for a full disk and the like."""
        try:
            with self._files.naming(number):
                yield
        except Exception as error:
            tf = sys.modules.get("tensorflow")
            if tf is None or not isinstance(error, tf.errors.OpError):
                raise
            path = os.fspath(self._files.finals[number])
            raise OSError(errno.EIO, f"cannot be written ({error.message})", path) from error


def open_records(path: str, compression: str = "none") -> Any:
    """TensorFlow's writer of records; `compression` is "none" or "gzip"."""
    import tensorflow as tf

    return tf.io.TFRecordWriter(path, "GZIP" if compression == "gzip" else None)
