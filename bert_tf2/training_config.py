"""What is said of a training before it begins; knows no TensorFlow."""

import dataclasses
import re
from typing import Any

from bert_tf2.bounds import check_most
from bert_tf2.errors import InputError
from bert_tf2.flag_values import check_floats


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """What all tasks' flags say of the loop.

    Attributes:
      save_checkpoints_steps: steps between checkpoints.
      keep_checkpoints: how many of the newest checkpoints to keep.
      iterations_per_loop: most steps in one call of the compiled loop.
      log_steps: steps between TensorBoard events.
      seed: what initial weights, dropout masks and the order of data follow from.
      gradient_accumulation_steps: into how many parts a device's share of the batch is split, computed one after the
        other; the numbers are those of the whole.
      max_skipped_steps: steps in a row whose loss or gradients are not finite, after which training stops.
      profile_steps: "10,20": profile from step 10 to step 20 for TensorBoard; None does not.

    Raises:
      InputError: a value is impossible.
    """

    save_checkpoints_steps: int = 1000
    keep_checkpoints: int = 5
    iterations_per_loop: int = 1000
    log_steps: int = 100
    seed: int = 12345
    gradient_accumulation_steps: int = 1
    max_skipped_steps: int = 10
    profile_steps: str | None = None

    def __post_init__(self) -> None:
        check_floats(self)
        for field in dataclasses.fields(LoopConfig):
            value, least = getattr(self, field.name), 0 if field.name == "seed" else 1
            if field.type is int and value < least:
                raise InputError(f"--{field.name}={value}; it has to be at least {least}.")
        check_most(self)
        _ = self.profiled

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
