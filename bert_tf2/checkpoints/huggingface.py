"""Hugging Face's BERT directories: `config.json`, weights, vocabulary, tokenizer settings; no TensorFlow, no PyTorch.

In this project variables have the names of Google's checkpoints. The tables here map them to the names of the
transformers library, whose dense layers store `[outputs, inputs]` where Google's store `[inputs, outputs]`.
"""

import os
import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bert_tf2.checkpoints import safetensors
from bert_tf2.checkpoints.huggingface_config import (
    HuggingFaceConfig,
    TokenizerSettings,
    special_tokens_map,
    tokenizer_config,
)
from bert_tf2.checkpoints.keras_h5 import open_h5
from bert_tf2.checkpoints.torch_pickle import open_pytorch
from bert_tf2.configs.tokenizer import PLAIN, TokenizerOptions
from bert_tf2.errors import InputError, counted, some
from bert_tf2.io import file_system, run_files

CONFIG_FILE, WEIGHTS_FILE = run_files.HF_CONFIG, run_files.HF_WEIGHTS
TOKENIZER_FILE = run_files.HF_TOKENIZER

# --- Names -----------------------------------------------------------------------------------------------------------


class WeightMapping(NamedTuple):
    """The counterpart of a variable in the other format.

    Attributes:
      name: the counterpart's name.
      transposed: whether rows and columns are swapped.
    """

    name: str
    transposed: bool = False


def _dense(google: str, hf_name: str) -> dict[str, WeightMapping]:
    return {
        f"{google}/kernel": WeightMapping(f"{hf_name}.weight", transposed=True),
        f"{google}/bias": WeightMapping(f"{hf_name}.bias"),
    }


def _norm(google: str, hf_name: str) -> dict[str, WeightMapping]:
    return {f"{google}/gamma": WeightMapping(f"{hf_name}.weight"), f"{google}/beta": WeightMapping(f"{hf_name}.bias")}


def _scores(google: str, hf_name: str) -> dict[str, WeightMapping]:
    """A layer whose weights are `[outputs, inputs]` in Google's checkpoints, too."""
    return {
        f"{google}output_weights": WeightMapping(f"{hf_name}.weight"),
        f"{google}output_bias": WeightMapping(f"{hf_name}.bias"),
    }


_ENCODER = {
    "bert/embeddings/word_embeddings": WeightMapping("bert.embeddings.word_embeddings.weight"),
    "bert/embeddings/token_type_embeddings": WeightMapping("bert.embeddings.token_type_embeddings.weight"),
    "bert/embeddings/position_embeddings": WeightMapping("bert.embeddings.position_embeddings.weight"),
    **_norm("bert/embeddings/LayerNorm", "bert.embeddings.LayerNorm"),
    **_dense("bert/pooler/dense", "bert.pooler.dense"),
}
_LAYER = {
    **_dense("attention/self/query", "attention.self.query"),
    **_dense("attention/self/key", "attention.self.key"),
    **_dense("attention/self/value", "attention.self.value"),
    **_dense("attention/output/dense", "attention.output.dense"),
    **_norm("attention/output/LayerNorm", "attention.output.LayerNorm"),
    **_dense("intermediate/dense", "intermediate.dense"),
    **_dense("output/dense", "output.dense"),
    **_norm("output/LayerNorm", "output.LayerNorm"),
}
# The heads. Those of classification, tagging and multiple choice have the same names as each other in either format.
HEADS = {
    "masked_lm": {
        **_dense("cls/predictions/transform/dense", "cls.predictions.transform.dense"),
        **_norm("cls/predictions/transform/LayerNorm", "cls.predictions.transform.LayerNorm"),
        "cls/predictions/output_bias": WeightMapping("cls.predictions.bias"),
    },
    "next_sentence": _scores("cls/seq_relationship/", "cls.seq_relationship"),
    "classifier": _scores("", "classifier"),
    "tagger": _scores("", "classifier"),
    "multiple_choice": _scores("", "classifier"),
    "span": _scores("cls/squad/", "qa_outputs"),
}
OUTPUT_WEIGHTS_HEADS = ("classifier", "tagger", "multiple_choice")
"""The heads whose weights are named `output_weights` and `output_bias`."""
# Classes in transformers -> their heads.
ARCHITECTURES = {
    "BertModel": frozenset[str](),
    "BertForPreTraining": frozenset({"masked_lm", "next_sentence"}),
    "BertForMaskedLM": frozenset({"masked_lm"}),
    "BertForNextSentencePrediction": frozenset({"next_sentence"}),
    "BertForSequenceClassification": frozenset({"classifier"}),
    "BertForTokenClassification": frozenset({"tagger"}),
    "BertForQuestionAnswering": frozenset({"span"}),
    "BertForMultipleChoice": frozenset({"multiple_choice"}),
}


