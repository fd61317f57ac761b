"""Training configuration: the loop, the optimizer, precision and devices; no TensorFlow."""

import dataclasses
import re
from typing import Any

from bert_tf2.configs.fields import (
    ACTIONS,
    CHECKPOINTS,
    DEVICES,
    FILES,
    MODEL,
    MOST_BATCH,
    MOST_SEED,
    OPTIMIZER,
    TRAINING,
    check,
    setting,
)
from bert_tf2.configs.model import first_layers
from bert_tf2.errors import InputError

OPTIMIZERS = ("bert", "adamw", "lamb", "adafactor")
SCHEDULES = ("linear", "cosine", "constant")
PRECISIONS = ("float32", "bfloat16", "float16", "auto")
JIT = ("auto", "on", "off")
TENSORBOARD, NOWHERE = "tensorboard", "none"
REPORTS = (TENSORBOARD, "wandb", "mlflow")
STRATEGIES = ("auto", "off", "mirrored", "multi_worker_mirrored", "tpu")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """The flags about the training loop, which all tasks have.

    Raises:
      InputError: a value is invalid.
    """

    save_checkpoints_steps: int = setting(
        1000, help="Steps between checkpoints.", group=CHECKPOINTS, original=True, at_least=1
    )
    keep_checkpoints: int = setting(5, help="Number of most recent checkpoints to keep.", group=CHECKPOINTS, at_least=1)
    iterations_per_loop: int = setting(
        1000, help="Maximum steps per call of the compiled loop.", group=CHECKPOINTS, original=True, at_least=1
    )
    log_steps: int = setting(100, help="Steps between TensorBoard events.", group=CHECKPOINTS, at_least=1)
    report_to: str = setting(
        TENSORBOARD,
        help="Where losses and scores go: tensorboard, wandb (Weights & Biases), mlflow, several with commas between; "
        "or none. Their runs are kept in output_dir unless WANDB_MODE or MLFLOW_TRACKING_URI says otherwise.",
        group=CHECKPOINTS,
    )
    seed: int = setting(
        12345,
        help="Random seed for initial weights, dropout and data order.",
        group=TRAINING,
        at_least=0,
        at_most=MOST_SEED,
    )
    gradient_accumulation_steps: int = setting(
        1,
        help="Split each batch into this many microbatches, to save memory; the results are the same.",
        group=TRAINING,
        at_least=1,
    )
    max_skipped_steps: int = setting(
        10,
        help="Stop after this many consecutive steps with a loss or gradients that are not finite.",
        group=TRAINING,
        at_least=1,
    )
    profile_steps: str | None = setting(
        None, help="Steps to profile for TensorBoard: 10,20 profiles steps 10 to 20.", group=CHECKPOINTS
    )

    def __post_init__(self) -> None:
        check(self)
        _ = self.profiled, self.reports  # which check their flags

    @property
    def reports(self) -> tuple[str, ...]:
        """The tools that `report_to` names; empty if it is "none".

        Raises:
          InputError: a tool is unknown.
        """
        names = tuple(dict.fromkeys(self.report_to.replace(" ", "").split(",")))
        if names == (NOWHERE,):
            return ()
        for name in names:
            if name not in REPORTS:
                raise InputError(
                    f"Unknown --report_to {name!r:.60}; choose from {', '.join(REPORTS)}, with commas between, or "
                    f"{NOWHERE}."
                )
        return names

    @property
    def profiled(self) -> tuple[int, int] | None:
        """First and last step of `profile_steps`; None if it is omitted.

        Raises:
          InputError: it is not two ascending steps.
        """
        if not self.profile_steps:
            return None
        numbers = re.fullmatch(r"(\d{1,10}),(\d{1,10})", self.profile_steps.replace(" ", ""))
        if not numbers or int(numbers[1]) >= int(numbers[2]):
            raise InputError(
                f"--profile_steps={self.profile_steps}; expected two steps, the first below the last: 10,20."
            )
        return int(numbers[1]), int(numbers[2])


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig(LoopConfig):
    """Configuration of a training run.

    Attributes:
      output_dir: directory for checkpoints and TensorBoard events.
      num_train_steps: total number of steps, including those of earlier runs.
      batch_size: examples per step, over all replicas.
      clip_norm: maximum global norm of the gradients.

    Examples:
      >>> from bert_tf2.configs.training import TrainingConfig
      >>> TrainingConfig(output_dir="model", num_train_steps=1000, batch_size=32).save_checkpoints_steps
      1000
    """

    output_dir: str
    num_train_steps: int
    batch_size: int
    clip_norm: float = 1.0

    @classmethod
    def of(cls, config: LoopConfig, **values: Any) -> "TrainingConfig":
        """A config with the loop settings of a task's config, and `values`."""
        shared = {field.name: getattr(config, field.name) for field in dataclasses.fields(LoopConfig)}
        return cls(**shared, **values)


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """Configuration of the optimizer.

    Raises:
      InputError: a value is unknown or out of range.

    Examples:
      >>> from bert_tf2.configs.training import OptimizerConfig
      >>> OptimizerConfig(optimizer="lamb").weight_decay
      0.01
    """

    optimizer: str = setting(
        "bert",
        help="bert: BERT's variant of Adam; adamw; lamb: for batch sizes in the thousands; adafactor: needs hardly any "
        "memory besides weights and gradients; its learning_rate is relative to the weights (1e-3 to 1e-2).",
        group=OPTIMIZER,
        choices=OPTIMIZERS,
    )
    learning_rate_schedule: str = setting(
        "linear", help="Learning rate schedule after the linear warm-up.", group=OPTIMIZER, choices=SCHEDULES
    )
    weight_decay: float = setting(
        0.01, help="Weight decay; LayerNorm and biases are exempt.", group=OPTIMIZER, at_least=0
    )
    layerwise_learning_rate_decay: float = setting(
        1.0,
        help="Factor from each layer's learning rate to that of the layer below.",
        group=OPTIMIZER,
        above=0,
        at_most=1,
    )
    num_frozen_layers: int = setting(
        0, help="Freeze the embeddings and this many of the lowest layers.", group=OPTIMIZER, at_least=0
    )
    freeze_embeddings: bool = setting(False, help="Freeze the embeddings.", group=OPTIMIZER)
    ema_decay: float = setting(
        0.0,
        help="Decay of moving averages of the weights, used for evaluation and prediction; 0.999 is usual, 0 keeps "
        "none.",
        group=OPTIMIZER,
        at_least=0,
        below=1,
    )

    def __post_init__(self) -> None:
        check(self)


