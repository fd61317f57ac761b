"""From record files to batches: shuffled whole epochs for training, each record in order for evaluation.

Which records the batch of a step holds is a function of the files, the seed and the number of examples before it. So a
training that was stopped goes on with exactly the batches that it would have had.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from bert_tf2.record_files import count_records, record_dataset, record_reader

Batch = dict[str, tf.Tensor]
Parse = Callable[[tf.Tensor], Batch]

# Records held for shuffling. Smaller data is shuffled whole; in larger data the order of files adds to it.
SHUFFLE_BUFFER = 100_000
_FILES_READ_AT_ONCE = 16

EXAMPLE_WEIGHTS = "example_weights"


def training(
    paths: Sequence[str], parse: Parse, batch_size: int, seed: int, examples_done: int = 0, buffer: int = SHUFFLE_BUFFER
) -> tf.data.Dataset:
    """An endless dataset of batches; every epoch holds each record once, in an order of its own.

    Args:
      paths: record files, none empty.
      parse: from serialized records, string `[B]`, to features.
      batch_size: `B`, over all replicas. A batch may hold the end of one epoch and the start of the next.
      seed: what the order follows from.
      examples_done: how many examples an earlier run has already taken.
      buffer: how many records are held for shuffling.

    Raises:
      InputError: `examples_done` is not 0 and a file is cut short.
    """
    read = record_reader(paths)
    first_epoch, done = divmod(examples_done, count_records(paths)) if examples_done else (0, 0)

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        files = tf.data.Dataset.from_tensor_slices(list(paths))
        files = files.shuffle(len(paths), seed=seed + number, reshuffle_each_iteration=False)
        records = files.interleave(read, cycle_length=min(len(paths), _FILES_READ_AT_ONCE))
        return records.shuffle(buffer, seed=seed + number, reshuffle_each_iteration=False)

    epochs = tf.data.Dataset.range(first_epoch, tf.int64.max).flat_map(epoch)
    batches = epochs.skip(done).batch(batch_size, drop_remainder=True)
    return batches.map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def evaluation(paths: Sequence[str], parse: Parse, batch_size: int, steps: int | None) -> tf.data.Dataset:
    """Batches in the order of the files, all of `batch_size` rows, with `example_weights` float `[B]` added.

    Args:
      paths: record files.
      parse: from serialized records, string `[B]`, to features.
      batch_size: `B`, over all replicas.
      steps: how many batches; the records are repeated where they do not suffice. None: each record exactly once, the
        last batch filled up with rows of zeros that have weight 0.
    """
    records = record_dataset(paths)
    if steps is not None:
        records = records.repeat()

    def fill(batch: Batch) -> Batch:
        rows = tf.shape(next(iter(batch.values())))[0]
        filled = {}
        for name, value in {**batch, EXAMPLE_WEIGHTS: tf.ones([rows])}.items():
            padding = [[0, batch_size - rows]] + [[0, 0]] * (value.shape.rank - 1)
            filled[name] = tf.ensure_shape(tf.pad(value, padding), [batch_size, *value.shape[1:]])
        return filled

    batches = records.batch(batch_size).map(parse, num_parallel_calls=tf.data.AUTOTUNE).map(fill)
    return (batches if steps is None else batches.take(steps)).prefetch(tf.data.AUTOTUNE)