def output_weights_head(architecture: str | None) -> str | None:
    """Which of `OUTPUT_WEIGHTS_HEADS` a class in transformers has; None if it has none, or is unknown."""
    heads = ARCHITECTURES.get(architecture or "", frozenset())
    return next((head for head in OUTPUT_WEIGHTS_HEADS if head in heads), None)


_TO_HUGGINGFACE = {**_ENCODER, **{name: mapping for head in HEADS.values() for name, mapping in head.items()}}
_TO_GOOGLE = {mapping.name: WeightMapping(name, mapping.transposed) for name, mapping in _TO_HUGGINGFACE.items()}
_LAYER_TO_GOOGLE = {mapping.name: WeightMapping(name, mapping.transposed) for name, mapping in _LAYER.items()}
_TIED_WEIGHTS, _TIED_BIAS = "cls.predictions.decoder.weight", "cls.predictions.decoder.bias"
_WORD_EMBEDDINGS, _OUTPUT_BIAS = "bert/embeddings/word_embeddings", "cls/predictions/output_bias"


def to_huggingface(name: str) -> WeightMapping | None:
    """The counterpart in Hugging Face's format of a variable with Google's name; None if there is none."""
    layer = re.fullmatch(r"bert/encoder/layer_(\d+)/(.+)", name)
    if layer is None:
        return _TO_HUGGINGFACE.get(name)
    mapping = _LAYER.get(layer[2])
    return mapping and mapping._replace(name=f"bert.encoder.layer.{layer[1]}.{mapping.name}")


def to_google(name: str) -> WeightMapping | None:
    """The counterpart in Google's format of a variable with Hugging Face's name; None if there is none.

    Names without the prefix `bert.`, and `gamma` and `beta` of older directories, are supported.
    """
    name = _canonical(name)
    layer = re.fullmatch(r"bert\.encoder\.layer\.(\d+)\.(.+)", name)
    if layer is None:
        return _TO_GOOGLE.get(name)
    mapping = _LAYER_TO_GOOGLE.get(layer[2])
    return mapping and mapping._replace(name=f"bert/encoder/layer_{layer[1]}/{mapping.name}")


def _canonical(name: str) -> str:
    if name.startswith(("embeddings.", "encoder.", "pooler.")):
        name = f"bert.{name}"
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def is_encoder_weight(name: str) -> bool:
    """Whether a variable with Hugging Face's name belongs to the encoder rather than to a head."""
    return _canonical(name).startswith(("bert.embeddings.", "bert.encoder."))


def layer_index(name: str) -> int:
    """The index of the layer that a variable with Google's name, or its slot, belongs to; -1 if to none."""
    match = re.match(r"bert/encoder/layer_(\d{1,9})/", name)
    return int(match[1]) if match else -1


def first_layers(count: int) -> str:
    """The first `count` layers of an encoder, in a message: `the first layer`, `the first 3 layers`."""
    return "the first layer" if count == 1 else f"the first {counted(count, 'layer')}"


def names_above(names: Collection[str], count: int) -> tuple[str, ...]:
    """Those of Google's names that belong to layers above the first `count`."""
    return tuple(name for name in names if layer_index(name) >= count)


