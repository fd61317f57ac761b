"""What `run_pretraining.py` can be asked to do."""

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

SHARES = ("rows", "files")


def _needs_records(flags: Mapping[str, Any]) -> bool:
    evaluates_them = flags["do_eval"] and not flags["eval_input_file"]
    return bool(flags["do_train"] or evaluates_them or not (flags["do_eval"] or flags["do_predict"]))


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainingConfig(RunConfig):
    """What `run_pretraining.py` was asked to do; names and defaults are the original's flags.

    Raises:
      InputError: a value is impossible, or nothing is to be done.
    """

    input_file: str = setting(
        "",
        help="Comma-separated TFRecord files of create_pretraining_data.py, or globs; do_predict alone needs none.",
        group=FILES,
        original=True,
        flag_default=None,
        needed_if=_needs_records,
    )
    eval_input_file: str | None = setting(
        None,
        help="Records for do_eval in place of input_file, such as create_pretraining_data.py --eval_fraction writes.",
        group=FILES,
    )
    predict_file: str = setting("-", help="Text with [MASK] in it, a line each; - for standard input.", group=FILES)
    max_seq_length: int = setting(
        128,
        help="Longest sequence in pieces; has to be that of the records.",
        group=MODEL,
        original=True,
        at_least=1,
        at_most=MOST_LENGTH,
    )
    max_predictions_per_seq: int = setting(
        20,
        help="Most masked predictions of a sequence; has to be that of the records.",
        group=MODEL,
        original=True,
        at_least=1,
        at_most=MOST_LENGTH,
    )
    do_eval: bool = setting(
        False,
        help="Whether to evaluate, after training if there is any, on eval_input_file or else on the same input_file.",
        group=ACTIONS,
        original=True,
    )
    do_predict: bool = setting(
        False, help="Whether to fill the masks of predict_file, after training if there is any.", group=ACTIONS
    )
    masking: str = setting(
        "static",
        help="static: the records are masked; dynamic: they are not, and are masked anew in each epoch.",
        group=TASK,
        choices=MASKINGS,
    )
    vocab_file: str | None = setting(
        None, help="The vocabulary that the records were made with; needed with masking=dynamic.", group=MODEL
    )
    spm_model_file: str | None = setting(None, help="Or the SentencePiece model that they were made with.", group=MODEL)
    tokenizer: TokenizerConfig = dataclasses.field(default_factory=TokenizerConfig)
    masked_lm_prob: float = setting(0.15, help="Share of the tokens that masking=dynamic masks.", group=TASK)
    do_whole_word_mask: bool = setting(
        False, help="Whether masking=dynamic masks all pieces of a word or none.", group=TASK
    )
    use_nsp: bool = setting(
        True,
        help="Whether to train the next-sentence task; false for records made with --no_nsp, or without it.",
        group=TASK,
    )
    shard_input: str = setting(
        "rows",
        help="With several machines: rows, each reads all records and takes its rows of each batch; files, each its "
        "own files.",
        group=TASK,
        choices=SHARES,
    )
    pack_sequences: bool = setting(
        False,
        help="Put several short sequences into one row, so that little is padding; a batch then is of so many rows.",
        group=TASK,
    )
    skip_bad_records: int = setting(0, help="Leave out at most so many damaged records.", group=TASK, at_least=0)
    num_train_steps: int = setting(
        100_000,
        help="Training steps in all, those of earlier runs included.",
        group=TRAINING,
        original=True,
        at_least=0,
    )
    num_warmup_steps: int = setting(
        10_000, help="Steps over which the learning rate rises.", group=TRAINING, original=True, at_least=0
    )
    max_eval_steps: int = setting(
        100,
        help="Batches to evaluate, repeating records if they do not suffice; 0: each record once.",
        group=EVALUATION,
        original=True,
        at_least=0,
    )
    eval_every_steps: int = setting(
        0,
        help="With do_train and do_eval: evaluate after each so many steps too; 0: at the end alone.",
        group=EVALUATION,
        at_least=0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.do_predict and self.distribution.distribution_strategy == "multi_worker_mirrored":
            raise InputError("--do_predict runs on one machine; leave --distribution_strategy away.")
        check_has_effect(
            self,
            ("eval_every_steps",),
            self.do_train and self.do_eval,
            "needs --do_train and --do_eval: it is about the evaluations of a training; give both or omit it",
        )
        check_has_effect(self, ("eval_input_file",), self.do_eval, "needs --do_eval; give both or omit it")
        check_has_effect(self, ("predict_file",), self.do_predict, "needs --do_predict; give both or omit it")
        names = tuple(field.name for field in dataclasses.fields(self.tokenizer))
        check_has_effect(self.tokenizer, names, self.do_predict, "needs --do_predict, as records have no text; omit it")
        check_has_effect(
            self,
            ("vocab_file", "spm_model_file"),
            self.masking == "dynamic" or self.do_predict,
            "has no effect on records that are masked already; omit it, or give --masking=dynamic or --do_predict",
        )
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
