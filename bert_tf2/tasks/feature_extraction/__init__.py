"""Feature extraction: a model's vectors for tokens, words or texts."""

from typing import TYPE_CHECKING

from bert_tf2 import lazy_exports

if TYPE_CHECKING:
    from bert_tf2.tasks.feature_extraction.config import FeatureConfig
    from bert_tf2.tasks.feature_extraction.runner import run

__all__ = ["FeatureConfig", "run"]

_HOMES = {
    "FeatureConfig": "bert_tf2.tasks.feature_extraction.config",
    "run": "bert_tf2.tasks.feature_extraction.runner",
}
__getattr__, __dir__ = lazy_exports.attach(__name__, _HOMES)
