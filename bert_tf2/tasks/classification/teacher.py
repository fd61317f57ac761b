"""A teacher: a classifier, fine-tuned for the same labels, from whose logits a student learns.

Its config, vocabulary, case and maximum length may differ from the student's: it has its own tokenizer. Its logits are
computed once, before the training, by `teacher_logits`.
"""

import contextlib
import dataclasses
import logging
from collections.abc import Iterator
from typing import Self

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import by_name, model_source, pretrained
from bert_tf2.checkpoints.model_source import Source
from bert_tf2.checkpoints.pretrained import Pretrained
from bert_tf2.errors import MOST_NAMED, InputError, counted, some
from bert_tf2.io import file_system
from bert_tf2.modeling.classifier import ClassificationModel
from bert_tf2.modeling.task_model import Task
from bert_tf2.tasks.classification.task_description import TaskDescription
from bert_tf2.tasks.finetuning import best_weights

logger = logging.getLogger(__name__)

_HEAD = "classifier"
_OTHER_HEADS = {"tagger": "is a tagger", "multiple_choice": "is a model for multiple choice"}
_ADVICE = "give a classifier that was fine-tuned: the directory of a training, or a BertForSequenceClassification"


@contextlib.contextmanager
def _naming_the_flag() -> Iterator[None]:
    """Prefixes error messages with the flag, so that they are not taken as messages about the student."""
    try:
        yield
    except InputError as error:
        raise InputError(f"--teacher: {error}") from None


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A teacher, without its weights.

    Attributes:
      path: its checkpoint or directory, for `model_source.load`.
      foundation: its model config, vocabulary and case.
      description: the description of its task.
      order: the teacher's id of each of the student's labels; for regression `(0,)`.
    """

    path: str
    foundation: Pretrained
    description: TaskDescription
    order: tuple[int, ...]

    @classmethod
    @_naming_the_flag()
    def open(cls, path: str, student: TaskDescription, output_dir: str) -> Self:
        """Opens a teacher and checks that the student can learn from it.

        Args:
          path: the value of `--teacher`.
          student: the description of the student's task.
          output_dir: the student's run directory.

        Raises:
          InputError: there is no such model, one of its files is missing or corrupt, it is not a classifier, or its
            labels are different.
        """
        local = by_name.local_path(path)
        if file_system.is_inside(local, output_dir):
            raise InputError(f"{path} is in {output_dir}, where the student is trained; give another --output_dir.")
        source = model_source.open_source(local)
        foundation = pretrained.find(local)
        description = _description(source, path, student.max_seq_length, foundation.do_lower_case)
        _check_same_task(path, description, student)
        order = _order(path, description, student, has_names=bool(source.labels))
        pairs = student.has_pairs
        foundation.check_sequences(description.max_seq_length, segments=1 + pairs)
        best_weights.log_if_better(local, "the teacher's", "--teacher={best}")
        return cls(local, foundation, description, order)

    def make_model(self, skip_padding: bool) -> ClassificationModel:
        """Creates the teacher's model with random weights; for `skip_padding` see `encoder.BertModel.call`."""
        description = self.description
        return ClassificationModel(
            self.foundation.bert_config, description.outputs, description.problem_type, skip_padding=skip_padding
        )

    @_naming_the_flag()
    def load(self, model: Task) -> None:
        """Loads the teacher's weights into a model that `make_model` created.

        Raises:
          InputError: the weights cannot be read, or some are missing.
        """
        report = model_source.load(checkpoints.tf_variables(model.named_variables), self.path, _HEAD)
        missing = (*report.missing, *report.mismatched)
        if missing:
            raise InputError(f"{report.prefix} lacks {some(missing)}, or has it in another shape; {_ADVICE}.")
        logger.info("The teacher's weights are those of %s.", report.prefix)
        if any(name.endswith(f"/{checkpoints.AVERAGE}") for name in report.unused):
            logger.warning("%s also has moving averages; the weights themselves are used.", report.prefix)


def _description(source: Source, path: str, max_seq_length: int, do_lower_case: bool) -> TaskDescription:
    """The description of the teacher's task, from `task.json`, else from its head and the student's `max_seq_length`.

    Raises:
      InputError: the model is not a classifier.
    """
    if source.classifier in _OTHER_HEADS or "output_weights" not in source.own_names:
        raise InputError(f"{path} {_OTHER_HEADS.get(source.classifier or '', 'has no classifier')}; {_ADVICE}.")
    description = TaskDescription.load(source.directory)
    if description is not None:
        return dataclasses.replace(description, do_lower_case=do_lower_case)
    length = min(max_seq_length, source.config.max_position_embeddings)
    return TaskDescription.of_head(source, length, do_lower_case)


def _check_same_task(path: str, teacher: TaskDescription, student: TaskDescription) -> None:
    if teacher.problem_type != student.problem_type:
        raise InputError(
            f"{path} is a model for {teacher.problem_type}, but the training data is {student.problem_type}; give "
            "another teacher, or --problem_type if that is not what the data is."
        )
    if teacher.knows_pairs and teacher.has_pairs != student.has_pairs:
        kinds = ("single texts", "pairs of texts")
        raise InputError(
            f"{path} is a model for {kinds[teacher.has_pairs]}, but the training data has {kinds[student.has_pairs]}; "
            "give another teacher, or name the columns of the texts (--text_column, --text_pair_column)."
        )


def _order(path: str, teacher: TaskDescription, student: TaskDescription, has_names: bool) -> tuple[int, ...]:
    """The value of `Teacher.order`; labels without names are assumed to be in the student's order."""
    if teacher.problem_type == "regression":
        return (0,)
    labels = {label: number for number, label in enumerate(teacher.labels)}
    if labels.keys() != set(student.labels):
        if not has_names and len(labels) == len(student.labels):
            logger.warning(
                "%s has no names for its %s; this order is assumed: %s. If it is wrong, name them in its "
                "config.json (id2label).",
                *(path, counted(len(labels), "label"), some(student.labels, MOST_NAMED)),
            )
            return tuple(range(len(labels)))
        raise InputError(
            f"{path} knows the labels {some(sorted(labels), MOST_NAMED)}, but those of the training data are "
            f"{some(sorted(student.labels), MOST_NAMED)}; rename them in one of the two, give all of them by "
            "--labels_file, or give another teacher."
        )
    return tuple(labels[label] for label in student.labels)
