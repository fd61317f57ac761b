"""TensorBoard events."""

from collections.abc import Mapping

import tensorflow as tf


def write_scalars(step: int, values: Mapping[str, float]) -> None:
    """Writes scalars to the default event writer (`tf.summary.scalar` needs TensorBoard installed)."""
    metadata = tf.compat.v1.SummaryMetadata(data_class="DATA_CLASS_SCALAR")
    metadata.plugin_data.plugin_name = "scalars"
    for name, value in values.items():
        tf.summary.write(name, tf.constant(value, tf.float32), step=step, metadata=metadata)
