"""Records for pre-training, and files of any records."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf2 import records


def write(path: Path, contents: Sequence[bytes]) -> str:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for content in contents:
            writer.write(content)
    return str(path)


def example(max_seq_length: int = 8, max_predictions_per_seq: int = 2, **changes: Any) -> dict[str, Any]:
    schema = records.pretraining(max_seq_length, max_predictions_per_seq)
    values: dict[str, Any] = {feature.name: np.arange(feature.size) for feature in schema.features}
    return {**values, **changes}


def pretraining_record(max_seq_length: int = 8, max_predictions_per_seq: int = 2) -> bytes:
    schema = records.pretraining(max_seq_length, max_predictions_per_seq)
    return schema.encode(example(max_seq_length, max_predictions_per_seq))
