"""Hugging Face's BERT directories: `config.json`, weights, vocabulary, tokenizer settings; no TensorFlow, no PyTorch.

Weights are named in this project as in Google's checkpoints. The tables here say where each of them is in a directory
of the transformers library, whose dense layers keep `[outputs, inputs]` where Google's keep `[inputs, outputs]`.
"""

import os
import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bert_tf2.checkpoints import safetensors
from bert_tf2.checkpoints.huggingface_config import (
    FolderConfig,
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


class Place(NamedTuple):
    """The counterpart of a variable.

    Attributes:
      name: of the variable there.
      transposed: whether rows and columns are swapped.
    """

    name: str
    transposed: bool = False


def _dense(google: str, there: str) -> dict[str, Place]:
    return {f"{google}/kernel": Place(f"{there}.weight", transposed=True), f"{google}/bias": Place(f"{there}.bias")}


def _norm(google: str, there: str) -> dict[str, Place]:
    return {f"{google}/gamma": Place(f"{there}.weight"), f"{google}/beta": Place(f"{there}.bias")}


def _scores(google: str, there: str) -> dict[str, Place]:
    """A layer whose weights Google, too, keeps as `[outputs, inputs]`."""
    return {f"{google}output_weights": Place(f"{there}.weight"), f"{google}output_bias": Place(f"{there}.bias")}


_ENCODER = {
    "bert/embeddings/word_embeddings": Place("bert.embeddings.word_embeddings.weight"),
    "bert/embeddings/token_type_embeddings": Place("bert.embeddings.token_type_embeddings.weight"),
    "bert/embeddings/position_embeddings": Place("bert.embeddings.position_embeddings.weight"),
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
# The heads. A classifier, a tagger and the score of a choice have the same names on both sides.
HEADS = {
    "masked_lm": {
        **_dense("cls/predictions/transform/dense", "cls.predictions.transform.dense"),
        **_norm("cls/predictions/transform/LayerNorm", "cls.predictions.transform.LayerNorm"),
        "cls/predictions/output_bias": Place("cls.predictions.bias"),
    },
    "next_sentence": _scores("cls/seq_relationship/", "cls.seq_relationship"),
    "classifier": _scores("", "classifier"),
    "tagger": _scores("", "classifier"),
    "multiple_choice": _scores("", "classifier"),
    "span": _scores("cls/squad/", "qa_outputs"),
}
OF_ONE_NAME = ("classifier", "tagger", "multiple_choice")
"""The heads whose weights are called `output_weights` and `output_bias`."""
# Class of transformers -> the heads that it has.
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


def head_of_one_name(architecture: str | None) -> str | None:
    """Which of `OF_ONE_NAME` a class of transformers has; None if it has none, or is not known."""
    heads = ARCHITECTURES.get(architecture or "", frozenset())
    return next((head for head in OF_ONE_NAME if head in heads), None)


_TO_HUGGINGFACE = {**_ENCODER, **{name: place for head in HEADS.values() for name, place in head.items()}}
_TO_GOOGLE = {place.name: Place(name, place.transposed) for name, place in _TO_HUGGINGFACE.items()}
_LAYER_TO_GOOGLE = {place.name: Place(name, place.transposed) for name, place in _LAYER.items()}
_TIED_WEIGHTS, _TIED_BIAS = "cls.predictions.decoder.weight", "cls.predictions.decoder.bias"
_WORD_EMBEDDINGS, _OUTPUT_BIAS = "bert/embeddings/word_embeddings", "cls/predictions/output_bias"


def to_huggingface(name: str) -> Place | None:
    """Where a variable of Google's name is in a directory; None where it has no place."""
    layer = re.fullmatch(r"bert/encoder/layer_(\d+)/(.+)", name)
    if layer is None:
        return _TO_HUGGINGFACE.get(name)
    place = _LAYER.get(layer[2])
    return place and place._replace(name=f"bert.encoder.layer.{layer[1]}.{place.name}")


def to_google(name: str) -> Place | None:
    """Google's name of one of Hugging Face's variables; None if it has none.

    Names without `bert.` in front, and `gamma` and `beta` of older directories, are understood.
    """
    name = _canonical(name)
    layer = re.fullmatch(r"bert\.encoder\.layer\.(\d+)\.(.+)", name)
    if layer is None:
        return _TO_GOOGLE.get(name)
    place = _LAYER_TO_GOOGLE.get(layer[2])
    return place and place._replace(name=f"bert/encoder/layer_{layer[1]}/{place.name}")


def _canonical(name: str) -> str:
    if name.startswith(("embeddings.", "encoder.", "pooler.")):
        name = f"bert.{name}"
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def is_of_encoder(name: str) -> bool:
    """Whether one of Hugging Face's variables is part of the encoder rather than of a head."""
    return _canonical(name).startswith(("bert.embeddings.", "bert.encoder."))


def layer_of(name: str) -> int:
    """The number of the layer, from 0, that a variable of Google's name or its slot belongs to; -1 if to none."""
    match = re.match(r"bert/encoder/layer_(\d{1,9})/", name)
    return int(match[1]) if match else -1


def first_layers(count: int) -> str:
    """The first layers of an encoder, for a message: `the first layer`, `the first 3 layers`."""
    return "the first layer" if count == 1 else f"the first {counted(count, 'layer')}"


def above(names: Collection[str], count: int) -> tuple[str, ...]:
    """Those of Google's names that are of layers above the first `count`."""
    return tuple(name for name in names if layer_of(name) >= count)


def heads_of(names: Collection[str], classifier: str = "classifier") -> frozenset[str]:
    """The heads that variables of Google's names belong to.

    Args:
      names: Google's.
      classifier: what `output_weights` and `output_bias` are, one of `OF_ONE_NAME`.
    """
    others = {*OF_ONE_NAME} - {classifier}
    return frozenset(
        head for head, places in HEADS.items() if head not in others and any(name in names for name in places)
    )


# --- Reading ---------------------------------------------------------------------------------------------------------

WEIGHTS_FILES = {
    WEIGHTS_FILE: safetensors.open_safetensors,
    f"{WEIGHTS_FILE}.index.json": lambda path: safetensors.open_parts(path, safetensors.open_safetensors),
    "pytorch_model.bin": open_pytorch,
    "pytorch_model.bin.index.json": lambda path: safetensors.open_parts(path, open_pytorch),
    "tf_model.h5": open_h5,
}
"""The files that weights may be in, the first of which is read."""


def find_folder(path: str | os.PathLike[str]) -> str | None:
    """The Hugging Face directory given by its path or that of its weights; None if it is not one."""
    path = file_system.path(path)
    folder = path.parent if path.name in WEIGHTS_FILES and path.is_file() else path
    if not (folder / CONFIG_FILE).is_file() or not any((folder / name).is_file() for name in WEIGHTS_FILES):
        return None
    return os.fspath(folder)


class Folder:
    """A Hugging Face directory, with its weights under Google's names; each is read on demand.

    Attributes:
      path: the directory.
      weights_file: its weights, or the list of their files.
      config: the content of `config.json`.
      tokenizer: the settings in the tokenizer's files.
      there: Hugging Face's name for each of Google's names.
      ignored: Hugging Face's names that need no counterpart here, and why.
      unplaced: Hugging Face's names that have no counterpart here.
      untied: those of them that are weights of a separate masked-LM decoder, where BERT uses the word embeddings.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Opens the directory.

        Raises:
          InputError: a file is missing, corrupt, or of an unsupported model.
        """
        self.path = os.fspath(path)
        self.config = FolderConfig.read(file_system.path(path) / CONFIG_FILE)
        self.tokenizer = TokenizerSettings.read(path)
        file = next((name for name in WEIGHTS_FILES if (file_system.path(path) / name).is_file()), WEIGHTS_FILE)
        self.weights_file = os.path.join(self.path, file)
        self._arrays = WEIGHTS_FILES[file](file_system.path(self.weights_file))
        self.there: dict[str, str] = {}
        self.ignored: dict[str, str] = {}
        self.untied: tuple[str, ...] = ()
        unplaced = []
        for name in self._arrays:
            place = to_google(name)
            if _canonical(name) == "bert.embeddings.position_ids":
                self.ignored[name] = "the position numbers, not weights"
            elif place is None:
                unplaced.append(name)
            elif place.name in self.there:
                raise InputError(
                    f"{self.weights_file} holds both {self.there[place.name]} and {name}, the same variable in "
                    f"BERT ({place.name}); expected only one of them."
                )
            else:
                self.there[place.name] = name
        self.unplaced = tuple(name for name in unplaced if not self._is_tied(name))

    def _is_tied(self, name: str) -> bool:
        """Whether an array is a copy of another one; as the masked-LM bias it takes the place of a missing one."""
        if name == _TIED_BIAS and _OUTPUT_BIAS not in self.there:
            self.there[_OUTPUT_BIAS] = name
            return True
        original = {_TIED_WEIGHTS: _WORD_EMBEDDINGS, _TIED_BIAS: _OUTPUT_BIAS}.get(name)
        if original is None or original not in self.there:
            return False
        if not np.array_equal(self._arrays[name].read(), self.get_tensor(original)):
            self.untied = (*self.untied, name)
            return False
        self.ignored[name] = f"a copy of {self.there[original]}"
        return True

    def check_readable(self, names: Collection[str]) -> None:
        """Checks that variables can be read as BERT has them.

        Args:
          names: Google's, of what is wanted.

        Raises:
          InputError: the encoder has a variable more than BERT's, or the masked-LM head is wanted and has a decoder of
            its own.
        """
        foreign = [name for name in self.unplaced if is_of_encoder(name)]
        if foreign:
            raise InputError(
                f"{self.weights_file} holds {some(foreign)}, for which BERT's encoder has no place: this is a "
                "different kind of model."
            )
        if self.untied and any(name in HEADS["masked_lm"] for name in names):
            original = {_TIED_WEIGHTS: _WORD_EMBEDDINGS, _TIED_BIAS: _OUTPUT_BIAS}[self.untied[0]]
            raise InputError(
                f"{self.untied[0]} in {self.weights_file} differs from {self.there[original]}; in BERT they are one "
                "variable, so the masked-LM head of this model cannot be read; all else can."
            )

    def get_variable_to_shape_map(self) -> dict[str, list[int]]:
        """Shapes by Google's names; by Hugging Face's names for variables that have no counterpart."""
        shapes = {name: list(self._arrays[name].shape) for name in self.unplaced}
        for name, there in self.there.items():
            shape = list(self._arrays[there].shape)
            shapes[name] = shape[::-1] if self._is_transposed(name) else shape
        return shapes

    def get_tensor(self, name: str) -> NDArray[np.float32]:
        """The variable of one of Google's names, in float32.

        Raises:
          InputError: it does not hold floating-point numbers, or the file is corrupt.
        """
        array = self._arrays[self.there[name]].read()
        return array.T if self._is_transposed(name) else array

    def _is_transposed(self, name: str) -> bool:
        place = to_google(self.there[name])
        return place is not None and place.transposed


# --- Writing ---------------------------------------------------------------------------------------------------------


def write_folder(
    path: str | os.PathLike[str],
    config: FolderConfig,
    variables: Mapping[str, NDArray[Any]],
    *,
    do_lower_case: bool,
    options: TokenizerOptions = PLAIN,
    vocab: Mapping[str, int] | None = None,
) -> None:
    """Writes weights and settings (not the vocabulary) as transformers writes and reads them.

    Args:
      path: the directory; created if missing.
      config: of `config.json`; its architecture decides whether names have `bert.` in front, as in transformers.
      variables: by Google's names, each of which has a place (`to_huggingface`).
      do_lower_case: of the tokenizer.
      options: of the tokenizer.
      vocab: the id of each piece, if they are known.

    Raises:
      OSError: it cannot be written.
    """
    folder = file_system.path(path)
    folder.mkdir(parents=True, exist_ok=True)
    names = names_there(variables, str(config.architecture))
    arrays = {
        names[name].name: variable.T if names[name].transposed else variable for name, variable in variables.items()
    }
    safetensors.write_safetensors(folder / WEIGHTS_FILE, arrays)
    for name, text in (
        (CONFIG_FILE, config.to_json_string((vocab or {}).get("[PAD]", 0))),
        (run_files.HF_TOKENIZER_CONFIG, tokenizer_config(config.bert, do_lower_case, options, vocab)),
        (run_files.HF_SPECIAL_TOKENS, special_tokens_map()),
    ):
        (folder / name).write_text(text, encoding="utf-8")


def names_there(names: Collection[str], architecture: str) -> dict[str, Place]:
    """The place of each of Google's names in a directory of that architecture; names without a place are left out."""
    places = {name: place for name in names if (place := to_huggingface(name))}
    if architecture == "BertModel":
        return {name: place._replace(name=place.name.removeprefix("bert.")) for name, place in places.items()}
    return places
