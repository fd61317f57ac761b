"""BERT for TensorFlow 2 and Keras 3.

The names below are imported when they are first used, so that `import bert_tf2` does not import TensorFlow.
"""

from typing import TYPE_CHECKING

from bert_tf2 import lazy_exports

if TYPE_CHECKING:
    from bert_tf2.configs.model import BertConfig
    from bert_tf2.errors import InputError
    from bert_tf2.modeling.classifier import BertClassifier
    from bert_tf2.modeling.encoder import BertModel
    from bert_tf2.modeling.multiple_choice import BertForMultipleChoice
    from bert_tf2.modeling.pretraining import BertForPreTraining, BertMaskedLM
    from bert_tf2.modeling.question_answering import BertForQuestionAnswering
    from bert_tf2.modeling.tagger import BertTagger
    from bert_tf2.tokenization.wordpiece import BasicTokenizer, FullTokenizer, WordpieceTokenizer

__version__ = "0.2.0"

__all__ = [
    "BasicTokenizer",
    "BertClassifier",
    "BertConfig",
    "BertForMultipleChoice",
    "BertForPreTraining",
    "BertForQuestionAnswering",
    "BertMaskedLM",
    "BertModel",
    "BertTagger",
    "FullTokenizer",
    "InputError",
    "WordpieceTokenizer",
]

__getattr__, __dir__ = lazy_exports.attach(
    __name__,
    {
        "BasicTokenizer": "bert_tf2.tokenization.wordpiece",
        "BertClassifier": "bert_tf2.modeling.classifier",
        "BertConfig": "bert_tf2.configs.model",
        "BertForMultipleChoice": "bert_tf2.modeling.multiple_choice",
        "BertForPreTraining": "bert_tf2.modeling.pretraining",
        "BertForQuestionAnswering": "bert_tf2.modeling.question_answering",
        "BertMaskedLM": "bert_tf2.modeling.pretraining",
        "BertModel": "bert_tf2.modeling.encoder",
        "BertTagger": "bert_tf2.modeling.tagger",
        "FullTokenizer": "bert_tf2.tokenization.wordpiece",
        "InputError": "bert_tf2.errors",
        "WordpieceTokenizer": "bert_tf2.tokenization.wordpiece",
    },
)
