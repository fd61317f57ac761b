"""What `run_squad.py` can be asked to do."""

import dataclasses

from bert_tf2.errors import InputError
from bert_tf2.flag_values import MAY_BE_INFINITE
from bert_tf2.tasks.finetuning_config import FinetuningConfig
from bert_tf2.tasks.squad import words
from bert_tf2.tasks.squad.answers import AnswerParameters


@dataclasses.dataclass(frozen=True, kw_only=True)
class SquadConfig(FinetuningConfig):
    """The flags of `run_squad.py`: those of `FinetuningConfig`, and those of the task.

    None is "not given": what the model was trained with, or the original's default, which is behind the colon.

    Attributes:
      train_file: questions to learn, SQuAD's JSON.
      dev_file: questions with answers to evaluate: `predict_file`.
      predict_file: questions to answer, SQuAD's JSON or JSON Lines.
      doc_stride: tokens from the beginning of one window to the next one's: 128.
      max_query_length: tokens that are kept of a question: 64.
      version_2_with_negative: whether questions may have no answer: false.
      language: how contexts are cut into words, see `words`: "en".
      n_best_size: answers to keep for a question.
      max_answer_length: longest answer, in tokens.
      null_score_diff_threshold: from which score on there is no answer: what the evaluation has found, else 0.
      pad_to_max_length: true: all batches are as long as `max_seq_length`, and padding takes part in the softmax of the
        loss and among the candidates for answers, as in the original. False: batches are as long as their longest
        window, and padding takes no part. None: training as with true, prediction and evaluation as with false.
      verbose_logging: whether every question that is left out of the training is named.

    Raises:
      InputError: a value is impossible, a file is missing, or nothing is to be done.
    """

    train_file: str | None = None
    dev_file: str | None = None
    predict_file: str | None = None
    doc_stride: int | None = None
    max_query_length: int | None = None
    version_2_with_negative: bool | None = None
    language: str | None = None
    n_best_size: int = 20
    max_answer_length: int = 30
    null_score_diff_threshold: float | None = dataclasses.field(default=None, metadata=MAY_BE_INFINITE)
    pad_to_max_length: bool | None = None
    verbose_logging: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.do_train and not self.train_file:
            raise InputError("--do_train needs --train_file, questions with answers in SQuAD's JSON.")
        if self.do_predict and not self.predict_file:
            raise InputError("--do_predict needs --predict_file, questions in SQuAD's JSON or JSON Lines (.jsonl).")
        if self.do_eval and not self.evaluated_file:
            raise InputError("--do_eval needs --dev_file (or --predict_file), questions with their answers.")
        if self.spm_model_file:
            raise InputError(
                "--spm_model_file: answers are found in the text by WordPiece's pieces; give a model with a vocab.txt."
            )
        if self.language is not None and self.language not in words.LANGUAGES:
            raise InputError(f"Unknown --language {self.language!r}; choose one of {', '.join(words.LANGUAGES)}.")
        _ = self.answers(version_2_with_negative=False)

    @property
    def evaluated_file(self) -> str | None:
        """What `do_eval` reads."""
        return self.dev_file or self.predict_file

    @property
    def trains_at_full_length(self) -> bool:
        """See `FinetuningConfig`."""
        return self.pad_to_max_length is not False

    @property
    def predicts_at_full_length(self) -> bool:
        """See `FinetuningConfig`."""
        return self.pad_to_max_length is True

    def answers(self, version_2_with_negative: bool) -> AnswerParameters:
        """How answers are chosen."""
        return AnswerParameters(
            n_best_size=self.n_best_size,
            max_answer_length=self.max_answer_length,
            version_2_with_negative=version_2_with_negative,
            null_score_diff_threshold=self.null_score_diff_threshold or 0.0,
        )
