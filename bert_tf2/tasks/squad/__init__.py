"""Question answering on SQuAD: files -> examples -> windows -> answers -> scores.

Reading order: `examples` reads questions with their contexts (`words` splits the contexts into words);
`tokenized_examples` converts them to token ids; `windows` splits those into windows (of the sizes in
`window_parameters`); `modeling.question_answering` scores the tokens; `span_selection` converts its logits to texts
(`answers` defines answers and how one is chosen); `prediction_files` writes them; `metrics.squad` scores them. Only the
model needs TensorFlow. `data`, `logits` and `runner` connect these modules.

`tests/reference` has plain implementations of windows and answers, question by question as in the original.
"""

from typing import TYPE_CHECKING

from bert_tf2 import lazy_exports

if TYPE_CHECKING:
    from bert_tf2.tasks.squad.config import SquadConfig
    from bert_tf2.tasks.squad.runner import run

__all__ = ["SquadConfig", "run"]

_HOMES = {"SquadConfig": "bert_tf2.tasks.squad.config", "run": "bert_tf2.tasks.squad.runner"}
__getattr__, __dir__ = lazy_exports.attach(__name__, _HOMES)
