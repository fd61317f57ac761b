"""How batches of features are made and divided among cores; what they contain is test_feature_extraction's."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf2.tasks.feature_extraction import encoder as feature_encoder
from bert_tf2.tasks.feature_extraction.data import Sequences


@pytest.mark.parametrize(("gpus", "already", "threads"), [([], 0, [1]), (["GPU"], 0, []), ([], 3, [])])
def test_a_core_a_batch(monkeypatch, gpus, already, threads):
    found = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: already)
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", found.append)
    feature_encoder.use_a_core_a_batch()
    assert found == threads


@pytest.mark.parametrize(
    ("batch_size", "tokens", "rows"), [(32, 99, [2, 2, 2, 1]), (1, 99, [1] * 7), (32, 8, [1, 1, 2, 2, 1])]
)
def test_sequences_are_divided_among_cores(monkeypatch, batch_size, tokens, rows):
    monkeypatch.setattr(feature_encoder.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(feature_encoder, "_TOKENS_ON_A_CORE", tokens)
    encoder = feature_encoder.Encoder(
        lambda input_ids, input_mask, segment_ids: tf.cast(input_ids, tf.float32)[..., None],
        1,
        of_tokens=True,
        batch_size=batch_size,
        max_seq_length=8,
        strategy=tf.distribute.get_strategy(),
        compiles=False,
    )
    lengths = np.array([3, 8, 1, 4, 2, 5, 3])
    ids = np.arange(lengths.sum(), dtype=np.int32)
    found = []
    vectors = encoder.vectors(Sequences(np.r_[0, lengths.cumsum()], ids, np.zeros_like(ids)), found.append)
    assert found == rows
    np.testing.assert_array_equal(vectors[:, 0], ids)
