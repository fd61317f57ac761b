"""The flags of all fine-tuning scripts."""

import dataclasses
import os
import re

from bert_tf2.configs.fields import (
    ACTIONS,
    EVALUATION,
    MODEL,
    MOST_BATCH,
    MOST_LENGTH,
    MOST_SEED,
    OPTIMIZER,
    TASK,
    TRAINING,
    check_has_effect,
    setting,
)
from bert_tf2.configs.lora import DEFAULT_LAYERS, KERNELS, Lora, layer_names
from bert_tf2.configs.tokenizer import TokenizerConfig
from bert_tf2.configs.training import RunConfig
from bert_tf2.errors import InputError
from bert_tf2.io import run_files
from bert_tf2.tasks.finetuning.search_space import MAX_RUNS, SearchSpace

CLASS_WEIGHTS = ("none", "balanced")
_MAX_EPOCHS = 1_000_000  # so that step numbers fit TensorFlow's integers


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
        3.0, help="Number of training epochs.", group=TRAINING, original=True, at_least=0, at_most=_MAX_EPOCHS
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
    report: bool = setting(
        True,
        help="Whether evaluation writes report.html, a page with scores, errors and learning curves; needs matplotlib "
        "and jinja2.",
        group=EVALUATION,
    )
    overwrite_output_dir: bool = setting(
        False, help="Remove the files of an earlier run from output_dir and start over.", group=ACTIONS
    )
    use_best: bool = setting(
        False,
        help="Evaluate and predict with the weights in best/, which had the best score on the dev data, instead of the "
        "latest ones; after a training, with those that it kept there.",
        group=ACTIONS,
    )
    seeds: str | None = setting(
        None,
        help="Comma-separated seeds, such as 1,2,3: one run per seed, in output_dir/seed-N; replaces seed.",
        group=TRAINING,
    )
    search: str | None = setting(
        None,
        help="Train with each combination of values of these flags, each in a directory of its own, and keep the best "
        "weights in best/: 'learning_rate=2e-5,3e-5;train_batch_size=16,32'; paper: the grid of BERT's paper; with "
        "search_trials also ranges, 'learning_rate=1e-5..1e-4:log'.",
        group=TRAINING,
    )
    search_trials: int | None = setting(
        None,
        help="With search: make this many runs, whose settings are chosen by the scores of those before, instead of "
        "one for each combination.",
        group=TRAINING,
        at_least=1,
        at_most=MAX_RUNS,
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
        needed = "needs --do_train and --do_eval: the scores of the evaluations are compared; give both or omit it"
        check_has_effect(self, ("search",), self.do_train and self.do_eval, needed)
        check_has_effect(self, ("search_trials",), self.search is not None, "needs --search; give both or omit it")
        if self.use_best and self.do_train and not self.do_eval:
            raise InputError(
                "--use_best with --do_train needs --do_eval: its evaluations find the best weights; give it, too."
            )
        if self.use_best and self.do_train and not self.num_train_epochs:
            raise InputError("--num_train_epochs=0 trains nothing, so that no weights are the best ones; give more.")
        _ = self.all_seeds, self.lora, self.search_space

    @property
    def lora(self) -> Lora | None:
        """The LoRA settings; None without LoRA."""
        if not self.lora_rank:
            return None
        names = layer_names(self.lora_layers)
        return Lora(self.lora_rank, self.lora_alpha, names)

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The numbers in `seeds`; empty if it is omitted."""
        if not self.seeds:
            return ()
        text = self.seeds.replace(" ", "")
        seeds = tuple(map(int, text.split(","))) if re.fullmatch(r"\d{1,10}(,\d{1,10})*", text) else ()
        if not seeds or len(set(seeds)) < len(seeds) or max(seeds) > MOST_SEED:
            raise InputError(
                f"--seeds={self.seeds:.200}; expected different comma-separated integers up to {MOST_SEED}: 1,2,3."
            )
        return seeds

    @property
    def search_space(self) -> SearchSpace | None:
        """The settings that `search` tries; None if it is omitted."""
        if self.search is None:
            return None
        space = SearchSpace.parse(self.search, type(self))
        if space.has_ranges and self.search_trials is None:
            raise InputError("--search has a range, so that --search_trials must say how many runs to make; give both.")
        return space

    @property
    def weights_dir(self) -> str:
        """The directory of the weights for evaluation and prediction: `output_dir` or its `best/`."""
        return os.path.join(self.output_dir, run_files.BEST) if self.use_best else self.output_dir

    @property
    def model_dir(self) -> str:
        """The directory of the model, with its config and other assets, to train further, evaluate or predict with."""
        return self.output_dir if self.do_train else self.weights_dir

    @property
    def trains_at_full_length(self) -> bool:
        """Whether training batches are padded to `max_seq_length` even if nothing needs fixed shapes."""
        return False

    @property
    def predicts_at_full_length(self) -> bool:
        """Whether evaluation and prediction batches are padded likewise, so that predictions for padding count."""
        return False

    def num_train_steps(self, examples: int) -> int:
        """Number of training steps with this many examples per epoch, computed as in the original."""
        return int(examples / self.train_batch_size * self.num_train_epochs)

    def num_warmup_steps(self, examples: int) -> int:
        """How many of the training steps are warm-up steps."""
        return int(self.num_train_steps(examples) * self.warmup_proportion)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MinConfidence:
    """The flag of tasks whose predictions have a probability."""

    min_confidence: float = setting(
        0.0,
        help="Predictions with a lower probability become null in predictions.jsonl and empty in predictions.csv; "
        "words of tagged spans become O.",
        group=TASK,
        at_least=0,
        at_most=1,
    )


def check_min_confidence(config: FinetuningConfig) -> None:
    """Checks `--min_confidence`, which tasks with `MinConfidence` have.

    Raises:
      InputError: there is no prediction, so the flag has no effect.
    """
    needed = "needs --do_predict, as it only affects predictions; give both or omit it"
    check_has_effect(config, ("min_confidence",), config.do_predict, needed)


def check_class_weights(config: FinetuningConfig) -> None:
    """Checks `--class_weights` of tasks with classes.

    Raises:
      InputError: it has no effect, as nothing is trained.
    """
    needed = "needs --do_train, as it weights the training loss; omit it"
    check_has_effect(config, ("class_weights",), config.do_train, needed)
