"""A tiny Hugging Face directory, its names and shapes written out by hand from what transformers 5.23 saves."""

import json
from pathlib import Path

import numpy as np

from bert_tf2.checkpoints.safetensors import write_safetensors

V, H, I, P, T = 12, 4, 6, 8, 2  # noqa: E741 (vocabulary, hidden, intermediate, positions, types)
CONFIG = {
    "architectures": ["BertModel"],
    "attention_probs_dropout_prob": 0.1,
    "classifier_dropout": None,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": H,
    "initializer_range": 0.02,
    "intermediate_size": I,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": P,
    "model_type": "bert",
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "type_vocab_size": T,
    "use_cache": True,
    "vocab_size": V,
}
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "[unused1]", "co", "##vid", "a", "##s", "+"]
EMBEDDINGS = {
    "embeddings.LayerNorm.bias": [H],
    "embeddings.LayerNorm.weight": [H],
    "embeddings.position_embeddings.weight": [P, H],
    "embeddings.token_type_embeddings.weight": [T, H],
    "embeddings.word_embeddings.weight": [V, H],
}
LAYER = {
    "attention.output.LayerNorm.bias": [H],
    "attention.output.LayerNorm.weight": [H],
    "attention.output.dense.bias": [H],
    "attention.output.dense.weight": [H, H],
    "attention.self.key.bias": [H],
    "attention.self.key.weight": [H, H],
    "attention.self.query.bias": [H],
    "attention.self.query.weight": [H, H],
    "attention.self.value.bias": [H],
    "attention.self.value.weight": [H, H],
    "intermediate.dense.bias": [I],
    "intermediate.dense.weight": [I, H],
    "output.LayerNorm.bias": [H],
    "output.LayerNorm.weight": [H],
    "output.dense.bias": [H],
    "output.dense.weight": [H, I],
}
ENCODER = {**EMBEDDINGS, **{f"encoder.layer.{n}.{name}": shape for n in range(2) for name, shape in LAYER.items()}}
POOLER = {"pooler.dense.bias": [H], "pooler.dense.weight": [H, H]}
MASKED_LM = {
    "cls.predictions.bias": [V],
    "cls.predictions.transform.LayerNorm.bias": [H],
    "cls.predictions.transform.LayerNorm.weight": [H],
    "cls.predictions.transform.dense.bias": [H],
    "cls.predictions.transform.dense.weight": [H, H],
}
NEXT_SENTENCE = {"cls.seq_relationship.bias": [2], "cls.seq_relationship.weight": [2, H]}
CLASSIFIER = {"classifier.bias": [3], "classifier.weight": [3, H]}
CHOICE = {"classifier.bias": [1], "classifier.weight": [1, H]}
SPAN = {"qa_outputs.bias": [2], "qa_outputs.weight": [2, H]}


def prefixed(shapes):
    return {f"bert.{name}": shape for name, shape in shapes.items()}


# The weights that transformers saves for each class; those without POOLER have no pooler, or do not need it.
MODELS = {
    "BertModel": {**ENCODER, **POOLER},
    "BertForPreTraining": {**prefixed(ENCODER), **prefixed(POOLER), **MASKED_LM, **NEXT_SENTENCE},
    "BertForNextSentencePrediction": {**prefixed(ENCODER), **prefixed(POOLER), **NEXT_SENTENCE},
    "BertForSequenceClassification": {**prefixed(ENCODER), **prefixed(POOLER), **CLASSIFIER},
    "BertForMaskedLM": {**prefixed(ENCODER), **MASKED_LM},
    "BertForTokenClassification": {**prefixed(ENCODER), **CLASSIFIER},
    "BertForQuestionAnswering": {**prefixed(ENCODER), **SPAN},
    "BertForMultipleChoice": {**prefixed(ENCODER), **prefixed(POOLER), **CHOICE},
}


def arrays_of(architecture, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in MODELS[architecture].items()}


def write_directory(directory, architecture, arrays=None, **config) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps({**CONFIG, "architectures": [architecture], **config}))
    write_safetensors(directory / "model.safetensors", arrays_of(architecture) if arrays is None else arrays)
    (directory / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES))
    (directory / "tokenizer_config.json").write_text('{"do_lower_case": true, "strip_accents": null}')
    return directory
