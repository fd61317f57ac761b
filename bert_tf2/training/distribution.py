"""The `tf.distribute` strategy for the available devices."""

import dataclasses
import logging
import os
import re
import socket

import tensorflow as tf

from bert_tf2.configs.training import DistributionConfig
from bert_tf2.errors import InputError, counted
from bert_tf2.io import json_files

logger = logging.getLogger(__name__)

_SECONDS_TO_CONNECT = 20.0


def make_strategy(config: DistributionConfig) -> tf.distribute.Strategy:
    """Creates the strategy of this process; call it once, before anything is computed.

    Raises:
      InputError: a TPU was asked for and cannot be reached; TF_CONFIG is missing or invalid.
    """
    if config.use_tpu or config.distribution_strategy == "tpu":
        return _tpu(config)
    if config.distribution_strategy == "multi_worker_mirrored":
        return _multi_worker()
    gpus = tf.config.list_logical_devices("GPU")
    if config.distribution_strategy == "mirrored" or (config.distribution_strategy == "auto" and len(gpus) > 1):
        devices = gpus or tf.config.list_logical_devices("CPU")
        logger.info("Training on %s of this machine (MirroredStrategy).", counted(len(devices), "device"))
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


@dataclasses.dataclass(frozen=True)
class Workers:
    """The processes that train together.

    Attributes:
      index: which of them this process is.
      count: how many there are.
    """

    index: int = 0
    count: int = 1

    @classmethod
    def of(cls, strategy: tf.distribute.Strategy) -> "Workers":
        """Those of a strategy; one for all but multi-worker strategies."""
        if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return cls()
        spec = strategy.cluster_resolver.cluster_spec()
        # A chief is worker 0 of TensorFlow's count, ordinary workers come after it.
        chiefs = len(spec.as_dict().get("chief", []))
        resolver = strategy.cluster_resolver
        index = resolver.task_id if resolver.task_type == "chief" else chiefs + resolver.task_id
        return cls(index, chiefs + len(spec.as_dict().get("worker", [])))

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one that writes output."""
        return self.index == 0


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Returns when all workers of a strategy have called it: what the chief has written until then is there for all."""
    if Workers.of(strategy).count == 1:
        return

    @tf.function
    def meet() -> tf.Tensor:
        def replica() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.constant(1.0))

        return strategy.experimental_local_results(strategy.run(replica))[0]

    _ = float(meet())


def _multi_worker() -> tf.distribute.Strategy:
    example = """{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}"""
    text = os.environ.get("TF_CONFIG")
    expected = f"set it on each machine to all addresses and that machine's index, for example TF_CONFIG='{example}'"
    if not text:
        raise InputError(
            f"--distribution_strategy=multi_worker_mirrored: the environment variable TF_CONFIG is not set; {expected}."
        )
    described = json_files.parse(text, "The environment variable TF_CONFIG", expected)
    try:
        cluster, task = described["cluster"], described["task"]
        kind, index = task["type"], int(task["index"])
        addresses = [address for job in cluster.values() for address in job]
        if index < 0 or not all(isinstance(job, list) for job in cluster.values()):
            raise ValueError
        address = cluster[kind][index]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError):
        raise InputError(
            f"TF_CONFIG={text!r:.200} does not name the workers and the index of this one; {expected}."
        ) from None
    for one in addresses:
        if not _is_address(one):
            raise InputError(
                f"TF_CONFIG names the address {one!r:.100}; host:port with a port from 1 to 65535 was expected."
            )
    if len(set(addresses)) < len(addresses):
        raise InputError("TF_CONFIG names an address twice; each worker needs its own.")
    if set(cluster) - {"worker", "chief"}:
        raise InputError(f"TF_CONFIG has the jobs {', '.join(cluster)}; only chief and worker are supported.")
    count = sum(map(len, cluster.values()))
    for host in {one.rpartition(":")[0].strip("[]") for one in addresses}:
        try:
            socket.getaddrinfo(host, None)
        except OSError:
            logger.warning("The host %s in TF_CONFIG cannot be resolved (yet); workers wait until it can.", host)
    logger.info(
        "Worker %s of %d (%s, MultiWorkerMirroredStrategy); waiting for the others.", task["index"], count, address
    )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.UnknownError as error:
        raise InputError(
            f"{address} of TF_CONFIG cannot be opened ({error.message:.200}); another process may use the port."
        ) from None


def _is_address(address: object) -> bool:
    found = re.fullmatch(r"(?:[\w.-]+|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})", address) if isinstance(address, str) else None
    return found is not None and 0 < int(found[1]) < 1 << 16


def _check_listens(target: str) -> None:
    """Rejects the address of a TPU that does not respond; TensorFlow would wait for it forever."""
    address = re.fullmatch(r"grpc://\[?([^/\]]+)\]?:([0-9]{1,5})/?", target)
    if address:
        try:
            socket.create_connection((address[1], int(address[2])), _SECONDS_TO_CONNECT).close()
        except (OSError, OverflowError) as error:  # OverflowError: there is no such port
            reason = getattr(error, "strerror", None) or error
            raise InputError(
                f"--use_tpu: no response from {target} ({reason}); check --tpu_name, and that the TPU is running."
            ) from None


def _tpu(config: DistributionConfig) -> tf.distribute.Strategy:
    target = config.tpu_name or config.master or ""
    _check_listens(target)
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
            tpu=target, zone=config.tpu_zone, project=config.gcp_project
        )
        if target != "local":
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, ImportError, RuntimeError, tf.errors.OpError) as error:
        reason = str(error).strip().split("\n")[0][:300]
        raise InputError(
            f'--use_tpu: no TPU could be reached ({reason}); give --tpu_name ("local" on a TPU VM), or omit --use_tpu.'
        ) from None
    strategy = tf.distribute.TPUStrategy(resolver)
    if strategy.num_replicas_in_sync != config.num_tpu_cores:
        raise InputError(
            f"The TPU has {counted(strategy.num_replicas_in_sync, 'core')} but --num_tpu_cores is "
            f"{config.num_tpu_cores}; give --num_tpu_cores={strategy.num_replicas_in_sync}."
        )
    return strategy
