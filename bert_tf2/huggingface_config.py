"""The settings of Hugging Face folders: `config.json` <-> `BertConfig`, and the tokenizer's files; no TensorFlow.

Hugging Face's names follow `BertConfig` and `BertTokenizer` of the transformers library.
"""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bert_tf2 import json_files
from bert_tf2.config import BertConfig
from bert_tf2.errors import InputError

# Their activation -> ours. "gelu" is the exact one there, and the approximation by tanh in Google's configs.
_ACTIVATIONS = {
    "gelu": "gelu_exact",
    "gelu_python": "gelu_exact",
    "gelu_new": "gelu",
    "gelu_fast": "gelu",
    "gelu_pytorch_tanh": "gelu",
    "relu": "relu",
    "tanh": "tanh",
    "linear": "linear",
}
_ACTIVATIONS_THERE = {
    "gelu_exact": "gelu",
    "gelu": "gelu_pytorch_tanh",
    "relu": "relu",
    "tanh": "tanh",
    "linear": "linear",
}
# What a key that is left away means there.
_DEFAULTS: dict[str, Any] = {"vocab_size": 30522, "type_vocab_size": 2, "hidden_act": "gelu"}
# Keys that change what the model computes, and the only values that this model has.
_ONLY: dict[str, tuple[Any, ...]] = {
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "pruned_heads": ({},),
    "quantization_config": (),
    "layer_norm_eps": (1e-12,),
}
SPECIAL_TOKENS_MAP = {
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
    "pad_token": "[PAD]",
    "sep_token": "[SEP]",
    "unk_token": "[UNK]",
}


@dataclasses.dataclass(frozen=True)
class FolderConfig:
    """What a folder's `config.json` says.

    Attributes:
      bert: the encoder's sizes.
      architecture: class of the model in transformers, such as `BertForMaskedLM`; None where it is not said.
      labels: name of each label by id; empty where they have none but `LABEL_0`, `LABEL_1`, ...
      problem_type: `single_label_classification`, `multi_label_classification`, `regression` or None.
    """

    bert: BertConfig
    architecture: str | None = None
    labels: tuple[str, ...] = ()
    problem_type: str | None = None

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "FolderConfig":
        """Reads a `config.json`.

        Raises:
          InputError: it cannot be read, is not of a BERT model, or asks for something that this model does not have.
        """
        values = read_json(path)
        where = os.fspath(path)
        model_type = values.get("model_type")
        architectures = json_files.get(values, "architectures", list, where) or [None]
        if not isinstance(architectures[0], str | None):
            raise InputError(f"{where}: architectures is {architectures!r:.60}; the name of a class was expected.")
        if model_type != "bert" and not (model_type is None and (architectures[0] or "Bert").startswith("Bert")):
            raise InputError(f"{where}: model_type is {model_type!r}; only models of type 'bert' can be read.")
        for key, only in _ONLY.items():
            if values.get(key) is not None and values[key] not in only:
                wanted = f"only {only[0]!r} can be read" if only else "such models cannot be read"
                raise InputError(f"{where}: {key} is {values[key]!r}; {wanted}.")
        sizes = {field.name: values[field.name] for field in dataclasses.fields(BertConfig) if field.name in values}
        sizes = {**_DEFAULTS, **sizes}
        activation = _ACTIVATIONS.get(str(sizes["hidden_act"]))
        if activation is None:
            raise InputError(
                f"{where}: hidden_act is {sizes['hidden_act']!r}; one of {', '.join(_ACTIVATIONS)} can be read."
            )
        try:
            bert = BertConfig.from_dict({**sizes, "hidden_act": activation})
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        labels = _labels(values.get("id2label"), where)
        return cls(bert, architectures[0], labels, json_files.get(values, "problem_type", str, where))

    def to_json_string(self, pad_token_id: int = 0) -> str:
        """The text of a `config.json` for transformers."""
        values: dict[str, Any] = {
            **self.bert.to_dict(),
            "architectures": [self.architecture],
            "hidden_act": _ACTIVATIONS_THERE[self.bert.hidden_act],
            "layer_norm_eps": 1e-12,
            "model_type": "bert",
            "pad_token_id": pad_token_id,
            "position_embedding_type": "absolute",
            "torch_dtype": "float32",
        }
        if self.labels:
            values["id2label"] = {str(index): label for index, label in enumerate(self.labels)}
            values["label2id"] = {label: index for index, label in enumerate(self.labels)}
        if self.problem_type:
            values["problem_type"] = self.problem_type
        return json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _labels(id2label: Any, where: str) -> tuple[str, ...]:
    if not id2label:
        return ()
    try:
        by_id = {int(index): str(label) for index, label in id2label.items()}
    except (AttributeError, ValueError, TypeError):
        by_id = {}
    labels = tuple(by_id[index] for index in sorted(by_id))
    if not by_id or sorted(by_id) != list(range(len(id2label))) or not all(map(json_files.is_text, labels)):
        raise InputError(f"{where}: id2label is {id2label!r:.200}; names for the numbers from 0 on were expected.")
    return () if labels == default_labels(len(labels)) else labels


