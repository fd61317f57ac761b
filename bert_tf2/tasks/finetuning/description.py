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

    Each dataclass has at least the fields below, and a field for each flag of the same name whose value is stored.

    Attributes:
      TASK: the task's name in errors: "classification".
      PROBLEM_TYPES: the possible values of `problem_type`.
      SAME_MODEL: the fields that cannot change without making it another model, and their names in errors.
      problem_type: tells other scripts which task the model belongs to.
      labels: the labels in the order of their ids.
      max_seq_length: maximum tokens per sequence.
      do_lower_case: whether the text is lower-cased and accents are stripped.
    """

    TASK: ClassVar[str]
    PROBLEM_TYPES: ClassVar[Collection[str]]
    SAME_MODEL: ClassVar[Mapping[str, str]] = {"do_lower_case": "--do_lower_case"}

    problem_type: Any
    labels: tuple[str, ...]
    max_seq_length: int
    do_lower_case: bool

    def save(self, directory: str) -> None:
        """Writes `task.json` and, if there are labels, `labels.txt`.

        Raises:
          OSError: they cannot be written.
        """
        task_metadata.save(directory, dataclasses.asdict(cast(Any, self)))

    @classmethod
    def load(cls, directory: str) -> Self | None:
        """Reads the files that `save` writes; None if the directory has no `task.json`.

        Raises:
          InputError: they describe another kind of model, a file is corrupt, or the two do not match.
        """
        fields = task_metadata.load(directory, cls, cls.TASK, cls.PROBLEM_TYPES, _types(cls))
        return None if fields is None else cls(**fields)

    @classmethod
    def load_if_own(cls, directory: str) -> Self | None:
        """Like `load`, but None also if the model was trained for another kind of task."""
        kind = task_metadata.setting(directory, "problem_type", str)
        return cls.load(directory) if kind in cls.PROBLEM_TYPES else None

    @classmethod
    def saved(cls, config: FinetuningConfig) -> Self | None:
        """The description in the model's directory, unless it is to be overwritten; see `load`."""
        return None if config.overwrite_output_dir else cls.load(config.model_dir)

    @classmethod
    def of_model(cls, config: FinetuningConfig) -> tuple[Self | None, str]:
        """The description of the model that a command uses, and its directory.

        It is that of `saved`; if there is none and nothing is trained, that of `--init_checkpoint`, without the paths
        of its data. None if the model has none for this kind of task.

        Raises:
          InputError: see `load`.
        """
        saved = cls.saved(config)
        if saved or config.do_train or not config.init_checkpoint:
            return saved, config.model_dir
        from bert_tf2.checkpoints import pretrained

        directory = pretrained.model_directory(config.init_checkpoint)
        description = cls.load_if_own(directory)
        if description is None:
            return None, directory
        paths = {field.name: None for field in dataclasses.fields(cast(Any, cls)) if field.name in _PATHS}
        return dataclasses.replace(cast(Any, description), **paths), directory

    @classmethod
    def remembered(cls, config: FinetuningConfig, foundation: "Pretrained", saved: Self | None) -> dict[str, Any]:
        """The fields set by flags of the same name: the flags' values, else those of training, else the defaults.

        Args:
          config: the flags; None: omitted.
          foundation: its case is the default for `do_lower_case`.
          saved: the description that an earlier training wrote.
        """
        values = {}
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
            values[field.name] = value
        return values

    def check_same_model(self, saved: Self, directory: str, names: Collection[str] | None = None) -> None:
        """Checks that the model in a directory belongs to this task.

        Args:
          saved: the description read from the directory.
          directory: the directory, for the error.
          names: the fields to compare; None: all of `SAME_MODEL`.

        Raises:
          InputError: a field differs; the message names it.
        """
        compared = []
        for name in self.SAME_MODEL if names is None else names:
            compared.append((self.SAME_MODEL[name], getattr(self, name), getattr(saved, name)))
        task_metadata.check_same_model(directory, compared)


def file_of(config: FinetuningConfig, flag: str, path: str | None, what: str) -> str:
    """Checks the path of a file that a flag names, or that the training run stored if the flag is omitted.

    Args:
      config: the flags.
      flag: the flag's name.
      path: the path of the file; None if there is none.
      what: the question that the error asks if there is none: "which words?".

    Returns:
      The path.

    Raises:
      InputError: there is no path, or it is a stored one and lies outside the model's directory.
    """
    if path is None:
        raise InputError(f"--{flag} is missing; {what}")
    if getattr(config, flag) is None:
        task_metadata.check_may_read(config.model_dir, flag, path)
    return path


def _types(description: type[Any]) -> dict[str, tuple[type, ...]]:
    """The types that numeric and Boolean fields can have in JSON, by name."""
    json_types: dict[Any, tuple[type, ...]] = {int: (int,), bool: (bool,), float: (float, int)}
    types = {}
    for name, hint in typing.get_type_hints(description).items():
        known = [part for part in (typing.get_args(hint) or (hint,)) if part in json_types]
        if known:
            types[name] = json_types[known[0]]
    return types
