"""What all fine-tuning scripts can be asked to do."""

import dataclasses
import re

from bert_tf2 import training
from bert_tf2.bounds import MOST_SEED
from bert_tf2.distribution import DistributionConfig
from bert_tf2.errors import InputError
from bert_tf2.flag_values import check_has_effect
from bert_tf2.optimization import OptimizerConfig
from bert_tf2.precision import PrecisionConfig

CLASS_WEIGHTS = ("none", "balanced")
_MOST_EPOCHS = 1_000_000  # so that steps are numbers that TensorFlow can count


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuningConfig(training.LoopConfig):
    """What the flags say that all fine-tuning tasks have; names and defaults are the original's where it has them.

    Attributes:
      output_dir: folder of checkpoints, results and TensorBoard events.
      init_checkpoint: what to start from where `output_dir` has no checkpoint yet.
      bert_config_file: the model's sizes; those beside the checkpoint where it is None.
      vocab_file: the model's vocabulary, likewise; or
      spm_model_file: its SentencePiece model, likewise.
      do_lower_case: whether to strip case and accents; None: as the checkpoint's folder says, else true.
      max_seq_length: tokens of a sequence at most; None: the task's choice.
      do_train: whether to train.
      do_eval: whether to evaluate.
      do_predict: whether to predict.
      train_batch_size: examples in a step, over all devices.
      eval_batch_size: examples in an evaluation batch, over all devices.
      predict_batch_size: examples in a batch of a prediction, over all devices.
      learning_rate: highest rate of the schedule.
      num_train_epochs: how often each example is learned.
      warmup_proportion: share of the steps in which the rate rises.
      eval_every_steps: steps between evaluations of a training with `do_eval`; 0: after each epoch.
      early_stopping_patience: after how many evaluations without a better one training ends; 0: never.
      metric_for_best: which number of the evaluation says which is the best; None: the task's choice.
      overwrite_output_dir: whether to remove what an earlier training left in `output_dir`.
      seeds: "1,2,3": a training for each, in a folder of its own; None: one, with `seed`.
      dry_run: whether to check everything and write nothing.
      recompute: whether to compute each layer again for its gradients, to save memory.
      optimizer: how weights are updated.
      precision: in what the model computes.
      distribution: devices.

    Raises:
      InputError: a value is impossible, or nothing is to be done.
    """

    output_dir: str
    init_checkpoint: str | None = None
    bert_config_file: str | None = None
    vocab_file: str | None = None
    spm_model_file: str | None = None
    do_lower_case: bool | None = None
    max_seq_length: int | None = None
    do_train: bool = False
    do_eval: bool = False
    do_predict: bool = False
    train_batch_size: int = 32
    eval_batch_size: int = 8
    predict_batch_size: int = 8
    learning_rate: float = 5e-5
    num_train_epochs: float = 3.0
    warmup_proportion: float = 0.1
    eval_every_steps: int = 0
    early_stopping_patience: int = 0
    metric_for_best: str | None = None
    overwrite_output_dir: bool = False
    seeds: str | None = None
    dry_run: bool = False
    recompute: bool = False
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    precision: PrecisionConfig = dataclasses.field(default_factory=PrecisionConfig)
    distribution: DistributionConfig = dataclasses.field(default_factory=DistributionConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.do_train or self.do_eval or self.do_predict):
            raise InputError("Nothing to do: give --do_train, --do_eval, --do_predict or several of them.")
        self._check_numbers()
        if self.vocab_file and self.spm_model_file:
            raise InputError("--vocab_file and --spm_model_file exclude each other; give the one that the model has.")
        if self.overwrite_output_dir and not self.do_train:
            raise InputError(
                "--overwrite_output_dir without --do_train would remove the model that is asked for; leave it away."
            )
        check_has_effect(
            self,
            ("early_stopping_patience", "eval_every_steps", "metric_for_best"),
            self.do_train and self.do_eval,
            "needs --do_train and --do_eval: it is about the evaluations of a training; give both or omit it",
        )
        _ = self.all_seeds

    def _check_numbers(self) -> None:
        least = {"eval_every_steps": 0, "early_stopping_patience": 0, "max_seq_length": 3}
        names = ("train_batch_size", "eval_batch_size", "predict_batch_size", *least)
        for name in names:
            value, lowest = getattr(self, name), least.get(name, 1)
            if value is not None and value < lowest:
                raise InputError(f"--{name}={value}; it has to be at least {lowest}.")
        for name, fits, expected in (
            ("learning_rate", self.learning_rate > 0, "above 0"),
            ("num_train_epochs", 0 <= self.num_train_epochs <= _MOST_EPOCHS, f"from 0 to {_MOST_EPOCHS:,}"),
            ("warmup_proportion", 0 <= self.warmup_proportion <= 1, "from 0 to 1"),
        ):
            if not fits:
                raise InputError(f"--{name}={getattr(self, name)}; it has to be {expected}.")

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The numbers of `seeds`; none where it is not given."""
        if not self.seeds:
            return ()
        text = self.seeds.replace(" ", "")
        found = tuple(map(int, text.split(","))) if re.fullmatch(r"\d{1,10}(,\d{1,10})*", text) else ()
        if not found or len(set(found)) < len(found) or max(found) > MOST_SEED:
            raise InputError(
                f"--seeds={self.seeds:.200}; different whole numbers up to {MOST_SEED} with commas between were "
                "expected: 1,2,3."
            )
        return found

    @property
    def trains_at_full_length(self) -> bool:
        """Whether training batches are padded to `max_seq_length` even where nothing needs fixed shapes."""
        return False

    @property
    def predicts_at_full_length(self) -> bool:
        """Whether batches of evaluation and prediction are padded likewise, and what is said of padding counts."""
        return False

    def num_train_steps(self, examples: int) -> int:
        """Steps of a training with so many examples, as the original counts them."""
        return int(examples / self.train_batch_size * self.num_train_epochs)

    def num_warmup_steps(self, examples: int) -> int:
        """Those of them in which the learning rate rises."""
        return int(self.num_train_steps(examples) * self.warmup_proportion)


def check_class_weights(config: FinetuningConfig, value: str) -> None:
    """Checks `--class_weights`, which tasks with classes have.

    Raises:
      InputError: it is none of `CLASS_WEIGHTS`, or nothing is trained, so that it has no effect.
    """
    if value not in CLASS_WEIGHTS:
        raise InputError(f"Unknown --class_weights {value!r}; choose one of {', '.join(CLASS_WEIGHTS)}.")
    needed = "needs --do_train: it weights the loss of a training; omit it"
    check_has_effect(config, ("class_weights",), config.do_train, needed)
