"""The heads' inputs and losses; for a comparison with the original see test_encoder.py."""

import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import TINY_CONFIG
from helpers.rounding import assert_close, forward, largest

from bert_tf2.configs.model import BertConfig
from bert_tf2.modeling import heads

pytestmark = pytest.mark.numeric


def test_gather_positions():
    sequence = tf.reshape(tf.range(24.0), [2, 4, 3])
    gathered = heads.gather_positions(sequence, tf.constant([[0, 3], [2, 2]]))
    np.testing.assert_array_equal(gathered, [[0, 1, 2], [9, 10, 11], [18, 19, 20], [18, 19, 20]])


def test_masked_lm_losses_match_its_scores():
    head = heads.MaskedLMHead(BertConfig(**TINY_CONFIG, initializer_range=0.3))
    head.output_bias.assign(tf.random.stateless_normal([40], seed=[1, 2]))
    sequence = tf.random.stateless_normal([2, 5, 16], seed=[3, 4])
    table = tf.random.stateless_normal([40, 16], seed=[5, 6])
    positions, labels = tf.constant([[0, 3], [2, 2]]), tf.constant([1, 2, 3, 39])
    scores = head(sequence, positions, table)
    best = tf.argmax(scores, axis=1, output_type=tf.int32)
    for expected_labels in (labels, tf.where(labels < 3, best, labels)):
        losses, right = head.losses(heads.gather_positions(sequence, positions), table, expected_labels)
        assert_close(losses, heads.cross_entropy(scores, expected_labels), forward(0), largest(scores))
        np.testing.assert_array_equal(right, heads.correct(scores, expected_labels))
