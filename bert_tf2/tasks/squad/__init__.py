"""Question answering on SQuAD: files -> examples -> windows -> answers -> scores.

A way through it: `examples` reads questions with their contexts (`words` splits those into words), `tokenized_examples`
makes token ids of them, `windows` windows (of the sizes in `window_parameters`), `modeling.question_answering` scores
tokens, `span_selection` turns its logits into text (what an answer is stands in `answers`), `prediction_files` writes
it, `metrics.squad` counts what is right. No TensorFlow in any of these but the model. `data`, `logits` and `runner` put
them together.

`tests/reference` has the same windows and answers by their definitions, question by question as in the original.
"""

from typing import TYPE_CHECKING

from bert_tf2 import lazy_exports

if TYPE_CHECKING:
    from bert_tf2.tasks.squad.config import SquadConfig
    from bert_tf2.tasks.squad.runner import run

__all__ = ["SquadConfig", "run"]

_HOMES = {"SquadConfig": "bert_tf2.tasks.squad.config", "run": "bert_tf2.tasks.squad.runner"}
__getattr__, __dir__ = lazy_exports.attach(__name__, _HOMES)
