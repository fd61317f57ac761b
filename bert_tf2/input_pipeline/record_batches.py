"""Batches from record files: complete shuffled epochs for training, each record in order for evaluation.

The records in a step's batch are a function of the files, the seed and the number of examples before it. So a resumed
run continues with exactly the batches that it would have had.
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

_RECORDS_AT_ONCE = 1024  # handed from the reader to TensorFlow

EXAMPLE_WEIGHTS = "example_weights"
# int64 [B], the same in all rows: where the data goes on after a batch, for data that cannot tell it from the number
# of examples. The loop keeps it in checkpoints and hands it back.
INPUT_POSITION = "input_position"


@dataclasses.dataclass(frozen=True)
class Share:
    """The part of each global batch that a process creates: consecutive rows, in one piece per device.

    Attributes:
      worker: which of the processes.
      workers: how many there are.
      devices: of this process.
      by_files: the processes read different records, so that none reads all: each its own files, or, where there are
        fewer files than processes, every n-th record. Else all processes read the same records and the batches are
        those of a single device.
    """

    worker: int = 0
    workers: int = 1
    devices: int = 1
    by_files: bool = False

    def rows(self, batch_size: int) -> int:
        """Rows of a piece of a batch of `batch_size` rows over all processes."""
        return batch_size // (self.workers * self.devices)

    def first_row(self, element: tf.Tensor, batch_size: int) -> tf.Tensor:
        """The number of a piece's first row in the stream of all rows; `element` counts the pieces of this process."""
        batch, device = element // self.devices, element % self.devices
        return batch * batch_size + (self.worker * self.devices + device) * self.rows(batch_size)

    def of(self, dataset: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
        """From global batches (tensors, or dictionaries of them) to this process's pieces, one after the other."""
        if self.workers * self.devices == 1:
            return dataset
        rows = self.rows(batch_size)

        def pieces(value: tf.Tensor) -> tf.Tensor:
            mine = value[self.worker * self.devices * rows :][: self.devices * rows]
            return tf.reshape(mine, [self.devices, rows, *value.shape[1:]])

        return dataset.map(lambda batch: tf.nest.map_structure(pieces, batch)).unbatch()


def distribute(batches: Callable[[Share], tf.data.Dataset], strategy: tf.distribute.Strategy) -> Any:
    """The distributed dataset, of which each process creates its part."""
    # TensorFlow tunes a dataset in a thread that sometimes misses the signal to end. The longer it has run the
    # longer it sleeps, and who has read the dataset to its end waits for it: seconds, up to a minute.
    options = tf.data.Options()
    options.autotune.enabled = False

    def share(context: tf.distribute.InputContext) -> tf.data.Dataset:
        workers = context.num_input_pipelines
        devices = strategy.num_replicas_in_sync // workers
        return batches(Share(context.input_pipeline_id, workers, devices)).with_options(options)

    return strategy.distribute_datasets_from_function(share)


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
    """An endless dataset of batches; every epoch visits each record once, in a different order (`shuffled`).

    Args:
      paths: record files; at least one has a record.
      parse: from serialized records, string `[B]`, to features.
      batch_size: rows of a batch, over all processes and devices. A batch may hold the end of one epoch and the start
        of the next.
      seed: of the order.
      examples_done: how many examples an earlier run has already taken.
      buffer: maximum number of records that are shuffled together.
      share: which part of each batch to create.
      source: reads the files, and records any error; a new one by default.

    Raises:
      InputError: some files are compressed and some are not, or the first one is not a TFRecord file.
    """
    record_reader(paths)
    source = source or RecordSource()
    if share.by_files and share.workers > 1:
        own, rows, done = list(paths), share.rows(batch_size), examples_done // share.workers
        part, parts = share.worker, share.workers
        if len(paths) >= share.workers:
            own, part, parts = own[share.worker :: share.workers], 0, 1
        stream = RecordStream(own, source, seed, buffer, part, parts)
        batches = _batches(stream, source, rows, done)
    else:
        stream = RecordStream(paths, source, seed, buffer)
        batches = share.of(_batches(stream, source, batch_size, examples_done), batch_size)
    return batches.map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def _batches(stream: RecordStream, source: RecordSource, rows: int, done: int) -> tf.data.Dataset:
    """The records of a stream, strings `[rows]`."""
    several = max(1, _RECORDS_AT_ONCE // rows)
    blocks = _generated(source, lambda: stream.blocks(several * rows, done), [several * rows])
    return blocks.map(lambda block: tf.reshape(block, [several, rows])).unbatch()


def _generated(source: RecordSource, records: Callable[[], Iterator[Any]], shape: list[int]) -> tf.data.Dataset:
    """A dataset of strings of a shape; where their reading ends with an `InputError`, `source` keeps it."""

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
    """Batches in the order of the files, all of `batch_size` rows, with `example_weights` float `[B]` added.

    Args:
      paths: record files.
      parse: from serialized records, string `[B]`, to features.
      batch_size: rows of a batch, over all processes and devices.
      steps: number of batches; records are repeated if there are too few. None: each record exactly once, with the last
        batch padded with rows of zeros of weight 0.
      share: which part of each batch to create.
      source: decides whether corrupt records are skipped; by default they are not.
    """
    records = record_dataset(paths)
    if source and source.skips:
        reader = source
        records = _generated(reader, lambda: reader.records(paths), [])
    if steps is not None:
        records = records.repeat()
    parsed = records.batch(batch_size).map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    batches = share.of(parsed.map(lambda batch: filled(batch, batch_size)), batch_size)
    return (batches if steps is None else batches.take(steps * share.devices)).prefetch(tf.data.AUTOTUNE)


def filled(batch: Batch, batch_size: int) -> Batch:
    """A batch of at most `batch_size` rows filled up with rows of zeros, and `example_weights`, 0 for these."""
    rows = tf.shape(next(iter(batch.values())))[0]
    result = {}
    for name, value in {**batch, EXAMPLE_WEIGHTS: tf.ones([rows])}.items():
        padding = [[0, batch_size - rows]] + [[0, 0]] * (value.shape.rank - 1)
        result[name] = tf.ensure_shape(tf.pad(value, padding), [batch_size, *value.shape[1:]])
    return result


def trimmed(dataset: tf.data.Dataset, multiple: int = 8) -> tf.data.Dataset:
    """Removes columns that are padding in the whole batch, which changes no result.

    Args:
      dataset: batches with `input_ids`, `input_mask` and `segment_ids`, `[B, S]`, and anything else.
      multiple: the new number of columns is a multiple of this, so that there are not too many different ones.

    Returns:
      The same batches, `S` different from batch to batch.
    """

    def trim(batch: Batch) -> Batch:
        is_used = tf.reduce_any(batch["input_mask"] > 0, axis=0)  # [S]
        longest = tf.reduce_max(tf.where(is_used, tf.range(1, tf.size(is_used) + 1), 1))
        length = tf.minimum((longest + multiple - 1) // multiple * multiple, tf.size(is_used))
        return {**batch, **{name: batch[name][:, :length] for name in ("input_ids", "input_mask", "segment_ids")}}

    return dataset.map(trim, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
