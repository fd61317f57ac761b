"""A teacher's logits: computed once before training, saved in the run directory, added to the examples as a column.

Shapes: `N` rows, `M` sequences (windows, if long rows are split into windows), `L` labels.
"""

import dataclasses
import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from bert_tf2.errors import counted
from bert_tf2.input_pipeline.example_batches import ExampleArrays
from bert_tf2.io import atomic, file_system, resumable_output, spilled
from bert_tf2.io.spilled import row_ranges
from bert_tf2.modeling.classifier import ClassificationModel
from bert_tf2.modeling.distillation import IS_LABELED, TEACHER_LOGITS
from bert_tf2.tasks.classification.arrays import arrays_of
from bert_tf2.tasks.classification.examples import Examples
from bert_tf2.tasks.classification.features import Features, featurize
from bert_tf2.tasks.classification.scores import pool_windows
from bert_tf2.tasks.classification.teacher import Teacher
from bert_tf2.tasks.finetuning import kept_outputs, outputs
from bert_tf2.tasks.finetuning.loop import Finetuning
from bert_tf2.tasks.finetuning.task import CreateCompanion
from bert_tf2.training.distribution import Workers

logger = logging.getLogger(__name__)

Floats = NDArray[np.float32]

_LOGITS = "logits"
_BATCH_SIZE = 32  # at least; it fits into memory wherever training does, and smaller batches leave a GPU idle
_FILE = re.compile(r"(train|dev|unlabeled_\d+)-[0-9a-f]{16}\.npy")


