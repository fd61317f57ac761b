"""TensorBoard events; what is written here also goes to the tools of `tracking`."""

import re
from collections.abc import Mapping
from typing import Any, Literal

import tensorflow as tf

from bert_tf2.io import file_system
from bert_tf2.training import tracking


def event_writer(directory: str) -> Any:
    """An event writer for `write_scalars`; it writes nothing if `--report_to` omits TensorBoard."""
    with_events = tracking.current().with_tensorboard
    return tf.summary.create_file_writer(directory) if with_events else tf.summary.create_noop_writer()


def write_scalars(events: Any, step: int, values: Mapping[str, float], kind: Literal["train", "eval"]) -> None:
    """Writes scalars to an event writer (`tf.summary.scalar` needs TensorBoard installed), and tracks them.

    Args:
      events: the result of `event_writer`; it is flushed.
      step: the training step of the values.
      values: by name.
      kind: whether they are from training or from an evaluation, for the tools of `tracking`; TensorBoard distinguishes
        them by directory.

    Raises:
      OSError: the events cannot be written, for example because the disk is full.
    """
    metadata = tf.compat.v1.SummaryMetadata(data_class="DATA_CLASS_SCALAR")
    metadata.plugin_data.plugin_name = "scalars"
    try:
        with events.as_default():
            for name, value in values.items():
                tf.summary.write(name, tf.constant(value, tf.float32), step=step, metadata=metadata)
    except tf.errors.OpError as error:
        reason = re.sub(r"^\{\{function_node .*?\}\} ", "", str(error.message).strip().split("\n")[0])
        raise OSError(f"TensorBoard events cannot be written ({reason:.200}).") from None
    tracking.current().log(step, values, kind)


def read_scalars(directory: str) -> dict[str, dict[int, float]]:
    """The scalars in the event files of a directory: by name, value by step, in the order of the steps.

    If a resumed run has repeated a step, the latest value counts. A file that ends in the middle of an event, as a
    killed process leaves it, is read up to that event.
    """
    values: dict[str, dict[int, float]] = {}
    for path in sorted(file_system.path(directory).glob("events.out.tfevents.*")):
        try:
            for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
                event = tf.compat.v1.Event.FromString(record)
                for value in event.summary.value:
                    is_tensor = value.WhichOneof("value") == "tensor"
                    scalar = tf.make_ndarray(value.tensor) if is_tensor else value.simple_value
                    values.setdefault(value.tag, {})[event.step] = float(scalar)
        except tf.errors.DataLossError:
            continue
    return {name: dict(sorted(by_step.items())) for name, by_step in values.items()}
