"""What `run_ner.py` can be asked to do."""

import dataclasses

from bert_tf2.tasks.finetuning_config import FinetuningConfig, check_class_weights


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaggingConfig(FinetuningConfig):
    """The flags of `run_ner.py`: those of `FinetuningConfig`, and the following, for which None is "not given".

    Attributes:
      train_file: words and tags to learn.
      dev_file: words and tags to evaluate.
      predict_file: words to predict; they need no tags.
      token_column: number of the column of the words, from 0, from the end if negative; None: the training's, else 0.
      tag_column: of the tags; None: the training's, else the last.
      labels_file: the tags, one a line, in the order of their ids; None: those of the training data.
      context_pieces: see `TaggingDescription`.
      class_weights: "balanced", every tag counts the same in all; "none", every word does.

    Raises:
      InputError: a value is impossible, flags exclude each other, or nothing is to be done.
    """

    train_file: str | None = None
    dev_file: str | None = None
    predict_file: str | None = None
    token_column: int | None = None
    tag_column: int | None = None
    labels_file: str | None = None
    context_pieces: int | None = None
    class_weights: str = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_class_weights(self, self.class_weights)
