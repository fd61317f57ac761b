"""What can be said of a training before it begins: the loop, the optimizer, precision and devices; no TensorFlow."""

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
    """What all tasks' flags say of the loop.

    Raises:
      InputError: a value is impossible.
    """

    save_checkpoints_steps: int = setting(
        1000, help="Steps between checkpoints.", group=CHECKPOINTS, original=True, at_least=1
    )
    keep_checkpoints: int = setting(
        5, help="How many of the latest checkpoints to keep.", group=CHECKPOINTS, at_least=1
    )
    iterations_per_loop: int = setting(
        1000, help="Most steps in one call of the compiled loop.", group=CHECKPOINTS, original=True, at_least=1
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
        help="What initial weights, dropout and the order of data follow from.",
        group=TRAINING,
        at_least=0,
        at_most=MOST_SEED,
    )
    gradient_accumulation_steps: int = setting(
        1,
        help="Compute a batch in so many parts, to save memory; the results are the same.",
        group=TRAINING,
        at_least=1,
    )
    max_skipped_steps: int = setting(
        10, help="Stop after so many steps in a row whose loss or gradients are not finite.", group=TRAINING, at_least=1
    )
    profile_steps: str | None = setting(
        None, help="10,20: profile from step 10 to step 20 for TensorBoard.", group=CHECKPOINTS
    )

    def __post_init__(self) -> None:
        check(self)
        _ = self.profiled, self.reports

    @property
    def reports(self) -> tuple[str, ...]:
        """The names of `report_to`; none where it says so."""
        names = tuple(self.report_to.replace(" ", "").split(","))
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
        """First and last step of `profile_steps`."""
        if not self.profile_steps:
            return None
        numbers = re.fullmatch(r"(\d{1,10}),(\d{1,10})", self.profile_steps.replace(" ", ""))
        if not numbers or int(numbers[1]) >= int(numbers[2]):
            raise InputError(
                f"--profile_steps={self.profile_steps}; two steps were expected, the first below the last: 10,20."
            )
        return int(numbers[1]), int(numbers[2])


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig(LoopConfig):
    """How to train.

    Attributes:
      output_dir: folder of checkpoints and TensorBoard events.
      num_train_steps: steps in all, those of earlier runs included.
      batch_size: examples in a step, over all replicas.
      clip_norm: largest global norm of the gradients.
    """

    output_dir: str
    num_train_steps: int
    batch_size: int
    clip_norm: float = 1.0

    @classmethod
    def of(cls, config: LoopConfig, **values: Any) -> "TrainingConfig":
        """With what a task's config says of the loop, and `values`."""
        shared = {field.name: getattr(config, field.name) for field in dataclasses.fields(LoopConfig)}
        return cls(**shared, **values)


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """How weights are updated.

    Raises:
      InputError: a value is unknown or out of range.
    """

    optimizer: str = setting(
        "bert",
        help="bert: Adam as BERT was trained with; lamb: for batches of thousands; adafactor: hardly any memory beside "
        "the weights and gradients, its learning_rate is relative to the weights (1e-3 to 1e-2).",
        group=OPTIMIZER,
        choices=OPTIMIZERS,
    )
    learning_rate_schedule: str = setting(
        "linear", help="What follows the linear warm-up.", group=OPTIMIZER, choices=SCHEDULES
    )
    weight_decay: float = setting(0.01, help="Of all weights but LayerNorm's and biases.", group=OPTIMIZER, at_least=0)
    layerwise_learning_rate_decay: float = setting(
        1.0, help="Each layer's rate is that of the layer above times this.", group=OPTIMIZER, above=0, at_most=1
    )
    num_frozen_layers: int = setting(
        0, help="Do not train the embeddings and so many of the lowest layers.", group=OPTIMIZER, at_least=0
    )
    freeze_embeddings: bool = setting(False, help="Do not train the embeddings.", group=OPTIMIZER)
    ema_decay: float = setting(
        0.0,
        help="Keep moving averages of the weights and evaluate with them; 0.999 is usual.",
        group=OPTIMIZER,
        at_least=0,
        below=1,
    )

    def __post_init__(self) -> None:
        check(self)


