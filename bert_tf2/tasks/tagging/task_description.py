"""What a tagger was trained for: `task.json` and `labels.txt` in its folder."""

import dataclasses
import re
from typing import Self

from bert_tf2.checkpoints import task_metadata
from bert_tf2.configs.choices import TAGGING
from bert_tf2.errors import InputError

OUTSIDE = "O"
"""The tag of words that are in no span."""

_TAG = re.compile(r"O|[BI](-.+)?")
_TYPES: dict[str, tuple[type, ...]] = {
    "max_seq_length": (int,),
    "do_lower_case": (bool,),
    "token_column": (int,),
    "tag_column": (int,),
    "context_pieces": (int,),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaggingDescription:
    """What an evaluation or a prediction has to know of the training.

    Attributes:
      problem_type: `choices.TAGGING`.
      labels: the tags in the order of their ids.
      max_seq_length: pieces of a window at most, special ones included.
      do_lower_case: whether case and accents were stripped.
      token_column: number of the column of the words, from 0; from the end if negative.
      tag_column: of the tags.
      context_pieces: how many pieces around its words a window of a divided sentence has; None: a quarter of it.
      scheme: in which tags are written, if the file to predict has none; see `schemes`.
      dev_file: what was evaluated.
      predict_file: what was predicted.

    Raises:
      InputError: a value is impossible.
    """

    problem_type: str = TAGGING
    labels: tuple[str, ...]
    max_seq_length: int = 128
    do_lower_case: bool = True
    token_column: int = 0
    tag_column: int = -1
    context_pieces: int | None = None
    scheme: str | None = dataclasses.field(default=None, metadata={task_metadata.MAY_BE_MISSING: True})
    dev_file: str | None = None
    predict_file: str | None = None

    def __post_init__(self) -> None:
        if self.max_seq_length < 3:
            raise InputError(f"--max_seq_length={self.max_seq_length}; [CLS], one piece and [SEP] need at least 3.")
        if not 0 <= 2 * self.context < self.room:
            raise InputError(
                f"--context_pieces={self.context_pieces} has to be from 0 to {(self.room - 1) // 2}: twice that, and a "
                f"piece between, have to fit into --max_seq_length={self.max_seq_length} with [CLS] and [SEP]."
            )

    @property
    def room(self) -> int:
        """Pieces of words that a window has room for."""
        return self.max_seq_length - 2

    @property
    def context(self) -> int:
        """`context_pieces`, or what it is where it is not given."""
        return (self.room - 1) // 4 if self.context_pieces is None else self.context_pieces

    def save(self, folder: str) -> None:
        """Writes `task.json` and `labels.txt`.

        Raises:
          OSError: they cannot be written.
        """
        task_metadata.save(folder, dataclasses.asdict(self))

    @classmethod
    def load(cls, folder: str) -> Self | None:
        """Reads what `save` wrote; None where the folder has no `task.json`.

        Raises:
          InputError: it describes another kind of model, a file is damaged, or the two do not fit together.
        """
        fields = task_metadata.load(folder, cls, TAGGING, (TAGGING,), _TYPES)
        return None if fields is None else cls(**fields)

    def check_same_model(self, saved: Self, folder: str) -> None:
        """Checks that a model of the task that `folder` holds is one of this task.

        Args:
          saved: what was read from the folder.
          folder: for the error.

        Raises:
          InputError: labels or case differ; says which.
        """
        task_metadata.check_same_model(
            folder,
            [
                ("the labels", self.labels, saved.labels),
                ("--do_lower_case", self.do_lower_case, saved.do_lower_case),
            ],
        )


def is_tag(tag: str) -> bool:
    """Whether it is O, or B or I with or without a type behind (`B-person`)."""
    return _TAG.fullmatch(tag) is not None
