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
      labels: none; each question has choices of its own.
      max_seq_length: tokens of a context with one choice at most.
      do_lower_case: whether case and accents were stripped.
      dev_file: what was evaluated.
      predict_file: what was predicted.

    Raises:
      InputError: a value is impossible.
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
