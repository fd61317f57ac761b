"""The model to export: its weights, task, config and vocabulary."""

import dataclasses
import logging
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import by_name, model_source, pretrained, task_metadata
from bert_tf2.checkpoints.huggingface_config import default_labels
from bert_tf2.checkpoints.pretrained import Pretrained
from bert_tf2.checkpoints.task_metadata import TASK_FILE
from bert_tf2.configs.choices import MULTIPLE_CHOICE, PROBLEM_TYPES, TAGGING
from bert_tf2.configs.fields import check_has_effect
from bert_tf2.errors import InputError, counted, some
from bert_tf2.export.config import ENCODER, ExportConfig
from bert_tf2.tasks.classification.task_description import TaskDescription as ClassificationDescription
from bert_tf2.tasks.finetuning import best_weights
from bert_tf2.tasks.multiple_choice.task_description import MultipleChoiceDescription
from bert_tf2.tasks.squad.task_description import QUESTION_ANSWERING
from bert_tf2.tasks.squad.task_description import TaskDescription as SquadDescription
from bert_tf2.tasks.tagging.task_description import TaggingDescription

logger = logging.getLogger(__name__)

_POOLER = "bert/pooler/"
_MAX_SEQ_LENGTH = 128
_TASK_FLAGS = ("version_2_with_negative", "language")
_ANSWER_FLAGS = ("n_best_size", "max_answer_length", "null_score_diff_threshold")


@dataclasses.dataclass(frozen=True)
class EncoderDescription:
    """The description of a model without a head, or with one that is not exported.

    Attributes:
      max_seq_length: maximum tokens per sequence.
      do_lower_case: whether to lower-case the text and strip accents.

    Raises:
      InputError: `max_seq_length` is less than 3.
    """

    max_seq_length: int
    do_lower_case: bool

    def __post_init__(self) -> None:
        if self.max_seq_length < 3:
            raise InputError(f"--max_seq_length={self.max_seq_length}; [CLS], one token and [SEP] need at least 3.")


Description = (
    ClassificationDescription | TaggingDescription | MultipleChoiceDescription | SquadDescription | EncoderDescription
)


@dataclasses.dataclass(frozen=True)
class ModelSource:
    """A model to export.

    Attributes:
      checkpoint: the path of its weights, for `pretrained.load`.
      directory: the directory of its other files.
      foundation: its config and vocabulary.
      description: the description of its task.
      has_pooler: whether its weights include a pooler.
    """

    checkpoint: str
    directory: str
    foundation: Pretrained
    description: Description
    has_pooler: bool

    def load(
        self, named_variables: Mapping[str, Any], use_averages: bool, optional: tuple[str, ...] = ()
    ) -> list[tf.Variable]:
        """Loads the weights.

        Args:
          named_variables: the Keras model's variables, by Google's names.
          use_averages: whether to load the moving averages instead of the weights.
          optional: the names of variables that may be missing.

        Returns:
          The TensorFlow variables.

        Raises:
          InputError: the weights cannot be read, or a variable or all averages are missing.
        """
        variables = checkpoints.tf_variables(named_variables)
        report = pretrained.load(variables, self.checkpoint)
        lacking = [name for name in (*report.missing, *report.mismatched) if name not in optional]
        if lacking:
            raise InputError(
                f"{report.prefix} lacks {some(lacking)}, or has it in another shape; train the model first."
            )
        logger.info("Exporting the weights of %s.", report.prefix)
        averages = {f"{name}/{checkpoints.AVERAGE}" for name in variables}.intersection(report.unused)
        if use_averages and not averages:
            raise InputError(f"--use_averages: {report.prefix} has no moving averages (--ema_decay).")
        if use_averages:
            count = checkpoints.load_averages(variables, report.prefix)
            logger.info("Exporting the moving averages of %s.", counted(count, "variable"))
        elif averages:
            logger.warning("%s also has moving averages; --use_averages exports them.", report.prefix)
        return list(variables.values())


