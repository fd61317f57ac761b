"""Pre-training: masked language model and next sentence, and filling masks with a trained model."""

from typing import TYPE_CHECKING

from bert_tf2 import lazy_exports

if TYPE_CHECKING:
    from bert_tf2.tasks.pretraining.config import PretrainingConfig
    from bert_tf2.tasks.pretraining.whole_run import run

__all__ = ["PretrainingConfig", "run"]

_HOMES = {"PretrainingConfig": "bert_tf2.tasks.pretraining.config", "run": "bert_tf2.tasks.pretraining.whole_run"}
__getattr__, __dir__ = lazy_exports.attach(__name__, _HOMES)
