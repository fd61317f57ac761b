"""An untrained teacher: a tiny classifier with its own vocabulary, whose random logits are large."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bert_tf2 import checkpoints
from bert_tf2.configs.model import BertConfig
from bert_tf2.modeling.classifier import ClassificationModel
from bert_tf2.tasks.classification.task_description import TaskDescription
from bert_tf2.tokenization.wordpiece import FullTokenizer
from helpers import tiny_classification, tiny_model

PIECES = [*tiny_classification.PIECES[:5], "sad", *reversed(tiny_classification.WORDS), "happy", "##y"]
LENGTH = 12


def write_teacher(directory: Path, labels: Sequence[str] = ("good", "bad"), **fields: Any) -> Path:
    """Writes a directory like that of a training; `fields` are those of its `task.json`."""
    directory.mkdir(parents=True, exist_ok=True)
    tiny_model.write_model_files(directory, PIECES, hidden_size=8, intermediate_size=12, initializer_range=0.8)
    description = TaskDescription(
        **{
            "name": "custom",
            "problem_type": "single_label",
            "labels": tuple(labels),
            "max_seq_length": LENGTH,
            "text_column": "text",
            **fields,
        }
    )
    description.save(str(directory))
    keras.utils.set_random_seed(11)
    config = BertConfig.from_json_file(str(directory / "bert_config.json"))
    model = ClassificationModel(config, description.outputs, description.problem_type)
    model.classifier.output_weights.assign(np.random.default_rng(1).normal(size=model.classifier.output_weights.shape))
    checkpoints.save(str(directory), 7, checkpoints.tf_variables(model.named_variables), keep=1)
    return directory


def logits(directory: Path, texts: Sequence[str]) -> np.ndarray:
    """The teacher's logits for texts, by the Keras model and the plain tokenizer: float32 [N, L]."""
    from bert_tf2 import BertClassifier

    tokenizer = FullTokenizer(str(directory / "vocab.txt"), do_lower_case=True)
    return np.asarray(BertClassifier.from_pretrained(str(directory))(tokenizer(list(texts), max_length=LENGTH)))
