"""The flags of all fine-tuning scripts."""

import dataclasses
import re

from bert_tf2.configs.fields import (
    ACTIONS,
    EVALUATION,
    MODEL,
    MOST_BATCH,
    MOST_LENGTH,
    MOST_SEED,
    OPTIMIZER,
    TRAINING,
    check_has_effect,
    setting,
)
from bert_tf2.configs.lora import DEFAULT_LAYERS, KERNELS, Lora, layer_names
from bert_tf2.configs.tokenizer import TokenizerConfig
from bert_tf2.configs.training import RunConfig
from bert_tf2.errors import InputError

CLASS_WEIGHTS = ("none", "balanced")
_MOST_EPOCHS = 1_000_000  # keeps step numbers within TensorFlow's integers


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuningConfig(RunConfig):
    """The flags of all fine-tuning tasks; names and defaults are the original's where it has them.

    For flags that describe the model, None means the value stored with `output_dir` or `init_checkpoint`, else the
    task's default.

    Raises:
      InputError: a value is invalid, or there is nothing to do.
    """

    vocab_file: str | None = setting(
        None, help="The vocabulary that the model was trained with.", group=MODEL, original=True
    )
    spm_model_file: str | None = setting(None, help="A SentencePiece model, instead of vocab_file.", group=MODEL)
    do_lower_case: bool | None = setting(
        None,
        help="Whether to lower-case the text: true for uncased models, false for cased and multilingual cased ones.",
        group=MODEL,
        original=True,
        flag_default=True,
    )
    tokenizer: TokenizerConfig = dataclasses.field(default_factory=TokenizerConfig)
    max_seq_length: int | None = setting(
        None,
        help="Maximum tokens per sequence; longer ones are truncated or split.",
        group=MODEL,
        original=True,
        at_least=3,
        at_most=MOST_LENGTH,
        flag_default=128,
    )
    predict_batch_size: int = setting(
        8,
        help="Maximum examples per prediction batch, over all devices; on a CPU, up to 384 tokens instead.",
        group=TRAINING,
        original=True,
        at_least=1,
        at_most=MOST_BATCH,
    )
    num_train_epochs: float = setting(
        3.0, help="Number of training epochs.", group=TRAINING, original=True, at_least=0, at_most=_MOST_EPOCHS
    )
    warmup_proportion: float = setting(
        0.1,
        help="Fraction of the steps used for linear learning rate warm-up.",
        group=TRAINING,
        original=True,
        at_least=0,
        at_most=1,
    )
    pack_sequences: bool | None = setting(
        None,
        help="Whether to skip padding in matmuls: the same results up to rounding, at up to three times the speed. If "
        "omitted, wherever shapes need not be fixed (--jit) and padding does not contribute to the loss.",
        group=TRAINING,
    )
    lora_rank: int = setting(
        0,
        help="Train low-rank updates (LoRA) of this rank, for example 8, and the head instead of all weights; try ten "
        "times the learning_rate. 0: train all weights.",
        group=OPTIMIZER,
        at_least=0,
    )
    lora_alpha: float | None = setting(
        None,
        help="With lora_rank: the updates are scaled by lora_alpha / lora_rank; if omitted, by 1.",
        group=OPTIMIZER,
        above=0,
    )
    lora_layers: str = setting(
        ",".join(DEFAULT_LAYERS),
        help=f"With lora_rank: which kernels of each layer to adapt, of {', '.join(KERNELS)}.",
        group=OPTIMIZER,
    )
    eval_every_steps: int = setting(
        0, help="With do_train and do_eval: steps between evaluations; 0: each epoch.", group=EVALUATION, at_least=0
    )
    early_stopping_patience: int = setting(
        0,
        help="Stop after this many evaluations without improvement; 0: never.",
        group=EVALUATION,
        at_least=0,
    )
    metric_for_best: str | None = setting(
        None, help="Metric that selects the weights kept in best/; may be loss.", group=EVALUATION
    )
    overwrite_output_dir: bool = setting(
        False, help="Remove the files of an earlier run from output_dir and start over.", group=ACTIONS
    )
    seeds: str | None = setting(
        None,
        help="Comma-separated seeds, such as 1,2,3: one run per seed, in output_dir/seed-N; replaces seed.",
        group=TRAINING,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vocab_file and self.spm_model_file:
            raise InputError("--vocab_file and --spm_model_file exclude each other; give the one that the model has.")
        if self.overwrite_output_dir and not self.do_train:
            raise InputError("--overwrite_output_dir without --do_train would remove the model to be used; omit it.")
        check_has_effect(
            self,
            ("early_stopping_patience", "eval_every_steps", "metric_for_best"),
            self.do_train and self.do_eval,
            "needs --do_train and --do_eval, as it controls evaluation during training; give both or omit it",
        )
        needed = "needs --lora_rank, as it controls LoRA; give both or omit it"
        check_has_effect(self, ("lora_alpha", "lora_layers"), self.lora_rank > 0, needed)
        _ = self.all_seeds, self.lora

    @property
    def lora(self) -> Lora | None:
        """The LoRA settings; None without LoRA."""
        if not self.lora_rank:
            return None
        names = layer_names(self.lora_layers)
        return Lora(self.lora_rank, self.lora_alpha, names)

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The numbers in `seeds`; none if it is omitted."""
        if not self.seeds:
            return ()
        text = self.seeds.replace(" ", "")
        found = tuple(map(int, text.split(","))) if re.fullmatch(r"\d{1,10}(,\d{1,10})*", text) else ()
        if not found or len(set(found)) < len(found) or max(found) > MOST_SEED:
            raise InputError(
                f"--seeds={self.seeds:.200}; expected different comma-separated integers up to {MOST_SEED}: 1,2,3."
            )
        return found

    @property
    def trains_at_full_length(self) -> bool:
        """Whether training batches are padded to `max_seq_length` even if nothing needs fixed shapes."""
        return False

    @property
    def predicts_at_full_length(self) -> bool:
        """Whether evaluation and prediction batches are padded likewise, and predictions for padding count."""
        return False

    def num_train_steps(self, examples: int) -> int:
        """Number of training steps for this many examples, computed as in the original."""
        return int(examples / self.train_batch_size * self.num_train_epochs)

    def num_warmup_steps(self, examples: int) -> int:
        """Number of warm-up steps among them."""
        return int(self.num_train_steps(examples) * self.warmup_proportion)


def check_class_weights(config: FinetuningConfig) -> None:
    """Checks `--class_weights` of tasks with classes.

    Raises:
      InputError: it has no effect, as nothing is trained.
    """
    needed = "needs --do_train, as it weights the training loss; omit it"
    check_has_effect(config, ("class_weights",), config.do_train, needed)
