"""A tiny model's features: lines, the config that extracts them, the expected vectors, and reading the output."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import pretrained
from bert_tf2.modeling.encoder import BertModel
from bert_tf2.tasks.feature_extraction import data
from bert_tf2.tasks.feature_extraction.config import FeatureConfig
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer

LINES = ["co covid", "", "a ||| as co", "+", "co co co a as + covid a", "a", "covid ||| a", "nothing known"]


def config(model: Path, text: Path, output: Path, **changes: Any) -> FeatureConfig:
    options = {"max_seq_length": 8, "batch_size": 3, "layers": "-1,0", **changes}
    return FeatureConfig(input_file=str(text), output_file=str(output), init_checkpoint=str(model), **options)


def expected(model: Path) -> Iterator[tuple[list[str], np.ndarray, np.ndarray]]:
    """The tokens, vectors [tokens, 2 * H] and pooler output of each line."""
    bert = BertModel(pretrained.find_bert_config(str(model)))
    pretrained.load(checkpoints.tf_variables(bert.named_variables()), str(model))
    tokenizer = FastTokenizer(str(model / "vocab.txt"))
    for line in LINES:
        sequence = data.encode([line], tokenizer, 8)
        outputs = bert(tf.constant([sequence.input_ids]), token_type_ids=tf.constant([sequence.segment_ids]))
        layers = [outputs.encoder_layers[1][0], outputs.encoder_layers[0][0]]
        tokens = tokenizer.convert_ids_to_tokens(sequence.input_ids.tolist())
        yield tokens, np.concatenate(layers, -1), outputs.pooled_output[0].numpy()


def read_json(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]
