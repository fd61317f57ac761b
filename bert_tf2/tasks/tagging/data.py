"""The files of a command and the description of its model, from flags, an earlier run and the data."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any, cast

from bert_tf2.checkpoints import model_source
from bert_tf2.checkpoints.pretrained import Pretrained
from bert_tf2.checkpoints.task_metadata import TASK_FILE, read_labels
from bert_tf2.configs.fields import check_has_effect
from bert_tf2.configs.tokenizer import TokenizerOptions
from bert_tf2.errors import InputError, counted
from bert_tf2.io import file_kinds
from bert_tf2.io.spilled import directory_for_spilling
from bert_tf2.tasks.finetuning.description import Split, file_of
from bert_tf2.tasks.tagging import conll, plain_text, schemes, span_rows, tags
from bert_tf2.tasks.tagging.config import TaggingConfig
from bert_tf2.tasks.tagging.conll import Sentences
from bert_tf2.tasks.tagging.schemes import Scheme
from bert_tf2.tasks.tagging.task_description import TaggingDescription

logger = logging.getLogger(__name__)

_FLAGS: dict[Split, str] = {"train": "train_file", "dev": "dev_file", "test": "predict_file"}


@dataclasses.dataclass(frozen=True)
class Data:
    """The description of a task and its data.

    Attributes:
      description: the description of the task.
      files: the sentences of each file that the command needs.
    """

    description: TaggingDescription
    files: Mapping[Split, Sentences]


def open_data(config: TaggingConfig, foundation: Pretrained) -> Data:
    """Reads the files named by the flags.

    Settings of omitted flags are those of the model in `output_dir`; else, without training, those of the model of
    `--init_checkpoint`. The labels are those of `--labels_file`, else of the training data, else of that model.

    Raises:
      InputError: a file cannot be read, a file or the labels are unknown, or the flags do not fit the model in
        `output_dir`.
    """
    saved, model_dir = TaggingDescription.of_model(config)
    fields = TaggingDescription.remembered(config, foundation, saved)
    is_requested: dict[Split, bool] = {"train": config.do_train, "dev": config.do_eval, "test": config.do_predict}
    paths: dict[Split, str | None] = {
        "train": config.train_file,
        "dev": fields["dev_file"],
        "test": fields["predict_file"],
    }
    files = {}
    for split in (split for split, requested in is_requested.items() if requested):
        path = file_of(config, _FLAGS[split], paths[split], "which words?")
        files[split] = _read(split, path, fields, config, foundation.vocabulary.options)
    has_columns = not files or any(sentences.texts is None for sentences in files.values())
    reason = "is for files with a word on each line, but these have texts; omit it"
    check_has_effect(config, ("token_column", "tag_column", "comments"), has_columns, reason)
    fields["scheme"] = saved.scheme if saved else None
    if "train" in files:
        fields["scheme"] = str(files["train"].scheme)
    if "test" in files:
        files["test"] = _with_output_scheme(files["test"], fields)
    description = TaggingDescription(labels=_labels(config, saved, model_dir, files.get("train")), **fields)
    if saved and model_dir == config.model_dir:
        description.check_same_model(saved, model_dir)
    return Data(description, files)


def _with_output_scheme(sentences: Sentences, fields: Mapping[str, Any]) -> Sentences:
    """The sentences to predict with the scheme to write tags in: that of the file if it has tags, else the model's."""
    tagged = None
    if sentences.texts is None:
        tagged = conll.with_tag_column(sentences, fields["tag_column"], fields["token_column"])
    try:
        scheme = tagged.scheme if tagged else Scheme.parse(fields["scheme"] or str(schemes.BIO))
    except ValueError as error:
        raise InputError(f"{TASK_FILE}: {error} Restore the file that the training wrote, or train again.") from None
    if scheme != schemes.BIO:
        logger.info("%s: predicted tags are written in the scheme %s.", sentences.path, scheme)
    return dataclasses.replace(sentences, scheme=scheme, truths=tagged.tags if tagged else sentences.truths)


def _read(
    split: Split, path: str, fields: Mapping[str, Any], config: TaggingConfig, options: TokenizerOptions
) -> Sentences:
    column, comments = fields["token_column"], cast(conll.CommentMode, config.comments)
    directory = directory_for_spilling(config.output_dir)
    is_text = split == "test" and config.predict_format == "text"
    if (
        split == "test"
        and not config.predict_format
        and config.token_column is None
        and file_kinds.kind_of(path) == "text"
    ):
        is_text = plain_text.looks_like_text(path, column)
        if is_text:
            logger.info(
                "%s: read as plain sentences, one per line; if that is wrong, give --predict_format=columns.", path
            )
    if span_rows.is_span_file(path) and not (split == "test" and config.predict_format):
        sentences = span_rows.read(path, split != "test", options, directory)
    elif is_text:
        sentences = plain_text.read(path, options, directory)
    else:
        sentences = conll.read(path, column, None if split == "test" else fields["tag_column"], comments, directory)
        if split == "test" and config.token_column is None and config.predict_format is None:
            plain_text.check(sentences, column)
    if sentences.comments:
        first = sentences.comments[0]
        logger.info(
            "%s: %s, not read as words; line %d is the first: %.60s",
            *(path, counted(len(sentences.comments), "comment line"), first + 1, sentences.lines[first]),
        )
    if sentences.tags is None:
        counts = counted(len(sentences), "sentence"), counted(len(sentences.words), "word")
        logger.info("%s: %s, %s.", path, *counts)
    else:
        tags.log_summary(sentences)
        if sentences.scheme != schemes.BIO:
            logger.info("%s: the tags are in the scheme %s and were converted to BIO.", path, sentences.scheme)
    return sentences


def _labels(
    config: TaggingConfig, saved: TaggingDescription | None, model_dir: str, train: Sentences | None
) -> tuple[str, ...]:
    if config.labels_file:
        return tags.validate_labels(read_labels(config.labels_file), config.labels_file)
    if train:
        inferred = tags.infer_labels(train)
        saved_labels = saved.labels if saved else _labels_of_checkpoint(config)
        # If only the order differs, that of the existing head applies.
        return saved_labels if set(saved_labels) == set(inferred) else inferred
    labels = saved.labels if saved else _labels_of_checkpoint(config)
    if not labels:
        raise InputError(
            f"{config.model_dir} has no {TASK_FILE}, so the labels are unknown: train first, give the directory "
            "of a training, or give --labels_file."
        )
    return tags.validate_labels(labels, model_dir)


def _labels_of_checkpoint(config: TaggingConfig) -> tuple[str, ...]:
    """The labels of the model of `--init_checkpoint`; empty if it is not a tagger."""
    if not config.init_checkpoint:
        return ()
    source = model_source.open_source(config.init_checkpoint, config.bert_config_file, config.num_hidden_layers)
    return source.labels if source.classifier == "tagger" else ()
