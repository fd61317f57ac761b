"""What `run_classifier.py` can be asked to do."""

import dataclasses

from bert_tf2.metrics import ProblemType
from bert_tf2.tasks.classification.data import DataConfig
from bert_tf2.tasks.finetuning_config import FinetuningConfig, check_class_weights


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassificationConfig(FinetuningConfig):
    """The flags of `run_classifier.py`: those of `FinetuningConfig`, those of `DataConfig`, and the weights of classes.

    Attributes:
      class_weights: "balanced", every label counts the same in all; "none", every row does.

    The other attributes are those of the two. See there.

    Raises:
      InputError: a value is impossible, flags exclude each other, or nothing is to be done.
    """

    task_name: str | None = None
    data_dir: str | None = None
    train_file: str | None = None
    dev_file: str | None = None
    predict_file: str | None = None
    text_column: str | None = None
    text_pair_column: str | None = None
    label_column: str | None = None
    id_column: str | None = None
    header: bool | None = None
    labels_file: str | None = None
    label_separator: str | None = None
    problem_type: ProblemType | None = None
    threshold: float | None = None
    class_weights: str = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_class_weights(self, self.class_weights)
        _ = self.data

    @property
    def data(self) -> DataConfig:
        """The flags about data."""
        return DataConfig(**{field.name: getattr(self, field.name) for field in dataclasses.fields(DataConfig)})
