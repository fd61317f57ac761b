"""What a model for question answering was trained with: `task.json` in its folder."""

import dataclasses
from collections.abc import Iterable
from typing import Any, Self

from bert_tf2.checkpoints import task_metadata
from bert_tf2.tasks.squad.window_parameters import FeatureParameters

QUESTION_ANSWERING = "question_answering"
"""What `task.json` has as `problem_type`."""

_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("max_seq_length", "doc_stride", "max_query_length"), (int,)),
    **dict.fromkeys(("do_lower_case", "version_2_with_negative"), (bool,)),
}


@dataclasses.dataclass(frozen=True)
class TaskDescription:
    """What an evaluation or a prediction has to know of the training.

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

    @property
    def windows(self) -> FeatureParameters:
        """How questions are cut into windows."""
        return FeatureParameters(self.max_seq_length, self.doc_stride, self.max_query_length)

    def save(self, folder: str) -> None:
        """Writes `task.json`.

        Raises:
          OSError: it cannot be written.
        """
        task_metadata.save(folder, dataclasses.asdict(self))

    @classmethod
    def load(cls, folder: str) -> Self | None:
        """Reads what `save` wrote; None where the folder has no `task.json`.

        Raises:
          InputError: it describes another kind of model, or is damaged.
        """
        fields = task_metadata.load(folder, cls, "question answering", [QUESTION_ANSWERING], _TYPES)
        return None if fields is None else cls(**fields)

    def check_same_model(self, saved: Self, names: Iterable[str], folder: str) -> None:
        """Checks that this is what the model of a folder was trained with.

        Args:
          saved: what was read from the folder.
          names: of the attributes that have to be the same.
          folder: for the error.

        Raises:
          InputError: one differs; says which.
        """
        task_metadata.check_same_model(
            folder, [(f"--{name}", _as_flag(getattr(self, name)), _as_flag(getattr(saved, name))) for name in names]
        )


def _as_flag(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