def heads_of(names: Collection[str], classifier: str = "classifier") -> frozenset[str]:
    """The heads of a model, by the names of its variables.

    Args:
      names: Google's names of the variables.
      classifier: the head that `output_weights` and `output_bias` belong to, one of `OUTPUT_WEIGHTS_HEADS`.
    """
    others = {*OUTPUT_WEIGHTS_HEADS} - {classifier}
    return frozenset(
        head for head, mappings in HEADS.items() if head not in others and any(name in names for name in mappings)
    )


# --- Reading ---------------------------------------------------------------------------------------------------------

WEIGHTS_FILES = {
    WEIGHTS_FILE: safetensors.open_safetensors,
    f"{WEIGHTS_FILE}.index.json": lambda path: safetensors.open_sharded(path, safetensors.open_safetensors),
    "pytorch_model.bin": open_pytorch,
    "pytorch_model.bin.index.json": lambda path: safetensors.open_sharded(path, open_pytorch),
    "tf_model.h5": open_h5,
}
"""The files that weights may be in; the first that exists is read."""


def find_directory(path: str | os.PathLike[str]) -> str | None:
    """The Hugging Face directory with this path, or with weights at this path; None if there is none."""
    path = file_system.path(path)
    directory = path.parent if path.name in WEIGHTS_FILES and path.is_file() else path
    if not (directory / CONFIG_FILE).is_file() or not any((directory / name).is_file() for name in WEIGHTS_FILES):
        return None
    return os.fspath(directory)


class ModelDirectory:
    """A Hugging Face directory, whose weights have Google's names here; each is read on demand.

    Attributes:
      path: the directory.
      weights_file: the path of its weights, or of the index of their shards.
      config: the content of `config.json`.
      tokenizer: the settings in the tokenizer's files.
      hf_names: Hugging Face's name of each variable, by Google's name.
      ignored: Hugging Face's names that need no counterpart, and why.
      unmapped: Hugging Face's names that have no counterpart.
      untied: the names in `unmapped` that belong to a separate masked-LM decoder, where BERT uses the word embeddings.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Opens the directory.

        Raises:
          InputError: a file is missing, corrupt, or of an unsupported model.
        """
        self.path = os.fspath(path)
        self.config = HuggingFaceConfig.read(file_system.path(path) / CONFIG_FILE)
        self.tokenizer = TokenizerSettings.read(path)
        file = next((name for name in WEIGHTS_FILES if (file_system.path(path) / name).is_file()), WEIGHTS_FILE)
        self.weights_file = os.path.join(self.path, file)
        self._arrays = WEIGHTS_FILES[file](file_system.path(self.weights_file))
        self.hf_names: dict[str, str] = {}
        self.ignored: dict[str, str] = {}
        self.untied: tuple[str, ...] = ()
        unmapped = []
        for name in self._arrays:
            mapping = to_google(name)
            if _canonical(name) == "bert.embeddings.position_ids":
                self.ignored[name] = "the position numbers, not weights"
            elif mapping is None:
                unmapped.append(name)
            elif mapping.name in self.hf_names:
                raise InputError(
                    f"{self.weights_file} holds both {self.hf_names[mapping.name]} and {name}, the same variable in "
                    f"BERT ({mapping.name}); expected only one of them."
                )
            else:
                self.hf_names[mapping.name] = name
        self.unmapped = tuple(name for name in unmapped if not self._is_tied(name))

    def _is_tied(self, name: str) -> bool:
        """Whether an array is a copy of another one; a copy of a missing masked-LM bias takes its place."""
        if name == _TIED_BIAS and _OUTPUT_BIAS not in self.hf_names:
            self.hf_names[_OUTPUT_BIAS] = name
            return True
        original = {_TIED_WEIGHTS: _WORD_EMBEDDINGS, _TIED_BIAS: _OUTPUT_BIAS}.get(name)
        if original is None or original not in self.hf_names:
            return False
        if not np.array_equal(self._arrays[name].read(), self.get_tensor(original)):
            self.untied = (*self.untied, name)
            return False
        self.ignored[name] = f"a copy of {self.hf_names[original]}"
        return True

    def check_readable(self, names: Collection[str]) -> None:
        """Checks that a BERT model with these variables can be read.

        Args:
          names: Google's names of the model's variables.

        Raises:
          InputError: the encoder has a variable that BERT's lacks, or the model has a masked-LM head whose decoder here
            is not tied to the word embeddings.
        """
        foreign = [name for name in self.unmapped if is_encoder_weight(name)]
        if foreign:
            raise InputError(
                f"{self.weights_file} holds {some(foreign)}, for which BERT's encoder has no place: this is a "
                "different kind of model."
            )
        if self.untied and any(name in HEADS["masked_lm"] for name in names):
            original = {_TIED_WEIGHTS: _WORD_EMBEDDINGS, _TIED_BIAS: _OUTPUT_BIAS}[self.untied[0]]
            raise InputError(
                f"{self.untied[0]} in {self.weights_file} differs from {self.hf_names[original]}; in BERT they are one "
                "variable, so the masked-LM head of this model cannot be read; all else can."
            )

    def get_variable_to_shape_map(self) -> dict[str, list[int]]:
        """The shapes by Google's names; variables without a counterpart keep Hugging Face's names."""
        shapes = {name: list(self._arrays[name].shape) for name in self.unmapped}
        for name, hf_name in self.hf_names.items():
            shape = list(self._arrays[hf_name].shape)
            shapes[name] = shape[::-1] if self._is_transposed(name) else shape
        return shapes

    def get_tensor(self, name: str) -> NDArray[np.float32]:
        """The variable with this name of Google's, in float32.

        Raises:
          InputError: it does not contain floating-point numbers, or the file is corrupt.
        """
        array = self._arrays[self.hf_names[name]].read()
        return array.T if self._is_transposed(name) else array

    def _is_transposed(self, name: str) -> bool:
        mapping = to_google(self.hf_names[name])
        return mapping is not None and mapping.transposed


