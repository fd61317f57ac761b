"""What `run_pretraining.py` can be asked to do."""

import dataclasses
import logging

from bert_tf2 import training
from bert_tf2.distribution import DistributionConfig
from bert_tf2.errors import InputError
from bert_tf2.flag_values import check_has_effect
from bert_tf2.instances import InstanceParameters
from bert_tf2.optimization import OptimizerConfig
from bert_tf2.precision import PrecisionConfig

logger = logging.getLogger(__name__)

MASKINGS = ("static", "dynamic")
SHARES = ("rows", "files")


@dataclasses.dataclass(frozen=True)
class PretrainingConfig(training.LoopConfig):
    """What `run_pretraining.py` was asked to do; names and defaults are the original's flags.

    Attributes:
      bert_config_file: Google's JSON of the model's sizes, or Hugging Face's; "" for that in `output_dir`, or else
        beside init_checkpoint.
      input_file: comma-separated record files or globs.
      output_dir: folder of checkpoints, `eval_results.txt` and TensorBoard events.
      init_checkpoint: what to start from, as in `initialization.load`, where `output_dir` has no checkpoint yet.
      max_seq_length: `S` of the records.
      max_predictions_per_seq: `P` of the records.
      masking: "static", the records are masked; "dynamic", they are not, and are masked anew in each epoch.
      vocab_file: the vocabulary of the records, for dynamic masking; or
      spm_model_file: their SentencePiece model.
      masked_lm_prob: share of the tokens that dynamic masking masks.
      do_whole_word_mask: whether dynamic masking masks all pieces of a word or none.
      use_nsp: whether there is a next-sentence task.
      do_train: whether to train.
      do_eval: whether to evaluate.
      do_predict: whether to fill the masks of the lines of predict_file; alone, it does not need input_file, which is
        "" then.
      predict_file: text with `[MASK]` in it; "-" is standard input.
      train_batch_size: examples in a step, over all devices.
      eval_batch_size: examples in an evaluation batch, over all devices.
      learning_rate: highest rate of the schedule.
      num_train_steps: steps in all.
      num_warmup_steps: steps of the linear warm-up.
      max_eval_steps: batches of an evaluation, records repeated where they do not suffice; 0: each record once.
      eval_every_steps: with do_train and do_eval, evaluate after each so many steps too; 0: at the end alone.
      shard_input: "rows", each process reads all records and takes its rows of each batch; "files", each process
        reads its own files.
      pack_sequences: whether to put several short sequences into one row; batches then are of so many rows.
      skip_bad_records: how many damaged records may be left out.
      recompute: whether to compute each layer again for its gradients, to save memory.
      dry_run: whether to check everything and train nothing.
      optimizer: how weights are updated.
      precision: in what the model computes.
      distribution: devices.

    Raises:
      InputError: a value is impossible, or nothing is to be done.
    """

    bert_config_file: str
    input_file: str
    output_dir: str
    init_checkpoint: str | None = None
    max_seq_length: int = 128
    max_predictions_per_seq: int = 20
    masking: str = "static"
    vocab_file: str | None = None
    spm_model_file: str | None = None
    masked_lm_prob: float = 0.15
    do_whole_word_mask: bool = False
    use_nsp: bool = True
    do_train: bool = False
    do_eval: bool = False
    do_predict: bool = False
    predict_file: str = "-"
    train_batch_size: int = 32
    eval_batch_size: int = 8
    learning_rate: float = 5e-5
    num_train_steps: int = 100_000
    num_warmup_steps: int = 10_000
    max_eval_steps: int = 100
    eval_every_steps: int = 0
    shard_input: str = "rows"
    pack_sequences: bool = False
    skip_bad_records: int = 0
    recompute: bool = False
    dry_run: bool = False
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    precision: PrecisionConfig = dataclasses.field(default_factory=PrecisionConfig)
    distribution: DistributionConfig = dataclasses.field(default_factory=DistributionConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.do_train or self.do_eval or self.do_predict):
            raise InputError("Nothing to do: give --do_train, --do_eval, --do_predict or several of them.")
        if self.do_predict and self.distribution.distribution_strategy == "multi_worker_mirrored":
            raise InputError("--do_predict runs on one machine; leave --distribution_strategy away.")
        least = {
            "num_train_steps": 0,
            "num_warmup_steps": 0,
            "max_eval_steps": 0,
            "seed": 0,
            "skip_bad_records": 0,
            "eval_every_steps": 0,
        }
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type is int and value < least.get(field.name, 1):
                raise InputError(f"--{field.name}={value}; it has to be at least {least.get(field.name, 1)}.")
        if not self.learning_rate > 0:
            raise InputError(f"--learning_rate={self.learning_rate}; it has to be above 0.")
        for name, choices in (("masking", MASKINGS), ("shard_input", SHARES)):
            if getattr(self, name) not in choices:
                raise InputError(f"Unknown --{name} {getattr(self, name)!r}; choose one of {', '.join(choices)}.")
        check_has_effect(
            self,
            ("eval_every_steps",),
            self.do_train and self.do_eval,
            "needs --do_train and --do_eval: it is about the evaluations of a training; give both or omit it",
        )
        check_has_effect(self, ("predict_file",), self.do_predict, "needs --do_predict; give both or omit it")
        if self.pack_sequences and self.shard_input == "files":
            raise InputError("--pack_sequences needs --shard_input=rows.")
        if self.masking == "dynamic":
            if (self.vocab_file is None) == (self.spm_model_file is None):
                raise InputError(
                    "--masking=dynamic needs --vocab_file (or --spm_model_file): what the records were made with."
                )
            _ = self.parameters
        elif self.do_whole_word_mask or self.masked_lm_prob != type(self).masked_lm_prob:
            raise InputError(
                "--do_whole_word_mask and --masked_lm_prob have no effect on records that are masked already; leave "
                "them away, or give --masking=dynamic and records made with it."
            )
        if self.do_train and 0 < self.num_train_steps <= self.num_warmup_steps:
            logger.warning(
                "--num_warmup_steps=%d is not below --num_train_steps=%d: the learning rate will only rise and never "
                "reach %g. A tenth of the steps is usual.",
                self.num_warmup_steps,
                self.num_train_steps,
                self.learning_rate,
            )

    @property
    def parameters(self) -> InstanceParameters:
        """What dynamic masking follows."""
        return InstanceParameters(
            max_seq_length=self.max_seq_length,
            max_predictions_per_seq=self.max_predictions_per_seq,
            masked_lm_prob=self.masked_lm_prob,
            do_whole_word_mask=self.do_whole_word_mask,
        )
