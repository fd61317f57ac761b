"""The description of a question-answering task: `task.json` in the model's directory."""

import dataclasses
from typing import ClassVar, Self

from bert_tf2.tasks.finetuning.description import Description
from bert_tf2.tasks.squad.window_parameters import FeatureParameters

QUESTION_ANSWERING = "question_answering"
"""What `task.json` has as `problem_type`."""


@dataclasses.dataclass(frozen=True)
class TaskDescription(Description):
    """The settings of the training run that evaluation and prediction need.

    Attributes:
      max_seq_length: tokens of a window.
      doc_stride: tokens from the beginning of one window to the next one's.
      max_query_length: tokens that are kept of a question.
      do_lower_case: whether case and accents were stripped.
      version_2_with_negative: whether questions may have no answer.
      language: how contexts are cut into words; "auto" only until the texts have been seen.
      problem_type: tells other scripts whose model it is.
      labels: none.

    Raises:
      InputError: a value is impossible.
    """

    TASK = "question answering"
    PROBLEM_TYPES = (QUESTION_ANSWERING,)
    SAME_MODEL: ClassVar = {name: f"--{name}" for name in ("do_lower_case", "version_2_with_negative", "language")}

    max_seq_length: int = 384
    doc_stride: int = 128
    max_query_length: int = 64
    do_lower_case: bool = True
    version_2_with_negative: bool = False
    language: str = "en"
    problem_type: str = QUESTION_ANSWERING
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _ = self.windows

    @classmethod
    def of_positions(cls, positions: int, do_lower_case: bool) -> Self:
        """The description of a model that does not say how it was trained: the defaults as far as it has room.

        Args:
          positions: the model's `max_position_embeddings`.
          do_lower_case: see the class.

        Raises:
          InputError: there is no room for a question and a context.
        """
        window = min(cls.max_seq_length, positions)
        stride, query = min(cls.doc_stride, max(1, window // 3)), min(cls.max_query_length, max(1, window // 6))
        return cls(window, stride, query, do_lower_case=do_lower_case)

    @property
    def windows(self) -> FeatureParameters:
        """How questions are split into windows."""
        return FeatureParameters(self.max_seq_length, self.doc_stride, self.max_query_length)
