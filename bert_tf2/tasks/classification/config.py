"""The flags of `run_classifier.py`."""

import dataclasses
from typing import Any

from bert_tf2.configs import long_texts
from bert_tf2.configs.choices import PROBLEM_TYPES, ProblemType
from bert_tf2.configs.fields import FILES, TASK, TRAINING, check_has_effect, setting
from bert_tf2.configs.long_texts import WINDOW_POOLINGS, LongText, WindowPooling
from bert_tf2.configs.table_form import TABLES, TableForm
from bert_tf2.errors import InputError
from bert_tf2.tasks.finetuning.config import (
    CLASS_WEIGHTS,
    FinetuningConfig,
    MinConfidence,
    check_class_weights,
    check_min_confidence,
)


@dataclasses.dataclass(frozen=True)
class DataConfig(TableForm):
    """The flags about data, including those of `TableForm`.

    None means that the flag is omitted; the value of the training run applies then, or the default in the flag's help.

    Attributes:
      output_dir: the model's directory, which holds the settings of the training run.
      max_seq_length: maximum tokens per sequence; default 128.
      do_lower_case: whether to lower-case the text and strip accents; default true.

    Raises:
      InputError: two flags exclude each other.
    """

    output_dir: str
    task_name: str | None = setting(
        None,
        help="cola, mnli, mnli-mm, mrpc, xnli, sst-2, sts-b, qqp, qnli, rte, wnli or ax, read from data_dir; or any "
        "name for your own data.",
        group=TASK,
        original=True,
    )
    data_dir: str | None = setting(
        None, help="Directory with the task's .tsv files, as in GLUE.", group=FILES, original=True
    )
    train_file: str | None = setting(
        None,
        help=f"Your own training data: {TABLES}.",
        group=FILES,
    )
    dev_file: str | None = setting(None, help="Your own data to evaluate.", group=FILES)
    predict_file: str | None = setting(
        None,
        help="Your own data to predict, without labels if you like; also .txt with one text per line, or - for "
        "standard input.",
        group=FILES,
    )
    text: str | None = setting(
        None, help="A single text to predict instead of predict_file; the prediction is also printed.", group=FILES
    )
    text_pair: str | None = setting(None, help="With text: the second text of a pair.", group=FILES)
    unlabeled_file: str | None = setting(
        None,
        help="With teacher: unlabeled rows, learned from the teacher alone; files like predict_file, several as a "
        "comma-separated list or a glob.",
        group=FILES,
    )
    validation_split: float | None = setting(
        None,
        help="Without dev_file: fraction of train_file to hold out for evaluation, for example 0.1; about the same "
        "fraction of each label.",
        group=FILES,
        above=0,
        below=1,
    )
    text_column: str | None = setting(
        None, help="Column of the text: name or number (from 0); if omitted, text.", group=TASK
    )
    text_pair_column: str | None = setting(None, help="Column of a second text.", group=TASK)
    label_column: str | None = setting(None, help="Column of the label; if omitted, label.", group=TASK)
    label_columns: str | None = setting(
        None,
        help="Comma-separated columns, one per label, with 1 where the label applies and 0 where it does not. If "
        "omitted and there is no label_column, all columns that look like it.",
        group=TASK,
    )
    id_column: str | None = setting(
        None, help="Column of the row ids for predictions.jsonl; if omitted, id, else the row number.", group=TASK
    )
    header: bool | None = setting(
        None,
        help="Whether the first row names the columns; if omitted, yes, unless columns are given by number.",
        group=TASK,
    )
    labels_file: str | None = setting(
        None, help="File of the labels, one per line; if omitted, those in train_file.", group=TASK
    )
    label_separator: str | None = setting(None, help="Separator of several labels in a row; if omitted, |.", group=TASK)
    problem_type: ProblemType | None = setting(
        None, help="Kind of task; if omitted, inferred from the labels.", group=TASK, choices=PROBLEM_TYPES
    )
    threshold: float | None = setting(
        None, help="With multi_label: minimum probability of a predicted label; if omitted, 0.5.", group=TASK
    )
    long_text: LongText | None = long_texts.long_text(
        None, "texts", " If omitted, as in training, and truncate_tail there."
    )
    window_stride: int | None = long_texts.window_stride()
    window_pooling: WindowPooling | None = setting(
        None,
        help="With windows: whether a text's logits are the mean or the maximum of those of its windows; if omitted, "
        "mean.",
        group=TASK,
        choices=WINDOW_POOLINGS,
    )
    max_seq_length: int | None = None
    do_lower_case: bool | None = None

    def __post_init__(self) -> None:
        from bert_tf2.tasks.classification import glue

        if self.task_name and glue.is_known(self.task_name) and self.files:
            raise InputError(
                f"--task_name={self.task_name} is read from --data_dir, but {next(iter(self.files))} is your own data; "
                "give one of the two, or give the task another name."
            )
        if self.data_dir and self.files:
            raise InputError(f"--data_dir is for the tasks of GLUE; omit it with {next(iter(self.files))}.")
        _ = self.form
        if self.validation_split is not None and self.dev_file:
            raise InputError("--validation_split and --dev_file exclude each other; give one of the two.")
        if self.text is not None and self.predict_file:
            raise InputError("--text and --predict_file exclude each other; give one of the two.")
        if self.text_pair is not None and self.text is None:
            raise InputError("--text_pair needs --text, the first text of the pair.")
        self._check_label_columns()
        if self.label_separator == "":
            raise InputError("--label_separator is empty; give the separator of several labels, for example |.")

    def _check_label_columns(self) -> None:
        if self.label_columns is None:
            return
        for flag, excluded in (
            ("--label_column", self.label_column is not None),
            ("--label_separator", self.label_separator is not None),
            ("--problem_type=regression", self.problem_type == "regression"),
        ):
            if excluded:
                raise InputError(f"--label_columns and {flag} exclude each other: both say where a row's labels are.")

    @property
    def files(self) -> dict[str, str]:
        """Flag and value of each flag that names custom data."""
        return self._set_flags("train_file", "dev_file", "predict_file", "text")

    @property
    def for_own_data(self) -> dict[str, Any]:
        """Flag and value of each flag that has no meaning for the tasks of GLUE."""
        return self.files | self._set_flags(
            *("validation_split", "text_column", "text_pair_column", "label_column", "label_columns"),
            *("id_column", "header"),
            *("delimiter", "encoding", "labels_file", "label_separator", "problem_type", "threshold"),
        )

    def _set_flags(self, *names: str) -> dict[str, Any]:
        values = {f"--{name}": getattr(self, name) for name in names}
        return {flag: value for flag, value in values.items() if value is not None}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassificationConfig(FinetuningConfig, DataConfig, MinConfidence):
    """The flags of `run_classifier.py`: those of `FinetuningConfig` and `DataConfig`, class weights and a teacher.

    Raises:
      InputError: a value is invalid, flags exclude each other, or there is nothing to do.

    Examples:
      >>> from bert_tf2.tasks.classification import ClassificationConfig
      >>> ClassificationConfig(output_dir="model", text="A delight.").do_predict
      True
    """

    class_weights: str = setting(
        "none",
        help="Weights of labels in the loss; balanced: rare labels count as much as frequent ones.",
        group=TRAINING,
        choices=CLASS_WEIGHTS,
    )
    teacher: str | None = setting(
        None,
        help="Distillation: a classifier, fine-tuned for the same labels, from which the model learns; a run "
        "directory, its best/, or anything else that init_checkpoint can be.",
        group=TRAINING,
    )
    teacher_temperature: float = setting(
        2.0,
        help="With teacher: divisor of the logits of both models; higher values give more weight to labels that the "
        "teacher considers improbable.",
        group=TRAINING,
        above=0,
        at_most=1000,
    )
    teacher_weight: float = setting(
        0.5,
        help="With teacher: weight of its predictions against the labels, from 0 to 1; 1 ignores the labels.",
        group=TRAINING,
        at_least=0,
        at_most=1,
    )

    def __post_init__(self) -> None:
        if self.text is not None:  # its only use
            object.__setattr__(self, "do_predict", True)
        FinetuningConfig.__post_init__(self)
        check_class_weights(self)
        self._check_teacher()
        needed = "needs --do_eval, as it holds out rows for evaluation; give both or omit it"
        check_has_effect(self, ("validation_split",), self.do_eval, needed)
        check_min_confidence(self)
        DataConfig.__post_init__(self)

    def _check_teacher(self) -> None:
        needed = "needs --do_train, as the model learns from it in training; give both or omit it"
        check_has_effect(self, ("teacher",), self.do_train, needed)
        flags = ("teacher_temperature", "teacher_weight", "unlabeled_file")
        check_has_effect(self, flags, self.teacher is not None, "needs --teacher; give both or omit it")
        if self.teacher and self.teacher_weight == 0 and self.unlabeled_file is None:
            raise InputError(
                "--teacher_weight=0: nothing would be learned from the teacher; give a larger weight or unlabeled rows "
                "(--unlabeled_file), or omit --teacher."
            )

    @property
    def data(self) -> DataConfig:
        """The flags about data; `output_dir` is the directory of the model."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(DataConfig)}
        return DataConfig(**{**values, "output_dir": self.model_dir})
