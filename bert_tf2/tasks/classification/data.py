"""A task and its rows: a GLUE task in its directory, or custom files.

data = open_data(DataConfig(output_dir="model", train_file="train.csv"), training=True)
data.description, data.examples("train")
"""

import dataclasses
import logging
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2.checkpoints.task_metadata import TASK_FILE, check_may_read, read_labels
from bert_tf2.configs.choices import ProblemType
from bert_tf2.configs.fields import check_has_effect
from bert_tf2.configs.long_texts import WINDOWS
from bert_tf2.errors import MOST_NAMED, InputError, counted, some
from bert_tf2.io import file_system, files, run_files, text_lines
from bert_tf2.io.delimited import Form, is_number
from bert_tf2.io.sparse_rows import SparseRows
from bert_tf2.io.spilled import directory_for_spilling
from bert_tf2.io.spreadsheets import Workbook
from bert_tf2.io.tables import kind_of
from bert_tf2.metrics.classification import DEFAULT_METRICS
from bert_tf2.tasks.classification import glue
from bert_tf2.tasks.classification import labels as label_lists
from bert_tf2.tasks.classification.config import DataConfig
from bert_tf2.tasks.classification.examples import Examples
from bert_tf2.tasks.classification.glue import GlueTask, Split
from bert_tf2.tasks.classification.own_data import find_label_columns, read_own
from bert_tf2.tasks.classification.task_description import TaskDescription, join_columns, split_columns
from bert_tf2.tasks.classification.validation_split import ValidationSplit

logger = logging.getLogger(__name__)

_FLAGS: dict[Split, str] = {"train": "--train_file", "dev": "--dev_file", "test": "--predict_file"}
_PATHS = ("data_dir", "dev_file", "predict_file")
_LENGTHS = ("max_seq_length", "long_text", "window_stride", "window_pooling")
_WITH_HEADER = {"csv", "tsv", "xlsx"}
_NO_NAME = "custom"