# --- Writing ---------------------------------------------------------------------------------------------------------


def write_directory(
    path: str | os.PathLike[str],
    config: HuggingFaceConfig,
    variables: Mapping[str, NDArray[Any]],
    *,
    do_lower_case: bool,
    options: TokenizerOptions = PLAIN,
    vocab: Mapping[str, int] | None = None,
) -> None:
    """Writes the weights and settings, without the vocabulary, in the format of transformers.

    Args:
      path: the directory; created if missing.
      config: the content of `config.json`; its architecture decides whether names have the prefix `bert.`.
      variables: arrays by Google's names, each of which must have a counterpart (`to_huggingface`).
      do_lower_case: whether the tokenizer lower-cases.
      options: the tokenizer's other options.
      vocab: the id of each piece, if there is a vocabulary.

    Raises:
      OSError: the files cannot be written.
    """
    directory = file_system.path(path)
    directory.mkdir(parents=True, exist_ok=True)
    mappings = weight_mappings(variables, str(config.architecture))
    arrays = {
        mappings[name].name: variable.T if mappings[name].transposed else variable
        for name, variable in variables.items()
    }
    safetensors.write_safetensors(directory / WEIGHTS_FILE, arrays)
    for name, text in (
        (CONFIG_FILE, config.to_json_string((vocab or {}).get("[PAD]", 0))),
        (run_files.HF_TOKENIZER_CONFIG, tokenizer_config(config.bert, do_lower_case, options, vocab)),
        (run_files.HF_SPECIAL_TOKENS, special_tokens_map()),
    ):
        (directory / name).write_text(text, encoding="utf-8")


def weight_mappings(names: Collection[str], architecture: str) -> dict[str, WeightMapping]:
    """The counterparts, in a directory of an architecture, of variables with Google's names; others are left out."""
    mappings = {name: mapping for name in names if (mapping := to_huggingface(name))}
    if architecture == "BertModel":
        return {name: mapping._replace(name=mapping.name.removeprefix("bert.")) for name, mapping in mappings.items()}
    return mappings
