"""Checkpoints under Google's names, Hugging Face directories, and what a model starts from."""

from typing import TYPE_CHECKING

from bert_tf2 import lazy_exports

if TYPE_CHECKING:
    from bert_tf2.checkpoints.google import (
        AVERAGE,
        GLOBAL_STEP,
        LoadReport,
        find,
        latest,
        load,
        load_averages,
        open_reader,
        read,
        remove,
        remove_unfinished,
        restore,
        resume,
        save,
        step_of,
        tf_variables,
        training_state,
        write,
    )

__all__ = [
    "AVERAGE",
    "GLOBAL_STEP",
    "LoadReport",
    "find",
    "latest",
    "load",
    "load_averages",
    "open_reader",
    "read",
    "remove",
    "remove_unfinished",
    "restore",
    "resume",
    "save",
    "step_of",
    "tf_variables",
    "training_state",
    "write",
]

__getattr__, __dir__ = lazy_exports.attach(__name__, dict.fromkeys(__all__, "bert_tf2.checkpoints.google"))