@dataclasses.dataclass(frozen=True)
class Data:
    """A task and its rows.

    Attributes:
      description: the description of the task.
      task: the GLUE task; None for custom data.
      train_file: the training file of custom data.
      train: its rows, if they have been read.
      model_dir: the model's directory, which holds the settings of the training run.
      path_flags: names of the flags in `_PATHS` that are set; other paths are those of the training run.
      has_header_flag: whether the flag `header` is set; else the training run decides whether files have a header.
      form: delimiter and encoding of files, as far as flags set them.
      split: the rows of `train_file` that are held out for evaluation; None: there are none.
      held_out: these rows, if they have been read.
      predict_file: the file that the flag names, which may be standard input; None: that of the training run.
      unlabeled_files: files of rows that are learned from a teacher alone.
      texts: the text to predict, or the two texts of a pair, if flags have them.
    """

    description: TaskDescription
    task: GlueTask | None = None
    train_file: str | None = None
    train: Examples | None = None
    model_dir: str = ""
    path_flags: tuple[str, ...] = _PATHS
    has_header_flag: bool = False
    form: Form | None = None
    split: ValidationSplit | None = None
    held_out: Examples | None = None
    predict_file: str | None = None
    unlabeled_files: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics, for `metrics.evaluate`."""
        return self.task.metrics if self.task else DEFAULT_METRICS[self.description.problem_type]

    def examples(self, split: Split) -> Examples:
        """The rows to train with, to evaluate ("dev") or to predict ("test"), the last without labels.

        Raises:
          InputError: they cannot be read, or no flag says where they are.
        """
        description, directory = self.description, directory_for_spilling(self.model_dir)
        if split == "test" and self.texts:
            texts = [[text] for text in self.texts]
            return Examples("--text", [1], [0], texts[0], texts[1] if len(texts) > 1 else None, None)
        if self.task:
            self._check_may_read("data_dir", description.data_dir)
            return glue.read(self.task, str(description.data_dir), split, directory)
        if split == "train" and self.train:
            return self.train
        if split == "dev" and self.split and description.dev_file is None:
            return self.held_out or self._read_held_out(self.split)
        predict_file = self.predict_file or description.predict_file
        path = {"train": self.train_file, "dev": description.dev_file, "test": predict_file}[split]
        if path is None:
            raise InputError(f"{_FLAGS[split]} is missing; which rows?")
        if split != "train":
            self._check_may_read(_FLAGS[split].removeprefix("--"), path)
        return self._read(path, split)

    def unlabeled(self) -> list[Examples]:
        """The rows of each file of unlabeled rows.

        For a GLUE task, the columns have the names or numbers that they have in its test file.

        Raises:
          InputError: they cannot be read.
        """
        layout = None if self.task is None else self.task.files["test"]
        columns: dict[str, Any] = {"id_column": None}
        if layout is not None:
            pair = None if layout.pair is None else str(layout.pair)
            columns |= {"text_column": str(layout.text), "text_pair_column": pair, "header": layout.header}
        reader = dataclasses.replace(self, description=dataclasses.replace(self.description, **columns))
        return [reader._read(path, "test") for path in self.unlabeled_files]

    def save(self, directory: str) -> None:
        """Writes the files that evaluation and prediction need: `validation_split.json`, `labels.txt`, `task.json`.

        Raises:
          OSError: they cannot be written.
        """
        if self.split:
            self.split.save(directory)
        else:  # that of a run which was killed before it had written `task.json`
            file_system.remove(os.path.join(directory, run_files.VALIDATION_SPLIT))
        self.description.save(directory)  # last, as it says that the directory holds a training

    def _read(self, path: str, split: Split) -> Examples:
        is_assumed = not self.has_header_flag and split != "train"
        examples = read_own(
            *(path, self.description),
            with_labels=split != "test",
            checks_first_row=is_assumed,
            directory=directory_for_spilling(self.model_dir),
            form=self.form,
        )
        if is_assumed:
            _log_header(path, self.description)
        return examples

    def _read_held_out(self, split: ValidationSplit) -> Examples:
        path = self.train_file
        if path is None:
            path = split.train_file
            check_may_read(self.model_dir, "train_file", path)
        return split.divide(self._read(path, "dev"))[1]

    def _check_may_read(self, name: str, path: str | None) -> None:
        if path is not None and name not in self.path_flags:
            check_may_read(self.model_dir, name, path)

    def labels(self, examples: Examples) -> NDArray[Any] | SparseRows:
        """The labels of rows as numbers; see `labels.encode`."""
        task = self.description
        return label_lists.encode(examples, task.problem_type, task.labels, task.label_separator)


def open_data(
    config: DataConfig, training: bool, overwrite: bool = False, checkpoint_task: TaskDescription | None = None
) -> Data:
    """Determines the task, and reads the training file of custom data.

    Args:
      config: the flags.
      training: whether the model is going to be trained: a custom task is then described by its training data, else by
        the `task.json` of `output_dir`.
      overwrite: whether `output_dir` is going to be emptied, so that its content is ignored.
      checkpoint_task: the task of `--init_checkpoint`, if the model is not trained and `output_dir` has no `task.json`.

    Raises:
      InputError: it is unknown which task it is, it is not that of `output_dir`, or the data cannot be read.
    """
    saved = None if overwrite else TaskDescription.load(config.output_dir)
    known = saved or checkpoint_task
    name = config.task_name or (known.name if known else None)
    if name is None and not config.files:
        raise InputError(
            "No task is given: give --task_name and --data_dir for one of GLUE, --train_file for data of your own, or "
            f"an --output_dir that holds the {TASK_FILE} of a training."
        )
    if config.files or (known and name == known.name and not glue.is_known(known.name)):
        data = _open_for_training(config, saved) if training else _open_trained(config, known)
    else:
        data = _open_glue(config, saved, str(name))
    kind = data.description.problem_type
    needed = f"is for several labels a row (--problem_type=multi_label), but this task is {kind}; omit it"
    check_has_effect(config, ("threshold", "label_separator"), kind == "multi_label", needed)
    is_divided = data.description.long_text == WINDOWS
    check_has_effect(config, ("window_pooling",), is_divided, "is for --long_text=windows; give both or omit it")
    texts, unlabeled = _texts(config, data.description, known), _unlabeled_files(config.unlabeled_file)
    data = dataclasses.replace(data, predict_file=config.predict_file, unlabeled_files=unlabeled, texts=texts)
    predicted = data.predict_file or data.description.predict_file
    paths = [path for path in (data.train_file, data.description.dev_file, predicted, *unlabeled) if path]
    kinds = {kind_of(path) for path in paths}
    is_table = not paths or bool(kinds & _WITH_HEADER)
    check_has_effect(config, ("header",), is_table, "is for CSV, TSV and Excel files; others have no header; omit it")
    if paths:
        config.check_form(kinds, ("csv", "tsv", "json lines", "json", "text"), "is for text files; omit it")
    if saved:
        data.description.check_same_model(saved, config.output_dir)
    if known and known.knows_pairs and paths and data.task is None:
        _check_pairs(config, data.description, known)
    return dataclasses.replace(
        data,
        model_dir=config.output_dir,
        path_flags=tuple(name for name in _PATHS if getattr(config, name) is not None),
        has_header_flag=config.header is not None,
        form=config.form,
    )


def _open_glue(config: DataConfig, saved: TaskDescription | None, name: str) -> Data:
    task = glue.task_named(name)
    if config.for_own_data:
        flag = next(iter(config.for_own_data))
        raise InputError(f"{flag} has no effect on the task {task.name}, which is read as GLUE has it; omit it.")
    fields = _fields(config, saved, *_LENGTHS, "do_lower_case", "data_dir")
    if "data_dir" not in fields:
        raise InputError(f"--task_name={task.name} needs --data_dir, the directory of its files.")
    return Data(TaskDescription(task.trained_as, task.problem_type, task.labels, **fields), task)


def _fields(config: DataConfig, saved: TaskDescription | None, *names: str) -> dict[str, Any]:
    """Fields of `TaskDescription` from flags, else from the training run; those that neither sets are omitted."""
    fields = {}
    for name in names:
        value = getattr(config, name)
        if value is None:
            value = getattr(saved, name, None)
        elif value == text_lines.STANDARD_INPUT and name == "predict_file":
            value = None
        elif name in _PATHS:
            value = file_system.absolute(value)
        if value is not None:
            fields[name] = value
    return fields


def _unlabeled_files(pattern: str | None) -> tuple[str, ...]:
    """The files that `--unlabeled_file` names, or the sheet of a workbook."""
    if pattern is None:
        return ()
    workbook = Workbook.of(pattern)
    return (pattern,) if workbook and workbook.sheet else tuple(files.expand(pattern, "--unlabeled_file"))


def _texts(config: DataConfig, description: TaskDescription, known: TaskDescription | None) -> tuple[str, ...]:
    """The values of `--text` and `--text_pair`, if they are set.

    Raises:
      InputError: the model is for pairs and there is one text, or vice versa.
    """
    if config.text is None:
        return ()
    for flag, text in (("--text", config.text), ("--text_pair", config.text_pair or "")):
        if not files.is_unicode(text):
            raise InputError(f"{flag} is not valid UTF-8; check the encoding of the terminal.")
    pairs, are_known = description.has_pairs, known is not None and known.knows_pairs
    if pairs != (config.text_pair is not None) and (pairs or are_known):
        what = "pairs of texts; give --text_pair too" if pairs else "single texts; omit --text_pair"
        raise InputError(f"The model of {config.output_dir} is for {what}.")
    return (config.text,) if config.text_pair is None else (config.text, config.text_pair)


def _check_pairs(config: DataConfig, description: TaskDescription, known: TaskDescription) -> None:
    """Checks that the columns to be read are those of the texts for which the model was trained, one or two."""
    if known.has_pairs == (description.text_pair_column is not None):
        return
    what = "single texts; omit --text_pair_column"
    if known.has_pairs:
        what = "pairs of texts; name the column of the second one (--text_pair_column)"
    raise InputError(f"The model of {config.output_dir} is for {what}.")


# --- Custom data -----------------------------------------------------------------------------------------------


def _open_trained(config: DataConfig, saved: TaskDescription | None) -> Data:
    """Custom data to evaluate or predict; the task is that of the trained model."""
    kind, labels = (saved.problem_type, saved.labels) if saved else ("single_label", ())
    if saved is None and config.labels_file is None and config.problem_type != "regression":
        raise InputError(
            f"{config.output_dir} has no {TASK_FILE}, so the labels are unknown: train first, give the directory "
            "of a training, or give --labels_file."
        )
    if config.labels_file:
        labels = read_labels(config.labels_file)
    name = config.task_name or (saved.name if saved else _NO_NAME)
    split = ValidationSplit.load(config.output_dir)
    if config.validation_split is not None and (split is None or split.fraction != config.validation_split):
        raise InputError(
            f"--validation_split={config.validation_split:g}: the training of {config.output_dir} held out "
            f"{'no rows' if split is None else f'a fraction of {split.fraction:g}'}; give --dev_file, or omit the flag."
        )
    description = TaskDescription(name, config.problem_type or kind, labels, **_custom_fields(config, saved))
    return Data(description, train_file=config.train_file, split=split)


def _open_for_training(config: DataConfig, saved: TaskDescription | None) -> Data:
    """Custom data to train with; problem type and labels are inferred from it, unless flags set them."""
    if config.train_file is None:
        raise InputError(f"{_FLAGS['train']} is missing; which rows?")
    custom = saved if saved and not glue.is_known(saved.name) else None
    fields = _custom_fields(config, custom)
    name = config.task_name or (custom.name if custom else _NO_NAME)
    # Only the columns are known yet; problem type and labels are replaced below.
    description = TaskDescription(name, "regression", (), **fields)
    columns = (config.label_column, config.label_columns, config.label_separator)
    if custom is None and columns == (None, None, None) and config.problem_type != "regression":
        description = _with_label_columns(config.train_file, description, config.form)
    directory = directory_for_spilling(config.output_dir)
    examples = read_own(
        *(config.train_file, description),
        with_labels=True,
        checks_first_row=config.header is None and custom is None,
        directory=directory,
        form=config.form,
    )
    kind = config.problem_type or (
        label_lists.infer_problem_type(examples, config.label_separator)
        if examples.label_names is None
        else label_lists.infer_from_columns(examples)
    )
    if config.labels_file:
        kind = config.problem_type or ("single_label" if kind == "regression" else kind)
        labels = read_labels(config.labels_file)
    else:
        labels = label_lists.infer_labels(examples, kind, description.label_separator)
    _log(examples, kind, labels, is_inferred=config.problem_type is None)
    description = dataclasses.replace(description, problem_type=kind, labels=labels)
    data = Data(description, train_file=config.train_file, train=examples)
    data = dataclasses.replace(data, split=_split(config, data, examples, saved is not None))
    if data.split is None:
        return data
    train, held_out = data.split.divide(examples)
    return dataclasses.replace(data, train=train, held_out=held_out)


def _with_label_columns(path: str, description: TaskDescription, form: Form) -> TaskDescription:
    """The description with columns of 0 and 1 as labels, if the file has such columns and no label column."""
    names = find_label_columns(path, description, form)
    if not names:
        return description
    logger.info(
        "%s: there is no column %r, so the columns of 0 and 1 are taken as labels: %s. If they are not, "
        "--label_column names the column of the labels, or --label_columns others.",
        *(path, description.label_column, some(names, MOST_NAMED)),
    )
    return dataclasses.replace(description, label_column=None, label_columns=join_columns(names))


def _split(config: DataConfig, data: Data, examples: Examples, has_trained: bool) -> ValidationSplit | None:
    """The rows to hold out: those of the run in `output_dir`, else according to the flag; None: there are none."""
    fraction, output_dir = config.validation_split, config.output_dir
    split = ValidationSplit.load(output_dir) if has_trained else None
    if has_trained and fraction != (split and split.fraction) and (fraction is not None or config.dev_file):
        raise InputError(
            f"The training of {output_dir} has "
            f"{f'held out a fraction of {split.fraction:g}' if split else 'learned all rows'}; "
            f"{'omit --validation_split and --dev_file' if split else 'omit --validation_split'}, or give "
            "--overwrite_output_dir to start over."
        )
    if split or fraction is None:
        return split
    is_single = data.description.problem_type == "single_label"
    return ValidationSplit.of(examples, fraction, np.asarray(data.labels(examples)) if is_single else None)


def _custom_fields(config: DataConfig, saved: TaskDescription | None) -> dict[str, Any]:
    """The fields of the `TaskDescription` of custom data that do not depend on the labels."""
    columns = {"text_column": "text", "label_column": "label"}
    columns |= _fields(config, saved, "text_column", "text_pair_column", "label_column", "label_columns", "id_column")
    if config.label_column is None and "label_columns" in columns:
        del columns["label_column"]
    else:
        columns.pop("label_columns", None)
    had_header = saved is not None and saved.text_column is not None and saved.header
    named = [name for flag, name in columns.items() if flag != "label_columns"]
    named += split_columns(columns["label_columns"]) if "label_columns" in columns else ()
    fields = {**columns, "header": had_header or not all(map(is_number, named))}
    if config.header is not None:
        fields["header"] = config.header
    others = ("label_separator", "threshold", "do_lower_case", "dev_file", "predict_file")
    return fields | _fields(config, saved, *_LENGTHS, *others)


def _log_header(path: str, description: TaskDescription) -> None:
    """Logs whether the first line is taken as a header, if columns given by number leave that open."""
    columns = (description.text_column, *description.columns_of_labels)
    if kind_of(path) not in _WITH_HEADER or not all(is_number(str(column)) for column in columns):
        return
    taken, other = ("a header", "false") if description.header else ("a row", "true")
    logger.info(
        "%s: the first line is taken as %s, as in training; if that is wrong, give --header=%s.", path, taken, other
    )


def _log(examples: Examples, kind: ProblemType, labels: Sequence[str], is_inferred: bool) -> None:
    if is_inferred:
        _log_numeric_labels(examples.path, kind, labels)
    listed = f"{', '.join(labels[:10])}{', ...' if len(labels) > 10 else ''}"
    logger.info(
        "%s: %s, %s%s%s.",
        *(examples.path, counted(len(examples), "row"), kind, ", judging by the labels" if is_inferred else ""),
        f", {counted(len(labels), 'label')}: {listed}" if labels else "",
    )


def _log_numeric_labels(path: str, kind: ProblemType, labels: Sequence[str]) -> None:
    """Logs how numeric labels were interpreted, and how to change that."""
    if kind == "regression":
        what, other, flag = "amounts, as not all are whole numbers", "classes", "single_label"
    elif kind == "single_label" and len(labels) > 2 and label_lists.are_numbers(labels):
        what, other, flag = f"{len(labels)} classes", "ratings or amounts", "regression"
    else:
        return
    logger.info("%s: the labels are numbers, taken as %s. If they are %s: --problem_type=%s.", path, what, other, flag)
