"""Choosing a strategy; what runs on two devices is tested in test_trainer.py."""

import types

import pytest
import tensorflow as tf

from bert_tf2.configs.training import DistributionConfig
from bert_tf2.errors import InputError
from bert_tf2.training import distribution
from bert_tf2.training.distribution import Workers, make_strategy


def test_one_device_needs_no_strategy():
    if len(tf.config.list_logical_devices("GPU")) < 2:
        assert make_strategy(DistributionConfig()) is tf.distribute.get_strategy()
    assert make_strategy(DistributionConfig(distribution_strategy="off")) is tf.distribute.get_strategy()


def test_unknown_strategy():
    with pytest.raises(InputError, match="Unknown --distribution_strategy 'miror'; choose one of auto, off, mirrored"):
        DistributionConfig(distribution_strategy="miror")


def test_defaults_are_the_originals():
    config = DistributionConfig()
    assert (config.use_tpu, config.tpu_name, config.master, config.num_tpu_cores) == (False, None, None, 8)


def test_a_missing_tpu(monkeypatch):
    def fail(**_options):
        raise ValueError("Please provide a TPU Name to connect to.\nMore.")

    monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", fail)
    with pytest.raises(
        InputError, match=r"no TPU could be reached \(Please provide a TPU Name to connect to\.\); give"
    ):
        make_strategy(DistributionConfig(use_tpu=True))


def test_a_tpu_that_does_not_respond():
    with pytest.raises(InputError, match=r"no response from grpc://localhost:1 \(Connection refused\); check"):
        make_strategy(DistributionConfig(use_tpu=True, tpu_name="grpc://localhost:1"))


class TestSeveralWorkers:
    def make(self, monkeypatch, text):
        monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", lambda: "strategy")
        if text is None:
            monkeypatch.delenv("TF_CONFIG", raising=False)
        else:
            monkeypatch.setenv("TF_CONFIG", text)
        return make_strategy(DistributionConfig(distribution_strategy="multi_worker_mirrored"))

    def test_configured_by_tf_config(self, monkeypatch, caplog):
        caplog.set_level("INFO")
        text = '{"cluster": {"worker": ["localhost:1", "localhost:2"]}, "task": {"type": "worker", "index": 1}}'
        assert self.make(monkeypatch, text) == "strategy"
        assert caplog.messages == ["Worker 1 of 2 (localhost:2, MultiWorkerMirroredStrategy); waiting for the others."]

    def test_hosts_that_cannot_be_resolved_yet(self, monkeypatch, caplog):
        def fail(*_arguments):
            raise OSError("Name or service not known")

        monkeypatch.setattr(distribution.socket, "getaddrinfo", fail)
        text = '{"cluster": {"worker": ["no-such-host.invalid:1"]}, "task": {"type": "worker", "index": 0}}'
        assert self.make(monkeypatch, text) == "strategy"
        assert "The host no-such-host.invalid in TF_CONFIG cannot be resolved (yet)" in caplog.text

    def test_a_port_in_use(self, monkeypatch):
        def fail():
            raise tf.errors.UnknownError(None, None, "Could not start gRPC server")

        text = '{"cluster": {"worker": ["localhost:9"]}, "task": {"type": "worker", "index": 0}}'
        monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", fail)
        monkeypatch.setenv("TF_CONFIG", text)
        with pytest.raises(InputError, match=r"localhost:9 of TF_CONFIG cannot be opened \(Could not start"):
            make_strategy(DistributionConfig(distribution_strategy="multi_worker_mirrored"))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (None, "the environment variable TF_CONFIG is not set; set it on each machine to all addresses"),
            ("{", r"TF_CONFIG is not JSON \(.*\); set it on each machine"),
            ("[]", "does not name the workers and the index of this one; set it"),
            ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "does not name the workers"),
            (
                '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
                "TF_CONFIG has the jobs worker, ps; only chief and worker are supported",
            ),
        ],
    )
    def test_invalid_tf_config(self, monkeypatch, text, message):
        with pytest.raises(InputError, match=message):
            self.make(monkeypatch, text)

    @pytest.mark.parametrize(
        ("task_type", "task_id", "expected"), [("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)]
    )
    def test_a_chief_comes_first(self, monkeypatch, task_type, task_id, expected):
        class Strategy:
            class cluster_resolver:
                cluster_spec = staticmethod(lambda: tf.train.ClusterSpec({"chief": ["a:1"], "worker": ["b:1", "c:1"]}))

        Strategy.cluster_resolver.task_type, Strategy.cluster_resolver.task_id = task_type, task_id
        monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", Strategy)
        workers = Workers.of(Strategy())
        assert (workers.index, workers.count, workers.is_chief) == (expected, 3, expected == 0)

    def test_other_strategies_have_one_worker(self):
        assert Workers.of(tf.distribute.get_strategy()) == Workers(0, 1)


def test_use_tpu_excludes_other_strategies():
    with pytest.raises(InputError, match="--use_tpu and --distribution_strategy=mirrored exclude each other"):
        DistributionConfig(use_tpu=True, distribution_strategy="mirrored")


def test_the_flags_of_a_tpu(monkeypatch):
    asked = []
    monkeypatch.setattr(
        tf.distribute.cluster_resolver, "TPUClusterResolver", lambda **options: asked.append(options) or "resolver"
    )
    monkeypatch.setattr(tf.config, "experimental_connect_to_cluster", asked.append)
    monkeypatch.setattr(tf.tpu.experimental, "initialize_tpu_system", asked.append)
    strategy = types.SimpleNamespace(num_replicas_in_sync=4)
    monkeypatch.setattr(tf.distribute, "TPUStrategy", lambda resolver: strategy)
    flags = {"tpu_name": "node", "master": "other", "tpu_zone": "zone", "gcp_project": "project"}
    config = DistributionConfig(distribution_strategy="tpu", num_tpu_cores=4, **flags)
    assert make_strategy(config) is strategy
    assert asked == [{"tpu": "node", "zone": "zone", "project": "project"}, "resolver", "resolver"]
    asked.clear()
    with pytest.raises(InputError, match=r"has 4 cores but --num_tpu_cores is 8; give --num_tpu_cores=4\."):
        make_strategy(DistributionConfig(use_tpu=True, master="local"))
    assert asked == [{"tpu": "local", "zone": None, "project": None}, "resolver"]  # nothing to connect to
