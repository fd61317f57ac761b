"""Multiple choice: which of several endings, answers or continuations belongs to a context."""

from typing import TYPE_CHECKING

from bert_tf2 import lazy_exports

if TYPE_CHECKING:
    from bert_tf2.tasks.multiple_choice.config import MultipleChoiceConfig
    from bert_tf2.tasks.multiple_choice.runner import run

__all__ = ["MultipleChoiceConfig", "run"]

_HOMES = {
    "MultipleChoiceConfig": "bert_tf2.tasks.multiple_choice.config",
    "run": "bert_tf2.tasks.multiple_choice.runner",
}
__getattr__, __dir__ = lazy_exports.attach(__name__, _HOMES)
