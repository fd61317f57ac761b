"""The description of a fine-tuned model by its task: the fields of `task.json`; no TensorFlow."""

import dataclasses
import typing
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

from bert_tf2.checkpoints import task_metadata
from bert_tf2.errors import InputError
from bert_tf2.io import file_system
from bert_tf2.tasks.finetuning.config import FinetuningConfig

if TYPE_CHECKING:  # it imports TensorFlow
    from bert_tf2.checkpoints.pretrained import Pretrained

Split = Literal["train", "dev", "test"]
"""The files for training, evaluation and prediction."""

_PATHS = ("data_dir", "dev_file", "predict_file")


class Description:
    """The settings of the training run that evaluation and prediction need; tasks derive frozen dataclasses from it.

    A dataclass has at least the fields below, and one for each thing that a flag of the same name says and that is to
    be remembered.

    Attributes:
      TASK: what errors call the task: "classification".
      PROBLEM_TYPES: what `problem_type` can be.
      SAME_MODEL: fields that cannot change while a model stays what it is, and what errors call them.
      problem_type: tells other scripts whose model it is.
      labels: in the order of their ids.
      max_seq_length: maximum tokens per sequence.
      do_lower_case: whether case and accents were stripped.
    """

    TASK: ClassVar[str]
    PROBLEM_TYPES: ClassVar[Collection[str]]
    SAME_MODEL: ClassVar[Mapping[str, str]] = {"do_lower_case": "--do_lower_case"}

    problem_type: Any
    labels: tuple[str, ...]
    max_seq_length: int
    do_lower_case: bool

    def save(self, folder: str) -> None:
        """Writes `task.json` and, where there are labels, `labels.txt`.

        Raises:
          OSError: they cannot be written.
        """
        task_metadata.save(folder, dataclasses.asdict(cast(Any, self)))

    @classmethod
    def load(cls, folder: str) -> Self | None:
        """Reads what `save` wrote; None where the directory has no `task.json`.

        Raises:
          InputError: it describes another kind of model, a file is damaged, or the two do not fit together.
        """
        fields = task_metadata.load(folder, cls, cls.TASK, cls.PROBLEM_TYPES, _types(cls))
        return None if fields is None else cls(**fields)

    @classmethod
    def saved(cls, config: FinetuningConfig) -> Self | None:
        """The description in the model's directory, unless it is to be overwritten; see `load`."""
        return None if config.overwrite_output_dir else cls.load(config.model_dir)

    @classmethod
    def remembered(cls, config: FinetuningConfig, foundation: "Pretrained", saved: Self | None) -> dict[str, Any]:
        """The fields set by flags of the same name: the values given now, else those of training, else the defaults.

        Args:
          config: the flags; None is "not given".
          foundation: its case is the default.
          saved: what an earlier training wrote.
        """
        found = {}
        for field in dataclasses.fields(cast(Any, cls)):
            if not hasattr(config, field.name):
                continue
            value = getattr(config, field.name)
            if value is None and saved:
                value = getattr(saved, field.name)
            elif value is None:
                value = foundation.do_lower_case if field.name == "do_lower_case" else field.default
            elif field.name in _PATHS:
                value = file_system.absolute(value)
            found[field.name] = value
        return found

    def check_same_model(self, saved: Self, folder: str, names: Collection[str] | None = None) -> None:
        """Checks that the model in a directory belongs to this task.

        Args:
          saved: what was read from the directory.
          folder: for the error.
          names: the fields to compare; None: all of `SAME_MODEL`.

        Raises:
          InputError: one differs; says which.
        """
        compared = []
        for name in self.SAME_MODEL if names is None else names:
            compared.append((self.SAME_MODEL[name], getattr(self, name), getattr(saved, name)))
        task_metadata.check_same_model(folder, compared)


def file_of(config: FinetuningConfig, flag: str, path: str | None, what: str) -> str:
    """The file given by a flag, else the one stored by the training run.

    Args:
      config: the flags.
      flag: its name.
      path: of the file.
      what: asks for it in the error: "which words?".

    Raises:
      InputError: there is none, or it is remembered and lies outside the model's directory.
    """
    if path is None:
        raise InputError(f"--{flag} is missing; {what}")
    if getattr(config, flag) is None:
        task_metadata.check_may_read(config.model_dir, flag, path)
    return path


def _types(description: type[Any]) -> dict[str, tuple[type, ...]]:
    """The types of fields that are numbers or truth values, as JSON has them."""
    in_json: dict[Any, tuple[type, ...]] = {int: (int,), bool: (bool,), float: (float, int)}
    found = {}
    for name, hint in typing.get_type_hints(description).items():
        kinds = [kind for kind in (typing.get_args(hint) or (hint,)) if kind in in_json]
        if kinds:
            found[name] = in_json[kinds[0]]
    return found
