"""Learning rates by step, against numbers computed by hand."""

import numpy as np
import pytest
import tensorflow as tf
from helpers.rounding import SUM, assert_close

from bert_tf2.configs.training import SCHEDULES, OptimizerConfig
from bert_tf2.training.schedules import make_schedule

pytestmark = pytest.mark.numeric


def test_linear():
    rate = make_schedule("linear", 1.0, num_train_steps=10, num_warmup_steps=4)
    expected = [0, 0.25, 0.5, 0.75, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0, 0]
    assert_close([rate(tf.constant(step)) for step in range(12)], expected, SUM)


def test_linear_without_warm_up_starts_at_its_peak():
    assert make_schedule("linear", 3e-5, 10, 0)(tf.constant(0)) == np.float32(3e-5)


def test_cosine_and_constant():
    cosine = make_schedule("cosine", 2.0, num_train_steps=8, num_warmup_steps=2)
    expected = [0, 1, *(1 + np.cos(np.pi * np.arange(2, 9) / 8)), 0]
    assert_close([cosine(tf.constant(step)) for step in range(10)], expected, SUM)
    constant = make_schedule("constant", 2.0, num_train_steps=8, num_warmup_steps=2)
    assert [float(constant(tf.constant(step))) for step in (0, 1, 2, 7, 9)] == [0, 1, 2, 2, 2]


def test_every_value_of_the_flag_is_a_different_schedule():
    rates = {name: float(make_schedule(name, 1.0, 8, 0)(tf.constant(2))) for name in SCHEDULES}
    assert len(set(rates.values())) == len(SCHEDULES)
    assert OptimizerConfig().learning_rate_schedule == SCHEDULES[0]
