"""A teacher's logits: computed once before the training, saved in the run directory, a column of the examples.

Shapes: `N` rows, `M` sequences (windows, if the teacher divides long rows into them), `L` labels.
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
from bert_tf2.tasks.finetuning.task import Beside
from bert_tf2.training.distribution import Workers

logger = logging.getLogger(__name__)

Floats = NDArray[np.float32]

_LOGITS = "logits"
_BATCH_SIZE = 32  # at least: it fits wherever a model can be trained, and smaller ones leave a GPU idle
_FILE = re.compile(r"(train|dev|unlabeled_\d+)-[0-9a-f]{16}\.npy")


@dataclasses.dataclass(frozen=True)
class TeacherLogits:
    """A teacher with its weights, on the devices of a run.

    The name of a file of logits contains a digest of all that they depend on: the teacher's weights, its tokens, its
    precision. So a training that is resumed, or that uses the same rows with another learning rate, reuses the file,
    and no change goes unnoticed.

    Attributes:
      teacher: the teacher.
      predictor: its model on the devices.
      weights: a fingerprint of its weights.
      directory: for data that exceeds memory, see `spilled`.
      kept_in: the directory in which logits are saved; None: they are not saved.
      is_dry: whether to compute nothing; all logits are then 0.
    """

    teacher: Teacher
    predictor: Finetuning
    weights: str
    directory: str | None
    kept_in: str | None
    is_dry: bool

    @classmethod
    def start(cls, teacher: Teacher, beside: Beside, kept_in: str, directory: str | None) -> Self:
        """Loads the teacher.

        Args:
          teacher: the teacher.
          beside: see `FinetuningTask.complete_training`.
          kept_in: the directory in which logits are saved. Several workers save none, as each would need the files of
            the others.
          directory: see the attribute.

        Raises:
          InputError: the weights cannot be used.
        """
        predictor = beside(teacher.foundation, teacher.make_model)
        teacher.load(predictor.model)
        several = Workers.of(predictor.strategy).count > 1
        weights = outputs.fingerprint(predictor.model)
        return cls(teacher, predictor, weights, directory, None if several else kept_in, predictor.config.dry_run)

    def of(self, parts: Mapping[str, Examples]) -> dict[str, Floats]:
        """The logits of several files, each float32 `[N, L]` in the order of the student's labels.

        Args:
          parts: by the first part of the names of the files of logits: "train", "dev", "unlabeled_0", "unlabeled_1".

        Raises:
          InputError: a logit is not finite, or another process computes the same file.
          OSError: they cannot be written.
        """
        tokenizer = self.teacher.foundation.tokenizer(self.teacher.description.do_lower_case)
        if self.is_dry:
            return {name: np.zeros((len(rows), len(self.teacher.order)), np.float32) for name, rows in parts.items()}
        model, description = cast(ClassificationModel, self.predictor.model), self.teacher.description
        predict = self.predictor.compiled(lambda batch: {_LOGITS: model.logits(batch)})
        logits, used = {}, set()
        lengths = description.max_seq_length, self.directory, description.long_text, description.window_stride
        for name, rows in parts.items():
            features = featurize(rows, np.zeros(len(rows), np.int32), tokenizer, *lengths)
            logger.info("The teacher reads %s: %s", rows.path, features.truncation())
            arrays = arrays_of(features, self.directory)
            digest = kept_outputs.digest(arrays)
            file = f"{name}-{self._key(features, digest)}.npy"
            used.add(file)
            logits[name] = self._ordered(self._of_rows(file, rows, features, arrays, digest, predict))
        self._remove_others(used)
        return logits

    def _key(self, features: Features, digest: str) -> str:
        """A digest of all that logits depend on, except for rounding."""
        splits, pooling = features.window_splits, self.teacher.description.window_pooling
        windows = None if splits is None else (hashlib.sha256(splits.tobytes()).hexdigest(), pooling)
        config, precision = self.teacher.foundation.bert_config.to_dict(), self.predictor.precision.precision
        content = json.dumps([config, precision, self.weights, digest, windows], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def _of_rows(
        self, file: str, rows: Examples, features: Features, arrays: ExampleArrays, digest: str, predict: Any
    ) -> Floats:
        """The logits of a file in the order of the teacher's labels: saved ones, else computed and saved."""
        path = None if self.kept_in is None else os.path.join(self.kept_in, file)
        shape = len(rows), self.teacher.description.outputs
        if path is not None and (kept := read(path, shape, self.directory)) is not None:
            logger.info("Using the teacher's logits for %s in %s.", rows.path, path)
            return kept
        batch_size = max(_BATCH_SIZE, self.predictor.config.predict_batch_size)
        batches = self.predictor.outputs(predict, arrays, batch_size, self.directory, path)
        follows_from = {"weights": self.weights, "examples": digest}
        computed = kept_outputs.compute(batches, {_LOGITS: shape[1]}, follows_from)
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

    def _remove_others(self, used: set[str]) -> None:
        """Removes logits of other teachers or rows."""
        if self.kept_in is None or not file_system.isdir(self.kept_in):
            return
        for name in file_system.listdir(self.kept_in):
            file = name.removeprefix(".").removesuffix(".unfinished")
            if _FILE.fullmatch(file) and file not in used:
                path = os.path.join(self.kept_in, file)
                resumable_output.discard(path)
                if file_system.exists(path):
                    file_system.remove(path)


def read(path: str, shape: tuple[int, int], directory: str | None) -> Floats | None:
    """Reads what `write` wrote, float32 `[N, L]`; None if there is no such file, or it is corrupt.

    Args:
      path: the file.
      shape: `(N, L)`.
      directory: see `spilled.empty`.
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
    """Writes logits, float32 `[N, L]`, for `numpy.load`.

    Raises:
      OSError: they cannot be written.
    """
    header = {"descr": "<f4", "fortran_order": False, "shape": logits.shape}
    with atomic.replacing(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for begin, end in row_ranges(*logits.shape):
            file.write(np.ascontiguousarray(logits[begin:end], "<f4").data)


def taught(
    labeled: Features, unlabeled: Sequence[Features], logits: Sequence[Floats], directory: str | None
) -> ExampleArrays:
    """Training examples with a column of the teacher's logits and, if some have no label, one that says which.

    Args:
      labeled: the student's features of the rows with labels.
      unlabeled: those of the files of unlabeled rows.
      logits: for each of these, float32 `[N, L]`.
      directory: for data that exceeds memory, see `spilled`.
    """
    parts = []
    for number, features in enumerate((labeled, *unlabeled)):
        arrays = arrays_of(features, directory)
        columns = {**arrays.columns, TEACHER_LOGITS: _of_windows(logits[number], features, directory)}
        if unlabeled:
            columns[IS_LABELED] = np.full(len(arrays), number == 0, np.float32)
        parts.append(dataclasses.replace(arrays, columns=columns))
    return ExampleArrays.joined(parts, directory)


def _of_windows(logits: Floats, features: Features, directory: str | None) -> Floats:
    """The logits for each sequence, those of its row: float32 `[M, L]`."""
    splits = features.window_splits
    if splits is None:
        return logits
    repeated = spilled.empty((int(splits[-1]), logits.shape[1]), np.float32, directory)
    for begin, end in row_ranges(*logits.shape):
        counts = np.diff(splits[begin : end + 1])
        repeated[splits[begin] : splits[end]] = np.repeat(logits[begin:end], counts, axis=0)
    return repeated
