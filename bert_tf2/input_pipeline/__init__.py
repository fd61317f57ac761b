"""From records and arrays to batches, with `tf.data`."""
