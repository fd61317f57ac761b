"""Checkpoints with Google's names, Hugging Face directories, and the weights that a model starts from.

Examples:
  A model's variables by name, saved as a step of a training run:

  >>> import numpy as np
  >>> import tensorflow as tf
  >>> from bert_tf2 import BertConfig, BertModel, checkpoints
  >>> config = BertConfig(100, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
  >>> variables = checkpoints.tf_variables(BertModel(config).named_variables())
  >>> training = {**variables, checkpoints.GLOBAL_STEP: tf.Variable(7, dtype=tf.int64)}
  >>> prefix = checkpoints.save("model", 7, training)
  >>> prefix, checkpoints.latest("model"), checkpoints.find("model")
  ('model/model.ckpt-7', 'model/model.ckpt-7', 'model/model.ckpt-7')
  >>> checkpoints.step_of(prefix)
  7

  Another model starts from them, and the same run is resumed:

  >>> other_variables = checkpoints.tf_variables(BertModel(config).named_variables())
  >>> report = checkpoints.load(other_variables, "model")
  >>> isinstance(report, checkpoints.LoadReport), report.missing, report.unused
  (True, (), ('global_step',))
  >>> checkpoints.restore(training, prefix)
  []
  >>> checkpoints.resume(training, "model")
  ('model/model.ckpt-7', [])

  Reading and writing single arrays:

  >>> reader = checkpoints.open_reader(prefix)
  >>> checkpoints.training_state(reader.get_variable_to_shape_map())
  {'global_step'}
  >>> bias = checkpoints.read(reader, "bert/pooler/dense/bias", prefix)
  >>> checkpoints.write("averages.ckpt", {f"bert/pooler/dense/bias/{checkpoints.AVERAGE}": bias + 1})
  >>> checkpoints.load_averages(variables, "averages.ckpt")
  1
  >>> checkpoints.remove("averages.ckpt")
  >>> checkpoints.remove_unfinished("model")  # files that killed processes left behind
"""

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
