"""The description of a multiple-choice task: `task.json` in the model's directory."""

import dataclasses

from bert_tf2.configs.choices import MULTIPLE_CHOICE
from bert_tf2.errors import InputError
from bert_tf2.tasks.finetuning.description import Description


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultipleChoiceDescription(Description):
    """The settings of the training run that evaluation and prediction need.

    Attributes:
      problem_type: `choices.MULTIPLE_CHOICE`.
      labels: always empty, as each question has its own choices.
      max_seq_length: the maximum number of tokens of a context with one choice.
      do_lower_case: whether the tokenizer lowercases and strips accents.
      dev_file: the file that was evaluated.
      predict_file: the file that was predicted.

    Raises:
      InputError: a value is invalid.
    """

    TASK = "multiple choice"
    PROBLEM_TYPES = (MULTIPLE_CHOICE,)

    problem_type: str = MULTIPLE_CHOICE
    labels: tuple[str, ...] = ()
    max_seq_length: int = 128
    do_lower_case: bool = True
    dev_file: str | None = None
    predict_file: str | None = None

    def __post_init__(self) -> None:
        if self.max_seq_length < 5:
            raise InputError(
                f"--max_seq_length={self.max_seq_length}; [CLS] context [SEP] choice [SEP] needs at least 5."
            )
