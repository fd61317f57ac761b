"""The highest whole numbers that flags may have; no TensorFlow.

Python's integers have no end, those of TensorFlow, NumPy and the kernels have: what is beyond them would end in an
overflow, or in hours of work and terabytes of memory that nobody wants.
"""

import dataclasses
from typing import TYPE_CHECKING

from bert_tf2.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MOST = (1 << 31) - 1
MOST_SEED = (1 << 32) - 1
# Of fields with these names, whatever config they are in; the others go to MOST.
_MOST_BY_NAME = {
    **dict.fromkeys(("batch_size", "eval_batch_size", "predict_batch_size", "train_batch_size"), 1 << 20),
    "dupe_factor": 100_000,
    "group_bytes": 1 << 50,
    "limit_alphabet": 0x110000,
    "max_answer_length": 1 << 17,
    "max_predictions_per_seq": 1 << 17,
    "max_query_length": 1 << 17,
    "max_seq_length": 1 << 17,
    "n_best_size": 100_000,
    "num_unused": 1_000_000,
    "num_workers": 4096,
    "random_seed": (1 << 63) - 1,  # Python's generator takes any
    "seed": MOST_SEED,
    "vocab_size": 10_000_000,
}


def check_most(config: "DataclassInstance") -> None:
    """Checks the whole numbers among a config's fields, which have the names of flags.

    Raises:
      InputError: one is beyond what the flag can have.
    """
    for field in dataclasses.fields(config):
        value, most = getattr(config, field.name), _MOST_BY_NAME.get(field.name, MOST)
        if isinstance(value, int) and not -most - 1 <= value <= most:
            shown = str(value) if abs(value) < 1 << 128 else "a number of more than 38 digits"
            limit = f"at most {most}" if value > 0 else f"at least {-most - 1}"
            raise InputError(f"--{field.name}={shown}; it has to be {limit}.")