@dataclasses.dataclass(frozen=True)
class PrecisionConfig:
    """Precision and compilation; `precision.resolved` replaces "auto".

    Raises:
      InputError: a value is unknown.

    Examples:
      >>> from bert_tf2.configs.training import PrecisionConfig
      >>> PrecisionConfig(precision="bfloat16").jit
      'auto'
    """

    precision: str = setting(
        "float32",
        help="Precision of the computation; weights stay in float32. auto: the fastest on this device.",
        group=DEVICES,
        choices=PRECISIONS,
    )
    jit: str = setting(
        "auto", help="Whether to compile steps with XLA; auto: on GPU and TPU.", group=DEVICES, choices=JIT
    )

    def __post_init__(self) -> None:
        check(self)

    @property
    def compiles(self) -> bool:
        """Whether XLA compiles the steps, which then need fixed shapes; valid only after `precision.resolved`."""
        return self.jit == "on"


@dataclasses.dataclass(frozen=True)
class DistributionConfig:
    """Devices to run on; the TPU flags have the original's names and defaults.

    Without a GPU, "mirrored" takes every logical CPU device. A number of TPU cores other than the actual one is an
    error.

    Raises:
      InputError: the strategy is unknown.

    Examples:
      >>> from bert_tf2.configs.training import DistributionConfig
      >>> DistributionConfig().distribution_strategy
      'auto'
    """

    distribution_strategy: str = setting(
        "auto",
        help="off: one device; mirrored: all GPUs of this machine; multi_worker_mirrored: all machines of TF_CONFIG; "
        "tpu; auto: mirrored if there are several GPUs.",
        group=DEVICES,
        choices=STRATEGIES,
    )
    use_tpu: bool = setting(False, help="Whether to run on a TPU.", group=DEVICES, original=True)
    tpu_name: str | None = setting(
        None, help="The TPU's name or grpc://ip:8470 address; local on a TPU VM.", group=DEVICES, original=True
    )
    tpu_zone: str | None = setting(
        None, help="Cloud zone of the TPU; if omitted, taken from the metadata.", group=DEVICES, original=True
    )
    gcp_project: str | None = setting(
        None, help="Cloud project of the TPU; if omitted, taken from the metadata.", group=DEVICES, original=True
    )
    master: str | None = setting(None, help="Address of the TPU, if tpu_name is omitted.", group=DEVICES, original=True)
    num_tpu_cores: int = setting(8, help="Number of TPU cores; only used with use_tpu.", group=DEVICES, original=True)

    def __post_init__(self) -> None:
        check(self)
        if self.use_tpu and self.distribution_strategy not in ("auto", "tpu"):
            raise InputError(
                f"--use_tpu and --distribution_strategy={self.distribution_strategy} exclude each other; omit one of "
                "them."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig(LoopConfig):
    """The flags of all scripts that train.

    Raises:
      InputError: a value is invalid, or there is nothing to do.
    """

    bert_config_file: str | None = setting(None, help="JSON file with the model config.", group=MODEL, original=True)
    init_checkpoint: str | None = setting(
        None,
        help="Model to start from, usually pre-trained: a checkpoint of the original or of this project, a directory, "
        "or the name of a public model (bert-base-uncased, uncased_L-12_H-768_A-12), which is downloaded.",
        group=MODEL,
        original=True,
    )
    num_hidden_layers: int | None = first_layers()
    output_dir: str = setting(
        help="Directory for checkpoints, results and TensorBoard events.", group=FILES, original=True
    )
    do_train: bool = setting(False, help="Whether to train.", group=ACTIONS, original=True)
    do_eval: bool = setting(
        False, help="Whether to evaluate, with do_train during and after training.", group=ACTIONS, original=True
    )
    do_predict: bool = setting(
        False, help="Whether to predict, with do_train after training.", group=ACTIONS, original=True
    )
    dry_run: bool = setting(False, help="Check all inputs, shapes and paths without training.", group=ACTIONS)
    train_batch_size: int = setting(
        32,
        help="Examples per training step, over all devices.",
        group=TRAINING,
        original=True,
        at_least=1,
        at_most=MOST_BATCH,
    )
    eval_batch_size: int = setting(
        8,
        help="Examples per evaluation batch, over all devices.",
        group=TRAINING,
        original=True,
        at_least=1,
        at_most=MOST_BATCH,
    )
    learning_rate: float = setting(5e-5, help="Peak learning rate.", group=TRAINING, original=True, above=0)
    recompute: bool = setting(
        False,
        help="Save memory by recomputing activations in the backward pass, at about a third more time.",
        group=TRAINING,
    )
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    precision: PrecisionConfig = dataclasses.field(default_factory=PrecisionConfig)
    distribution: DistributionConfig = dataclasses.field(default_factory=DistributionConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.do_train or self.do_eval or self.do_predict):
            raise InputError("Nothing to do: give --do_train, --do_eval, --do_predict or several of them.")