@dataclasses.dataclass(frozen=True)
class PrecisionConfig:
    """In what and how the model computes; `precision.resolved` decides what is "auto".

    Raises:
      InputError: an unknown value.
    """

    precision: str = setting(
        "float32",
        help="What the model computes in, weights excepted; auto: the fastest of this device.",
        group=DEVICES,
        choices=PRECISIONS,
    )
    jit: str = setting("auto", help="Whether XLA compiles the steps; auto: on GPU and TPU.", group=DEVICES, choices=JIT)

    def __post_init__(self) -> None:
        check(self)

    @property
    def compiles(self) -> bool:
        """Whether XLA compiles the steps, which then want fixed shapes; ask what `precision.resolved` returned."""
        return self.jit == "on"


@dataclasses.dataclass(frozen=True)
class DistributionConfig:
    """Devices to run on; the TPU part has the original's names and defaults.

    Where there is no GPU, "mirrored" takes every logical CPU device. Another number of TPU cores than there are is
    refused.

    Raises:
      InputError: an unknown strategy.
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
        None, help="Cloud zone of the TPU, found from metadata if not given.", group=DEVICES, original=True
    )
    gcp_project: str | None = setting(
        None, help="Cloud project of the TPU, found from metadata if not given.", group=DEVICES, original=True
    )
    master: str | None = setting(
        None, help="Address of the TPU if tpu_name is not given.", group=DEVICES, original=True
    )
    num_tpu_cores: int = setting(8, help="Cores of the TPU; used only with use_tpu.", group=DEVICES, original=True)

    def __post_init__(self) -> None:
        check(self)
        if self.use_tpu and self.distribution_strategy not in ("auto", "tpu"):
            raise InputError(
                f"--use_tpu and --distribution_strategy={self.distribution_strategy} exclude each other; leave one out."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig(LoopConfig):
    """What all scripts that train have.

    Raises:
      InputError: a value is impossible, or nothing is to be done.
    """

    bert_config_file: str | None = setting(
        None, help="JSON file with the sizes of the model.", group=MODEL, original=True
    )
    init_checkpoint: str | None = setting(
        None,
        help="Model to start from, usually a pre-trained one: a checkpoint of the original or of this project, a "
        "directory, or the name of a public model (bert-base-uncased, uncased_L-12_H-768_A-12), which is downloaded.",
        group=MODEL,
        original=True,
    )
    num_hidden_layers: int | None = first_layers()
    output_dir: str = setting(help="Folder of checkpoints, results and TensorBoard events.", group=FILES, original=True)
    do_train: bool = setting(False, help="Whether to train.", group=ACTIONS, original=True)
    do_eval: bool = setting(
        False, help="Whether to evaluate, while and after training if there is any.", group=ACTIONS, original=True
    )
    do_predict: bool = setting(
        False, help="Whether to predict, after training if there is any.", group=ACTIONS, original=True
    )
    dry_run: bool = setting(False, help="Check all inputs, shapes and paths, and train nothing.", group=ACTIONS)
    train_batch_size: int = setting(
        32,
        help="Examples in a training step, over all devices.",
        group=TRAINING,
        original=True,
        at_least=1,
        at_most=MOST_BATCH,
    )
    eval_batch_size: int = setting(
        8,
        help="Examples in an evaluation batch, over all devices.",
        group=TRAINING,
        original=True,
        at_least=1,
        at_most=MOST_BATCH,
    )
    learning_rate: float = setting(
        5e-5, help="Highest learning rate of the schedule.", group=TRAINING, original=True, above=0
    )
    recompute: bool = setting(
        False, help="Save memory: compute each layer again for its gradients, a third slower.", group=TRAINING
    )
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    precision: PrecisionConfig = dataclasses.field(default_factory=PrecisionConfig)
    distribution: DistributionConfig = dataclasses.field(default_factory=DistributionConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.do_train or self.do_eval or self.do_predict):
            raise InputError("Nothing to do: give --do_train, --do_eval, --do_predict or several of them.")