def open_source(config: ExportConfig) -> ModelSource:
    """Opens the model that the flags specify.

    Raises:
      InputError: there is no such model, one of its files is missing or corrupt, or flags do not match it.
    """
    if config.output_dir and by_name.is_name(config.output_dir):
        raise InputError(
            f"There is no {config.output_dir}: --output_dir is the directory of a training; for any other model, give "
            "--init_checkpoint."
        )
    if config.output_dir and config.use_best:
        best_weights.check(config.output_dir)
    elif config.output_dir:
        best_weights.log_if_better(config.output_dir, "exported")
    else:
        best_weights.log_if_better(config.model, "exported", "--init_checkpoint={best}")
    source = model_source.open_source(config.model, config.bert_config_file)
    output_dir = source.directory if config.output_dir else None
    vocabulary = pretrained.find_vocabulary(
        config.model, config.vocab_file, config.spm_model_file, output_dir, config.tokenizer
    )
    do_lower_case = pretrained.find_do_lower_case(config.model, config.do_lower_case)
    foundation = Pretrained(source.config, vocabulary, do_lower_case, config.model)
    description = _description(source, do_lower_case)
    if config.max_seq_length is not None:
        description = dataclasses.replace(description, max_seq_length=config.max_seq_length)
    description = _with_answer_flags(description, config)
    foundation.check_sequences(description.max_seq_length, segments=1)
    _ = foundation.tokenizer(do_lower_case)  # checks that the vocabulary fits the model
    has_pooler = any(name.startswith(_POOLER) for name in source.own_names)
    return ModelSource(config.model, source.directory, foundation, description, has_pooler)


def _with_answer_flags(description: Description, config: ExportConfig) -> Description:
    """The description with the values of the flags for question answering."""
    if not isinstance(description, SquadDescription) or config.format == ENCODER:
        check_has_effect(config, _TASK_FLAGS + _ANSWER_FLAGS, False, "is for question answering; omit it")
        return description
    changes = {name: getattr(config, name) for name in _TASK_FLAGS if getattr(config, name) is not None}
    description = dataclasses.replace(description, **changes)
    is_used = description.version_2_with_negative
    check_has_effect(config, _ANSWER_FLAGS[-1:], is_used, "needs --version_2_with_negative; give both or omit it")
    return description


def _description(source: model_source.Source, do_lower_case: bool) -> Description:
    """The description in the model's `task.json`, else that of its head; with the case of its tokenizer."""
    kind = task_metadata.setting(source.directory, "problem_type", str)
    loaded: Description | None = None
    if kind in PROBLEM_TYPES:
        loaded = ClassificationDescription.load(source.directory)
    elif kind == TAGGING:
        loaded = TaggingDescription.load(source.directory)
    elif kind == MULTIPLE_CHOICE:
        loaded = MultipleChoiceDescription.load(source.directory)
    elif kind == QUESTION_ANSWERING:
        loaded = SquadDescription.load(source.directory)
    elif kind is not None:
        path = os.path.join(source.directory, TASK_FILE)
        raise InputError(f"{path}: unknown problem_type {kind!r:.60}; this model cannot be exported.")
    if loaded:
        return dataclasses.replace(loaded, do_lower_case=do_lower_case)
    return _by_head(source, do_lower_case)


def _by_head(source: model_source.Source, lower: bool) -> Description:
    """The description of a model without `task.json`, by the head in its weights."""
    positions = source.config.max_position_embeddings
    length = min(_MAX_SEQ_LENGTH, positions)
    if "cls/squad/output_weights" in source.own_names:
        return SquadDescription.of_positions(positions, lower)
    if "output_weights" not in source.own_names:
        return EncoderDescription(length, lower)
    if source.classifier == "tagger":
        labels = source.labels or default_labels(source.shapes["output_bias"][0])
        return TaggingDescription(labels=labels, max_seq_length=length, do_lower_case=lower)
    if source.classifier == "multiple_choice":
        return MultipleChoiceDescription(max_seq_length=length, do_lower_case=lower)
    return ClassificationDescription.of_head(source, length, lower)
