"""Choosing a strategy; what runs on two devices is tested in test_training.py."""

import pytest
import tensorflow as tf

from bert_tf2.distribution import DistributionConfig, make_strategy
from bert_tf2.errors import InputError


def test_one_device_needs_no_strategy():
    if len(tf.config.list_logical_devices("GPU")) < 2:
        assert make_strategy(DistributionConfig()) is tf.distribute.get_strategy()
    assert make_strategy(DistributionConfig(strategy="off")) is tf.distribute.get_strategy()


def test_unknown_strategy():
    with pytest.raises(InputError, match="Unknown --distribution_strategy 'miror'; choose one of auto, off, mirrored"):
        DistributionConfig(strategy="miror")


def test_defaults_are_the_originals():
    config = DistributionConfig()
    assert (config.use_tpu, config.tpu_name, config.master, config.num_tpu_cores) == (False, None, None, 8)


def test_a_tpu_that_is_not_there(monkeypatch):
    def nowhere(**_options):
        raise ValueError("Please provide a TPU Name to connect to.\nMore.")

    monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", nowhere)
    with pytest.raises(
        InputError, match=r"no TPU could be reached \(Please provide a TPU Name to connect to\.\); give"
    ):
        make_strategy(DistributionConfig(use_tpu=True))
