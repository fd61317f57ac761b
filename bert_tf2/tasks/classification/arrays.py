"""Rows as arrays of model inputs.

Shapes: `N` rows, or windows of rows.
"""

from bert_tf2.input_pipeline.example_batches import ExampleArrays
from bert_tf2.input_pipeline.record_batches import EXAMPLE_WEIGHTS
from bert_tf2.modeling.classifier import LABELS
from bert_tf2.tasks.classification.features import Features


def arrays_of(features: Features, directory: str | None = None) -> ExampleArrays:
    """The N rows of features as arrays, to be batched.

    Args:
      features: the features of a file.
      directory: for data that exceeds memory, see `spilled`.
    """
    weights = {} if features.weights is None else {EXAMPLE_WEIGHTS: features.weights}
    return ExampleArrays(
        row_splits=features.input_ids.row_splits,
        tokens={"input_ids": features.input_ids.values, "segment_ids": features.segment_ids(directory)},
        columns={LABELS: features.labels, **weights},
        max_length=features.max_seq_length,
    )
