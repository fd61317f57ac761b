"""The description of a tagging task: `task.json` and `labels.txt` in the model's directory."""

import dataclasses
import re
from typing import ClassVar

from bert_tf2.checkpoints import task_metadata
from bert_tf2.configs.choices import TAGGING
from bert_tf2.errors import InputError
from bert_tf2.tasks.finetuning.description import Description

OUTSIDE = "O"
"""The tag of words outside of spans."""

_TAG = re.compile(r"O|[BI](-.+)?")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaggingDescription(Description):
    """The settings of the training run that evaluation and prediction need.

    Attributes:
      problem_type: `choices.TAGGING`.
      labels: the tags in the order of their ids.
      max_seq_length: the maximum number of pieces per window, including special ones.
      do_lower_case: whether the tokenizer lowercases and strips accents.
      token_column: the index of the column of the words, from 0; counted from the end if negative.
      tag_column: the index of the column of the tags, likewise.
      context_pieces: the pieces of context on each side of the words that a window of a long sentence decides; None: a
        quarter of the window.
      scheme: the scheme to write tags in if the file to predict has none, see `schemes`; None: BIO.
      dev_file: the file that was evaluated.
      predict_file: the file that was predicted.

    Raises:
      InputError: a value is invalid.
    """

    TASK = "tagging"
    PROBLEM_TYPES = (TAGGING,)
    SAME_MODEL: ClassVar = {"labels": "the labels", **Description.SAME_MODEL}

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
                f"--context_pieces={self.context_pieces} must be from 0 to {(self.room - 1) // 2}: twice that, and a "
                f"piece between, must fit into --max_seq_length={self.max_seq_length} with [CLS] and [SEP]."
            )

    @property
    def room(self) -> int:
        """The maximum number of pieces of words per window."""
        return self.max_seq_length - 2

    @property
    def context(self) -> int:
        """`context_pieces`, or its default."""
        return (self.room - 1) // 4 if self.context_pieces is None else self.context_pieces


def is_tag(tag: str) -> bool:
    """Whether a text is O, or B or I, optionally with a type (`B-person`)."""
    return _TAG.fullmatch(tag) is not None
