"""The task and its rows: a GLUE task in its directory, or custom files.

data = open_data(DataConfig(output_dir="model", train_file="train.csv"), training=True)
data.description, data.examples("train")
"""

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert_tf2.checkpoints.task_metadata import TASK_FILE, check_may_read, read_labels
from bert_tf2.configs.choices import ProblemType
from bert_tf2.configs.fields import check_has_effect
from bert_tf2.configs.long_texts import WINDOWS
from bert_tf2.errors import MOST_NAMED, InputError, counted, some
from bert_tf2.io import file_system, files, text_lines
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
      description: of the task; `save(output_dir)` belongs before the training.
      task: where it is one of GLUE.
      train_file: rows to learn, of custom data.
      train: its rows where they have been read.
      folder: the model's, whose `task.json` says what no flag says.
      asked: names of the flags that say where data is.
      knows_header: whether a flag says if files have a header; else it is as in the training.
      form: what flags say of how files are written.
      split: which rows of `train_file` are held out to evaluate with; None where there is another file of them.
      held_out: these rows where they have been read.
      predict_file: what flags ask to predict; it is not remembered where it is standard input.
      unlabeled_files: files of rows that are learned from a teacher alone.
      given: a text to predict, or a pair, where a flag has it.
    """

    description: TaskDescription
    task: GlueTask | None = None
    train_file: str | None = None
    train: Examples | None = None
    folder: str = ""
    asked: tuple[str, ...] = _PATHS
    knows_header: bool = False
    form: Form | None = None
    split: ValidationSplit | None = None
    held_out: Examples | None = None
    predict_file: str | None = None
    unlabeled_files: tuple[str, ...] = ()
    given: tuple[str, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names for `metrics.evaluate`."""
        return self.task.metrics if self.task else DEFAULT_METRICS[self.description.problem_type]

    def examples(self, split: Split) -> Examples:
        """The rows to train, to evaluate ("dev") or to predict ("test"), the last without labels.

        Raises:
          InputError: they cannot be read, or nobody said where they are.
        """
        wanted, directory = self.description, directory_for_spilling(self.folder)
        if split == "test" and self.given:
            texts = [[text] for text in self.given]
            return Examples("--text", [1], [0], texts[0], texts[1] if len(texts) > 1 else None, None)
        if self.task:
            self._check_asked("data_dir", wanted.data_dir)
            return glue.read(self.task, str(wanted.data_dir), split, directory)
        if split == "train" and self.train:
            return self.train
        if split == "dev" and self.split and wanted.dev_file is None:
            return self.held_out or self._read_held_out(self.split)
        path = {"train": self.train_file, "dev": wanted.dev_file, "test": self.predict_file or wanted.predict_file}[
            split
        ]
        if path is None:
            raise InputError(f"{_FLAGS[split]} is missing; which rows?")
        if split != "train":
            self._check_asked(_FLAGS[split].removeprefix("--"), path)
        return self._read(path, split)

    def unlabeled(self) -> list[Examples]:
        """The rows of each file of unlabeled rows.

        For a GLUE task, columns have the names, or numbers, that they have in its test file.

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

    def save(self, folder: str) -> None:
        """Writes what evaluation and prediction need: `task.json`, `labels.txt`, `validation_split.json`.

        Raises:
          OSError: they cannot be written.
        """
        self.description.save(folder)
        if self.split:
            self.split.save(folder)

    def _read(self, path: str, split: Split) -> Examples:
        wanted, directory = self.description, directory_for_spilling(self.folder)
        asks = not self.knows_header and split != "train"
        examples = read_own(
            *(path, wanted),
            with_labels=split != "test",
            asks_about_header=asks,
            directory=directory,
            given=self.form,
        )
        if asks:
            _say_header(path, wanted)
        return examples

    def _read_held_out(self, split: ValidationSplit) -> Examples:
        path = self.train_file
        if path is None:
            path = split.train_file
            check_may_read(self.folder, "train_file", path)
        return split.divide(self._read(path, "dev"))[1]

    def _check_asked(self, name: str, path: str | None) -> None:
        if path is not None and name not in self.asked:
            check_may_read(self.folder, name, path)

    def labels(self, examples: Examples) -> NDArray[Any] | SparseRows:
        """The labels of rows as numbers; see `labels.encode`."""
        wanted = self.description
        return label_lists.encode(examples, wanted.problem_type, wanted.labels, wanted.label_separator)


def open_data(
    config: DataConfig, training: bool, overwrite: bool = False, of_checkpoint: TaskDescription | None = None
) -> Data:
    """Determines the task.

    Args:
      config: the flags.
      training: whether there will be training: then a custom task is described by its training data, else by the
        `task.json` of `output_dir`.
      overwrite: whether `output_dir` will be emptied: what it holds does not matter.
      of_checkpoint: the task of the classifier that is used as it is, if `output_dir` has no `task.json`.

    Raises:
      InputError: nobody says which task it is, it is not that of `output_dir`, or the data cannot be read.
    """
    saved = None if overwrite else TaskDescription.load(config.output_dir)
    known = saved or of_checkpoint
    name = config.task_name or (known.name if known else None)
    if name is None and not config.files:
        raise InputError(
            "No task is given: give --task_name and --data_dir for one of GLUE, --train_file for data of your own, or "
            f"an --output_dir that holds the {TASK_FILE} of a training."
        )
    if config.files or (known and name == known.name and not glue.is_known(known.name)):
        data = _learned_from(config, saved) if training else _remembered(config, known)
    else:
        data = _glue(config, saved, str(name))
    kind = data.description.problem_type
    needed = f"is for several labels a row (--problem_type=multi_label), but this task is {kind}; omit it"
    check_has_effect(config, ("threshold", "label_separator"), kind == "multi_label", needed)
    is_divided = data.description.long_text == WINDOWS
    check_has_effect(config, ("window_pooling",), is_divided, "is for --long_text=windows; give both or omit it")
    texts, unlabeled = _given_texts(config, data.description), _unlabeled_files(config.unlabeled_file)
    data = dataclasses.replace(data, predict_file=config.predict_file, unlabeled_files=unlabeled, given=texts)
    predicted = data.predict_file or data.description.predict_file
    paths = [path for path in (data.train_file, data.description.dev_file, predicted, *unlabeled) if path]
    kinds = {kind_of(path) for path in paths}
    is_table = not paths or bool(kinds & _WITH_HEADER)
    check_has_effect(config, ("header",), is_table, "is for CSV, TSV and Excel files; others have no header; omit it")
    if paths:
        config.check_form(kinds, ("csv", "tsv", "json lines", "json", "text"), "is for text files; omit it")
    if saved:
        data.description.check_same_model(saved, config.output_dir)
    asked = tuple(name for name in _PATHS if getattr(config, name) is not None)
    return dataclasses.replace(
        data, folder=config.output_dir, asked=asked, knows_header=config.header is not None, form=config.form
    )


def _glue(config: DataConfig, saved: TaskDescription | None, name: str) -> Data:
    task = glue.task_named(name)
    if config.for_own_data:
        flag = next(iter(config.for_own_data))
        raise InputError(f"{flag} has no effect on the task {task.name}, which is read as GLUE has it; omit it.")
    given = _given(config, saved, *_LENGTHS, "do_lower_case", "data_dir")
    if "data_dir" not in given:
        raise InputError(f"--task_name={task.name} needs --data_dir, the directory of its files.")
    return Data(TaskDescription(task.trained_as, task.problem_type, task.labels, **given), task)


def _given(config: DataConfig, saved: TaskDescription | None, *names: str) -> dict[str, Any]:
    """Flags that were given, now or at the training, as fields of `TaskDescription`."""
    given = {}
    for name in names:
        value = getattr(config, name)
        if value is None:
            value = getattr(saved, name, None)
        elif value == text_lines.STANDARD_INPUT and name == "predict_file":
            value = None
        elif name in _PATHS:
            value = file_system.absolute(value)
        if value is not None:
            given[name] = value
    return given


def _unlabeled_files(given: str | None) -> tuple[str, ...]:
    """The files that `--unlabeled_file` names; or a single sheet of a workbook."""
    if given is None:
        return ()
    workbook = Workbook.of(given)
    return (given,) if workbook and workbook.sheet else tuple(files.expand(given, "--unlabeled_file"))


def _given_texts(config: DataConfig, description: TaskDescription) -> tuple[str, ...]:
    """`--text` and perhaps `--text_pair`.

    Raises:
      InputError: the model is for pairs and there is one text, or the other way round.
    """
    if config.text is None:
        return ()
    for flag, text in (("--text", config.text), ("--text_pair", config.text_pair or "")):
        if not files.is_unicode(text):
            raise InputError(f"{flag} is not valid UTF-8; check the encoding of the terminal.")
    pairs = description.has_pairs
    if pairs != (config.text_pair is not None):
        what = "pairs of texts; give --text_pair too" if pairs else "single texts; omit --text_pair"
        raise InputError(f"The model of {config.output_dir} is for {what}.")
    return (config.text,) if config.text_pair is None else (config.text, config.text_pair)


# --- Custom data -----------------------------------------------------------------------------------------------


def _remembered(config: DataConfig, saved: TaskDescription | None) -> Data:
    """For evaluation and prediction."""
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
    description = TaskDescription(name, config.problem_type or kind, labels, **_own_fields(config, saved))
    return Data(description, train_file=config.train_file, split=split)


def _learned_from(config: DataConfig, saved: TaskDescription | None) -> Data:
    """For training: problem type and labels come from the training data, unless they are given."""
    if config.train_file is None:
        raise InputError(f"{_FLAGS['train']} is missing; which rows?")
    own = saved if saved and not glue.is_known(saved.name) else None
    fields = _own_fields(config, own)
    name = config.task_name or (own.name if own else _NO_NAME)
    description = TaskDescription(name, "regression", (), **fields)  # for its columns; the rest is not known yet
    asks = config.header is None and own is None
    columns = (config.label_column, config.label_columns, config.label_separator)
    if own is None and columns == (None, None, None) and config.problem_type != "regression":
        description = _with_label_columns(config.train_file, description, config.form)
    directory = directory_for_spilling(config.output_dir)
    examples = read_own(
        *(config.train_file, description),
        with_labels=True,
        asks_about_header=asks,
        directory=directory,
        given=config.form,
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
    _log(examples, kind, labels, told=config.problem_type is None)
    description = dataclasses.replace(description, problem_type=kind, labels=labels)
    data = Data(description, train_file=config.train_file, train=examples)
    data = dataclasses.replace(data, split=_split(config, data, examples, saved is not None))
    if data.split is None:
        return data
    train, held_out = data.split.divide(examples)
    return dataclasses.replace(data, train=train, held_out=held_out)


def _with_label_columns(path: str, description: TaskDescription, form: Form) -> TaskDescription:
    """The description with columns of 0 and 1 as labels, where a file has them and no column of labels."""
    found = find_label_columns(path, description, form)
    if not found:
        return description
    logger.info(
        "%s: there is no column %r, so the columns of 0 and 1 are taken as labels: %s. If they are not, "
        "--label_column names the column of the labels, or --label_columns others.",
        *(path, description.label_column, some(found, MOST_NAMED)),
    )
    return dataclasses.replace(description, label_column=None, label_columns=join_columns(found))


def _split(config: DataConfig, data: Data, examples: Examples, has_trained: bool) -> ValidationSplit | None:
    """Which rows are held out: as in the run of `output_dir`, or according to the flag."""
    fraction, folder = config.validation_split, config.output_dir
    split = ValidationSplit.load(folder) if has_trained else None
    if has_trained and fraction != (split and split.fraction) and (fraction is not None or config.dev_file):
        raise InputError(
            f"The training of {folder} has "
            f"{f'held out a fraction of {split.fraction:g}' if split else 'learned all rows'}; "
            f"{'omit --validation_split and --dev_file' if split else 'omit --validation_split'}, or give "
            "--overwrite_output_dir to start over."
        )
    if split or fraction is None:
        return split
    is_single = data.description.problem_type == "single_label"
    return ValidationSplit.of(examples, fraction, np.asarray(data.labels(examples)) if is_single else None)


def _own_fields(config: DataConfig, saved: TaskDescription | None) -> dict[str, Any]:
    """The fields of `TaskDescription` that do not depend on the labels."""
    columns = {"text_column": "text", "label_column": "label"}
    columns |= _given(config, saved, "text_column", "text_pair_column", "label_column", "label_columns", "id_column")
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
    return fields | _given(config, saved, *_LENGTHS, *others)


def _say_header(path: str, description: TaskDescription) -> None:
    """Logs what the first line is taken for, where columns by number leave that open."""
    columns = (description.text_column, *description.columns_of_labels)
    if kind_of(path) not in _WITH_HEADER or not all(is_number(str(column)) for column in columns):
        return
    taken, other = ("a header", "false") if description.header else ("a row", "true")
    logger.info(
        "%s: the first line is taken as %s, as in training; if that is wrong, give --header=%s.", path, taken, other
    )


def _log(examples: Examples, kind: ProblemType, labels: Sequence[str], told: bool) -> None:
    if told:
        _say_numbers(examples.path, kind, labels)
    listed = f"{', '.join(labels[:10])}{', ...' if len(labels) > 10 else ''}"
    logger.info(
        "%s: %s, %s%s%s.",
        *(examples.path, counted(len(examples), "row"), kind, ", judging by the labels" if told else ""),
        f", {counted(len(labels), 'label')}: {listed}" if labels else "",
    )


def _say_numbers(path: str, kind: ProblemType, labels: Sequence[str]) -> None:
    """Logs how numeric labels were interpreted, and how to change that."""
    if kind == "regression":
        what, other, flag = "amounts, as not all are whole numbers", "classes", "single_label"
    elif kind == "single_label" and len(labels) > 2 and label_lists.are_numbers(labels):
        what, other, flag = (
            f"{len(labels)} classes",
            "ratings or amounts",
            "regression",
        )
    else:
        return
    logger.info("%s: the labels are numbers, taken as %s. If they are %s: --problem_type=%s.", path, what, other, flag)
