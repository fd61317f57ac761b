"""Masked pre-training examples of many lengths, for packing."""

import numpy as np

LENGTH, PREDICTIONS = 24, 4


def sequences(rng, count, shortest=3):
    """Random masked pre-training examples of many lengths."""
    lengths = rng.integers(shortest, LENGTH + 1, count)
    predictions = np.minimum(rng.integers(1, PREDICTIONS + 1, count), lengths)
    mask = (np.arange(LENGTH) < lengths[:, None]).astype(np.int32)
    weights = (np.arange(PREDICTIONS) < predictions[:, None]).astype(np.float32)
    positions = np.zeros([count, PREDICTIONS], np.int32)
    for index in range(count):
        chosen = rng.choice(lengths[index], predictions[index], replace=False)
        positions[index, : predictions[index]] = np.sort(chosen)
    return {
        "input_ids": rng.integers(5, 40, [count, LENGTH], dtype=np.int32) * mask,
        "input_mask": mask,
        "segment_ids": rng.integers(0, 2, [count, LENGTH], dtype=np.int32) * mask,
        "masked_lm_positions": positions,
        "masked_lm_ids": (rng.integers(5, 40, [count, PREDICTIONS]) * (weights > 0)).astype(np.int32),
        "masked_lm_weights": weights,
        "next_sentence_labels": rng.integers(0, 2, [count, 1], dtype=np.int32),
    }