@dataclasses.dataclass(frozen=True)
class TeacherLogits:
    """A teacher with its weights, on the devices of a run.

    The name of a file of logits contains a digest of everything that they depend on: the teacher's weights, its tokens,
    its precision. So a training that resumes, or that uses the same rows with another learning rate, reuses the file,
    and no change goes unnoticed.

    Attributes:
      teacher: the teacher.
      predictor: its model on the devices.
      weights: a fingerprint of its weights.
      directory: for data that exceeds memory, see `spilled`.
      logits_dir: the directory in which logits are saved; None: they are not saved.
      is_dry: whether this is a dry run, which computes nothing; all logits are 0.
    """

    teacher: Teacher
    predictor: Finetuning
    weights: str
    directory: str | None
    logits_dir: str | None
    is_dry: bool

    @classmethod
    def start(
        cls, teacher: Teacher, create_companion: CreateCompanion, logits_dir: str | None, directory: str | None
    ) -> Self:
        """Loads the teacher.

        Args:
          teacher: the teacher.
          create_companion: see `FinetuningTask.complete_training`.
          logits_dir: the directory in which logits are saved. Several workers save none, as each would need the files
            of the others.
          directory: for data that exceeds memory, see `spilled`.

        Raises:
          InputError: the weights cannot be read, or some are missing.
        """
        predictor = create_companion(teacher.foundation, teacher.make_model)
        teacher.load(predictor.model)
        if Workers.of(predictor.strategy).count > 1:
            logits_dir = None
        weights = outputs.fingerprint(predictor.model)
        return cls(teacher, predictor, weights, directory, logits_dir, predictor.config.dry_run)

    def of(self, examples: Mapping[str, Examples]) -> dict[str, Floats]:
        """The logits for the rows of several files, each float32 `[N, L]` in the order of the student's labels.

        Args:
          examples: the rows by name: "train", "dev", "unlabeled_0", "unlabeled_1" and so on; the names of the files of
            logits begin with these.

        Raises:
          InputError: a logit is not finite, or another process is computing the same file.
          OSError: the logits cannot be written.
        """
        tokenizer = self.teacher.foundation.tokenizer(self.teacher.description.do_lower_case)
        if self.is_dry:
            return {name: np.zeros((len(rows), len(self.teacher.order)), np.float32) for name, rows in examples.items()}
        model, description = cast(ClassificationModel, self.predictor.model), self.teacher.description
        predict = self.predictor.compiled(lambda batch: {_LOGITS: model.logits(batch)})
        logits, used_files = {}, set()
        lengths = description.max_seq_length, self.directory, description.long_text, description.window_stride
        for name, rows in examples.items():
            features = featurize(rows, np.zeros(len(rows), np.int32), tokenizer, *lengths)
            logger.info("The teacher reads %s: %s", rows.path, features.truncation())
            arrays = arrays_of(features, self.directory)
            digest = kept_outputs.digest(arrays)
            file = f"{name}-{self._key(features, digest)}.npy"
            used_files.add(file)
            logits[name] = self._ordered(self._read_or_compute(file, rows, features, arrays, digest, predict))
        self._remove_others(used_files)
        return logits

    def _key(self, features: Features, digest: str) -> str:
        """A digest of everything that the logits depend on, except for rounding."""
        splits, pooling = features.window_splits, self.teacher.description.window_pooling
        windows = None if splits is None else (hashlib.sha256(splits.tobytes()).hexdigest(), pooling)
        config, precision = self.teacher.foundation.bert_config.to_dict(), self.predictor.precision.precision
        content = json.dumps([config, precision, self.weights, digest, windows], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def _read_or_compute(
        self, file: str, rows: Examples, features: Features, arrays: ExampleArrays, digest: str, predict: Any
    ) -> Floats:
        """The logits for the rows of a file in the order of the teacher's labels, saved ones if there are any."""
        path = None if self.logits_dir is None else os.path.join(self.logits_dir, file)
        shape = len(rows), self.teacher.description.outputs
        if path is not None and (saved := read(path, shape, self.directory)) is not None:
            logger.info("Using the teacher's logits for %s in %s.", rows.path, path)
            return saved
        batch_size = max(_BATCH_SIZE, self.predictor.config.predict_batch_size)
        batches = self.predictor.outputs(predict, arrays, batch_size, self.directory, path)
        digests = {"weights": self.weights, "examples": digest}
        computed = kept_outputs.compute(batches, {_LOGITS: shape[1]}, digests)
        values = computed.values[_LOGITS]
        logits = spilled.empty((len(arrays), shape[1]), np.float32, self.directory)
        for begin, end in row_ranges(*logits.shape):
            logits[computed.rows[begin:end]] = values[begin:end]
        if features.window_splits is not None:
            pooling = self.teacher.description.window_pooling
            logits = pool_windows(logits, features.window_splits, pooling, self.directory)
        if path is not None:
            write(path, logits)
            outputs.discard(path)
        where = f", and wrote {path}" if path else ""
        logger.info("Computed the teacher's logits for %s of %s%s.", counted(shape[0], "row"), rows.path, where)
        return logits

    def _ordered(self, logits: Floats) -> Floats:
        """Logits in the order of the student's labels."""
        order = list(self.teacher.order)
        if order == list(range(len(order))):
            return logits
        ordered = spilled.empty(logits.shape, np.float32, self.directory)
        for begin, end in row_ranges(*logits.shape):
            ordered[begin:end] = logits[begin:end, order]
        return ordered

    def _remove_others(self, used_files: set[str]) -> None:
        """Removes saved logits of other teachers or other rows."""
        if self.logits_dir is None or not file_system.isdir(self.logits_dir):
            return
        for name in file_system.listdir(self.logits_dir):
            file = name.removeprefix(".").removesuffix(".unfinished")
            if _FILE.fullmatch(file) and file not in used_files:
                path = os.path.join(self.logits_dir, file)
                resumable_output.discard(path)
                if file_system.exists(path):
                    file_system.remove(path)


def read(path: str, shape: tuple[int, int], directory: str | None) -> Floats | None:
    """Reads logits that `write` wrote, float32 `[N, L]`; None if the file does not exist or is corrupt.

    Args:
      path: the path of the file.
      shape: `(N, L)`.
      directory: for data that exceeds memory, see `spilled.empty`.
    """
    if not file_system.isfile(path):
        return None
    logits = spilled.empty(shape, np.float32, directory)
    try:
        with file_system.open(path, "rb") as file:
            if np.lib.format.read_magic(file) != (1, 0):
                raise ValueError
            if np.lib.format.read_array_header_1_0(file) != (shape, False, np.dtype(np.float32)):
                raise ValueError
            for begin, end in row_ranges(*shape):
                content = file.read((end - begin) * shape[1] * logits.itemsize)
                logits[begin:end] = np.frombuffer(content, np.float32).reshape(end - begin, shape[1])
    except (OSError, ValueError):
        logger.warning("%s is corrupt; the logits are computed again.", path)
        return None
    return logits


def write(path: str, logits: Floats) -> None:
    """Writes logits, float32 `[N, L]`, as an .npy file.

    Raises:
      OSError: the file cannot be written.
    """
    header = {"descr": "<f4", "fortran_order": False, "shape": logits.shape}
    with atomic.replacing(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for begin, end in row_ranges(*logits.shape):
            file.write(np.ascontiguousarray(logits[begin:end], "<f4").data)


def with_logits(
    labeled: Features, unlabeled: Sequence[Features], logits: Sequence[Floats], directory: str | None
) -> ExampleArrays:
    """The training examples with a column of the teacher's logits and, if some are unlabeled, one that says which.

    Args:
      labeled: the student's features of the rows with labels.
      unlabeled: its features of each file of unlabeled rows.
      logits: the teacher's logits for `labeled` and each of `unlabeled`, float32 `[N, L]`.
      directory: for data that exceeds memory, see `spilled`.
    """
    all_arrays = []
    for number, features in enumerate((labeled, *unlabeled)):
        arrays = arrays_of(features, directory)
        columns = {**arrays.columns, TEACHER_LOGITS: _repeat_for_windows(logits[number], features, directory)}
        if unlabeled:
            columns[IS_LABELED] = np.full(len(arrays), number == 0, np.float32)
        all_arrays.append(dataclasses.replace(arrays, columns=columns))
    return ExampleArrays.joined(all_arrays, directory)


def _repeat_for_windows(logits: Floats, features: Features, directory: str | None) -> Floats:
    """The logits of the row of each sequence: float32 `[M, L]`."""
    splits = features.window_splits
    if splits is None:
        return logits
    repeated = spilled.empty((int(splits[-1]), logits.shape[1]), np.float32, directory)
    for begin, end in row_ranges(*logits.shape):
        counts = np.diff(splits[begin : end + 1])
        repeated[splits[begin] : splits[end]] = np.repeat(logits[begin:end], counts, axis=0)
    return repeated
