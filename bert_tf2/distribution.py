"""Where a model runs: the `tf.distribute` strategy for the devices at hand."""

import dataclasses
import logging

import tensorflow as tf

from bert_tf2.errors import InputError

logger = logging.getLogger(__name__)

STRATEGIES = ("auto", "off", "mirrored")


@dataclasses.dataclass(frozen=True)
class DistributionConfig:
    """Devices to run on; the TPU part has the original's names and defaults.

    Attributes:
      strategy: "off" one device; "mirrored" every GPU of this machine (every logical CPU device where there is none);
        "auto" mirrored where there are several GPUs, else off.
      use_tpu: run on a TPU; `strategy` then has no say.
      tpu_name: the TPU's name or its address, `grpc://ip:8470`; "local" for a TPU VM.
      tpu_zone: Cloud zone, found from the metadata server where it is None.
      gcp_project: Cloud project, likewise.
      master: address of the TPU, used where `tpu_name` is not given.
      num_tpu_cores: cores to use; all of them have to be used, so another number than the TPU's is refused.

    Raises:
      InputError: an unknown strategy.
    """

    strategy: str = "auto"
    use_tpu: bool = False
    tpu_name: str | None = None
    tpu_zone: str | None = None
    gcp_project: str | None = None
    master: str | None = None
    num_tpu_cores: int = 8

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise InputError(
                f"Unknown --distribution_strategy {self.strategy!r}; choose one of {', '.join(STRATEGIES)}."
            )


def make_strategy(config: DistributionConfig) -> tf.distribute.Strategy:
    """The strategy of this process; make one, not several.

    Raises:
      InputError: a TPU was asked for and cannot be reached.
    """
    if config.use_tpu:
        return _tpu(config)
    gpus = tf.config.list_logical_devices("GPU")
    if config.strategy == "mirrored" or (config.strategy == "auto" and len(gpus) > 1):
        devices = gpus or tf.config.list_logical_devices("CPU")
        logger.info("Training on %d devices of this machine (MirroredStrategy).", len(devices))
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


def _tpu(config: DistributionConfig) -> tf.distribute.Strategy:
    target = config.tpu_name or config.master or ""
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
            f'--use_tpu: no TPU could be reached ({reason}); give --tpu_name ("local" on a TPU VM), '
            "or leave --use_tpu away."
        ) from None
    strategy = tf.distribute.TPUStrategy(resolver)
    if strategy.num_replicas_in_sync != config.num_tpu_cores:
        raise InputError(
            f"The TPU has {strategy.num_replicas_in_sync} cores but --num_tpu_cores is {config.num_tpu_cores}; "
            f"give --num_tpu_cores={strategy.num_replicas_in_sync}."
        )
    return strategy
