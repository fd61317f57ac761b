"""Classification and regression of texts and pairs of texts: GLUE, XNLI and custom data."""

from typing import TYPE_CHECKING

from bert_tf2 import lazy_exports

if TYPE_CHECKING:
    from bert_tf2.tasks.classification.config import ClassificationConfig
    from bert_tf2.tasks.classification.runner import run

__all__ = ["ClassificationConfig", "run"]

_HOMES = {"ClassificationConfig": "bert_tf2.tasks.classification.config", "run": "bert_tf2.tasks.classification.runner"}
__getattr__, __dir__ = lazy_exports.attach(__name__, _HOMES)
