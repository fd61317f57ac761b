"""What `run_ner.py` can be asked to do."""

import dataclasses

from bert_tf2.configs.fields import FILES, TASK, TRAINING, check_has_effect, setting
from bert_tf2.tasks.finetuning.config import (
    CLASS_WEIGHTS,
    FinetuningConfig,
    MinConfidence,
    check_class_weights,
    check_min_confidence,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaggingConfig(FinetuningConfig, MinConfidence):
    """The flags of `run_ner.py`: those of `FinetuningConfig`, and the following, for which None is "not given".

    Raises:
      InputError: a value is impossible, flags exclude each other, or nothing is to be done.
    """

    train_file: str | None = setting(
        None,
        help="Words and tags to learn: a word a line, an empty line after each sentence; or .jsonl: texts with spans.",
        group=FILES,
    )
    dev_file: str | None = setting(None, help="Words and tags to evaluate.", group=FILES)
    predict_file: str | None = setting(
        None, help="Words to predict, which need no tags, or plain sentences, one a line, or .jsonl.", group=FILES
    )
    predict_format: str | None = setting(
        None,
        help="columns: predict_file has a word a line; text: a plain sentence a line. If omitted, columns, but text "
        "for .txt files that look like it.",
        group=FILES,
        choices=("columns", "text"),
    )
    token_column: int | None = setting(
        None, help="Number of the column of the words, from 0; 0 if not given.", group=TASK
    )
    tag_column: int | None = setting(
        None, help="Of the tags, from the end if negative; the last one if not given.", group=TASK
    )
    comments: str = setting(
        "auto",
        help="Lines before a sentence that begin with #: yes, they are comments; no, they are words; auto, those are "
        "comments that look like it.",
        group=TASK,
        choices=("auto", "yes", "no"),
    )
    labels_file: str | None = setting(None, help="The tags, one a line; if not given, those of train_file.", group=TASK)
    context_pieces: int | None = setting(
        None,
        help="Sentences beyond max_seq_length are divided; pieces of context around the words that a part decides. A "
        "quarter of max_seq_length if not given.",
        group=TASK,
    )
    class_weights: str = setting(
        "none", help="balanced: rare tags count as much as others.", group=TRAINING, choices=CLASS_WEIGHTS
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_class_weights(self)
        check_min_confidence(self)
        needed = "needs --do_predict: it says how predict_file is read; omit it"
        check_has_effect(self, ("predict_format",), self.do_predict, needed)
