"""The settings of Hugging Face directories: `config.json` <-> `BertConfig`, and the tokenizer's files; no TensorFlow.

Hugging Face's names follow `BertConfig` and `BertTokenizer` of the transformers library.
"""

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bert_tf2.configs.model import BertConfig
from bert_tf2.configs.tokenizer import PLAIN, TokenizerOptions, never_split_problem, unique
from bert_tf2.errors import InputError, counted, some
from bert_tf2.io import file_system, files, json_files, run_files

_HF_ACTIVATIONS = {
    "gelu_exact": "gelu",
    "gelu": "gelu_pytorch_tanh",
    "relu": "relu",
    "tanh": "tanh",
    "linear": "linear",
}
SPECIAL_TOKENS_MAP = {
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
    "pad_token": "[PAD]",
    "sep_token": "[SEP]",
    "unk_token": "[UNK]",
}


@dataclasses.dataclass(frozen=True)
class HuggingFaceConfig:
    """The content of a Hugging Face `config.json`.

    Attributes:
      bert: the encoder's config.
      architecture: the model's class in transformers, such as `BertForMaskedLM`; None if not specified.
      labels: the names of the labels in the order of their ids; empty if they are `LABEL_0`, `LABEL_1`, ...
      problem_type: `single_label_classification`, `multi_label_classification`, `regression` or None.
    """

    bert: BertConfig
    architecture: str | None = None
    labels: tuple[str, ...] = ()
    problem_type: str | None = None

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "HuggingFaceConfig":
        """Reads a `config.json`.

        Raises:
          InputError: the file cannot be read, is not the config of a BERT model, or has an unsupported value.
        """
        values = read_json(path)
        where = os.fspath(path)
        try:
            bert = BertConfig.from_hugging_face(values)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        architectures = values.get("architectures") or [None]
        labels = _labels(values.get("id2label"), where)
        return cls(bert, architectures[0], labels, json_files.get(values, "problem_type", str, where))

    def to_json_string(self, pad_token_id: int = 0) -> str:
        """The text of a `config.json` for transformers."""
        values: dict[str, Any] = {
            **self.bert.to_dict(),
            "architectures": [self.architecture],
            "hidden_act": _HF_ACTIVATIONS[self.bert.hidden_act],
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
    if not by_id or sorted(by_id) != list(range(len(id2label))) or not all(map(files.is_unicode, labels)):
        raise InputError(f"{where}: id2label is {id2label!r:.200}; expected names for the numbers 0, 1, 2 and so on.")
    return () if labels == default_labels(len(labels)) else labels


def default_labels(count: int) -> tuple[str, ...]:
    """The names of labels in transformers if none are specified."""
    return tuple(f"LABEL_{index}" for index in range(count))


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
      InputError: the file cannot be read, or contains something else.
    """
    return json_files.read_object(path)


# --- Tokenizer -------------------------------------------------------------------------------------------------------

_TOKENIZER_FILE, _TOKENIZER_CONFIG_FILE = run_files.HF_TOKENIZER, run_files.HF_TOKENIZER_CONFIG
_ADDED_TOKENS_FILE, _SPECIAL_TOKENS_FILE = run_files.HF_ADDED_TOKENS, run_files.HF_SPECIAL_TOKENS
# The files of a tokenizer other than its vocabulary.
TOKENIZER_FILES = (_TOKENIZER_CONFIG_FILE, _SPECIAL_TOKENS_FILE, _ADDED_TOKENS_FILE, _TOKENIZER_FILE)
_SUPPORTED_SETTINGS = {"do_basic_tokenize": True, "clean_text": True, **SPECIAL_TOKENS_MAP}
_TOKENIZER_CLASSES = ("BertTokenizer", "BertTokenizerFast", None)
_BERT_NORMALIZER = {
    "lowercase": "do_lower_case",
    "handle_chinese_chars": "tokenize_chinese_chars",
    "strip_accents": "strip_accents",
    "clean_text": "clean_text",
}
_NO_BERT_NORMALIZER = "no BertNormalizer"


@dataclasses.dataclass(frozen=True)
class TokenizerSettings:
    """How the tokenizer of a directory treats text.

    Attributes:
      do_lower_case: whether it lower-cases; None if the directory does not specify it.
      differences: settings that this project's tokenizer does not support, as `key is value`.
      added: the tokens, other than the five special ones, that it adds to its vocabulary, with their ids.
      options: its other options.
    """

    do_lower_case: bool | None = None
    differences: tuple[str, ...] = ()
    added: tuple[tuple[str, int], ...] = ()
    options: TokenizerOptions = PLAIN

    @classmethod
    def read(cls, directory: str | os.PathLike[str]) -> "TokenizerSettings":
        """Reads the tokenizer's files, as far as they exist.

        Raises:
          InputError: a file cannot be read, is not JSON, or has an invalid value.
        """
        contents = {name: _read_if_exists(file_system.path(directory) / name) for name in TOKENIZER_FILES}
        for key in ("normalizer", "pre_tokenizer"):
            path = os.fspath(file_system.path(directory) / _TOKENIZER_FILE)
            json_files.get(contents[_TOKENIZER_FILE], key, dict, path)
        explicit = {
            key: _token_text(value)
            for name in (_SPECIAL_TOKENS_FILE, _TOKENIZER_CONFIG_FILE)
            for key, value in contents[name].items()
            if value is not None
        }
        normalization, steps = _normalization(contents[_TOKENIZER_FILE])
        # In transformers, these settings override a BertNormalizer, but no other normalizer.
        values = {**explicit, **normalization} if _NO_BERT_NORMALIZER in steps else {**normalization, **explicit}
        where = f"The tokenizer's settings in {os.fspath(directory)}"
        lower = json_files.get(values, "do_lower_case", bool, where)
        strip_accents = json_files.get(values, "strip_accents", bool, where)
        differences = [
            f"{key} is {values[key]}"
            for key, supported in _SUPPORTED_SETTINGS.items()
            if values.get(key) not in (None, supported)
        ]
        if values.get("tokenizer_class") not in _TOKENIZER_CLASSES:
            differences.append(f"tokenizer_class is {values['tokenizer_class']}")
        added = _added_tokens(contents)
        others = [*_strings(values, "never_split"), *_not_special(_strings(values, "additional_special_tokens"))]
        unsplit = {**added, **{token: _AddedToken() for token in others}}
        never_split = unique(
            token for token in unsplit if not never_split_problem(token) and not unsplit[token].single_word
        )
        differences += _matching_differences(unsplit, never_split, lower is not False)
        options = TokenizerOptions(
            strip_accents=None if strip_accents is lower else strip_accents,
            tokenize_chinese_chars=json_files.get(values, "tokenize_chinese_chars", bool, where, True),
            never_split=never_split,
        )
        by_id = sorted(((token, entry.index) for token, entry in added.items()), key=lambda item: item[1])
        return cls(lower, (*differences, *steps), tuple(by_id), options)


def _read_if_exists(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _token_text(value: Any) -> Any:
    """The text of a token, which may be an object with the token's settings; other values are unchanged."""
    return value.get("content") if isinstance(value, dict) else value


def _normalization(tokenizer: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The normalization of a `tokenizer.json`, as settings of `tokenizer_config.json`, and its other steps."""
    if "normalizer" not in tokenizer:
        return {}, []
    steps = {str(step.get("type")): step for step in _steps(tokenizer["normalizer"], "normalizers")}
    if "BertNormalizer" in steps:
        bert = steps.pop("BertNormalizer")
        values = {setting: bert.get(key) for key, setting in _BERT_NORMALIZER.items()}
    else:
        values = {"do_lower_case": "Lowercase" in steps, "tokenize_chinese_chars": False, "clean_text": False}
        values["strip_accents"] = "StripAccents" in steps
        steps = {name: step for name, step in steps.items() if name not in ("Lowercase", "StripAccents", "NFD")}
        steps = {_NO_BERT_NORMALIZER: {}, **steps}
    others = [name if name == _NO_BERT_NORMALIZER else f"normalizer is {name}" for name in steps]
    pre_tokenizers = [str(step.get("type")) for step in _steps(tokenizer.get("pre_tokenizer"), "pretokenizers")]
    return values, others + [f"pre_tokenizer is {name}" for name in pre_tokenizers if name != "BertPreTokenizer"]


def _steps(step: Any, key: str) -> list[dict[str, Any]]:
    """The steps of a `Sequence`, which are listed under `key`, nested ones flattened; any other step alone."""
    if not isinstance(step, dict):
        return []
    if step.get("type") != "Sequence":
        return [step]
    inner = step.get(key)
    return [single for part in (inner if isinstance(inner, list) else []) for single in _steps(part, key)]


class _AddedToken(NamedTuple):
    """A token that a tokenizer adds to its vocabulary.

    Attributes:
      index: its id.
      single_word: whether it is matched only as a separate word.
      normalized: whether it is matched after normalization, such as lower-casing.
    """

    index: Any = None
    single_word: bool = False
    normalized: bool = False

    @classmethod
    def of(cls, index: Any, entry: Mapping[str, Any]) -> "_AddedToken":
        normalized = entry.get("normalized", not entry.get("special"))
        return cls(index, entry.get("single_word") is True, normalized is True)


def _added_tokens(contents: Mapping[str, Mapping[str, Any]]) -> dict[str, _AddedToken]:
    """The tokens that a tokenizer's files add to its vocabulary, without the five special ones."""
    tokens: list[tuple[Any, _AddedToken]] = [
        (token, _AddedToken.of(index, {})) for token, index in contents[_ADDED_TOKENS_FILE].items()
    ]
    listed = contents[_TOKENIZER_FILE].get("added_tokens")
    tokens += [(_token_text(entry), _AddedToken.of(entry.get("id"), entry)) for entry in _dicts(listed)]
    decoder = contents[_TOKENIZER_CONFIG_FILE].get("added_tokens_decoder")
    if isinstance(decoder, dict):
        entries = {int(index): entry for index, entry in decoder.items() if index.isdecimal()}
        tokens += [
            (_token_text(entry), _AddedToken.of(index, entry))
            for index, entry in entries.items()
            if isinstance(entry, dict)
        ]
    special = SPECIAL_TOKENS_MAP.values()
    return {
        token: entry
        for token, entry in tokens
        if isinstance(token, str) and type(entry.index) is int and token not in special
    }


def _strings(values: Mapping[str, Any], key: str) -> list[str]:
    """The tokens in the list under a key; values of other types are ignored."""
    listed = values.get(key)
    tokens = map(_token_text, listed if isinstance(listed, list) else [])
    return [token for token in tokens if isinstance(token, str)]


def _not_special(tokens: Iterable[str]) -> list[str]:
    """The tokens without the five special ones."""
    return [token for token in tokens if token not in SPECIAL_TOKENS_MAP.values()]


def _matching_differences(unsplit: Mapping[str, _AddedToken], never_split: Sequence[str], lower: bool) -> list[str]:
    """The differences in matching tokens: those that this tokenizer splits, and those that it matches in one case only.

    Args:
      unsplit: the tokens that transformers does not split.
      never_split: those of them that this tokenizer does not split either.
      lower: whether the tokenizer lower-cases.
    """
    differences = []
    for what, tokens in (
        ("stay whole in text", [token for token in unsplit if token not in never_split]),
        (
            "stay whole in upper or lower case",
            [token for token in never_split if lower and _matches_in_any_case(token, unsplit[token])],
        ),
    ):
        if tokens:
            differences.append(f"{some(tokens)} {what}")
    return differences


def _matches_in_any_case(token: str, entry: _AddedToken) -> bool:
    """Whether transformers matches a token in either case, and WordPiece, which keeps lower-case words, does not."""
    return entry.normalized and token.upper() != token.lower() and not (token.isalnum() and token == token.lower())


def _dicts(entries: Any) -> list[dict[str, Any]]:
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def tokenizer_config(
    config: BertConfig, do_lower_case: bool, options: TokenizerOptions = PLAIN, vocab: Mapping[str, int] | None = None
) -> str:
    """The text of a `tokenizer_config.json` for transformers.

    Args:
      config: the model config.
      do_lower_case: whether the tokenizer lower-cases.
      options: the tokenizer's other options.
      vocab: the id of each piece; must contain the tokens in `options.never_split`.
    """
    values: dict[str, Any] = {
        **SPECIAL_TOKENS_MAP,
        "do_basic_tokenize": True,
        "do_lower_case": do_lower_case,
        "model_max_length": config.max_position_embeddings,
        "strip_accents": options.strip_accents,
        "tokenize_chinese_chars": options.tokenize_chinese_chars,
        "tokenizer_class": "BertTokenizer",
    }
    if options.never_split:
        values["never_split"] = list(options.never_split)
        tokens = _not_special(options.never_split)
        unchanged = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
        values["additional_special_tokens"] = tokens
        values["added_tokens_decoder"] = {
            str((vocab or {})[token]): {"content": token, **unchanged} for token in tokens
        }
    return json.dumps(values, indent=2, sort_keys=True) + "\n"


def special_tokens_map() -> str:
    """The text of a `special_tokens_map.json` for transformers."""
    return json.dumps(SPECIAL_TOKENS_MAP, indent=2, sort_keys=True) + "\n"


def pieces_of_tokenizer_json(path: str | os.PathLike[str]) -> Sequence[str]:
    """The pieces of the WordPiece vocabulary in a `tokenizer.json`, in the order of their ids.

    Raises:
      InputError: the file cannot be read, has no WordPiece vocabulary, or its ids are not 0, 1, 2, ...
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
        if not all(type(index) is int and files.is_unicode(piece) for piece, index in pieces.items()):
            raise TypeError
    except (TypeError, KeyError, AttributeError):
        raise InputError(f"{where}: its pieces are not texts with whole numbers as ids; download it again.") from None
    by_id = {index: piece for piece, index in pieces.items()}
    if sorted(by_id) != list(range(len(by_id))):
        raise InputError(f"{os.fspath(path)}: the ids of its {counted(len(by_id), 'piece')} are not 0, 1, 2 and so on.")
    return [by_id[index] for index in range(len(by_id))]
