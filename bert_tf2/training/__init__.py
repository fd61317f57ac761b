"""The training loop for any task on any `tf.distribute` strategy, with optimizers, precision and evaluation."""

from typing import TYPE_CHECKING

from bert_tf2 import lazy_exports
from bert_tf2.modeling import keras_backend

if TYPE_CHECKING:
    from bert_tf2.training.trainer import Data, Hook, Trainer

__all__ = ["Data", "Hook", "Trainer"]

__getattr__, __dir__ = lazy_exports.attach(__name__, dict.fromkeys(__all__, "bert_tf2.training.trainer"))

keras_backend.check()
