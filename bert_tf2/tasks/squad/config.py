"""The flags of `run_squad.py`."""

import dataclasses
from typing import TYPE_CHECKING

from bert_tf2.configs.choices import LANGUAGES
from bert_tf2.configs.fields import FILES, MODEL, MOST_LENGTH, TASK, TRAINING, setting
from bert_tf2.configs.table_form import TABLES, TableForm
from bert_tf2.errors import InputError
from bert_tf2.tasks.finetuning.config import FinetuningConfig, MinConfidence, check_min_confidence

if TYPE_CHECKING:
    from bert_tf2.tasks.squad.answers import AnswerParameters


@dataclasses.dataclass(frozen=True, kw_only=True)
class SquadConfig(FinetuningConfig, TableForm, MinConfidence):
    """The flags of `run_squad.py`: those of `FinetuningConfig` and `TableForm`, and those of the task.

    None means that the flag is omitted: then the value the model was trained with applies, or the original's default,
    which `--help` shows.

    Raises:
      InputError: a value is invalid, a file is missing, or there is nothing to do.

    Examples:
      >>> from bert_tf2.tasks.squad import SquadConfig
      >>> SquadConfig(output_dir="model", predict_file="questions.jsonl", do_predict=True).n_best_size
      20
    """

    train_file: str | None = setting(
        None,
        help=f"Training questions: SQuAD JSON; or {TABLES} with the columns question, context, answer and "
        "answer_start.",
        group=FILES,
        original=True,
    )
    dev_file: str | None = setting(
        None, help="Questions with answers to evaluate; if omitted, predict_file.", group=FILES
    )
    predict_file: str | None = setting(
        None,
        help=f"Questions to answer: SQuAD JSON; or {TABLES} with the columns question and context.",
        group=FILES,
        original=True,
    )
    max_seq_length: int | None = setting(
        None,
        help="Maximum tokens per sequence; longer contexts are split into windows.",
        group=MODEL,
        original=True,
        at_least=3,
        at_most=MOST_LENGTH,
        flag_default=384,
    )
    doc_stride: int | None = setting(
        None,
        help="Tokens from the start of one window of a long context to the start of the next.",
        group=TASK,
        original=True,
        at_least=1,
        flag_default=128,
    )
    max_query_length: int | None = setting(
        None,
        help="Maximum tokens per question; longer ones are truncated.",
        group=TASK,
        original=True,
        at_least=1,
        at_most=MOST_LENGTH,
        flag_default=64,
    )
    version_2_with_negative: bool | None = setting(
        None,
        help="Whether questions may have no answer, as in SQuAD 2.0.",
        group=TASK,
        original=True,
        flag_default=False,
    )
    language: str | None = setting(
        None,
        help="zh: Chinese, without whitespace between words; auto: detected from the contexts.",
        group=TASK,
        choices=LANGUAGES,
        flag_default="en",
    )
    n_best_size: int = setting(
        20, help="Answers to keep in nbest_predictions.json.", group=TASK, original=True, at_least=1, at_most=100_000
    )
    max_answer_length: int = setting(
        30, help="Maximum tokens per answer.", group=TASK, original=True, at_least=1, at_most=MOST_LENGTH
    )
    null_score_diff_threshold: float | None = setting(
        None,
        help='Predict no answer if "no answer" outscores the best answer by more than this; if omitted, the best '
        "threshold found by do_eval.",
        group=TASK,
        original=True,
        may_be_infinite=True,
        flag_default=0.0,
    )
    pad_to_max_length: bool | None = setting(
        None,
        help="True: pad all batches to max_seq_length; padding contributes to the loss and to the answer candidates, "
        "exactly as in the original. False: pad to the longest window of the batch and ignore padding; faster, "
        "especially with small batches. If omitted, true for training and false for prediction.",
        group=TRAINING,
        flag_default=True,
    )
    verbose_logging: bool = setting(
        False, help="Whether to log every question that is left out of training.", group=TASK, original=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_min_confidence(self)
        if self.do_train and not self.train_file:
            raise InputError("--do_train needs --train_file, questions with answers: SQuAD JSON, or a table.")
        if self.do_predict and not self.predict_file:
            raise InputError("--do_predict needs --predict_file, questions: SQuAD JSON, or a table.")
        if self.do_eval and not self.evaluated_file:
            raise InputError("--do_eval needs --dev_file (or --predict_file), questions with their answers.")
        if self.spm_model_file:
            raise InputError(
                "--spm_model_file: question answering needs a WordPiece tokenizer; give a model with a vocab.txt."
            )

        if self.pack_sequences and (self.predicts_at_full_length or (self.do_train and self.trains_at_full_length)):
            raise InputError(
                "--pack_sequences skips padding, which contributes to the original's loss; give "
                "--pad_to_max_length=false, or omit --pack_sequences."
            )

    @property
    def evaluated_file(self) -> str | None:
        """The file that `do_eval` reads."""
        return self.dev_file or self.predict_file

    @property
    def trains_at_full_length(self) -> bool:
        """See `FinetuningConfig`."""
        return self.pad_to_max_length is not False

    @property
    def predicts_at_full_length(self) -> bool:
        """See `FinetuningConfig`."""
        return self.pad_to_max_length is True

    def answers(self, version_2_with_negative: bool) -> "AnswerParameters":
        """The parameters for choosing answers."""
        from bert_tf2.tasks.squad.answers import AnswerParameters

        return AnswerParameters(
            n_best_size=self.n_best_size,
            max_answer_length=self.max_answer_length,
            version_2_with_negative=version_2_with_negative,
            null_score_diff_threshold=self.null_score_diff_threshold or 0.0,
        )
