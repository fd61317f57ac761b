"""How sequences are batched and divided among cores; their vectors are tested in `test_outputs`."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf2.tasks.feature_extraction import encoder as feature_encoder
from bert_tf2.tasks.feature_extraction.data import Sequences
from bert_tf2.training.concurrency import ONE_BY_ONE, Concurrency


@pytest.mark.parametrize(
    ("concurrency", "rows"), [(Concurrency(4, 99), [2, 2, 2, 1]), (Concurrency(4), [4, 3]), (ONE_BY_ONE, [4, 3])]
)
def test_sequences_are_divided_among_cores(monkeypatch, concurrency, rows):
    monkeypatch.setattr(feature_encoder.Concurrency, "of", lambda *_: concurrency)
    encoder = feature_encoder.Encoder(
        lambda input_ids, input_mask, segment_ids: tf.cast(input_ids, tf.float32)[..., None],
        1,
        of_tokens=True,
        batch_size=4,
        max_seq_length=8,
        strategy=tf.distribute.get_strategy(),
        compiles=False,
    )
    lengths = np.array([3, 8, 1, 4, 2, 5, 3])
    ids = np.arange(lengths.sum(), dtype=np.int32)
    reported = []
    vectors = encoder.vectors(Sequences(np.r_[0, lengths.cumsum()], ids, np.zeros_like(ids)), reported.append)
    assert reported == rows
    np.testing.assert_array_equal(vectors[:, 0], ids)
