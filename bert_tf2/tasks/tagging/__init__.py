"""Token classification: named entities and other spans of words, from CoNLL-style files."""

from typing import TYPE_CHECKING

from bert_tf2 import lazy_exports

if TYPE_CHECKING:
    from bert_tf2.tasks.tagging.config import TaggingConfig
    from bert_tf2.tasks.tagging.runner import run

__all__ = ["TaggingConfig", "run"]

_HOMES = {"TaggingConfig": "bert_tf2.tasks.tagging.config", "run": "bert_tf2.tasks.tagging.runner"}
__getattr__, __dir__ = lazy_exports.attach(__name__, _HOMES)
