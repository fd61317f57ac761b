"""Instances as named columns, for comparison in tests."""

from typing import Any

import numpy as np

from bert_tf2 import records
from bert_tf2.pretraining_data.fast_instances import InstanceArrays


def instance_columns(
    instances: InstanceArrays, start: int = 0, stop: int | None = None, masked: bool = True
) -> dict[str, np.ndarray[Any, Any]]:
    """For each feature of the records of instances `start` to `stop`: int32 or float32 `[B, *shape]`."""
    schema = records.pretraining(
        instances.parameters.max_seq_length,
        instances.parameters.max_predictions_per_seq,
        masked=masked,
        next_sentence=instances.starts.shape[1] == 2,
    )
    rows = instances.rows(schema, start, stop)
    types = {feature.name: np.float32 if feature.kind == "float" else np.int32 for feature in schema.features}
    assert schema.width == rows.shape[1] == sum(place.stop - place.start for place in schema.slices.values())
    return {
        feature.name: np.ascontiguousarray(rows[:, schema.slices[feature.name]]).view(types[feature.name])
        for feature in schema.features
    }
