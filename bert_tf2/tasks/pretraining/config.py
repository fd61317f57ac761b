"""The flags of `run_pretraining.py`."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

from bert_tf2.configs.choices import MASKINGS
from bert_tf2.configs.fields import (
    ACTIONS,
    EVALUATION,
    FILES,
    MODEL,
    MOST_LENGTH,
    TASK,
    TRAINING,
    check_has_effect,
    setting,
)
from bert_tf2.configs.tokenizer import TokenizerConfig
from bert_tf2.configs.training import RunConfig
from bert_tf2.errors import InputError
from bert_tf2.pretraining_data.instances import InstanceParameters

logger = logging.getLogger(__name__)

INPUT_SHARDINGS = ("rows", "files")


def _needs_records(flags: Mapping[str, Any]) -> bool:
    evaluates_input_file = flags["do_eval"] and not flags["eval_input_file"]
    return bool(flags["do_train"] or evaluates_input_file or not (flags["do_eval"] or flags["do_predict"]))


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainingConfig(RunConfig):
    """The flags of `run_pretraining.py`; names and defaults are the original's where it has them.

    Raises:
      InputError: a value is invalid, or there is nothing to do.

    Examples:
      >>> from bert_tf2.tasks.pretraining import PretrainingConfig
      >>> PretrainingConfig(input_file="records/part-*", output_dir="model", do_train=True).num_train_steps
      100000
    """

    input_file: str = setting(
        "",
        help="Comma-separated TFRecord files of create_pretraining_data.py, or globs; not needed for do_predict alone.",
        group=FILES,
        original=True,
        flag_default=None,
        needed_if=_needs_records,
    )
    eval_input_file: str | None = setting(
        None,
        help="Records for do_eval instead of input_file, such as those of create_pretraining_data.py --eval_fraction.",
        group=FILES,
    )
    predict_file: str = setting("-", help="Lines of text that contain [MASK]; - for standard input.", group=FILES)
    max_seq_length: int = setting(
        128,
        help="Maximum tokens per sequence; must match the records.",
        group=MODEL,
        original=True,
        at_least=1,
        at_most=MOST_LENGTH,
    )
    max_predictions_per_seq: int = setting(
        20,
        help="Maximum masked tokens per sequence; must match the records.",
        group=MODEL,
        original=True,
        at_least=1,
        at_most=MOST_LENGTH,
    )
    do_eval: bool = setting(
        False,
        help="Whether to evaluate, with do_train after training, on eval_input_file or else on input_file itself.",
        group=ACTIONS,
        original=True,
    )
    do_predict: bool = setting(
        False, help="Whether to fill the masks in predict_file, with do_train after training.", group=ACTIONS
    )
    masking: str = setting(
        "static",
        help="static: the records are already masked; dynamic: they are masked on the fly, differently in each epoch.",
        group=TASK,
        choices=MASKINGS,
    )
    vocab_file: str | None = setting(
        None,
        help="The vocabulary that the records were made with; required by masking=dynamic. Training keeps it in "
        "output_dir; if omitted, the one that the summary of the records names, else that of init_checkpoint.",
        group=MODEL,
    )
    spm_model_file: str | None = setting(None, help="A SentencePiece model, instead of vocab_file.", group=MODEL)
    tokenizer: TokenizerConfig = dataclasses.field(default_factory=TokenizerConfig)
    masked_lm_prob: float = setting(0.15, help="Fraction of the tokens that masking=dynamic masks.", group=TASK)
    do_whole_word_mask: bool = setting(
        False, help="Whether masking=dynamic masks all pieces of a word or none.", group=TASK
    )
    use_nsp: bool = setting(
        True,
        help="Whether to train the next-sentence task; false for records made with --no_nsp, or to train without it.",
        group=TASK,
    )
    shard_input: str = setting(
        "rows",
        help="With several machines: rows: each reads all records and takes its rows of each batch; files: each reads "
        "its own files.",
        group=TASK,
        choices=INPUT_SHARDINGS,
    )
    pack_sequences: bool = setting(
        False,
        help="Pack several short sequences into each row, to avoid padding; batch sizes then count rows.",
        group=TASK,
    )
    skip_bad_records: int = setting(0, help="Skip up to this many corrupt records.", group=TASK, at_least=0)
    num_train_steps: int = setting(
        100_000,
        help="Total training steps, including those of earlier runs.",
        group=TRAINING,
        original=True,
        at_least=0,
    )
    num_warmup_steps: int = setting(
        10_000, help="Steps of linear learning rate warm-up.", group=TRAINING, original=True, at_least=0
    )
    max_eval_steps: int = setting(
        100,
        help="Batches to evaluate, repeating records if there are too few; 0: each record once.",
        group=EVALUATION,
        original=True,
        at_least=0,
    )
    eval_every_steps: int = setting(
        0,
        help="With do_train and do_eval: steps between evaluations; 0: only at the end.",
        group=EVALUATION,
        at_least=0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.do_predict and self.distribution.distribution_strategy == "multi_worker_mirrored":
            raise InputError("--do_predict runs on one machine; omit --distribution_strategy.")
        check_has_effect(
            self,
            ("eval_every_steps",),
            self.do_train and self.do_eval,
            "needs --do_train and --do_eval, as it controls evaluation during training; give both or omit it",
        )
        check_has_effect(self, ("eval_input_file",), self.do_eval, "needs --do_eval; give both or omit it")
        check_has_effect(self, ("predict_file",), self.do_predict, "needs --do_predict; give both or omit it")
        names = tuple(field.name for field in dataclasses.fields(self.tokenizer))
        check_has_effect(
            self.tokenizer, names, self.do_predict, "needs --do_predict, as records contain no text; omit it"
        )
        check_has_effect(
            self,
            ("vocab_file", "spm_model_file"),
            self.masking == "dynamic" or self.do_train or self.do_predict,
            "has no effect on the evaluation of records that are already masked; omit it",
        )
        if self.pack_sequences and self.shard_input == "files":
            raise InputError("--pack_sequences needs --shard_input=rows.")
        if self.masking == "dynamic":
            if (self.vocab_file is None) == (self.spm_model_file is None):
                raise InputError(
                    "--masking=dynamic needs --vocab_file or --spm_model_file, the one that the records were made with."
                )
            _ = self.parameters
        elif self.do_whole_word_mask or self.masked_lm_prob != type(self).masked_lm_prob:
            raise InputError(
                "--do_whole_word_mask and --masked_lm_prob have no effect on records that are already masked; omit "
                "them, or give --masking=dynamic and records made with it."
            )
        if self.do_train and 0 < self.num_train_steps <= self.num_warmup_steps:
            logger.warning(
                "--num_warmup_steps=%d is not below --num_train_steps=%d: the learning rate will still be rising when "
                "training ends and never reach %g. A tenth of the steps is usual.",
                self.num_warmup_steps,
                self.num_train_steps,
                self.learning_rate,
            )

    @property
    def parameters(self) -> InstanceParameters:
        """The parameters of dynamic masking."""
        return InstanceParameters(
            max_seq_length=self.max_seq_length,
            max_predictions_per_seq=self.max_predictions_per_seq,
            masked_lm_prob=self.masked_lm_prob,
            do_whole_word_mask=self.do_whole_word_mask,
        )
