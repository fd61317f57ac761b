"""Batches from record files: complete shuffled epochs for training, each record in order for evaluation.

The records in a step's batch depend only on the files, the seed and the number of examples before it. So a resumed run
continues with exactly the batches that an uninterrupted one would have had.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from bert_tf2.errors import InputError
from bert_tf2.records.reader import record_dataset, record_reader
from bert_tf2.records.shuffled import SHUFFLE_BUFFER, RecordSource, RecordStream

Batch = dict[str, tf.Tensor]
Parse = Callable[[tf.Tensor], Batch]

_RECORDS_PER_BLOCK = 1024  # passed from the reader to TensorFlow at a time

EXAMPLE_WEIGHTS = "example_weights"
# int64 [B], the same in all rows: where the data continues after a batch, for data whose position does not follow from
# the number of examples. The training loop saves it in checkpoints and passes it back when it resumes.
INPUT_POSITION = "input_position"


@dataclasses.dataclass(frozen=True)
class Share:
    """The part of each global batch that a process creates: consecutive rows, in one piece per device.

    Attributes:
      worker: the index of this process.
      workers: the number of processes.
      devices: the number of devices of this process.
      by_files: if True, each process reads only its own files or, if there are fewer files than processes, every n-th
        record. If False, every process reads all records, and the batches are those of a single device.
    """

    worker: int = 0
    workers: int = 1
    devices: int = 1
    by_files: bool = False

    def rows(self, batch_size: int) -> int:
        """The number of rows in a piece; `batch_size`, of the global batch, is a multiple of the number of pieces."""
        return batch_size // (self.workers * self.devices)

    def first_row(self, element: tf.Tensor, batch_size: int) -> tf.Tensor:
        """The number of a piece's first row in the stream of all rows; int64 scalars.

        Args:
          element: the number of the piece among those of this process.
          batch_size: rows of a global batch.
        """
        batch, device = element // self.devices, element % self.devices
        return batch * batch_size + (self.worker * self.devices + device) * self.rows(batch_size)

    def of(self, dataset: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
        """Splits a dataset of global batches (tensors, or dictionaries of them) and returns this process's pieces."""
        if self.workers * self.devices == 1:
            return dataset
        rows = self.rows(batch_size)

        def pieces(value: tf.Tensor) -> tf.Tensor:
            own_rows = value[self.worker * self.devices * rows :][: self.devices * rows]
            return tf.reshape(own_rows, [self.devices, rows, *value.shape[1:]])

        return dataset.map(lambda batch: tf.nest.map_structure(pieces, batch)).unbatch()


def distribute(batches: Callable[[Share], tf.data.Dataset], strategy: tf.distribute.Strategy) -> Any:
    """Distributes a dataset of which each process creates its share.

    Args:
      batches: creates the dataset of a share.
      strategy: over whose devices the batches are distributed.
    """
    # TensorFlow tunes a dataset in a thread that sometimes misses the signal to end. The longer it has run, the longer
    # it sleeps, and the reader waits for it at the end of the dataset: for seconds, up to a minute.
    options = tf.data.Options()
    options.autotune.enabled = False

    def create(context: tf.distribute.InputContext) -> tf.data.Dataset:
        workers = context.num_input_pipelines
        devices = strategy.num_replicas_in_sync // workers
        return batches(Share(context.input_pipeline_id, workers, devices)).with_options(options)

    return strategy.distribute_datasets_from_function(create)


