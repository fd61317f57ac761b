"""The flags of `export_model.py`."""

import dataclasses
import os

from bert_tf2.configs.fields import FILES, MODEL, MOST_BATCH, MOST_LENGTH, TASK, check, check_has_effect, setting
from bert_tf2.configs.tokenizer import TokenizerConfig
from bert_tf2.errors import InputError
from bert_tf2.io import run_files

SAVED_MODEL, ENCODER, ONNX = "saved_model", "encoder", "onnx"
FORMATS = (SAVED_MODEL, ENCODER, ONNX)
NONE, INT8 = "none", "int8"
QUANTIZATIONS = (NONE, INT8)
LANGUAGES = ("en", "zh")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """The flags of `export_model.py`; None means the value that the model was trained with.

    Raises:
      InputError: a value is invalid, or flags exclude each other.
    """

    output_dir: str | None = setting(
        None, help="The model: the output_dir of a training run, or its best/.", group=FILES
    )
    init_checkpoint: str | None = setting(
        None,
        help="Any other model, instead of output_dir: a checkpoint of the original, its directory, a Hugging Face "
        "directory, or the name of a public model.",
        group=FILES,
    )
    use_best: bool = setting(
        False,
        help="With output_dir: the weights in its best/, which had the best score on the dev data, instead of the "
        "latest ones.",
        group=FILES,
    )
    export_dir: str = setting(
        help="Directory to write to; each SavedModel goes into a numbered subdirectory.", group=FILES
    )
    format: str = setting(
        SAVED_MODEL,
        help="saved_model: the task's model with its tokenizer; encoder: the encoder alone, with a checkpoint that "
        "every script accepts as --init_checkpoint; onnx: the task's model, which takes token ids.",
        group=FILES,
        choices=FORMATS,
    )
    version: int | None = setting(
        None, help="Version number of the SavedModel; if omitted, the next free one.", group=FILES, at_least=1
    )
    bert_config_file: str | None = setting(
        None, help="JSON file with the model config, if not the one in its directory.", group=MODEL
    )
    vocab_file: str | None = setting(
        None, help="The vocabulary of the model, if not the one in its directory.", group=MODEL
    )
    spm_model_file: str | None = setting(None, help="A SentencePiece model, instead of vocab_file.", group=MODEL)
    do_lower_case: bool | None = setting(
        None, help="Whether to lower-case the text; if omitted, as in training.", group=MODEL
    )
    tokenizer: TokenizerConfig = dataclasses.field(default_factory=TokenizerConfig)
    max_seq_length: int | None = setting(
        None, help="Maximum tokens per sequence; if omitted, as in training.", group=MODEL, at_most=MOST_LENGTH
    )
    text_pairs: bool | None = setting(
        None, help="Whether a classifier takes pairs of texts; if omitted, as in training.", group=TASK
    )
    use_averages: bool = setting(
        False, help="Export the moving averages of a model trained with --ema_decay.", group=MODEL
    )
    version_2_with_negative: bool | None = setting(
        None, help="Question answering: whether questions may have no answer; if omitted, as in training.", group=TASK
    )
    language: str | None = setting(
        None,
        help="Question answering: how contexts are split into words; if omitted, as in training.",
        group=TASK,
        choices=LANGUAGES,
    )
    n_best_size: int = setting(
        20,
        help="Question answering: number of starts and of ends to try in each window.",
        group=TASK,
        at_least=1,
        at_most=100_000,
    )
    max_answer_length: int = setting(
        30, help="Question answering: maximum tokens per answer.", group=TASK, at_least=1, at_most=MOST_LENGTH
    )
    null_score_diff_threshold: float | None = setting(
        None,
        help='Question answering 2.0: predict no answer if "no answer" outscores the best answer by more than this; if '
        "omitted, the threshold found by the evaluation, else 0.",
        group=TASK,
        may_be_infinite=True,
    )
    quantize: str = setting(
        NONE, help="With onnx: int8 quantizes weights to 8 bits.", group=TASK, choices=QUANTIZATIONS
    )
    dev_file: str | None = setting(
        None, help="With int8, for classifiers: labelled rows to measure the loss of accuracy with.", group=TASK
    )
    batch_size: int = setting(32, help="With dev_file: rows per batch.", group=TASK, at_least=1, at_most=MOST_BATCH)

    def __post_init__(self) -> None:
        check(self)
        if bool(self.output_dir) == bool(self.init_checkpoint):
            raise InputError("Give either --output_dir, that of a training run, or --init_checkpoint, any other model.")
        if self.vocab_file and self.spm_model_file:
            raise InputError("--vocab_file and --spm_model_file exclude each other; give the one that the model has.")
        if self.format != ONNX and (self.quantize != NONE or self.dev_file):
            flag = "dev_file" if self.dev_file else "quantize"
            raise InputError(f"--{flag} is for --format=onnx; omit it.")
        if self.dev_file and self.quantize == NONE:
            raise InputError(
                "--dev_file is for measuring the loss of accuracy by --quantize=int8; give both or omit it."
            )
        if self.use_best and self.use_averages:
            raise InputError(
                "--use_best and --use_averages exclude each other: best/ holds the weights that were evaluated, which "
                "are the averages if there were any; give one of them."
            )
        if self.version is not None and self.format != SAVED_MODEL:
            raise InputError(f"--version is for --format={SAVED_MODEL}; omit it.")
        for name, has_effect, needed in (
            ("use_best", self.output_dir is not None, "is about the directory of a training; give --output_dir"),
            ("batch_size", self.quantize != NONE, "is for the measurement of --quantize=int8"),
            ("text_pairs", self.format != ENCODER, "is for classifiers, not for --format=encoder"),
        ):
            check_has_effect(self, (name,), has_effect, f"{needed}; omit it")

    @property
    def model(self) -> str:
        """The model, from whichever flag names it."""
        if self.output_dir and self.use_best:
            return os.path.join(self.output_dir, run_files.BEST)
        return str(self.output_dir or self.init_checkpoint)
