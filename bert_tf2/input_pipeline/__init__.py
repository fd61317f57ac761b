"""Batches of records and arrays, with `tf.data`."""