def default_labels(count: int) -> tuple[str, ...]:
    """The names that transformers gives to labels without names."""
    return tuple(f"LABEL_{index}" for index in range(count))


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The object in a JSON file; raises `InputError` that names it."""
    return json_files.read_object(path)


# --- Tokenizer -------------------------------------------------------------------------------------------------------

_TOKENIZER_ONLY = {"tokenize_chinese_chars": True, "do_basic_tokenize": True}
_TOKENIZER_CLASSES = ("BertTokenizer", "BertTokenizerFast", None)


@dataclasses.dataclass(frozen=True)
class TokenizerSettings:
    """How a folder's tokenizer treats text.

    Attributes:
      do_lower_case: whether it lower-cases; None where the folder does not say.
      differences: what it does that the tokenizer here does not, as `key is value`.
    """

    do_lower_case: bool | None = None
    differences: tuple[str, ...] = ()

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> "TokenizerSettings":
        """From `tokenizer_config.json`, or the normalizer in `tokenizer.json`; raises `InputError` for bad JSON."""
        values: dict[str, Any] = {}
        if (path := Path(folder, "tokenizer.json")).is_file():
            normalizer = json_files.get(read_json(path), "normalizer", dict, os.fspath(path), {})
            if normalizer.get("type") == "BertNormalizer":
                values["do_lower_case"] = normalizer.get("lowercase")
                values["tokenize_chinese_chars"] = normalizer.get("handle_chinese_chars")
                values["strip_accents"] = normalizer.get("strip_accents")
        if (path := Path(folder, "tokenizer_config.json")).is_file():
            values |= {key: value for key, value in read_json(path).items() if value is not None}
        lower = json_files.get(values, "do_lower_case", bool, f"The tokenizer's settings in {os.fspath(folder)}")
        wanted = {**_TOKENIZER_ONLY, **({} if lower is None else {"strip_accents": lower})}
        differences = [f"{key} is {values[key]}" for key in wanted if values.get(key) not in (None, wanted[key])]
        if values.get("tokenizer_class") not in _TOKENIZER_CLASSES:
            differences.append(f"tokenizer_class is {values['tokenizer_class']}")
        return cls(lower, tuple(differences))


def tokenizer_config(config: BertConfig, do_lower_case: bool) -> str:
    """The text of a `tokenizer_config.json` for transformers."""
    values = {
        **SPECIAL_TOKENS_MAP,
        "do_basic_tokenize": True,
        "do_lower_case": do_lower_case,
        "model_max_length": config.max_position_embeddings,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "tokenizer_class": "BertTokenizer",
    }
    return json.dumps(values, indent=2, sort_keys=True) + "\n"


def special_tokens_map() -> str:
    """The text of a `special_tokens_map.json` for transformers."""
    return json.dumps(SPECIAL_TOKENS_MAP, indent=2, sort_keys=True) + "\n"


def pieces_of_tokenizer_json(path: str | os.PathLike[str]) -> Sequence[str]:
    """The pieces of the WordPiece vocabulary in a `tokenizer.json`, in the order of their ids.

    Raises:
      InputError: there is none, or its ids are not 0, 1, 2, ...
    """
    values = read_json(path)
    where = os.fspath(path)
    model: Mapping[str, Any] = json_files.get(values, "model", dict, where, {})
    vocab = model.get("vocab")
    if model.get("type") != "WordPiece" or not isinstance(vocab, dict):
        raise InputError(f"{where} holds no WordPiece vocabulary; BERT's tokenizer was expected.")
    try:
        added = {entry["content"]: entry["id"] for entry in json_files.get(values, "added_tokens", list, where, [])}
        pieces = {**vocab, **added}
        if not all(type(index) is int and json_files.is_text(piece) for piece, index in pieces.items()):
            raise TypeError
    except (TypeError, KeyError, AttributeError):
        raise InputError(f"{where}: its pieces are not texts with whole numbers as ids; get it again.") from None
    by_id = {index: piece for piece, index in pieces.items()}
    if sorted(by_id) != list(range(len(by_id))):
        raise InputError(f"{os.fspath(path)}: the ids of its {len(by_id):,} pieces are not 0, 1, 2 and so on.")
    return [by_id[index] for index in range(len(by_id))]