def training(
    paths: Sequence[str],
    parse: Parse,
    batch_size: int,
    seed: int,
    examples_done: int = 0,
    buffer: int = SHUFFLE_BUFFER,
    share: Share = Share(),
    source: RecordSource | None = None,
) -> tf.data.Dataset:
    """An endless dataset of batches; every epoch visits each record once, in a different order (`records.shuffled`).

    Args:
      paths: record files; at least one has a record.
      parse: a function from serialized records, string `[B]`, to features.
      batch_size: rows of a batch, over all processes and devices. A batch may hold the end of one epoch and the start
        of the next.
      seed: of the order.
      examples_done: the number of examples that an earlier run has already taken.
      buffer: maximum number of records that are shuffled together.
      share: which part of each batch to create.
      source: reads the files, and keeps any error; a new one by default.

    Raises:
      InputError: some files are compressed and some are not, or the first one is not a TFRecord file.
    """
    record_reader(paths)  # only for its checks
    source = source or RecordSource()
    if share.by_files and share.workers > 1:
        own_paths, rows, done = list(paths), share.rows(batch_size), examples_done // share.workers
        shard_index, shard_count = share.worker, share.workers
        if len(paths) >= share.workers:
            own_paths, shard_index, shard_count = own_paths[share.worker :: share.workers], 0, 1
        stream = RecordStream(own_paths, source, seed, buffer, shard_index, shard_count)
        batches = _batches(stream, source, rows, done)
    else:
        stream = RecordStream(paths, source, seed, buffer)
        batches = share.of(_batches(stream, source, batch_size, examples_done), batch_size)
    return batches.map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def _batches(stream: RecordStream, source: RecordSource, rows: int, done: int) -> tf.data.Dataset:
    """Batches of serialized records, string `[rows]`, after the first `done` records of a stream."""
    batches_per_block = max(1, _RECORDS_PER_BLOCK // rows)
    size = batches_per_block * rows
    blocks = _dataset(source, lambda: stream.blocks(size, done), [size])
    return blocks.map(lambda block: tf.reshape(block, [batches_per_block, rows])).unbatch()


def _dataset(source: RecordSource, records: Callable[[], Iterator[Any]], shape: list[int]) -> tf.data.Dataset:
    """A dataset of strings of this shape; if reading fails with an `InputError`, `source` keeps it."""

    def generate() -> Iterator[Any]:
        try:
            yield from records()
        except InputError as error:
            source.error = error
            raise

    return tf.data.Dataset.from_generator(generate, output_signature=tf.TensorSpec(shape, tf.string))


def evaluation(
    paths: Sequence[str],
    parse: Parse,
    batch_size: int,
    steps: int | None,
    share: Share = Share(),
    source: RecordSource | None = None,
) -> tf.data.Dataset:
    """Batches in the order of the files, all of `batch_size` rows, with `example_weights`, float32 `[B]`, added.

    Args:
      paths: record files.
      parse: a function from serialized records, string `[B]`, to features.
      batch_size: rows of a batch, over all processes and devices.
      steps: number of batches; records are repeated if there are too few. None: each record exactly once, with the last
        batch filled up with rows of zeros of weight 0.
      share: which part of each batch to create.
      source: decides whether corrupt records are skipped; by default they are not.

    Raises:
      InputError: some files are compressed and some are not.
    """
    records = record_dataset(paths)
    if source and source.skips:
        reader = source
        records = _dataset(reader, lambda: reader.records(paths), [])
    if steps is not None:
        records = records.repeat()
    parsed = records.batch(batch_size).map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    batches = share.of(parsed.map(lambda batch: fill_up(batch, batch_size)), batch_size)
    return (batches if steps is None else batches.take(steps * share.devices)).prefetch(tf.data.AUTOTUNE)


def fill_up(batch: Batch, batch_size: int) -> Batch:
    """Fills up a batch with rows of zeros.

    Args:
      batch: tensors of at most `batch_size` rows each.
      batch_size: rows of the result.

    Returns:
      The batch with `example_weights`, float32 `[B]`, added: 0 for the rows of zeros, 1 for the others.
    """
    rows = tf.shape(next(iter(batch.values())))[0]
    filled = {}
    for name, value in {**batch, EXAMPLE_WEIGHTS: tf.ones([rows])}.items():
        padding = [[0, batch_size - rows]] + [[0, 0]] * (value.shape.rank - 1)
        filled[name] = tf.ensure_shape(tf.pad(value, padding), [batch_size, *value.shape[1:]])
    return filled


def trim(dataset: tf.data.Dataset, multiple: int = 8) -> tf.data.Dataset:
    """Removes columns that are padding in the whole batch, which changes no result.

    Args:
      dataset: batches with `input_ids`, `input_mask` and `segment_ids`, `[B, S]`, and any other features.
      multiple: the new number of columns is rounded up to a multiple of this, to limit the number of different shapes.

    Returns:
      The same batches, with an `S` that differs from batch to batch.
    """

    def trim_batch(batch: Batch) -> Batch:
        is_used = tf.reduce_any(batch["input_mask"] > 0, axis=0)  # [S]
        longest = tf.reduce_max(tf.where(is_used, tf.range(1, tf.size(is_used) + 1), 1))
        length = tf.minimum((longest + multiple - 1) // multiple * multiple, tf.size(is_used))
        return {**batch, **{name: batch[name][:, :length] for name in ("input_ids", "input_mask", "segment_ids")}}

    return dataset.map(trim_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
