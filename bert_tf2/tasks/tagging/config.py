"""The flags of `run_ner.py`."""

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
    """The flags of `run_ner.py`: those of `FinetuningConfig`, and the following; None means that a flag is omitted.

    Raises:
      InputError: a value is invalid, flags exclude each other, or there is nothing to do.

    Examples:
      >>> from bert_tf2.tasks.tagging import TaggingConfig
      >>> TaggingConfig(output_dir="model", predict_file="new.txt", do_predict=True).comments
      'auto'
    """

    train_file: str | None = setting(
        None,
        help="Words and tags for training: one word per line, an empty line after each sentence; or .jsonl: texts with "
        "spans.",
        group=FILES,
    )
    dev_file: str | None = setting(None, help="Words and tags to evaluate.", group=FILES)
    predict_file: str | None = setting(
        None,
        help="Words to predict, with or without tags; or plain sentences, one per line; or .jsonl.",
        group=FILES,
    )
    predict_format: str | None = setting(
        None,
        help="columns: predict_file has one word per line; text: one plain sentence per line. If omitted, columns, but "
        "text for .txt files that look like it.",
        group=FILES,
        choices=("columns", "text"),
    )
    token_column: int | None = setting(None, help="Column of the words, numbered from 0; if omitted, 0.", group=TASK)
    tag_column: int | None = setting(
        None, help="Column of the tags, counted from the end if negative; if omitted, the last one.", group=TASK
    )
    comments: str = setting(
        "auto",
        help="Whether lines before a sentence that begin with # are comments: yes; no: they are words; auto: only "
        "those that look like comments.",
        group=TASK,
        choices=("auto", "yes", "no"),
    )
    labels_file: str | None = setting(
        None, help="File of the tags, one per line; if omitted, those in train_file.", group=TASK
    )
    context_pieces: int | None = setting(
        None,
        help="Sentences longer than max_seq_length are split into overlapping windows: tokens of context on each side "
        "of the words that a window decides. If omitted, a quarter of max_seq_length.",
        group=TASK,
    )
    class_weights: str = setting(
        "none",
        help="Weights of tags in the loss; balanced: rare tags count as much as frequent ones.",
        group=TRAINING,
        choices=CLASS_WEIGHTS,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_class_weights(self)
        check_min_confidence(self)
        reason = "needs --do_predict, as it says how predict_file is read; omit it"
        check_has_effect(self, ("predict_format",), self.do_predict, reason)
