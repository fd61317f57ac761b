"""The flags of `run_multiple_choice.py`."""

import dataclasses

from bert_tf2.configs.fields import FILES, setting
from bert_tf2.configs.table_form import TABLES, TableForm
from bert_tf2.tasks.finetuning.config import FinetuningConfig, MinConfidence, check_min_confidence


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultipleChoiceConfig(FinetuningConfig, TableForm, MinConfidence):
    """The flags of `run_multiple_choice.py`: those of `FinetuningConfig` and `TableForm`, and the files.

    Raises:
      InputError: a value is invalid, flags exclude each other, or there is nothing to do.

    Examples:
      >>> from bert_tf2.tasks.multiple_choice import MultipleChoiceConfig
      >>> MultipleChoiceConfig(output_dir="model", predict_file="new.jsonl", do_predict=True).predict_batch_size
      8
    """

    train_file: str | None = setting(
        None,
        help=f"Training questions: {TABLES} in the form of SWAG, HellaSwag or RACE, or with the columns context, "
        "question, ending0, ending1, ... and label; or a directory of RACE's .txt files.",
        group=FILES,
    )
    dev_file: str | None = setting(None, help="Questions to evaluate.", group=FILES)
    predict_file: str | None = setting(None, help="Questions to predict; labels are optional.", group=FILES)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_min_confidence(self)
