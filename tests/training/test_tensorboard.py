"""Scalars are read as they were written, also those of a run that was killed and resumed."""

from pathlib import Path

import pytest
import tensorflow as tf

from bert_tf2.training.tensorboard import event_writer, read_scalars, write_scalars


def write(directory: Path, values: dict[int, dict[str, float]], suffix: str) -> Path:
    events = tf.summary.create_file_writer(str(directory), filename_suffix=suffix)
    for step, scalars in values.items():
        write_scalars(events, step, scalars, "train")
    return next(directory.glob(f"events.out.tfevents.*{suffix}"))


def test_scalars_of_all_files(tmp_path: Path) -> None:
    first = write(tmp_path, {10: {"loss": 0.5}, 20: {"loss": 0.25, "rate": 1.0}, 30: {"loss": 0.125}}, ".1")
    first.write_bytes(first.read_bytes()[:-10])  # as if killed while writing
    write(tmp_path, {20: {"loss": 0.75}, 5: {"loss": 2.0}}, ".2")
    assert read_scalars(str(tmp_path)) == {"loss": {5: 2.0, 10: 0.5, 20: 0.75}, "rate": {20: 1.0}}


def test_no_files(tmp_path: Path) -> None:
    assert read_scalars(str(tmp_path / "none")) == {}


def test_events_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow's error is that of exhausted memory."""

    def fail(*arguments: object, **options: object) -> None:
        message = "{{function_node __wrapped}} events.out; No space left on device\n\tFailed to flush"
        raise tf.errors.ResourceExhaustedError(None, None, message)

    monkeypatch.setattr(tf.summary, "write", fail)
    with pytest.raises(
        OSError, match=r"^TensorBoard events cannot be written \(events\.out; No space left on device\)"
    ):
        write_scalars(event_writer(str(tmp_path)), 1, {"loss": 0.5}, "train")
