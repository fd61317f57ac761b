"""What `run_classifier.py` can be asked to do."""

import dataclasses
from typing import Any

from bert_tf2.configs import long_texts
from bert_tf2.configs.choices import PROBLEM_TYPES, ProblemType
from bert_tf2.configs.fields import FILES, TASK, TRAINING, check_has_effect, setting
from bert_tf2.configs.long_texts import WINDOW_POOLINGS, LongText, WindowPooling
from bert_tf2.configs.table_form import TableForm
from bert_tf2.errors import InputError
from bert_tf2.tasks.finetuning.config import CLASS_WEIGHTS, FinetuningConfig, check_class_weights


@dataclasses.dataclass(frozen=True)
class DataConfig(TableForm):
    """The flags about data, those of `TableForm` included.

    None is "not given": the training's choice, or the default that the flag's help says.

    Attributes:
      output_dir: the model's folder, where the training's choices are remembered.
      max_seq_length: tokens of a sequence at most: 128.
      do_lower_case: whether to strip case and accents: true.

    Raises:
      InputError: flags that exclude each other.
    """

    output_dir: str
    task_name: str | None = setting(
        None,
        help="cola, mnli, mnli-mm, mrpc, xnli, sst-2, sts-b, qqp, qnli, rte, wnli or ax, read from data_dir; or any "
        "name for data of your own.",
        group=TASK,
        original=True,
    )
    data_dir: str | None = setting(
        None, help="Folder of the task's .tsv files, as GLUE has them.", group=FILES, original=True
    )
    train_file: str | None = setting(
        None,
        help="Data of your own to learn: .csv, .tsv, .jsonl, .json, .parquet or .xlsx (a sheet by .xlsx#NAME).",
        group=FILES,
    )
    dev_file: str | None = setting(None, help="Data of your own to evaluate.", group=FILES)
    predict_file: str | None = setting(
        None,
        help="Data of your own to predict; needs no labels. Also .txt, a text a line, or - for standard input.",
        group=FILES,
    )
    text: str | None = setting(
        None, help="A text to predict, instead of predict_file; the prediction is also printed.", group=FILES
    )
    text_pair: str | None = setting(None, help="With text: the second text of a pair.", group=FILES)
    unlabeled_file: str | None = setting(
        None,
        help="With teacher: rows without labels, which are learned from the teacher alone; files of the kinds of "
        "predict_file, several with commas between or by a pattern.",
        group=FILES,
    )
    validation_split: float | None = setting(
        None,
        help="Without dev_file: hold out this share of train_file to evaluate with, 0.1 for example; about the same "
        "share of each label.",
        group=FILES,
        above=0,
        below=1,
    )
    text_column: str | None = setting(
        None, help="Name or number (from 0) of the column of the text; text if not given.", group=TASK
    )
    text_pair_column: str | None = setting(None, help="Column of a second text.", group=TASK)
    label_column: str | None = setting(None, help="Column of the label; label if not given.", group=TASK)
    label_columns: str | None = setting(
        None,
        help="Columns with 1 where a label applies and 0 where not, one a label, with commas between. If omitted "
        "and there is no label_column, all columns that look like it.",
        group=TASK,
    )
    id_column: str | None = setting(
        None, help="Column of what rows are called in predictions.jsonl; id, or their number.", group=TASK
    )
    header: bool | None = setting(
        None, help="Whether the first row names the columns; yes, unless columns are given by number.", group=TASK
    )
    labels_file: str | None = setting(
        None, help="The labels, one a line; if not given, those of train_file.", group=TASK
    )
    label_separator: str | None = setting(
        None, help="What stands between several labels of a row; | if not given.", group=TASK
    )
    problem_type: ProblemType | None = setting(
        None, help="If not given, told by the labels.", group=TASK, choices=PROBLEM_TYPES
    )
    threshold: float | None = setting(
        None, help="With several labels a row: from which probability a label is given; 0.5.", group=TASK
    )
    long_text: LongText | None = long_texts.long_text(None, "texts", " As in the training; there, truncate_tail.")
    window_stride: int | None = long_texts.window_stride()
    window_pooling: WindowPooling | None = setting(
        None,
        help="With windows: whether the logits of a text are the mean of those of its windows or the maximum; mean.",
        group=TASK,
        choices=WINDOW_POOLINGS,
    )
    max_seq_length: int | None = None
    do_lower_case: bool | None = None

    def __post_init__(self) -> None:
        from bert_tf2.tasks.classification import glue

        if self.task_name and glue.is_known(self.task_name) and self.files:
            raise InputError(
                f"--task_name={self.task_name} is read from --data_dir and {next(iter(self.files))} is data of your "
                "own; give one of the two, or the task another name."
            )
        if self.data_dir and self.files:
            raise InputError(f"--data_dir is for the tasks of GLUE; leave it away with {next(iter(self.files))}.")
        _ = self.form
        if self.validation_split is not None and self.dev_file:
            raise InputError("--validation_split and --dev_file exclude each other; give one of the two.")
        if self.text is not None and self.predict_file:
            raise InputError("--text and --predict_file exclude each other; give one of the two.")
        if self.text_pair is not None and self.text is None:
            raise InputError("--text_pair needs --text, the first text of the pair.")
        self._check_label_columns()
        if self.label_separator == "":
            raise InputError("--label_separator is empty; give what stands between several labels, for example |.")

    def _check_label_columns(self) -> None:
        if self.label_columns is None:
            return
        for flag, excluded in (
            ("--label_column", self.label_column is not None),
            ("--label_separator", self.label_separator is not None),
            ("--problem_type=regression", self.problem_type == "regression"),
        ):
            if excluded:
                raise InputError(f"--label_columns and {flag} exclude each other: they say where a row's labels stand.")

    @property
    def files(self) -> dict[str, str]:
        """Flag and value of what says where data of one's own is."""
        return self._given("train_file", "dev_file", "predict_file", "text")

    @property
    def for_own_data(self) -> dict[str, Any]:
        """Flag and value of what has no meaning for the tasks of GLUE."""
        return self.files | self._given(
            *("validation_split", "text_column", "text_pair_column", "label_column", "label_columns"),
            *("id_column", "header"),
            *("delimiter", "encoding", "labels_file", "label_separator", "problem_type", "threshold"),
        )

    def _given(self, *names: str) -> dict[str, Any]:
        values = {f"--{name}": getattr(self, name) for name in names}
        return {flag: value for flag, value in values.items() if value is not None}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassificationConfig(FinetuningConfig, DataConfig):
    """The flags of `run_classifier.py`: those of `FinetuningConfig` and `DataConfig`, class weights and a teacher.

    Raises:
      InputError: a value is impossible, flags exclude each other, or nothing is to be done.
    """

    class_weights: str = setting(
        "none", help="balanced: rare labels count as much as others.", group=TRAINING, choices=CLASS_WEIGHTS
    )
    teacher: str | None = setting(
        None,
        help="Distillation: a classifier, fine-tuned for the same labels, that the model learns from: the directory of "
        "a training, its best/, or whatever else init_checkpoint can be.",
        group=TRAINING,
    )
    teacher_temperature: float = setting(
        2.0,
        help="With teacher: what the logits of both are divided by; the higher, the more the labels count that the "
        "teacher finds less probable.",
        group=TRAINING,
        above=0,
        at_most=1000,
    )
    teacher_weight: float = setting(
        0.5,
        help="With teacher: how much its predictions count against the labels; 1: they alone count.",
        group=TRAINING,
        at_least=0,
        at_most=1,
    )

    def __post_init__(self) -> None:
        if self.text is not None:  # which is there to be predicted
            object.__setattr__(self, "do_predict", True)
        FinetuningConfig.__post_init__(self)
        check_class_weights(self)
        self._check_teacher()
        needed = "needs --do_eval: it holds rows out to evaluate with; give it too, or omit --validation_split"
        check_has_effect(self, ("validation_split",), self.do_eval, needed)
        DataConfig.__post_init__(self)

    def _check_teacher(self) -> None:
        needed = "needs --do_train: the model learns from it in training; give both or omit it"
        check_has_effect(self, ("teacher",), self.do_train, needed)
        flags = ("teacher_temperature", "teacher_weight", "unlabeled_file")
        check_has_effect(self, flags, self.teacher is not None, "needs --teacher; give both or omit it")
        if self.teacher and self.teacher_weight == 0 and self.unlabeled_file is None:
            raise InputError(
                "--teacher_weight=0: nothing would be learned from the teacher; give a greater weight, or rows without "
                "labels (--unlabeled_file), or omit --teacher."
            )

    @property
    def data(self) -> DataConfig:
        """The flags about data."""
        return DataConfig(**{field.name: getattr(self, field.name) for field in dataclasses.fields(DataConfig)})
